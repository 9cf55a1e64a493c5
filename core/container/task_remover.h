#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/tasks.h"
#include "core/ctrd/watch.h"

namespace pouch::container {

/// Removes tasks of containers that are about to be removed too, and says so as early as it is true.
/// containerd answers a removal only when the shim has gone and a second run of it has found nothing to clean
/// up (some 10 ms with containerd 1.6); by then the container, its mounts and its cgroup have long been gone,
/// which the shim tells by an event. What is left to containerd then ends by itself. Thread-safe.
class TaskRemover : private ctrd::TaskListener {
 public:
  TaskRemover() = default;
  ~TaskRemover() override { close(); }
  TaskRemover(const TaskRemover&) = delete;
  TaskRemover& operator=(const TaskRemover&) = delete;

  /// Begins to listen, unless it does: to be called before the process runs. Returns at once.
  void listen(const std::shared_ptr<ctrd::Client>& client);
  /// As Tasks::remove, but done when the event has come. Until then the call's deadline holds.
  Status remove(const Call& call, const std::shared_ptr<ctrd::Client>& client, const ContainerId& id);
  /// Waits for containerd's answers that are still to come, some seconds at most. No call may be in progress.
  void close();

 private:
  struct Removal {
    bool is_deleted = false;
    std::optional<Status> answer;
    ctrd::WaitHandle handle;  ///< not destroyed under the lock, which its callback takes
  };
  using Handle = std::optional<ctrd::WaitHandle>;

  void on_task_event(const ctrd::TaskEvent& event) override;
  void on_resync() override {}
  void on_disconnect(const Status&) override {}
  void on_answer(const ContainerId& id, Status status);

  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::map<std::string, std::shared_ptr<Removal>> removals_;
  std::unique_ptr<ctrd::Watch> watch_;
  bool is_closed_ = false;
};

}  // namespace pouch::container
