#include "core/registry/account_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/base/executor.h"
#include "core/base/fork.h"
#include "core/base/id.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/registry/docker_config.h"
#include "core/registry/text_file.h"

namespace pouch::registry {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLockMs = 5'000;
constexpr int64_t kLockPauseMs = 20;

Status check_account(const Credentials& account) {
  if (account.username.find(':') != std::string::npos)
    return invalid_argument("store an account: a colon in the user's name");
  if (account.is_empty()) return invalid_argument("store an account: it is empty");
  return {};
}

Result<UniqueFd> open_folder(const std::string& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_valid()) return errno_status(errno, "open " + quote(folder));
  return fd;
}

// Held as long as the descriptor is open; there is no file to be left behind.
Result<UnsharedFd> lock_folder(const Call& call, const std::string& folder) {
  POUCH_ASSIGN_OR_RETURN(UnsharedFd fd, UnsharedFd::make([&] { return open_folder(folder); }));
  const Deadline end = Deadline::after_ms(kLockMs);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno_status(errno, "lock " + quote(folder));
    if (end.has_passed()) return unavailable("lock " + quote(folder) + ": another program has it locked");
    POUCH_RETURN_IF_ERROR(pause(call, kLockPauseMs));
  }
  return fd;
}

Status write_whole(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_status(errno, "write " + quote(path));
    text.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(fd) == 0 ? Status() : errno_status(errno, "sync " + quote(path));
}

// A file of another user (root works in his home) stays his.
Status replace_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + "." + random_hex(6);
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_valid()) return errno_status(errno, "create " + quote(temporary));
  ScopeGuard undo([&] { ::unlink(temporary.c_str()); });
  struct stat old = {};
  if (::stat(path.c_str(), &old) == 0 && old.st_uid != ::geteuid() &&
      ::fchown(fd.get(), old.st_uid, old.st_gid) != 0) {
    return errno_status(errno, "give " + quote(temporary) + " to the owner of " + quote(path));
  }
  POUCH_RETURN_IF_ERROR(write_whole(fd.get(), text, temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_status(errno, "replace " + quote(path));
  undo.dismiss();
  return {};
}

// The file itself where the path is a link to it.
std::string real_path(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  return error ? path : real.string();
}

Result<bool> change_file(const Call& call, const std::string& name, const std::string& domain,
                         const std::optional<Credentials>& account, bool is_kept_elsewhere) {
  const std::string path = real_path(name);
  const std::string folder = fs::path(path).parent_path();
  std::error_code error;
  if (account && !fs::exists(folder, error)) {
    fs::create_directories(fs::path(folder).parent_path(), error);
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
      return errno_status(errno, "make " + quote(folder));
  }
  if (!account && !fs::exists(path, error)) return false;
  POUCH_ASSIGN_OR_RETURN(const UnsharedFd lock, lock_folder(call, folder));
  POUCH_ASSIGN_OR_RETURN(const std::string before, read_text_file(path));
  auto changed = with_account(before, domain, account, is_kept_elsewhere);
  if (!changed.is_ok()) return changed.status().prefix(path);
  if (!account && !changed->had_account) return false;
  POUCH_RETURN_IF_ERROR(replace_file(path, changed->text));
  return changed->had_account;
}

Result<bool> tell_helper(const Settings& settings, const std::string& helper, const std::string& domain,
                         const std::optional<Credentials>& account) {
  const std::string program = "docker-credential-" + helper;
  if (!settings.run_helper) return not_implemented("credential helpers: " + quote(program));
  const std::string key = account_key(domain);
  if (!account) {
    const auto there = settings.run_helper(program, "get", key);
    if (there.code() == Code::kNotFound) return false;
    const auto erased = settings.run_helper(program, "erase", key);
    if (!erased.is_ok() && erased.code() != Code::kNotFound)
      return erased.status().prefix("credential helper " + quote(program));
    return there.is_ok();
  }
  Json document = json_object();
  document["ServerURL"] = key;
  const bool is_identity = !account->identity_token.empty();
  document["Username"] = is_identity ? "<token>" : account->username;
  document["Secret"] = is_identity ? account->identity_token : account->password;
  const auto stored = settings.run_helper(program, "store", write_json(document));
  if (!stored.is_ok()) return stored.status().prefix("credential helper " + quote(program));
  return true;
}

}  // namespace

Result<bool> change_account(const Settings& settings, const Call& call, const std::string& domain,
                            const std::optional<Credentials>& account) {
  if (account) POUCH_RETURN_IF_ERROR(check_account(*account));
  const std::string path = docker_config_path(settings);
  if (path.empty()) return unavailable("store an account: neither $DOCKER_CONFIG nor $HOME says where");
  POUCH_ASSIGN_OR_RETURN(const DockerConfig config, DockerConfig::load(settings));
  const std::string helper = config.helper_of(domain);
  bool was_there = false;
  if (!helper.empty()) {
    POUCH_ASSIGN_OR_RETURN(was_there, tell_helper(settings, helper, domain, account));
  }
  POUCH_ASSIGN_OR_RETURN(const bool was_in_file, change_file(call, path, domain, account, !helper.empty()));
  return was_there || was_in_file;
}

}  // namespace pouch::registry
