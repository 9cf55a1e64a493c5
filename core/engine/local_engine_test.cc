#include "core/engine/local_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/api/codec.h"
#include "core/base/fault.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/engine/testing/engine_fixture.h"
#include "core/io/keeper_client.h"

namespace pouch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class LocalEngineTest : public testing::EngineTest {};

TEST_F(LocalEngineTest, CreateStartLogsWaitRemove) {
  const std::string id = create({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(inspect(id).state.status, "created");
  const StreamPtr wait = open_wait(id, "next-exit");
  ASSERT_TRUE(start(id).is_ok());
  EXPECT_EQ(exit_code(*wait), 3);
  EXPECT_EQ(inspect(id).state.status, "exited");
  EXPECT_EQ(inspect(id).state.exit_code, 3);
  EXPECT_EQ(logs(id, Channel::kStdout), "out\n");
  EXPECT_EQ(logs(id, Channel::kStderr), "err\n");
  ASSERT_TRUE(engine_->container_remove(id, {}, soon()).is_ok());
  EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
}

TEST_F(LocalEngineTest, StartsAgainAndLogsGoOn) {
  const std::string id = create({"echo", "again"});
  for (int i = 0; i < 2; ++i) {
    const StreamPtr wait = open_wait(id, "next-exit");
    ASSERT_TRUE(start(id).is_ok());
    EXPECT_EQ(exit_code(*wait), 0);
  }
  EXPECT_EQ(logs(id, Channel::kStdout), "again\nagain\n");
  remove(id);
}

TEST_F(LocalEngineTest, EventsTellTheWholeLife) {
  const auto events = engine_->system_events({}, soon());
  ASSERT_TRUE(events.is_ok());
  const std::string id = create({"true"});
  run(id);
  remove(id);
  EXPECT_THAT(actions(**events, 4), ElementsAre("create", "start", "die", "destroy"));
}

TEST_F(LocalEngineTest, StopKillsWhatDoesNotListen) {
  const std::string id = create({"sleep", "100"});  // as pid 1 it ignores SIGTERM
  ASSERT_TRUE(start(id).is_ok());
  api::ContainerStopOptions options;
  options.t = 1;
  ASSERT_TRUE(engine_->container_stop(id, options, soon()).is_ok());
  EXPECT_EQ(inspect(id).state.exit_code, 137);
  EXPECT_EQ(engine_->container_stop(id, options, soon()).code(), Code::kNotModified);
  remove(id);
}

TEST_F(LocalEngineTest, CommandThatIsNotThereIs127) {
  const std::string id = create({"/no/such/command"});
  const Status started = start(id);
  EXPECT_EQ(started.code(), Code::kInvalidArgument) << started.message();
  const auto state = inspect(id).state;
  EXPECT_EQ(state.status, "created");
  EXPECT_EQ(state.exit_code, 127);
  EXPECT_THAT(state.error, HasSubstr("/no/such/command"));
  remove(id);
}

TEST_F(LocalEngineTest, AutoRemoveIsGoneAfterItsEnd) {
  const std::string id =
      create({"true"}, [](api::ContainerCreateConfig& config) { config.host_config->auto_remove = true; });
  const StreamPtr wait = open_wait(id, "removed");
  ASSERT_TRUE(start(id).is_ok());
  EXPECT_EQ(exit_code(*wait), 0);
  EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
}

TEST_F(LocalEngineTest, ExecRunsBesides) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());
  api::ExecConfig config;
  config.cmd = {"sh", "-c", "echo hello; exit 5"};
  config.attach_stdout = true;
  const auto exec = engine_->exec_create(id, config, soon());
  ASSERT_TRUE(exec.is_ok()) << exec.status().message();
  const auto stream = engine_->exec_start(exec->id, {}, soon());
  ASSERT_TRUE(stream.is_ok()) << stream.status().message();
  EXPECT_EQ(read_all(**stream, Channel::kStdout), "hello\n");
  const auto state = engine_->exec_inspect(exec->id, soon());
  ASSERT_TRUE(state.is_ok());
  EXPECT_FALSE(state->running);
  EXPECT_EQ(*state->exit_code, 5);
  remove(id, true);
}

TEST_F(LocalEngineTest, AttachBeforeStartCarriesTheFirstByteAndInput) {
  const std::string id = create({"cat"}, [](api::ContainerCreateConfig& config) {
    config.open_stdin = true;
    config.stdin_once = true;
  });
  api::ContainerAttachOptions options;
  options.stream = options.stdin = options.stdout = options.stderr = true;
  const auto stream = engine_->container_attach(id, options, soon());
  ASSERT_TRUE(stream.is_ok()) << stream.status().message();
  const StreamPtr wait = open_wait(id, "next-exit");
  ASSERT_TRUE(start(id).is_ok());
  ASSERT_TRUE((*stream)->write("to and fro\n", Deadline::after_ms(5000)).is_ok());
  ASSERT_TRUE((*stream)->close_write().is_ok());
  EXPECT_EQ(read_all(**stream, Channel::kStdout), "to and fro\n");
  EXPECT_EQ(exit_code(*wait), 0);
  remove(id);
}

