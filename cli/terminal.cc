#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

namespace pouch::cli {
namespace {

constexpr std::array kEndSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kTries = 10;    // of a resize, as Docker's command has it
constexpr int kTryStep = 10;  // milliseconds, more with each try

[[noreturn]] void fail(const char* what) {
  throw Exit(kExitError, std::string("pouch: ") + what + ": " + std::strerror(errno));
}

sigset_t handled_signals(bool raw) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGWINCH);
  for (const int number : kEndSignals) {
    if (raw) ::sigaddset(&set, number);
  }
  return set;
}

}  // namespace

std::optional<TerminalSize> terminal_size(const Console& console) {
  winsize size{};
  if (!console.out_is_terminal() || ::ioctl(console.out_fd(), TIOCGWINSZ, &size) != 0) return std::nullopt;
  if (size.ws_row == 0 && size.ws_col == 0) return std::nullopt;
  return TerminalSize{size.ws_row, size.ws_col};
}

struct TerminalSession::State {
  const Console& console;
  Stream& stream;
  bool raw = false;
  termios before{};
  sigset_t mask_before{};
  int signals = -1;
  int wake = -1;
  std::thread thread;

  void make_raw() {
    if (!raw) return;
    if (::tcgetattr(console.in_fd(), &before) != 0) fail("read the terminal's settings");
    termios changed = before;
    ::cfmakeraw(&changed);
    if (::tcsetattr(console.in_fd(), TCSANOW, &changed) != 0) fail("change the terminal's settings");
  }

  void restore() const {
    if (raw) ::tcsetattr(console.in_fd(), TCSANOW, &before);
  }

  // True when `wake` was set within the time.
  bool wait_wake(int ms) const {
    pollfd entry{wake, POLLIN, 0};
    return ::poll(&entry, 1, ms) > 0;
  }

  void send_size(TerminalSize size) const {
    for (int i = 1; i <= kTries; ++i) {
      try {
        stream.resize(size.rows, size.columns);
        return;
      } catch (const ApiError& error) {
        const bool ended = error.status() == POUCH_ERR_CONFLICT || error.status() == POUCH_ERR_NOT_FOUND ||
                           error.status() == POUCH_ERR_CLOSED;
        if (ended || wait_wake(i * kTryStep)) return;
      }
    }
    console.err("failed to resize tty, using default size\r\n");
  }

  void run(bool redraw) const {
    if (const auto size = terminal_size(console)) {
      if (redraw) send_size({size->rows + 1, size->columns + 1});
      send_size(*size);
    }
    std::array<pollfd, 2> entries = {{{signals, POLLIN, 0}, {wake, POLLIN, 0}}};
    while (true) {
      if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
      if (entries[1].revents != 0) return;
      signalfd_siginfo info{};
      if (::read(signals, &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo != SIGWINCH) end_by(static_cast<int>(info.ssi_signo));
      if (const auto size = terminal_size(console)) send_size(*size);
    }
  }

  // As if the signal had met no handler.
  void end_by(int number) const {
    restore();
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, number);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    // To this thread: sent to the process, it may come to another one, and later than the next line.
    ::raise(number);
    ::_exit(128 + number);  // where its default was changed by who started this
  }
};

TerminalSession::TerminalSession(const Console& console, Stream& stream, bool raw, bool redraw)
    : state_(std::make_unique<State>(State{console, stream, raw && console.in_is_terminal()})) {
  const sigset_t set = handled_signals(state_->raw);
  state_->wake = ::eventfd(0, EFD_CLOEXEC);
  state_->signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (state_->wake < 0 || state_->signals < 0) fail("catch signals");
  ::pthread_sigmask(SIG_BLOCK, &set, &state_->mask_before);
  state_->make_raw();
  state_->thread = std::thread([state = state_.get(), redraw] { state->run(redraw); });
}

TerminalSession::~TerminalSession() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(state_->wake, &one, sizeof one);
  state_->thread.join();
  ::close(state_->wake);
  ::close(state_->signals);
  state_->restore();
  ::pthread_sigmask(SIG_SETMASK, &state_->mask_before, nullptr);
}

}  // namespace pouch::cli
