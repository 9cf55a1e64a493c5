#pragma once

#include <functional>
#include <string>

#include "core/base/status.h"
#include "core/sys/mounts.h"

namespace pouch::volume {

/// The address of a host's name.
using Resolve = std::function<Result<std::string>(const std::string& host)>;

/// A mount of NFS or SMB with addresses where it has names, which the kernel's clients do not look up: in the
/// option addr, and for SMB that has none in the device ("//host/share"). Any other as it is.
Result<sys::MountOrder> with_addresses(sys::MountOrder order, const Resolve& resolve);

/// Asks the host's resolver; IPv4 where there is both.
Result<std::string> resolve_host(const std::string& host);

/// InvalidArgument for the device of an SMB mount with a port, in Moby's words.
Status check_device(const std::string& type, const std::string& device);

}  // namespace pouch::volume
