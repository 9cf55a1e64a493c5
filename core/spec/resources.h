#pragma once

#include "core/api/json.h"
#include "core/spec/oci_spec.h"

namespace pouch::spec {

/// linux.resources without the device rules. InvalidArgument and NotImplemented name the option.
Result<Json> build_resources(const api::HostConfig& host, const HostFacts& facts);

/// The checks of build_resources that need no host.
Status validate_resources(const api::HostConfig& host);

struct Devices {
  Json nodes;  ///< linux.devices
  Json rules;  ///< linux.resources.devices
};

/// HostConfig.Devices, DeviceCgroupRules and what comes with Privileged.
Result<Devices> build_devices(const api::HostConfig& host, bool privileged, const HostFacts& facts);

}  // namespace pouch::spec
