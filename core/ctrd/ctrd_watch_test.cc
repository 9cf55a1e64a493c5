// Task events across the death of containerd.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "core/ctrd/client.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/ctrd/testing/test_image.h"
#include "core/ctrd/version.h"
#include "core/ctrd/watch.h"

namespace pouch::ctrd {
namespace {

using testing::import_busybox;
using testing::kSnapshotter;
using testing::minimal_process;
using testing::minimal_spec;
using testing::PrivateContainerd;

class Recorder : public TaskListener {
 public:
  void on_task_event(const TaskEvent& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  void on_resync() override {
    const std::lock_guard lock(mutex_);
    ++resyncs_;
    changed_.notify_all();
  }
  void on_disconnect(const Status& why) override {
    const std::lock_guard lock(mutex_);
    ++disconnects_;
    last_code_ = why.code();
    changed_.notify_all();
  }

  bool wait_for_resyncs(int count) {
    return wait([&] { return resyncs_ >= count; });
  }
  bool wait_for_disconnects(int count) {
    return wait([&] { return disconnects_ >= count; });
  }
  bool wait_for_event(TaskEventKind kind, const ExecId& exec, TaskEvent* found = nullptr) {
    return wait([&] {
      const auto at = std::find_if(events_.begin(), events_.end(),
                                   [&](const TaskEvent& e) { return e.kind == kind && e.exec_id == exec; });
      if (at != events_.end() && found != nullptr) *found = *at;
      return at != events_.end();
    });
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    events_.clear();
  }
  int disconnects() {
    const std::lock_guard lock(mutex_);
    return disconnects_;
  }

 private:
  template <class Predicate>
  bool wait(Predicate done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), done);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TaskEvent> events_;
  int resyncs_ = 0;
  int disconnects_ = 0;
  Code last_code_ = Code::kOk;
};

class WatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = PrivateContainerd::start();
    if (started.code() == Code::kNotImplemented) GTEST_SKIP() << started.status().message();
    ASSERT_TRUE(started.is_ok()) << started.status().to_string();
    containerd = std::move(started).value();
    client = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(10'000)).value();
    const auto layer = import_busybox(*client, containerd->dir());
    if (layer.code() == Code::kNotImplemented) GTEST_SKIP() << layer.status().message();
    ASSERT_TRUE(layer.is_ok()) << layer.status().to_string();
    parent = layer->snapshot;
  }

  void run(const ContainerId& id, const std::vector<std::string>& args) {
    const auto mounts = client->snapshots().prepare(call, kSnapshotter, id.str(), parent,
                                                    {{"containerd.io/gc.root", "test"}});
    ASSERT_TRUE(mounts.is_ok()) << mounts.status().to_string();
    ContainerRecord record;
    record.id = id;
    record.runtime_name = "io.containerd.runc.v2";
    record.spec_json = minimal_spec(id.str(), args);
    ASSERT_TRUE(client->containers().create(call, record).is_ok());
    const RuncOptions runc{.root = containerd->dir() + "/runc"};
    const auto pid =
        client->tasks().create(call, {.id = id, .rootfs = *mounts, .stdio = {}, .options = runc});
    ASSERT_TRUE(pid.is_ok()) << pid.status().to_string();
    ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  }

