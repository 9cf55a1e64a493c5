#pragma once

#include <memory>

#include "core/ctrd/client.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

enum class TaskEventKind {
  kCreate,
  kStart,
  kExit,  ///< of the first process when exec_id is empty
  kDelete,
  kOom,
  kExecAdded,
  kExecStarted,
  kPaused,
  kResumed,
};

struct TaskEvent {
  TaskEventKind kind = TaskEventKind::kCreate;
  ContainerId container_id{};
  ExecId exec_id{};          ///< empty: the first process
  uint32_t pid = 0;          ///< 0 where the event has none
  uint32_t exit_status = 0;  ///< kExit and kDelete
  Timestamp exited_at{};     ///< kExit and kDelete
  Timestamp at{};            ///< when containerd published it
};

/// Called on the watch's own thread, one call at a time; further events wait meanwhile. Must not throw and
/// must not stop the watch.
class TaskListener {
 public:
  virtual ~TaskListener() = default;
  /// Events are hints: best effort, may come twice, may be lost across a restart of containerd, and an exit
  /// may come before start() has returned.
  virtual void on_task_event(const TaskEvent& event) = 0;
  /// From now on events arrive, but some may have been missed: list the tasks and compare, renew the waits.
  /// Called after the first subscription too.
  virtual void on_resync() = 0;
  /// Before each try to subscribe, the first included: a chance to bring containerd up.
  virtual void before_connect() {}
  /// The stream ended; the watch tries again by itself. Once per loss.
  virtual void on_disconnect(const Status& why) = 0;
};

/// Follows the task events of the client's namespace until stopped. When containerd goes away it tries again
/// with back-off (50 ms to 1 s), subscribes, makes sure the subscription works, then calls on_resync().
class Watch {
 public:
  /// Returns at once. `listener` must outlive the watch.
  static std::unique_ptr<Watch> start(std::shared_ptr<Client> client, TaskListener& listener);
  struct Impl;
  explicit Watch(std::unique_ptr<Impl> impl);  ///< for start()
  ~Watch();                                    ///< stops
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// After it returns the listener is not called any more. Not to be called by the listener.
  void stop();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace pouch::ctrd
