#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/finding.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/launcher.h"
#include "core/sys/place.h"
#include "core/sys/secure_dir.h"
#include "core/sys/systemd_scope.h"

namespace pouch::io {
namespace {

constexpr char kProgram[] = "pouch-keeper";
constexpr char kLogFile[] = "keeper.log";
constexpr int kMaxLaunches = 3;

// Names one build of a program without reading all of it.
Result<std::string> build_id(const std::string& program) {
  struct stat facts = {};
  if (::stat(program.c_str(), &facts) != 0) return errno_status(errno, "stat " + quote(program));
  const std::string key = std::string(POUCH_VERSION) + " " + std::to_string(facts.st_size) + " " +
                          std::to_string(facts.st_mtim.tv_sec) + " " + std::to_string(facts.st_mtim.tv_nsec);
  constexpr size_t kPrefix = 7;  // "sha256:"
  return std::string(POUCH_VERSION "-") + sha256_digest(key).substr(kPrefix, 12);
}

Result<UniqueFd> start_keeper(const KeeperLaunch& launch, Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(const std::string program, keeper_copy(launch.root_dir, launch.program));
  sys::LaunchSpec spec;
  spec.program = program;
  spec.args = {"--root",       launch.root_dir,  "--run-dir",
               launch.run_dir, "--idle-exit-ms", std::to_string(launch.idle_exit_ms)};
  if (launch.log_level != "info") {  // which an older program need not know
    spec.args.insert(spec.args.end(), {"--log-level", launch.log_level});
  }
  spec.args.insert(spec.args.end(), launch.extra_args.begin(), launch.extra_args.end());
  spec.stderr_path = launch.run_dir + "/" + kLogFile;
  spec.refuse_no_new_privs = true;
  if (!launch.cgroup.empty()) spec.args.insert(spec.args.end(), {"--cgroup", launch.cgroup});
  const std::string lock_file = launch.run_dir + "/" + sys::kScopeLock;
  POUCH_ASSIGN_OR_RETURN(const int pid, sys::launch_in_cgroup(spec, launch.cgroup, lock_file, deadline));
  Result<UniqueFd> pidfd = sys::open_pidfd(pid);
  // Gone already: as if it had ended just after.
  if (pidfd.code() == Code::kNotFound) return UniqueFd();
  return pidfd;
}

std::string last_log_line(const std::string& run_dir) {
  const Result<std::string> text = sys::read_file(run_dir + "/" + kLogFile);
  if (!text.is_ok()) return "it left no message";
  const std::string_view trimmed = trim(*text);
  if (trimmed.empty()) return "it left no message";
  const size_t newline = trimmed.rfind('\n');
  return "its last words: " + quote(trimmed.substr(newline == std::string_view::npos ? 0 : newline + 1));
}

Result<std::unique_ptr<KeeperClient>> launch_and_connect(const KeeperLaunch& launch, Deadline deadline) {
  Status failure;
  for (int i = 0; i < kMaxLaunches; ++i) {
    POUCH_ASSIGN_OR_RETURN(const UniqueFd pidfd, start_keeper(launch, deadline));
    bool has_ended = false;
    while (!has_ended) {
      has_ended = !pidfd.is_valid() || sys::wait_pidfd(pidfd.get(), Deadline::after_ms(0));
      // The look at the process came first: if it had ended, this is the last try.
      Result<std::unique_ptr<KeeperClient>> client = KeeperClient::connect(launch.run_dir, deadline);
      if (client.is_ok() || client.code() != Code::kUnavailable) return client;
      failure = client.status();
      if (deadline.has_passed()) {
        return Status(Code::kDeadlineExceeded, "start the keeper: it does not answer; " + failure.message());
      }
      if (!has_ended) ::poll(nullptr, 0, 1);
    }
  }
  return unavailable("start the keeper: it ended at once; " + last_log_line(launch.run_dir));
}

}  // namespace

Result<std::string> find_keeper_program(const std::string& option) {
  auto found = sys::find_program(kProgram, {option, "POUCH_KEEPER_PATH"});
  if (found.is_ok()) return found;
  return findings::missing_keeper(found.status().message()).status(found.code());
}

Result<std::string> keeper_copy(const std::string& root_dir, const std::string& wanted) {
  POUCH_ASSIGN_OR_RETURN(const std::string program, find_keeper_program(wanted));
  POUCH_ASSIGN_OR_RETURN(const std::string id, build_id(program));
  const std::string folder = root_dir + "/bin/" + id;
  std::string copy = folder + "/" + kProgram;
  if (::access(copy.c_str(), X_OK) == 0) return copy;
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(root_dir + "/bin").status());
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(folder).status());
  POUCH_RETURN_IF_ERROR(sys::copy_file_atomic(program, copy, 0700).prefix("copy " + quote(program)));
  return copy;
}

Result<std::unique_ptr<KeeperClient>> ensure_keeper(const KeeperLaunch& launch, Deadline deadline) {
  POUCH_RETURN_IF_ERROR(sys::check_same_place(launch.run_dir + "/" + kKeeperLock, "the root's keeper"));
  Result<std::unique_ptr<KeeperClient>> client = KeeperClient::connect(launch.run_dir, deadline);
  if (client.is_ok() || client.code() != Code::kUnavailable) return client;
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(launch.run_dir).status().prefix("start the keeper"));
  // One launch at a time; who waited here finds the keeper that another launched.
  Result<sys::FileLock> lock = sys::FileLock::acquire(launch.run_dir + "/keeper.start", deadline);
  if (!lock.is_ok()) return lock.status().prefix("start the keeper");
  client = KeeperClient::connect(launch.run_dir, deadline);
  if (client.is_ok() || client.code() != Code::kUnavailable) return client;
  return launch_and_connect(launch, deadline);
}

}  // namespace pouch::io
