#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"

namespace pouch::container {

/// Whatever needs neither image nor host: InvalidArgument with Moby's texts; NotImplemented names the option.
Status validate_request(const api::ContainerCreateConfig& request);
/// What the image adds: a health check, which this engine does not have yet.
Status validate_merged(const api::ContainerConfig& config);
/// What is asked of its networks, by their names.
EndpointRequests endpoints_of(const api::ContainerCreateConfig& request);
/// The configuration as it is kept and shown: defaults in place of what is absent.
void fill_host_config(api::HostConfig& host, const std::string& default_runtime, bool cgroup_v2);

struct LogOptions {
  std::string driver;
  int64_t max_size = -1;  ///< bytes
  int max_file = 1;
};
/// Of HostConfig.LogConfig. NotImplemented for other drivers; InvalidArgument for bad options.
Result<LogOptions> parse_log_options(const api::HostConfig& host);

}  // namespace pouch::container
