#include "core/sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/sys/exec_plan.h"
#include "core/sys/file.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace pouch::sys {

Result<UniqueFd> open_pidfd(int pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (fd.is_valid()) return fd;
  if (errno == ESRCH) return not_found("open process " + std::to_string(pid) + ": it is gone");
  return errno_status(errno, "open process " + std::to_string(pid));
}

Status signal_pidfd(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
  if (errno == ESRCH) return not_found("signal process: it is gone");
  return errno_status(errno, "signal process");
}

bool wait_pidfd(int pidfd, Deadline deadline) {
  for (;;) {
    pollfd item = {pidfd, POLLIN, 0};
    const int count = ::poll(&item, 1, deadline.poll_timeout_ms());
    if (count > 0) return true;
    if (count == 0 && deadline.has_passed()) return false;
    if (count < 0 && errno != EINTR) return false;
  }
}

Result<uint64_t> process_start_ticks(int pid) {
  Result<std::string> text = read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!text.is_ok()) return not_found("process " + std::to_string(pid) + " is gone");
  // After the name, which may hold anything but ends at the last ')', field 22 of proc(5) is the 20th.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos)
    return internal_error("read the state of process " + std::to_string(pid));
  const std::vector<std::string> fields = split(std::string_view(*text).substr(name_end + 1), ' ');
  constexpr size_t kStartTime = 20;  // fields[0] is empty
  if (fields.size() <= kStartTime) return internal_error("read the state of process " + std::to_string(pid));
  return leading_number<uint64_t>(fields[kStartTime]);
}

Result<Child> Child::spawn(const SpawnSpec& spec) {
  detail::ExecPlan plan;
  plan.program = spec.program;
  plan.arg_storage.push_back(spec.program);
  plan.arg_storage.insert(plan.arg_storage.end(), spec.args.begin(), spec.args.end());
  plan.env_storage = spec.env;
  plan.stdio = {spec.stdin_fd, spec.stdout_fd, spec.stderr_fd};
  plan.working_dir = spec.working_dir;
  plan.new_session = spec.new_session;
  plan.die_with_parent = spec.die_with_parent;
  detail::finish_plan(plan);
  for (int64_t pause_ms = 1;; pause_ms *= 2) {
    plan.error = 0;
    int pidfd = -1;
    const Result<int> pid = detail::start_child(plan, &pidfd);
    if (pid.is_ok()) return Child(*pid, UniqueFd(pidfd));
    constexpr int64_t kLongestPauseMs = 256;
    if (plan.error != ETXTBSY || pause_ms > kLongestPauseMs) return pid.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
  }
}

Child::~Child() {
  if (!pidfd_.is_valid()) return;
  kill(SIGKILL).ignore();
  wait(Deadline::never()).status().ignore();
}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

Status Child::kill(int signal) const {
  if (!pidfd_.is_valid()) return not_found("signal process " + std::to_string(pid_) + ": it was reaped");
  return signal_pidfd(pidfd_.get(), signal);
}

Result<ExitStatus> Child::wait(Deadline deadline) {
  if (!pidfd_.is_valid()) return not_found("wait for process " + std::to_string(pid_) + ": it was reaped");
  if (!wait_pidfd(pidfd_.get(), deadline)) {
    return Status(Code::kDeadlineExceeded, "wait for process " + std::to_string(pid_) + ": still running");
  }
  siginfo_t info = {};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | __WALL) !=
         0) {
    if (errno == EINTR) continue;
    pidfd_.reset();
    if (errno != ECHILD) return errno_status(errno, "wait for process " + std::to_string(pid_));
    return unavailable("wait for process " + std::to_string(pid_) +
                       ": its exit status was taken by another waitpid() of this program");
  }
  pidfd_.reset();
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{128 + info.si_status, info.si_status};
}

