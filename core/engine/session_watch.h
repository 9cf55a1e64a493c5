#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "core/base/cancel.h"
#include "core/base/executor.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/store/engine_context.h"
#include "core/sys/event_loop.h"

namespace pouch {

/// In the keeper: sees sessions end and has removed what they made. Sleeps while nothing happens: inotify
/// tells of session files that are closed or removed, a pidfd of each process that has sessions.
class SessionWatch {
 public:
  /// Removes all that the session has made, within the call's time; called again later when it fails.
  using Cleaner = std::function<Status(const std::string& session, const Call& call)>;

  /// The context must outlive it. Begins with what ended while nobody watched.
  static Result<std::unique_ptr<SessionWatch>> start(EngineContext& context, Cleaner cleaner);
  ~SessionWatch();  ///< waits for what is being removed just now; the rest stays for the next keeper
  SessionWatch(const SessionWatch&) = delete;
  SessionWatch& operator=(const SessionWatch&) = delete;

 private:
  SessionWatch(EngineContext& context, Cleaner cleaner, std::unique_ptr<sys::EventLoop> loop);
  Status watch_folder();
  void on_folder();
  void look();
  void look_later(int64_t ms);
  void watch_process(int pid);
  void forget_process(int pid);
  void clean(const std::string& id);
  Status clean_now(const std::string& id);

  struct Process {
    UniqueFd pidfd;
    sys::EventLoop::WatchId watch = 0;
  };

  EngineContext& context_;
  const Cleaner cleaner_;
  const std::string folder_;
  const CancelPtr stopping_ = std::make_shared<CancelToken>();
  const std::unique_ptr<sys::EventLoop> loop_;
  // Below only on the loop's thread.
  UniqueFd inotify_;
  std::map<int, Process> processes_;
  std::set<std::string> cleaning_;
  std::map<std::string, int> failures_;
  sys::EventLoop::TimerId timer_ = 0;

  Executor cleaners_{4};
  std::thread thread_;
};

}  // namespace pouch
