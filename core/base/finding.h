#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch {

enum class FindingLevel { kOk, kWarning, kError };

std::string_view finding_level_name(FindingLevel level);  ///< "ok", "warning", "error"

/// What was found out about one thing that containers need. The same text is a line of `pouch check` and the
/// error of whoever meets it.
struct Finding {
  std::string name;  ///< of what was looked at: "containerd"
  FindingLevel level = FindingLevel::kOk;
  std::string message;  ///< one line, without the remedy
  std::string fix;      ///< a command, or else words, that mends it; "" when nothing is to be mended

  /// "message; fix". The details tell both apart: {"finding": name, "fix": fix}.
  Status status(Code code, std::string_view prefix = {}) const;
};

/// The finding that an error is: the one it was made of, else one of its whole message.
Finding finding_of(const Status& status, std::string_view name);

/// All that can be wrong, in one place. Each is an error unless its comment says otherwise.
namespace findings {

Finding fine(std::string_view name, std::string message);

// Names that several places use.
inline constexpr std::string_view kUser = "user";
inline constexpr std::string_view kRoot = "root";
inline constexpr std::string_view kContainerd = "containerd";
inline constexpr std::string_view kShim = "shim";
inline constexpr std::string_view kRuntime = "runtime";
inline constexpr std::string_view kKeeper = "keeper";
inline constexpr std::string_view kSocket = "socket";
inline constexpr std::string_view kSpace = "space";

Finding not_root(unsigned uid);
/// `fix` may hold the path: "chown root …".
Finding bad_folder(const std::string& path, std::string_view why, std::string fix);
Finding unsafe_file_system(const std::string& path, std::string_view file_system);
Finding low_space(const std::string& path, std::string_view what, FindingLevel level);
Finding unreachable_containerd(const std::string& socket, const Status& why);
/// `why` says what was tried.
Finding missing_containerd(std::string_view why);
Finding missing_shim(std::string_view shim, std::string_view why);
Finding missing_runtime(std::string_view runtime, std::string_view why);
Finding missing_keeper(std::string_view why);
Finding no_new_privileges();
Finding no_overlay();
Finding no_cgroups();
/// crun refuses a version 1 host where this hierarchy is not mounted. Level as for the runtime that needs it.
Finding no_hugetlb_hierarchy(FindingLevel level);
/// A warning: what cannot be told by this user.
Finding needs_root(std::string_view name);
/// Warnings: containers run, but not all options do.
Finding lacking_controllers(const std::string& names, bool unified);
Finding no_nftables(std::string_view why);
Finding no_forwarding();
Finding no_resource_capability();
Finding few_descriptors(uint64_t limit);
/// `why` names the file.
Finding bad_registries(std::string_view why);
/// Nobody answers at the address of a remote engine.
Finding silent_engine(const std::string& uri, std::string_view why);
/// `socket_path` is that of a unix address: who may use it is looked up.
Finding forbidden_engine(const std::string& uri, const std::string& socket_path);

}  // namespace findings
}  // namespace pouch
