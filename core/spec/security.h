#pragma once

#include <optional>
#include <string>

#include "core/api/container.gen.h"
#include "core/api/json.h"
#include "core/base/status.h"

namespace pouch::spec {

/// HostConfig.SecurityOpt, understood.
struct SecurityOptions {
  bool no_new_privileges = false;
  bool seccomp_unconfined = false;
  std::optional<Json> seccomp_profile;  ///< an OCI linux.seccomp object
  bool systempaths_unconfined = false;
};

/// NotImplemented for AppArmor profiles and SELinux labels, InvalidArgument for what nobody knows.
Result<SecurityOptions> parse_security(const api::HostConfig& host);

}  // namespace pouch::spec