  std::unique_ptr<PrivateContainerd> containerd;
  std::shared_ptr<Client> client;
  std::string parent;
  Call call;
};

TEST_F(WatchTest, EventsOfALife) {
  Recorder recorder;
  auto watch = Watch::start(client, recorder);
  ASSERT_TRUE(recorder.wait_for_resyncs(1));
  const ContainerId id("w1");
  run(id, {"sleep", "1000"});
  const ExecId exec("e1");
  ASSERT_TRUE(client->tasks()
                  .exec(call, {.id = id,
                               .exec_id = exec,
                               .stdio = {},
                               .process_json = minimal_process({"sh", "-c", "exit 5"})})
                  .is_ok());
  ASSERT_TRUE(client->tasks().start(call, id, exec).is_ok());
  TaskEvent exit;
  ASSERT_TRUE(recorder.wait_for_event(TaskEventKind::kExit, exec, &exit));
  EXPECT_EQ(exit.exit_status, 5U);
  ASSERT_TRUE(client->tasks().pause(call, id).is_ok());
  ASSERT_TRUE(client->tasks().resume(call, id).is_ok());
  ASSERT_TRUE(client->tasks().kill(call, id, {}, SIGKILL).is_ok());
  ASSERT_TRUE(recorder.wait_for_event(TaskEventKind::kExit, {}, &exit));
  EXPECT_EQ(exit.container_id, id);
  EXPECT_EQ(exit.exit_status, 137U);
  EXPECT_GT(exit.pid, 1U);
  EXPECT_FALSE(exit.exited_at.is_zero());
  ASSERT_TRUE(client->tasks().wait(call, id).is_ok());
  ASSERT_TRUE(client->tasks().remove(call, id).is_ok());
  EXPECT_TRUE(recorder.wait_for_event(TaskEventKind::kDelete, {}));
  for (const TaskEventKind kind :
       {TaskEventKind::kCreate, TaskEventKind::kStart, TaskEventKind::kPaused, TaskEventKind::kResumed}) {
    EXPECT_TRUE(recorder.wait_for_event(kind, {})) << static_cast<int>(kind);
  }
  EXPECT_TRUE(recorder.wait_for_event(TaskEventKind::kExecAdded, exec));
  EXPECT_TRUE(recorder.wait_for_event(TaskEventKind::kExecStarted, exec));
  const int64_t before = boot_now_ns();
  watch->stop();
  EXPECT_LT(boot_now_ns() - before, 500'000'000);
  EXPECT_EQ(recorder.disconnects(), 0);
}

TEST_F(WatchTest, SurvivesAKilledContainerd) {
  Recorder recorder;
  const auto watch = Watch::start(client, recorder);
  ASSERT_TRUE(recorder.wait_for_resyncs(1));
  const ContainerId id("w2");
  run(id, {"sleep", "1000"});
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Code> waited;
  const WaitHandle wait = client->tasks().wait_async(id, {}, [&](const Result<ExitInfo>& exit) {
    const std::lock_guard lock(mutex);
    waited = exit.code();
    changed.notify_all();
  });
  ASSERT_TRUE(containerd->kill_hard().is_ok());
  ASSERT_TRUE(recorder.wait_for_disconnects(1));
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return waited.has_value(); }));
    EXPECT_EQ(*waited, Code::kUnavailable);  // which does not mean that the process died
  }
  EXPECT_EQ(client->version().get(call).code(), Code::kUnavailable);
  recorder.clear();
  ASSERT_TRUE(containerd->restart().is_ok());
  ASSERT_TRUE(recorder.wait_for_resyncs(2));
  EXPECT_EQ(recorder.disconnects(), 1);
  const auto tasks = client->tasks().list(call);
  ASSERT_TRUE(tasks.is_ok()) << tasks.status().to_string();
  ASSERT_EQ(tasks->size(), 1U);
  EXPECT_EQ(tasks->front().status, TaskStatus::kRunning);
  ASSERT_TRUE(client->tasks().kill(call, id, {}, SIGKILL).is_ok());
  EXPECT_TRUE(recorder.wait_for_event(TaskEventKind::kExit, {}));
}

TEST_F(WatchTest, StopsWhileContainerdIsAway) {
  Recorder recorder;
  auto watch = Watch::start(client, recorder);
  ASSERT_TRUE(recorder.wait_for_resyncs(1));
  ASSERT_TRUE(containerd->kill_hard().is_ok());
  ASSERT_TRUE(recorder.wait_for_disconnects(1));
  const int64_t before = boot_now_ns();
  watch.reset();
  EXPECT_LT(boot_now_ns() - before, 500'000'000);
}

}  // namespace
}  // namespace pouch::ctrd
