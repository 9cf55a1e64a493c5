#include "daemon/keeper/minder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/engine/owner.h"
#include "core/engine/private_containerd.h"
#include "core/io/keeper_server.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/own_cgroup.h"
#include "core/sys/place.h"

namespace pouch::keeper {
namespace {

constexpr int kLookMs = 1'000;  // how often users are looked for while there is no keeper
constexpr int kIdleLooks = 2;
constexpr int64_t kSoundRunNs = 1'000'000'000;
constexpr int kMaxQuickEnds = 3;
constexpr int64_t kStopMs = 10'000;
constexpr int64_t kLockMs = 10'000;
constexpr off_t kMaxLogBytes = 1 << 20;

class Minder {
 public:
  explicit Minder(const MinderConfig& config)
      : config_(config),
        socket_(private_containerd::socket_path(config.run_dir)),
        keeper_lock_(config.run_dir + "/" + io::kKeeperLock) {}

  Status run();

 private:
  Status start();
  Status restart();
  void watch_keeper();
  bool is_used() const {
    return sys::FileLock::is_held(keeper_lock_) || !Owner::living(config_.root_dir + "/owners").empty();
  }
  bool end_unused();
  void stop();
  void pass_log();

  const MinderConfig config_;
  const std::string socket_;
  const std::string keeper_lock_;
  UniqueFd signals_;
  UniqueFd log_;     // what containerd, and through it the shims, have to say
  UniqueFd keeper_;  // pidfd of the keeper that is there; without one the users are counted every second
  std::optional<sys::Child> child_;
  int64_t began_ns_ = 0;
  int quick_ends_ = 0;
};

Status Minder::start() {
  sys::SpawnSpec spec;
  spec.program = config_.program;
  spec.args = {"--config", private_containerd::config_path(config_.run_dir)};
  const char* path = std::getenv("PATH");
  const std::string temporary = private_containerd::temporary_path(config_.run_dir);
  if (::mkdir(temporary.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_status(errno, "make " + quote(temporary));
  spec.env = {std::string("PATH=") + (path == nullptr ? "" : path), "TMPDIR=" + temporary};
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_status(errno, "create pipe");
  log_.reset(ends[0]);
  const UniqueFd writer(ends[1]);
  ::fcntl(log_.get(), F_SETFL, O_NONBLOCK);
  spec.stdout_fd = spec.stderr_fd = writer.get();
  spec.new_session = true;
  spec.die_with_parent = true;
  POUCH_ASSIGN_OR_RETURN(sys::Child child, sys::Child::spawn(spec));
  child_.emplace(std::move(child));
  began_ns_ = boot_now_ns();
  log_info("containerd", quote(config_.program) + " runs as process " + std::to_string(child_->pid()));
  return {};
}

Status Minder::restart() {
  const auto end = child_->wait(Deadline::after_ms(0));
  const std::string how = end.is_ok() ? "with code " + std::to_string(end->code) : end.status().message();
  const bool was_sound = boot_now_ns() - began_ns_ > kSoundRunNs;
  quick_ends_ = was_sound ? 0 : quick_ends_ + 1;
  if (quick_ends_ >= kMaxQuickEnds) {
    return unavailable("containerd ended " + how + ", " + std::to_string(quick_ends_) + " times at once");
  }
  log_error("containerd", "it ended " + how + "; started again");
  return start();
}

// Into our own log, of which one old file is kept: shims write some lines for each container.
void Minder::pass_log() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::read(log_.get(), buffer.data(), buffer.size());
  if (got == 0) log_.reset();  // it has ended
  if (got <= 0) return;
  sys::write_all(STDERR_FILENO, std::string_view(buffer.data(), static_cast<size_t>(got))).ignore();
  struct stat facts = {};
  if (::fstat(STDERR_FILENO, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < kMaxLogBytes) return;
  const std::string path = private_containerd::log_path(config_.run_dir);
  ::rename(path.c_str(), (path + ".1").c_str());
  const auto fresh = sys::open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW);
  if (fresh.is_ok()) ::dup2(fresh->get(), STDERR_FILENO);
}

void Minder::watch_keeper() {
  if (keeper_.is_valid() && !sys::wait_pidfd(keeper_.get(), Deadline::after_ms(0))) return;
  keeper_.reset();
  const int pid = sys::locked_by(keeper_lock_);
  if (pid <= 0) return;
  auto pidfd = sys::open_pidfd(pid);
  // Still the holder, so the pid is not another's by now.
  if (pidfd.is_ok() && sys::locked_by(keeper_lock_) == pid) keeper_ = std::move(*pidfd);
}

// Nobody may come to it unseen: its socket is out of the way before the last look, and who finds none waits
// for the lock under which a new one is started.
bool Minder::end_unused() {
  const auto lock = sys::FileLock::acquire(private_containerd::start_lock_path(config_.run_dir),
                                           Deadline::after_ms(kLockMs));
  // With the run folder gone nobody can come to it any more.
  if (!lock.is_ok() && lock.code() != Code::kNotFound) return false;
  const std::string aside = socket_ + ".x";
  ::rename(socket_.c_str(), aside.c_str());
  if (is_used()) {
    ::rename(aside.c_str(), socket_.c_str());
    return false;
  }
  log_info("containerd", "nobody uses it any more");
  stop();
  ::unlink(aside.c_str());
  return true;
}

void Minder::stop() {
  child_->kill(SIGTERM).ignore();
  if (!child_->wait(Deadline::after_ms(kStopMs)).is_ok())
    log_warning("containerd", "it does not stop: killed");
  child_.reset();
  for (const char* suffix : {"", ".ttrpc"}) ::unlink((socket_ + suffix).c_str());
}

Status Minder::run() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_valid()) return errno_status(errno, "create signalfd");
  POUCH_RETURN_IF_ERROR(start());
  int idle_looks = 0;
  while (true) {
    watch_keeper();
    const bool looks = !keeper_.is_valid();
    std::array<pollfd, 4> items = {{{signals_.get(), POLLIN, 0},
                                    {child_->pidfd(), POLLIN, 0},
                                    {log_.get(), POLLIN, 0},
                                    {keeper_.get(), POLLIN, 0}}};
    const int ready = ::poll(items.data(), items.size(), looks ? kLookMs : -1);
    if (ready < 0) continue;
    if (items[2].revents != 0) pass_log();
    if (items[0].revents != 0) {
      stop();
      return {};
    }
    if (items[1].revents != 0) POUCH_RETURN_IF_ERROR(restart());
    if (ready != 0 || !looks) continue;
    idle_looks = is_used() ? 0 : idle_looks + 1;
    if (idle_looks >= kIdleLooks && end_unused()) return {};
  }
}

}  // namespace

Status mind_containerd(const MinderConfig& config) {
  const std::string file = private_containerd::lock_path(config.run_dir);
  const auto lock = sys::FileLock::try_acquire(file);
  if (lock.code() == Code::kConflict) return {};
  if (!lock.is_ok()) return lock.status();
  POUCH_RETURN_IF_ERROR(sys::write_place(lock->fd()).prefix(quote(file)));
  if (!config.cgroup.empty()) sys::enter_own_cgroup(config.cgroup + "/containerd");
  const Status status = Minder(config).run();
  if (!config.cgroup.empty()) {
    sys::leave_own_cgroup(config.cgroup + "/containerd");
    // What a keeper that was killed left; refused while there is one.
    sys::remove_empty_cgroup(config.cgroup + "/keeper");
  }
  return status;
}

}  // namespace pouch::keeper
