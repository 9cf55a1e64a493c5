#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/sys/links.h"

namespace pouch::sys {

/// A network namespace just made.
struct NetNamespace {
  UniqueFd fd;
  Links links;  ///< inside it; its loopback is up
};

/// Kernel settings below /proc/sys/net: {"ipv6/conf/default/disable_ipv6", "1"}.
using NetSettings = std::vector<std::pair<std::string, std::string>>;

/// Makes a network namespace and pins it by a bind mount on the file `pin`, which must not exist. Done on a
/// thread of its own, which ends: no thread of the caller ever changes its namespace. A setting that the
/// kernel does not have is left out.
Result<NetNamespace> create_net_namespace(const std::string& pin, const NetSettings& settings);
/// One that nothing pins: it ends when the descriptor is closed.
Result<UniqueFd> short_lived_net_namespace();
/// Calls `work` on a thread of its own that is in the namespace; the thread ends with it.
Status in_net_namespace(int netns, const std::function<Status()>& work);
/// Unpins it; the kernel ends it, with all links in it, once nobody uses it. Ok when it is gone already.
Status remove_net_namespace(const std::string& pin);
/// Opens one by its pin or by /proc/…/ns/net. NotFound when the file pins none.
Result<UniqueFd> open_net_namespace(const std::string& path);

/// Writes one of the calling thread's namespace when it has another value.
Status set_net_setting(const std::string& name, const std::string& value);

}  // namespace pouch::sys
