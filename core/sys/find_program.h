#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace pouch::sys {

struct ProgramHints {
  std::string option;  ///< the path given by the user; when set, nothing else is tried
  std::string
      variable;  ///< name of an environment variable that holds the path ("POUCH_KEEPER_PATH"); likewise
};

/// A helper program: by option, environment variable (not in a set-uid process), beside libpouch and in its
/// ../bin and
/// ../libexec/pouch, PATH, then the system's folders. NotFound lists what was tried.
Result<std::string> find_program(const std::string& name, const ProgramHints& hints);

/// A program in the folders where another process looks for it; with a slash: that file. NotFound says why.
Result<std::string> find_program_in(const std::string& name, const std::vector<std::string>& dirs);

/// The program of a shim, as containerd names it: "containerd-shim-runc-v2" for "io.containerd.runc.v2".
std::string shim_program(const std::string& name);

/// containerd, by $POUCH_CONTAINERD_PATH or as above. Unavailable is a finding that names its package.
Result<std::string> find_containerd();

/// The folder of the file that this code was loaded from (libpouch.so, or the program it is linked into).
std::string own_library_dir();

}  // namespace pouch::sys
