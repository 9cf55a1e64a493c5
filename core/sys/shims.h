#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace pouch::sys {

/// A process that works for containerd on one container, as its command line and its working folder tell.
struct Shim {
  int pid = 0;
  uint64_t start_ticks = 0;  ///< with the pid it names the process for ever
  std::string id;            ///< of the container
  std::string bundle;        ///< containerd's folder of the container; empty when that was removed
};

/// The shims of one namespace of the containerd whose socket is `address`; those that are only being started
/// or clean up are not among them. A shim of another containerd is none of them, even if that has its socket
/// at the same path of another file system.
std::vector<Shim> find_shims(const std::string& ns, const std::string& address);

/// Kills what runs below the shim, then has it end, by SIGKILL if it does not by itself. Ok when it is gone.
Status end_shim(const Shim& shim, Deadline deadline);

/// Removes the folders of a shim that is gone, and what is mounted there.
Status remove_bundle(const Shim& shim);

}  // namespace pouch::sys
