#pragma once

#include <string>

#include "core/base/status.h"
#include "core/container/container_files.h"
#include "core/network/network_containers.h"
#include "core/store/engine_context.h"

namespace pouch {

/// Containers as the network manager sees them: their rows and files.
class NetworkSide final : public NetworkContainers {
 public:
  explicit NetworkSide(EngineContext& context) : context_(context) {}
  Result<ContainerPlace> find(store::Session& session, const std::string& reference) override;
  Status write_hosts(const ContainerId& id, const NetworkPlan& plan) override;

 private:
  Status serve_names(const container::ContainerPaths& paths, const api::HostConfig& host,
                     const NetworkPlan& plan);

  EngineContext& context_;
};

}  // namespace pouch
