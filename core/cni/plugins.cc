#include "core/cni/plugins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <utility>

#include "core/base/fork.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/cni/plugin_failure.h"
#include "core/cni/version.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"

namespace pouch::cni {
namespace {

constexpr size_t kMaxOutput = size_t{1} << 20U;
constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// A file without a name that a program can read as its stdin, and cannot change. Unlike a pipe it takes any
// length at once, whether or not the plugin reads it.
Result<UniqueFd> sealed_file(const std::string& text) {
  UniqueFd fd(::memfd_create("cni-config", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_valid()) return errno_status(errno, "make a file in memory");
  POUCH_RETURN_IF_ERROR(sys::write_all(fd.get(), text));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return errno_status(errno, "seal a file in memory");
  }
  return fd;
}

std::string args_text(const Attachment& attachment) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : attachment.args) {
    std::string pair = key;
    pairs.push_back(pair.append("=").append(value));
  }
  return join(pairs, ";");
}

// What a file was when it was asked for its versions.
struct Known {
  int64_t mtime_ns = 0;
  int64_t size = 0;
  uint64_t inode = 0;
  std::vector<std::string> versions;

  bool is_same_file(const Known& other) const {
    return mtime_ns == other.mtime_ns && size == other.size && inode == other.inode;
  }
};

// By path, of the whole process, which may have a Runtime for each call; used under hold_off_fork(). Leaked
// on purpose: threads may call plugins while the process exits.
std::map<std::string, Known>& known_files() {
  static std::map<std::string, Known>& known = *std::make_unique<std::map<std::string, Known>>().release();
  return known;
}

Result<std::vector<std::string>> parse_versions(const std::string& output) {
  POUCH_ASSIGN_OR_RETURN(const Json answer, parse_json(output));
  if (!answer.isObject()) return invalid_argument("it is no object");
  std::vector<std::string> versions;
  for (const Json& version : answer["supportedVersions"]) {
    if (version.isString()) versions.push_back(version.asString());
  }
  if (versions.empty()) return invalid_argument("it has no \"supportedVersions\"");
  return versions;
}

}  // namespace

Result<std::string> Plugins::find(const std::string& type) const {
  if (type.find('/') != std::string::npos) {
    return invalid_argument("CNI plugin " + quote(type) + ": a name with a slash");
  }
  for (const std::string& folder : folders_) {
    if (!folder.starts_with('/'))
      return invalid_argument("CNI plugins: " + quote(folder) + " is no absolute path");
  }
  Result<std::string> path = sys::find_program_in(type, folders_);
  if (!path.is_ok()) return path.status().prefix("CNI plugin " + quote(type));
  return path;
}

Result<std::string> Plugins::choose_version(const std::string& type, const std::string& most,
                                            const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> versions, versions_of(type, call));
  std::string chosen = newest_version(versions, most);
  if (chosen.empty()) {
    return not_implemented(type + ": it does not speak CNI " + most + " or older, but " +
                           quote(join(versions, ", ")));
  }
  return chosen;
}

Result<std::vector<std::string>> Plugins::versions_of(const std::string& type, const Call& call) const {
  POUCH_ASSIGN_OR_RETURN(const std::string path, find(type));
  struct stat facts = {};
  if (::stat(path.c_str(), &facts) != 0) return errno_status(errno, "CNI plugin " + quote(path));
  constexpr int64_t kSecond = 1'000'000'000;
  Known now = {facts.st_mtim.tv_sec * kSecond + facts.st_mtim.tv_nsec, facts.st_size, facts.st_ino, {}};
  {
    const auto lock = hold_off_fork();
    const auto known = known_files().find(path);
    if (known != known_files().end() && known->second.is_same_file(now)) return known->second.versions;
  }
  POUCH_ASSIGN_OR_RETURN(now.versions, ask_versions(type, call));
  const auto lock = hold_off_fork();
  return (known_files()[path] = std::move(now)).versions;
}

Result<std::vector<std::string>> Plugins::ask_versions(const std::string& type, const Call& call) const {
  // Plugins before 0.2.0 want the rest of the environment even here.
  const Attachment nothing = {.container_id = "none", .netns = "none", .ifname = "none"};
  Json config = json_object();
  config["cniVersion"] = std::string(kVersions.back());
  Result<std::string> output = run(type, "VERSION", &nothing, config, call);
  if (!output.is_ok()) {
    // So does a plugin of 0.1.0, where the command is unknown, tell that it is one.
    const bool is_first = output.status().message().find("unknown CNI_COMMAND") != std::string::npos;
    if (is_first) return std::vector<std::string>{std::string(kVersions.front())};
    return output.status();
  }
  Result<std::vector<std::string>> versions = parse_versions(*output);
  if (!versions.is_ok()) return internal_error(type + ": VERSION: " + versions.status().message());
  return versions;
}

std::vector<std::string> Plugins::environment(const std::string& command,
                                              const Attachment* attachment) const {
  // They run iptables and the like, which lie where the host has them.
  const char* const path = ::secure_getenv("PATH");
  std::vector<std::string> variables = {"CNI_COMMAND=" + command, "CNI_PATH=" + join(folders_, ":"),
                                        std::string("PATH=") + (path != nullptr ? path : kDefaultPath)};
  if (attachment != nullptr) {
    variables.push_back("CNI_CONTAINERID=" + attachment->container_id);
    variables.push_back("CNI_NETNS=" + attachment->netns);
    variables.push_back("CNI_IFNAME=" + attachment->ifname);
    variables.push_back("CNI_ARGS=" + args_text(*attachment));
  }
  return variables;
}

Result<std::string> Plugins::run(const std::string& type, const std::string& command,
                                 const Attachment* attachment, const Json& config, const Call& call) const {
  sys::SpawnSpec spec;
  POUCH_ASSIGN_OR_RETURN(spec.program, find(type));
  POUCH_ASSIGN_OR_RETURN(const UniqueFd input, sealed_file(write_json(config)));
  spec.stdin_fd = input.get();
  spec.env = environment(command, attachment);
  // Plugins run other plugins: with its session ends whatever one has started.
  spec.new_session = true;
  // What we shall undo after a crash must not go on meanwhile.
  spec.die_with_parent = true;
  Result<sys::RunOutput> output =
      sys::run_program(std::move(spec), call.deadline, kMaxOutput + 1, call.cancel);
  if (!output.is_ok()) return output.status().prefix(type);
  const std::string log(trim(output->stderr_text));
  if (!log.empty()) log_debug("cni", type + ": " + command + ": " + quote(log, 4096));
  POUCH_RETURN_IF_ERROR(plugin_failure(type, *output));
  if (output->stdout_text.size() > kMaxOutput) {
    return internal_error(type + ": its answer is longer than " + std::to_string(kMaxOutput) + " bytes");
  }
  return std::move(output->stdout_text);
}

}  // namespace pouch::cni
