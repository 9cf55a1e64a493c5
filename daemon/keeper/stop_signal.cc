#include "daemon/keeper/stop_signal.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/executor.h"

namespace pouch::keeper {

StopSignal::StopSignal() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  ended_.reset(::eventfd(0, EFD_CLOEXEC));
}

void StopSignal::end() {
  if (!waiter_.joinable()) return;
  ::eventfd_write(ended_.get(), 1);
  waiter_.join();
}

Status StopSignal::on_stop(std::function<void()> callback) {
  if (!signals_.is_valid() || !ended_.is_valid()) return errno_status(errno, "watch for signals");
  waiter_ = start_thread([this, callback = std::move(callback)] {
    std::array<pollfd, 2> items = {{{signals_.get(), POLLIN, 0}, {ended_.get(), POLLIN, 0}}};
    while (::poll(items.data(), items.size(), -1) < 0) {
    }
    if (items[0].revents != 0) callback();
  });
  return {};
}

}  // namespace pouch::keeper
