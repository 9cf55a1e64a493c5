#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "core/base/status.h"
#include "core/container/runtime_failure.h"
#include "core/spec/mounts.h"

namespace pouch::container {

/// What OCI runtimes say they can (`runc features`). Each program is asked once, and again when it is another
/// file. Thread-safe.
class RuntimeFeatures {
 public:
  /// Ok when a mount can be made read-only with all that is mounted below it, by the kernel (5.12) and by the
  /// runtime. NotImplemented says why not, in Moby's words.
  Status has_recursive_read_only(const RuntimeUse& use);

 private:
  std::mutex mutex_;
  /// Mount options by program with its time of change; under mutex_. Empty: it does not tell.
  std::map<std::string, std::set<std::string>> mount_options_;
};

/// Decides which of the read-only mounts are recursively so: those that do not ask for something else, where
/// that is possible. An error where it is not and one insists.
Status settle_read_only(spec::MountPlan& plan, RuntimeFeatures& features, const RuntimeUse& use);

/// "mountOptions" of what `features` prints.
std::set<std::string> parse_mount_options(const std::string& text);

}  // namespace pouch::container
