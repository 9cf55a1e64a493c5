#pragma once

#include <memory>

#include "core/container/container_manager.h"
#include "core/ctrd/watch.h"
#include "core/events/event_log.h"

namespace pouch::container {

/// The keeper's eye on all processes of the root: waits for each that is started by whomever, so that its end
/// is recorded when its starter is gone, and compares rows and tasks whenever containerd comes back.
class ExitWatch final : public ctrd::TaskListener {
 public:
  explicit ExitWatch(ContainerManager::Impl& manager) : manager_(manager) {}
  ~ExitWatch() override;

  Status start();

  void on_task_event(const ctrd::TaskEvent& event) override;
  void before_connect() override;
  void on_resync() override;
  void on_disconnect(const Status& why) override;

 private:
  void on_event(const events::Event& event);

  ContainerManager::Impl& manager_;
  events::Follower follower_;
  std::unique_ptr<ctrd::Watch> watch_;
};

}  // namespace pouch::container
