#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd::testing {

constexpr const char* kSnapshotter = "overlayfs";

/// A layer made of /bin/busybox (busybox-static) with its links in /bin: a gzip-compressed tar in `dir`.
/// NotImplemented with the reason when this machine cannot.
Result<std::string> make_busybox_layer(const std::string& dir);

/// The layer in containerd: blob, unpacked and committed snapshot, both kept by a gc.root label.
struct TestLayer {
  Descriptor blob{};
  Digest diff_id{};
  std::string snapshot{};  ///< committed name, to be a parent
};
Result<TestLayer> import_busybox(const Client& client, const std::string& dir);

/// A small OCI runtime spec (JSON) without a network namespace of its own: `args` in a container with pid,
/// mount, ipc and uts namespaces, cgroup "/pouch-test-<id>".
std::string minimal_spec(const std::string& id, const std::vector<std::string>& args, bool terminal = false);
/// The `process` object of such a spec, for an exec.
std::string minimal_process(const std::vector<std::string>& args, bool terminal = false);

}  // namespace pouch::ctrd::testing
