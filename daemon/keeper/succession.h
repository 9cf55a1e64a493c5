#pragma once

#include <signal.h>

#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::keeper {

/// What a supervisor has, as numbers of descriptors: a worker whose supervisor has died keeps it for the
/// program that it becomes.
struct Estate {
  int lock = -1;                                 ///< of the run folder
  int listener = -1;                             ///< the keeper's socket
  std::map<std::string, std::vector<int>> held;  ///< the vault, by its names
};

/// What a supervisor blocks, and reads.
sigset_t watched_signals();

/// Executes this process's program anew, with `arguments` (argv[0] first) and an option that names the
/// estate. It has the same pid, and of the threads and other descriptors of this one nothing: as after a
/// kill, but that the estate is not lost. Returns only when it could not be done.
Status become_supervisor(const Estate& estate, std::vector<std::string> arguments);

/// In that program: what it has inherited with the option's value. Its own children do not inherit it.
Result<Estate> take_estate(int memory_fd);

constexpr char kEstateOption[] = "--estate";

}  // namespace pouch::keeper
