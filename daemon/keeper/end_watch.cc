#include "daemon/keeper/end_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/executor.h"

namespace pouch::keeper {

EndWatch::EndWatch() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  ended_.reset(::eventfd(0, EFD_CLOEXEC));
}

void EndWatch::end() {
  if (!waiter_.joinable()) return;
  ::eventfd_write(ended_.get(), 1);
  waiter_.join();
}

Status EndWatch::watch(std::function<void()> stopped, int supervisor, std::function<void()> orphaned) {
  if (!signals_.is_valid() || !ended_.is_valid()) return errno_status(errno, "watch for signals");
  waiter_ = start_thread([this, stopped = std::move(stopped), supervisor, orphaned = std::move(orphaned)] {
    std::array<pollfd, 3> items = {
        {{signals_.get(), POLLIN, 0}, {ended_.get(), POLLIN, 0}, {supervisor, 0, 0}}};
    while (items[0].revents == 0 && items[1].revents == 0) {
      if (::poll(items.data(), items.size(), -1) < 0) continue;
      if (items[0].revents != 0) return stopped();
      if (items[2].revents == 0) continue;
      orphaned();
      items[2].fd = -1;  // it goes on as it is
    }
  });
  return {};
}

}  // namespace pouch::keeper
