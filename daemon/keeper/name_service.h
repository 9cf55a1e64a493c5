#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/dns/link.h"
#include "core/sys/child.h"
#include "core/sys/event_loop.h"

namespace pouch::keeper {

/// What a name means, from whoever has the database; runs on the service's thread.
using NameDirectory = std::function<Result<dns::LookupAnswer>(const dns::Lookup&)>;

/// The worker's side of the name server: makes the sockets in the sandboxes, runs the child that serves them,
/// and answers what that asks. A sandbox is served until its pin is gone. Sockets stay here as well, so that
/// a child that is started again has them, with the queries that came meanwhile.
class NameService {
 public:
  /// `netns_dir` has the sandboxes' pins; it need not be there yet.
  NameService(std::string netns_dir, NameDirectory directory);
  ~NameService();
  NameService(const NameService&) = delete;
  NameService& operator=(const NameService&) = delete;

  Status start();
  void stop();
  /// From any thread; `done` runs on the service's.
  void serve(const std::string& sandbox, std::function<void(const Status&)> done);

 private:
  struct Sockets {
    UniqueFd udp;
    UniqueFd tcp;
  };

  // On the loop's thread.
  void run();
  Status add(const std::string& sandbox);
  Result<Sockets> open_sockets(const std::string& sandbox) const;
  Status watch_pins();
  void on_pins_changed();
  void remove(const std::string& sandbox);
  Status ensure_child();
  Status start_child();
  void on_child_ended();
  void drop_child();
  void restart_child();
  Status tell_child(const dns::Words& words, const std::vector<int>& fds = {});
  void answer_child();
  void answer(uint64_t number, const dns::Lookup& lookup);

  const std::string netns_dir_;
  const NameDirectory directory_;
  std::unique_ptr<sys::EventLoop> loop_;
  std::thread thread_;
  // Below only on the loop's thread.
  std::map<std::string, Sockets> sandboxes_;
  UniqueFd inotify_;
  std::optional<sys::Child> child_;
  UniqueFd link_;
  sys::EventLoop::WatchId link_watch_ = 0;
  sys::EventLoop::WatchId child_watch_ = 0;
  int64_t child_began_ns_ = 0;
  int quick_ends_ = 0;  // of children in a row
  bool is_restarting_ = false;
  std::string last_failure_;
};

}  // namespace pouch::keeper