namespace {

struct Capture {
  UniqueFd read_end;
  std::string* text;
};

Status make_capture(Capture& capture, UniqueFd& write_end) {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_status(errno, "create pipe");
  capture.read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  return {};
}

void read_some(Capture& capture, size_t limit) {
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::read(capture.read_end.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) {
    capture.read_end.reset();
    return;
  }
  const size_t room = limit - std::min(limit, capture.text->size());
  capture.text->append(buffer.data(), std::min(room, static_cast<size_t>(got)));
}

// Wakes a poll() when a token fires.
class CancelEvent {
 public:
  explicit CancelEvent(CancelPtr cancel) : cancel_(std::move(cancel)) {
    if (cancel_ == nullptr) return;
    fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    id_ = cancel_->add([fd = fd_.get()] { ::eventfd_write(fd, 1); });
  }
  ~CancelEvent() {
    if (cancel_ != nullptr) cancel_->remove(id_);
  }
  CancelEvent(const CancelEvent&) = delete;
  CancelEvent& operator=(const CancelEvent&) = delete;
  int fd() const { return fd_.get(); }  ///< -1 without a token
  bool is_fired() const { return cancel_ != nullptr && cancel_->is_fired(); }

 private:
  CancelPtr cancel_;
  UniqueFd fd_;
  int id_ = 0;
};

// Until the program has ended, and both ends are closed or nothing more is there.
Status collect(std::array<Capture, 2>& captures, int pidfd, Deadline deadline, const CancelEvent& cancel,
               size_t limit) {
  bool has_exited = false;
  while (!has_exited || captures[0].read_end.is_valid() || captures[1].read_end.is_valid()) {
    std::array<pollfd, 4> items = {{{captures[0].read_end.get(), POLLIN, 0},
                                    {captures[1].read_end.get(), POLLIN, 0},
                                    {has_exited ? -1 : pidfd, POLLIN, 0},
                                    {cancel.fd(), POLLIN, 0}}};
    const int count = ::poll(items.data(), items.size(), has_exited ? 0 : deadline.poll_timeout_ms());
    if (count < 0 && errno != EINTR) return errno_status(errno, "wait for its output");
    if (cancel.is_fired()) return {Code::kCancelled, "the call was cancelled"};
    if (count == 0 && has_exited) return {};  // a grandchild holds the pipe; its output is not ours
    if (count == 0 && deadline.has_passed()) return {Code::kDeadlineExceeded, "it did not end"};
    if (count <= 0) continue;
    if (items[2].revents != 0) has_exited = true;
    for (size_t i = 0; i < 2; ++i) {
      if (items[i].revents != 0) read_some(captures[i], limit);
    }
  }
  return {};
}

}  // namespace

Result<RunOutput> run_program(SpawnSpec spec, Deadline deadline, size_t limit, const CancelPtr& cancel) {
  RunOutput output;
  std::array<Capture, 2> captures = {{{UniqueFd(), &output.stdout_text}, {UniqueFd(), &output.stderr_text}}};
  UniqueFd out_end;
  UniqueFd err_end;
  POUCH_RETURN_IF_ERROR(make_capture(captures[0], out_end));
  POUCH_RETURN_IF_ERROR(make_capture(captures[1], err_end));
  spec.stdout_fd = out_end.get();
  spec.stderr_fd = err_end.get();
  const CancelEvent cancelled(cancel);
  POUCH_ASSIGN_OR_RETURN(Child child, Child::spawn(spec));
  out_end.reset();
  err_end.reset();
  Status status = collect(captures, child.pidfd(), deadline, cancelled, limit);
  // Not reaped yet, so that the number is still its own.
  if (!status.is_ok() && spec.new_session) ::kill(-child.pid(), SIGKILL);
  if (status.is_ok()) {
    Result<ExitStatus> exit = child.wait(deadline);
    if (exit.is_ok()) output.exit = *exit;
    status = exit.status();
  }
  if (!status.is_ok()) return status.prefix("run " + quote(spec.program));
  return output;
}

}  // namespace pouch::sys
