// Containers run by runc through the client.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "core/base/unique_fd.h"
#include "core/ctrd/client.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/ctrd/testing/test_image.h"

namespace pouch::ctrd {
namespace {

using testing::import_busybox;
using testing::kSnapshotter;
using testing::minimal_process;
using testing::minimal_spec;
using testing::PrivateContainerd;

using Words = std::vector<std::string>;

class TaskTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PrivateContainerd::start();
    if (!started.is_ok()) {
      why = started.status();
      return;
    }
    containerd = std::move(started).value();
    auto connected = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(10'000));
    const auto layer = import_busybox(**connected, containerd->dir());
    why = layer.status();
    if (layer.is_ok()) parent = layer->snapshot;
  }
  static void TearDownTestSuite() { containerd.reset(); }

  void SetUp() override {
    if (why.code() == Code::kNotImplemented) GTEST_SKIP() << why.message();
    ASSERT_TRUE(why.is_ok()) << why.to_string();
    auto connected = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(10'000));
    ASSERT_TRUE(connected.is_ok()) << connected.status().to_string();
    client = *connected;
    id = ContainerId("t-" + random_hex(6));
  }

  void TearDown() override {
    if (!client) return;
    client->tasks().kill(call, id, {}, SIGKILL, true).ignore();
    client->tasks().wait(call, id).status().ignore();
    client->tasks().remove(call, id).status().ignore();
    client->containers().remove(call, id).ignore();
    client->snapshots().remove(call, kSnapshotter, id.str()).ignore();
  }

  RuncOptions runc() { return {.root = containerd->dir() + "/runc"}; }

  // A FIFO with our reading end open, as the shim needs it.
  UniqueFd open_fifo(const std::string& path) {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  }

  std::string read_line(int fd) {
    std::string line;
    const Deadline limit = Deadline::after_ms(10'000);
    while (!line.ends_with('\n') && !limit.has_passed()) {
      pollfd ready{fd, POLLIN, 0};
      ::poll(&ready, 1, 100);
      std::array<char, 256> bytes{};
      const ssize_t got = ::read(fd, bytes.data(), bytes.size());
      if (got > 0) line.append(bytes.data(), static_cast<size_t>(got));
    }
    return line;
  }

  // Record, snapshot and created task.
  Result<uint32_t> create(const Words& args, const StdioPaths& stdio = {}) {
    POUCH_ASSIGN_OR_RETURN(const std::vector<Mount> mounts,
                           client->snapshots().prepare(call, kSnapshotter, id.str(), parent,
                                                       {{"containerd.io/gc.root", "test"}}));
    ContainerRecord record;
    record.id = id;
    record.runtime_name = "io.containerd.runc.v2";
    record.runtime_options = runc();
    record.spec_json = minimal_spec(id.str(), args, stdio.terminal);
    record.snapshotter = kSnapshotter;
    record.snapshot_key = id.str();
    POUCH_RETURN_IF_ERROR(client->containers().create(call, record));
    return client->tasks().create(call, {.id = id, .rootfs = mounts, .stdio = stdio, .options = runc()});
  }

  static std::unique_ptr<PrivateContainerd> containerd;
  static Status why;
  static std::string parent;
  std::shared_ptr<Client> client;
  ContainerId id;
  Call call;
};

std::unique_ptr<PrivateContainerd> TaskTest::containerd;
Status TaskTest::why;
std::string TaskTest::parent;

TEST_F(TaskTest, WholeLifeWithOutputAndExitCode) {
  const std::string out_path = containerd->dir() + "/out-" + id.str();
  const UniqueFd out = open_fifo(out_path);
  const UniqueFd err = open_fifo(out_path + "-err");
  const auto pid = create(
      {"sh", "-c", "echo hello from inside; echo oops >&2; exit 7"},
      {.stdin_path = {}, .stdout_path = out_path, .stderr_path = out_path + "-err", .terminal = false});
  ASSERT_TRUE(pid.is_ok()) << pid.status().to_string();
  EXPECT_GT(*pid, 1U);
  EXPECT_EQ(client->tasks().get(call, id)->status, TaskStatus::kCreated);
  std::promise<Result<ExitInfo>> promise;
  const WaitHandle wait =
      client->tasks().wait_async(id, {}, [&](Result<ExitInfo> exit) { promise.set_value(std::move(exit)); });
  const auto started = client->tasks().start(call, id);
  ASSERT_TRUE(started.is_ok()) << started.status().to_string();
  EXPECT_EQ(*started, *pid);
  EXPECT_EQ(read_line(out.get()), "hello from inside\n");
  EXPECT_EQ(read_line(err.get()), "oops\n");
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  const auto exit = future.get();
  ASSERT_TRUE(exit.is_ok()) << exit.status().to_string();
  EXPECT_EQ(exit->status, 7U);
  EXPECT_FALSE(exit->exited_at.is_zero());
  const auto task = client->tasks().get(call, id);
  EXPECT_EQ(task->status, TaskStatus::kStopped);
  EXPECT_EQ(task->exit_status, 7U);
  EXPECT_EQ(task->stdout_path, out_path);
  const auto removed = client->tasks().remove(call, id);
  ASSERT_TRUE(removed.is_ok()) << removed.status().to_string();
  EXPECT_EQ(removed->status, 7U);
  EXPECT_EQ(client->tasks().get(call, id).code(), Code::kNotFound);
}

TEST_F(TaskTest, KillPauseListAndStates) {
  const auto pid = create({"sleep", "1000"});
  ASSERT_TRUE(pid.is_ok()) << pid.status().to_string();
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  EXPECT_EQ(client->tasks().create(call, {.id = id, .rootfs = {}, .stdio = {}, .options = {}}).code(),
            Code::kAlreadyExists);
  EXPECT_EQ(client->tasks().remove(call, id).code(), Code::kConflict)
      << client->tasks().remove(call, id).status().to_string();
  EXPECT_EQ(client->tasks().list_pids(call, id).value(), std::vector<uint32_t>{*pid});
  ASSERT_TRUE(client->tasks().pause(call, id).is_ok());
  EXPECT_EQ(client->tasks().get(call, id)->status, TaskStatus::kPaused);
  ASSERT_TRUE(client->tasks().resume(call, id).is_ok());
  const auto tasks = client->tasks().list(call);
  ASSERT_TRUE(tasks.is_ok());
  ASSERT_EQ(tasks->size(), 1U);
  EXPECT_EQ(tasks->front().id, id);
  EXPECT_EQ(tasks->front().pid, *pid);
  EXPECT_EQ(tasks->front().status, TaskStatus::kRunning);
  ASSERT_TRUE(client->tasks().kill(call, id, {}, SIGKILL).is_ok());
  const auto exit = client->tasks().wait(call, id);
  ASSERT_TRUE(exit.is_ok()) << exit.status().to_string();
  EXPECT_EQ(exit->status, 128U + SIGKILL);
  EXPECT_EQ(client->tasks().kill(call, id, {}, SIGKILL).code(), Code::kNotFound);
}

TEST_F(TaskTest, ExecWithInputAndExitCode) {
  ASSERT_TRUE(create({"sleep", "1000"}).is_ok());
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  const ExecId exec("exec-1");
  const std::string base = containerd->dir() + "/" + id.str();
  UniqueFd in = open_fifo(base + "-in");
  const UniqueFd out = open_fifo(base + "-out");
  const UniqueFd err = open_fifo(base + "-err");
  const ExecCreate create_exec{.id = id,
                               .exec_id = exec,
                               .stdio = {.stdin_path = base + "-in",
                                         .stdout_path = base + "-out",
                                         .stderr_path = base + "-err",
                                         .terminal = false},
                               .process_json = minimal_process({"sh", "-c", "cat; exit 3"})};
  ASSERT_TRUE(client->tasks().exec(call, create_exec).is_ok());
  EXPECT_EQ(client->tasks().exec(call, create_exec).code(), Code::kAlreadyExists);
  std::promise<Result<ExitInfo>> promise;
  const WaitHandle wait = client->tasks().wait_async(
      id, exec, [&](Result<ExitInfo> exit) { promise.set_value(std::move(exit)); });
  ASSERT_TRUE(client->tasks().start(call, id, exec).is_ok());
  EXPECT_EQ(client->tasks().get(call, id, exec)->exec_id, exec);
  ASSERT_EQ(::write(in.get(), "echo back\n", 10), 10);
  EXPECT_EQ(read_line(out.get()), "echo back\n");
  ASSERT_TRUE(client->tasks().close_io(call, id, exec).is_ok());
  in.reset();
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(future.get()->status, 3U);
  const auto removed = client->tasks().remove_exec(call, id, exec);
  ASSERT_TRUE(removed.is_ok()) << removed.status().to_string();
  EXPECT_EQ(removed->status, 3U);
}

TEST_F(TaskTest, TerminalIsResized) {
  const std::string out_path = containerd->dir() + "/tty-" + id.str();
  const UniqueFd out = open_fifo(out_path);
  const auto pid = create(
      {"sh", "-c", "while ! stty size 2>/dev/null | grep -q '33 111'; do sleep 0.05; done; echo resized"},
      {.stdin_path = {}, .stdout_path = out_path, .stderr_path = {}, .terminal = true});
  ASSERT_TRUE(pid.is_ok()) << pid.status().to_string();
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  const Status resized = client->tasks().resize_pty(call, id, {}, 111, 33);
  ASSERT_TRUE(resized.is_ok()) << resized.to_string();
  EXPECT_EQ(read_line(out.get()), "resized\r\n");
}

TEST_F(TaskTest, RuntimesLastWordsArePassedOn) {
  const auto pid = create({"/no/such/program"});
  ASSERT_FALSE(pid.is_ok());
  EXPECT_TRUE(pid.status().message().find("no such file or directory") != std::string::npos)
      << pid.status().to_string();
  EXPECT_TRUE(pid.status().message().find('\n') == std::string::npos);
  EXPECT_EQ(client->tasks().get(call, id).code(), Code::kNotFound);
}

TEST_F(TaskTest, WaitIsCancelledWithin50Ms) {
  ASSERT_TRUE(create({"sleep", "1000"}).is_ok());
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  Call cancellable;
  cancellable.cancel = std::make_shared<CancelToken>();
  int64_t fired_ns = 0;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    fired_ns = boot_now_ns();
    cancellable.cancel->fire();
  });
  const auto exit = client->tasks().wait(cancellable, id);
  const int64_t freed_ns = boot_now_ns();
  canceller.join();
  EXPECT_EQ(exit.code(), Code::kCancelled);
  EXPECT_LT(freed_ns - fired_ns, 50'000'000);
  Call brief;
  brief.deadline = Deadline::after_ms(60);
  const int64_t before = boot_now_ns();
  EXPECT_EQ(client->tasks().wait(brief, id).code(), Code::kDeadlineExceeded);
  EXPECT_LT(boot_now_ns() - before, 110'000'000);
}

TEST_F(TaskTest, AsyncWaitCancelledIsNotCalled) {
  ASSERT_TRUE(create({"sleep", "1000"}).is_ok());
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  std::atomic<int> calls = 0;
  auto held = std::make_shared<int>(1);
  {
    WaitHandle first = client->tasks().wait_async(id, {}, [&, held](const Result<ExitInfo>&) { ++calls; });
    WaitHandle second = client->tasks().wait_async(id, {}, [&, held](const Result<ExitInfo>&) { ++calls; });
    first.cancel();
    second = WaitHandle();
  }
  EXPECT_EQ(held.use_count(), 1);  // what the callbacks held is free at once
  ASSERT_TRUE(client->tasks().kill(call, id, {}, SIGKILL).is_ok());
  ASSERT_TRUE(client->tasks().wait(call, id).is_ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(calls, 0);
}

TEST_F(TaskTest, AsyncWaitEndsWithItsClient) {
  ASSERT_TRUE(create({"sleep", "1000"}).is_ok());
  ASSERT_TRUE(client->tasks().start(call, id).is_ok());
  std::promise<Code> promise;
  auto other = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(5'000)).value();
  const WaitHandle wait = other->tasks().wait_async(
      id, {}, [&](const Result<ExitInfo>& exit) { promise.set_value(exit.code()); });
  other.reset();
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(future.get(), Code::kClosed);
  // A callback that holds the last reference to its client must not deadlock.
  auto last = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(5'000)).value();
  std::promise<void> called;
  const WaitHandle self = last->tasks().wait_async(
      id, {}, [&called, keep = last](const Result<ExitInfo>&) { called.set_value(); });
  last.reset();
  ASSERT_TRUE(client->tasks().kill(call, id, {}, SIGKILL).is_ok());
  EXPECT_EQ(called.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST_F(TaskTest, WaitForUnknownIsNotFound) {
  EXPECT_EQ(client->tasks().wait(call, ContainerId("nobody")).code(), Code::kNotFound);
  std::promise<Code> promise;
  const WaitHandle wait = client->tasks().wait_async(
      ContainerId("nobody"), {}, [&](const Result<ExitInfo>& exit) { promise.set_value(exit.code()); });
  EXPECT_EQ(promise.get_future().get(), Code::kNotFound);
}

}  // namespace
}  // namespace pouch::ctrd
