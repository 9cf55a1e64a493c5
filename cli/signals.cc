#include "cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>

#include "cli/error.h"

namespace pouch::cli {
namespace {

constexpr int kPatience = 3;  // signals that ask for the end, until the program ends by itself

struct Name {
  int number;
  const char* name;
};
constexpr std::array<Name, 8> kSignals = {{{SIGINT, "SIGINT"},
                                           {SIGTERM, "SIGTERM"},
                                           {SIGHUP, "SIGHUP"},
                                           {SIGQUIT, "SIGQUIT"},
                                           {SIGUSR1, "SIGUSR1"},
                                           {SIGUSR2, "SIGUSR2"},
                                           {SIGALRM, "SIGALRM"},
                                           {SIGCONT, "SIGCONT"}}};

sigset_t handled_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const Name& signal : kSignals) ::sigaddset(&set, signal.number);
  return set;
}

void give_up() {
  constexpr std::string_view kText = "got 3 SIGTERM/SIGINTs, forcefully exiting\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(kExitError);
}

}  // namespace

struct SignalForwarder::State {
  std::function<void(const std::string&)> handle;
  sigset_t before;
  int signals = -1;
  int wake = -1;
  int asked = 0;  // how often the end was asked for
  std::thread thread;

  void run() {
    std::array<pollfd, 2> entries = {{{signals, POLLIN, 0}, {wake, POLLIN, 0}}};
    while (true) {
      if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
      if (entries[1].revents != 0) return;
      signalfd_siginfo info{};
      if (::read(signals, &info, sizeof info) != sizeof info) continue;
      take(static_cast<int>(info.ssi_signo));
    }
  }

  void take(int number) {
    if ((number == SIGINT || number == SIGTERM) && ++asked >= kPatience) give_up();
    for (const Name& signal : kSignals) {
      if (signal.number == number) handle(signal.name);
    }
  }
};

SignalForwarder::SignalForwarder(std::function<void(const std::string&)> handle)
    : state_(std::make_unique<State>()) {
  const sigset_t set = handled_signals();
  state_->handle = std::move(handle);
  state_->wake = ::eventfd(0, EFD_CLOEXEC);
  state_->signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (state_->wake < 0 || state_->signals < 0) {
    throw Exit(kExitError, std::string("pouch: catch signals: ") + std::strerror(errno));
  }
  ::pthread_sigmask(SIG_BLOCK, &set, &state_->before);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

SignalForwarder::~SignalForwarder() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(state_->wake, &one, sizeof one);
  state_->thread.join();
  ::close(state_->wake);
  ::close(state_->signals);
  ::pthread_sigmask(SIG_SETMASK, &state_->before, nullptr);
}

}  // namespace pouch::cli