TEST_F(LocalEngineTest, SecondEngineOfTheRootSeesAll) {
  const auto other = open_engine();
  const auto events = other->system_events({}, soon());
  const std::string id = create({"sh", "-c", "sleep 0.2; exit 4"});
  const auto wait = other->container_wait(id, {}, soon());
  ASSERT_TRUE(start(id).is_ok());
  const auto next_exit = other->container_wait(id, {}, soon());
  EXPECT_EQ(exit_code(**next_exit), 4);
  EXPECT_THAT(actions(**events, 3), ElementsAre("create", "start", "die"));
  ASSERT_TRUE(other->container_remove(id, {}, soon()).is_ok());
  EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
}

TEST_F(LocalEngineTest, ContainerOutlivesItsEngineAndItsExitIsRecorded) {
  const std::string id = create({"sh", "-c", "echo first; sleep 0.5; echo last; exit 6"});
  ASSERT_TRUE(start(id).is_ok());
  engine_.reset();
  ::usleep(900'000);  // it ends while no engine but the keeper's is there
  engine_ = open_engine();
  EXPECT_EQ(exit_code(*open_wait(id)), 6);
  EXPECT_EQ(inspect(id).state.status, "exited");
  EXPECT_EQ(logs(id, Channel::kStdout), "first\nlast\n");
  remove(id);
}

TEST_F(LocalEngineTest, EngineKilledAfterStartLosesNothing) {
  const std::string id = create({"sh", "-c", "sleep 0.3; exit 7"});
  engine_.reset();
  const pid_t child = ::fork();
  if (child == 0) {
    auto own = LocalEngine::open(options());
    const bool good = own.is_ok() && (*own)->container_start(id, {}, soon()).is_ok();
    if (good) ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  engine_ = open_engine();
  EXPECT_EQ(exit_code(*open_wait(id)), 7);
  remove(id);
}

// As when an engine dies between opening it and the rest of a start, and the container is removed before
// anybody looks.
TEST_F(LocalEngineTest, OutputOfNobodyIsClosedByTheNextWorker) {
  const std::string id = create({"sleep", "1000"});
  ASSERT_TRUE(start(id).is_ok());
  const std::string created = create({"true"});
  const auto keeper = engine_->context().keeper(soon());
  ASSERT_TRUE(keeper.is_ok()) << keeper.status().to_string();
  const std::string nobody(64, 'a');
  for (const auto& [stream, container] : std::vector<std::pair<std::string, std::string>>{
           {nobody, nobody}, {std::string(64, 'b'), id}, {created, created}}) {
    io::StdioSpec spec;
    spec.stream_id = stream;
    spec.container_id = container;
    spec.generation = 1;
    ASSERT_TRUE((*keeper)->open_stdio(spec, soon().deadline).is_ok());
  }
  const auto before = (*keeper)->status(soon().deadline);
  ASSERT_TRUE(before.is_ok() && before->streams.size() == 4U);
  ::kill(before->worker_pid, SIGKILL);
  const Deadline deadline = Deadline::after_ms(20'000);
  auto now = (*keeper)->status(deadline);
  while (now.is_ok() && now->streams.size() > 1 && !deadline.has_passed()) {
    ::usleep(20'000);
    now = (*keeper)->status(deadline);
  }
  ASSERT_TRUE(now.is_ok()) << now.status().to_string();
  ASSERT_EQ(now->streams.size(), 1U);
  EXPECT_EQ(now->streams[0].stream_id, id) << "it runs";
  remove(id, true);
}

#ifdef POUCH_FAULTS
// What it waits for may be itself, whose loop no longer runs.
TEST_F(LocalEngineTest, KeeperEndsWhileItsEngineOpens) {
  const std::string control = dir_ + "/faults";
  {
    std::ofstream rule(control);
    rule << "delay:120000 keeper rpc.tasks.list.before 1\n";
  }
  set_fault_file(control);
  const auto keeper = engine_->context().keeper(soon());
  set_fault_file("");
  ASSERT_TRUE(keeper.is_ok()) << keeper.status().to_string();
  const Deadline deadline = Deadline::after_ms(20'000);
  while (!std::filesystem::exists(control + ".fired-1") && !deadline.has_passed()) ::usleep(20'000);
  ASSERT_TRUE(std::filesystem::exists(control + ".fired-1"));
  engine_.reset();
  end_keeper();  // fails when it does not end
}
#endif

TEST_F(LocalEngineTest, ManySideBySideInTwoEnginesAllEnd) {
  const auto other = open_engine();
  const auto events = other->system_events({}, soon());
  constexpr int kThreads = 6;
  constexpr int kRuns = 2;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRuns; ++i) {
        const std::string id = create({"sh", "-c", "exit " + std::to_string(t)});
        EXPECT_EQ(run(id), t);
        const Status removed = (t % 2 == 0 ? *engine_ : *other).container_remove(id, {}, soon());
        EXPECT_TRUE(removed.is_ok()) << removed.message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(engine_->system_info(soon())->containers, 0);
  auto seen = actions(**events, 4U * kThreads * kRuns);
  for (const char* action : {"create", "start", "die", "destroy"}) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), action), kThreads * kRuns) << action;
  }
}

TEST_F(LocalEngineTest, CancelFreesTheCallerSoonAndTheStopGoesOn) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());
  const auto cancel = std::make_shared<CancelToken>();
  int64_t fired_ns = 0;
  std::thread canceller([&] {
    ::usleep(100'000);
    fired_ns = boot_now_ns();
    cancel->fire();
  });
  api::ContainerStopOptions options;
  options.t = 1;
  const Status stopped = engine_->container_stop(id, options, {Deadline::after_ms(30'000), cancel, {}});
  const int64_t freed_ns = boot_now_ns();
  canceller.join();
  EXPECT_EQ(stopped.code(), Code::kCancelled) << stopped.message();
  EXPECT_LT(freed_ns - fired_ns, 50'000'000);
  EXPECT_EQ(exit_code(*open_wait(id)), 137);
  remove(id);
}

TEST_F(LocalEngineTest, OpeningAgainNeedsNoContainerd) {
  const std::string id = create({"true"});
  run(id);
  const int64_t begin = boot_now_ns();
  const auto other = open_engine();
  api::ContainerListOptions all;
  all.all = true;
  EXPECT_EQ(other->container_list(all, soon())->size(), 1U);
  EXPECT_LT(boot_now_ns() - begin, 200'000'000);
  RecordProperty("open_and_list_us", std::to_string((boot_now_ns() - begin) / 1000));
  remove(id);
}

TEST_F(LocalEngineTest, InfoAndVersionKnowTheParts) {
  const std::string id = create({"true"});
  const auto info = engine_->system_info(soon());
  ASSERT_TRUE(info.is_ok()) << info.status().message();
  EXPECT_EQ(info->containers, 1);
  EXPECT_EQ(info->images, 1);
  EXPECT_EQ(info->driver, "overlayfs");
  EXPECT_TRUE(info->pouch->containerd_version.has_value());
  const auto version = engine_->system_version(soon());
  ASSERT_TRUE(version.is_ok());
  EXPECT_EQ(version->api_version, "1.50");
  std::vector<std::string> names;
  for (const auto& component : *version->components) names.push_back(component.name);
  EXPECT_THAT(names, IsSupersetOf({"Engine", "containerd", "runc"}));
  remove(id);
}

TEST_F(LocalEngineTest, ImageInUseIsNotRemoved) {
  const std::string id = create({"true"});
  EXPECT_EQ(engine_->image_remove(kImage, {}, soon()).code(), Code::kConflict);
  remove(id);
}

TEST_F(LocalEngineTest, ChildOfForkIsTold) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool told = engine_->system_ping({}).code() == Code::kForked;
    engine_.reset();
    ::_exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(engine_->system_ping({}).is_ok());
}

TEST_F(LocalEngineTest, WithoutContainerdListsButDoesNotStart) {
  const std::string id = create({"true"});
  engine_.reset();
  ASSERT_TRUE(containerd().kill_hard().is_ok());
  const int64_t begin = boot_now_ns();
  engine_ = open_engine();
  api::ContainerListOptions all;
  all.all = true;
  const auto list = engine_->container_list(all, soon());
  ASSERT_TRUE(list.is_ok()) << list.status().message();
  EXPECT_EQ(list->size(), 1U);
  EXPECT_LT(boot_now_ns() - begin, 1'000'000'000);
  const Status started = start(id);
  EXPECT_EQ(started.code(), Code::kUnavailable);
  EXPECT_THAT(started.message(), HasSubstr("containerd"));
  ASSERT_TRUE(containerd().restart().is_ok());
  run(id);
  remove(id);
}

}  // namespace
}  // namespace pouch
