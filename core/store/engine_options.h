#pragma once

#include <map>
#include <string>
#include <vector>

namespace pouch {

/// As EngineOptions::containerd_address: the root runs one for itself.
inline constexpr const char* kPrivateContainerd = "private";

/// One OCI runtime that containers may ask for by name.
struct RuntimeOptions {
  std::string binary_name;                     ///< name on containerd's PATH or absolute path
  std::string shim = "io.containerd.runc.v2";  ///< containerd's name of the shim that drives it
};

enum class EngineRole {
  kClient,  ///< somebody's program
  kKeeper,  ///< the worker of the root's keeper: watches all exits, starts no further keeper
  kReset,   ///< who removes the root, and may open it while nobody else may
};

/// What a root is opened with. Empty strings take the defaults given here.
struct EngineOptions {
  std::string root_dir;  ///< lasting state; "": /var/lib/pouch
  std::string run_dir;   ///< sockets, FIFOs, bell; short, for socket paths; "": /run/pouch/<root id>
  std::string containerd_address;  ///< path of containerd's socket; "" and "private": one of the root's own
  std::string snapshotter;         ///< "": overlayfs
  std::string default_runtime;     ///< a key of `runtimes`; "": runc
  std::map<std::string, RuntimeOptions> runtimes;  ///< beside the built-in "runc" and "crun"
  std::string keeper_program;                      ///< "": found as core/sys/find_program.h says
  std::string registries_file;  ///< its format: core/registry/settings_file.h; "": /etc/pouch/registries.json
  std::vector<std::string> registry_mirrors;     ///< of docker.io, behind those of the file
  std::vector<std::string> insecure_registries;  ///< beside those of the file
  EngineRole role = EngineRole::kClient;
};

}  // namespace pouch
