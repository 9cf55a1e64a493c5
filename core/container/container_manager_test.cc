#include "core/container/container_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/executor.h"
#include "core/ctrd/client.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"
#include "core/engine/testing/engine_fixture.h"
#include "core/store/database.h"
#include "core/sys/own_cgroup.h"
#include "core/sys/systemd_scope.h"

// Real containers: what the operations promise beyond the simple life that core/engine's tests show.

namespace pouch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ContainerManagerTest : public testing::EngineTest {
 protected:
  Result<api::ContainerCreateResult> try_create(const std::string& name,
                                                const api::ContainerCreateConfig& config) {
    api::ContainerCreateOptions options;
    if (!name.empty()) options.name = name;
    return engine_->container_create(config, options, soon());
  }
  static api::ContainerCreateConfig request(const std::vector<std::string>& command) {
    api::ContainerCreateConfig config;
    config.image = kImage;
    config.cmd = command;
    config.host_config.emplace().network_mode = "none";
    return config;
  }
  std::string output(const std::vector<std::string>& command,
                     const std::function<void(api::ContainerCreateConfig&)>& change = {}) {
    const std::string id = create(command, change);
    EXPECT_EQ(run(id), 0) << logs(id, Channel::kStderr);
    std::string text = logs(id, Channel::kStdout);
    remove(id);
    return text;
  }
  std::vector<std::string> listed(const std::map<std::string, std::vector<std::string>>& filters,
                                  bool all = true) {
    api::ContainerListOptions options;
    options.all = all;
    options.filters = filters;
    const auto list = engine_->container_list(options, soon());
    EXPECT_TRUE(list.is_ok()) << list.status().message();
    std::vector<std::string> names;
    if (!list.is_ok()) return names;
    for (const auto& entry : *list) names.push_back(entry.names->front());
    return names;
  }
  struct ExecOutcome {
    std::string text;
    int64_t code = -1;
  };
  ExecOutcome exec(const std::string& id, const std::vector<std::string>& command,
                   const std::function<void(api::ExecConfig&)>& change = {}, const std::string& input = {}) {
    api::ExecConfig config;
    config.cmd = command;
    config.attach_stdout = config.attach_stderr = true;
    config.attach_stdin = !input.empty();
    if (change) change(config);
    const auto made = engine_->exec_create(id, config, soon());
    EXPECT_TRUE(made.is_ok()) << made.status().message();
    if (!made.is_ok()) return {};
    const auto stream = engine_->exec_start(made->id, {}, soon());
    EXPECT_TRUE(stream.is_ok()) << stream.status().message();
    if (!stream.is_ok()) return {};
    if (!input.empty()) {
      EXPECT_TRUE((*stream)->write(input, Deadline::after_ms(5000)).is_ok());
      EXPECT_TRUE((*stream)->close_write().is_ok());
    }
    ExecOutcome outcome;
    outcome.text = read_all(**stream, Channel::kStdout);
    const auto result = (*stream)->finish(soon());
    EXPECT_TRUE(result.is_ok()) << result.status().message();
    if (result.is_ok()) outcome.code = api::parse_document<api::ExecExit>(*result)->exit_code.value_or(-1);
    return outcome;
  }
  int64_t count_rows(const std::string& sql) {
    auto snapshot = engine_->context().db->read();
    auto statement = snapshot->prepare(sql);
    EXPECT_TRUE(statement.is_ok() && *statement->step());
    return statement->integer(0);
  }
};

TEST_F(ContainerManagerTest, NamesAreUniqueAndFound) {
  const auto first = try_create("web", request({"true"}));
  ASSERT_TRUE(first.is_ok()) << first.status().message();
  const auto second = try_create("/web", request({"true"}));
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_EQ(second.status().message(),
            "Conflict. The container name \"/web\" is already in use by container \"" + first->id +
                "\". You have to remove (or rename) that container to be able to reuse that name.");
  EXPECT_EQ(try_create("bad name", request({"true"})).code(), Code::kInvalidArgument);
  for (const std::string& reference : {std::string("web"), std::string("/web"), first->id.substr(0, 5)}) {
    EXPECT_EQ(inspect(reference).id, first->id) << reference;
  }
  EXPECT_EQ(engine_->container_inspect("nope", {}, soon()).status().message(), "No such container: nope");
  EXPECT_EQ(engine_->container_rename("web", {"web"}, soon()).code(), Code::kInvalidArgument);
  ASSERT_TRUE(engine_->container_rename("web", {"app"}, soon()).is_ok());
  EXPECT_EQ(inspect("app").name, "/app");
  const auto third = try_create("web", request({"true"}));
  ASSERT_TRUE(third.is_ok());
  EXPECT_EQ(engine_->container_rename("web", {"app"}, soon()).code(), Code::kConflict);
}

TEST_F(ContainerManagerTest, CreateRefusesAndLeavesNothing) {
  api::ContainerCreateConfig absent = request({"true"});
  absent.image = "nosuch:1";
  const auto made = try_create("", absent);
  EXPECT_EQ(made.code(), Code::kNotFound);
  EXPECT_EQ(made.status().message(), "No such image: nosuch:1");
  EXPECT_THAT(made.status().details_json(), HasSubstr("image.load"));
  api::ContainerCreateConfig runtime = request({"true"});
  runtime.host_config->runtime = "what";
  EXPECT_EQ(try_create("", runtime).status().message(), "unknown or invalid runtime name: what");
  api::ContainerCreateConfig mount = request({"true"});
  mount.host_config->mounts.emplace().emplace_back();
  mount.host_config->mounts->front().type = "bind";
  mount.host_config->mounts->front().source = "/no/such/folder";
  mount.host_config->mounts->front().target = "/x";
  EXPECT_THAT(try_create("", mount).status().message(), HasSubstr("bind source path does not exist"));
  EXPECT_EQ(count_rows("SELECT count(*) FROM containers"), 0);
  EXPECT_EQ(count_rows("SELECT count(*) FROM events WHERE type = 'container'"), 0);
}

TEST_F(ContainerManagerTest, StateForbids) {
  const std::string id = create({"sleep", "100"});
  EXPECT_EQ(engine_->container_kill(id, {}, soon()).message(),
            "Cannot kill container: " + id + ": Container " + id + " is not running");
  EXPECT_EQ(engine_->container_stop(id, {}, soon()).code(), Code::kNotModified);
  api::ExecConfig config;
  config.cmd = {"true"};
  EXPECT_EQ(engine_->exec_create(id, config, soon()).status().message(),
            "Container " + id + " is not running");
  ASSERT_TRUE(start(id).is_ok());
  EXPECT_EQ(start(id).code(), Code::kNotModified);
  EXPECT_EQ(engine_->container_remove(id, {}, soon()).message(),
            "You cannot remove a running container " + id +
                ". Stop the container before attempting removal or force remove");
  api::ContainerKillOptions signal;
  signal.signal = "NOPE";
  EXPECT_EQ(engine_->container_kill(id, signal, soon()).message(), "Invalid signal: NOPE");
  ASSERT_TRUE(engine_->container_kill(id, {}, soon()).is_ok());
  EXPECT_EQ(inspect(id).state.exit_code, 137);
  remove(id);
}

TEST_F(ContainerManagerTest, SignalsReachTheProcess) {
  const std::string id =
      create({"sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while true; do sleep 0.05; done"});
  ASSERT_TRUE(start(id).is_ok());
  while (logs(id, Channel::kStdout).empty()) ::usleep(10'000);
  const StreamPtr wait = open_wait(id);
  api::ContainerKillOptions options;
  options.signal = "usr1";
  ASSERT_TRUE(engine_->container_kill(id, options, soon()).is_ok());
  EXPECT_EQ(exit_code(*wait), 9);
  EXPECT_EQ(logs(id, Channel::kStdout), "ready\ngot\n");
  remove(id);
}

TEST_F(ContainerManagerTest, FailedStartWithAutoRemoveIsGone) {
  const std::string id = create({"/nope"}, [](auto& config) { config.host_config->auto_remove = true; });
  const StreamPtr wait = open_wait(id, "removed");
  EXPECT_EQ(start(id).code(), Code::kInvalidArgument);
  EXPECT_EQ(exit_code(*wait), 127);
  EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
}

TEST_F(ContainerManagerTest, FolderAsCommandIs126) {
  const std::string id = create({"/etc"});
  const Status started = start(id);
  EXPECT_EQ(started.code(), Code::kInvalidArgument) << started.message();
  EXPECT_THAT(started.message(), StartsWith("failed to create task for container: "));
  EXPECT_EQ(inspect(id).state.exit_code, 126);
  remove(id);
}

TEST_F(ContainerManagerTest, ProcessGetsWhatWasAskedFor) {
  EXPECT_EQ(output({"sh", "-c", "id -u; id -g; pwd; echo $A; hostname"},
                   [](auto& config) {
                     config.user = "user";
                     config.working_dir = "/tmp";
                     config.env = {"A=b c"};
                     config.hostname = "box";
                   }),
            "1000\n1000\n/tmp\nb c\nbox\n");
  EXPECT_EQ(output({"cat", "/etc/hostname"}, [](auto& config) { config.hostname = "box"; }), "box\n");
  EXPECT_THAT(output({"cat", "/etc/hosts"}, [](auto& c) { c.host_config->extra_hosts = {"db:10.1.2.3"}; }),
              HasSubstr("10.1.2.3\tdb"));
}

TEST_F(ContainerManagerTest, Mounts) {
  const std::string folder = dir_ + "/data";
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/in") << "from host";
  EXPECT_EQ(output({"cat", "/data/in"}, [&](auto& c) { c.host_config->binds = {folder + ":/data:ro"}; }),
            "from host");
  output({"sh", "-c", "echo out > /new/file"},
         [&](auto& c) { c.host_config->binds = {dir_ + "/made/new:/new"}; });
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/made/new/file"));
  EXPECT_EQ(output({"sh", "-c", "touch /data/x 2>/dev/null || echo denied"},
                   [&](auto& c) { c.host_config->binds = {folder + ":/data:ro"}; }),
            "denied\n");
  EXPECT_THAT(output({"mount"}, [](auto& c) { c.host_config->tmpfs.emplace()["/scratch"] = "size=1m"; }),
              HasSubstr("/scratch type tmpfs"));
}

TEST_F(ContainerManagerTest, LogsFollowTailTimestamps) {
  const std::string id = create({"sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"});
  ASSERT_TRUE(start(id).is_ok());
  api::ContainerLogsOptions options;
  options.stdout = true;
  options.follow = true;
  const auto follow = engine_->container_logs(id, options, soon());
  ASSERT_TRUE(follow.is_ok());
  EXPECT_EQ(read_all(**follow, Channel::kStdout), "1\n2\n3\n");
  options.follow = false;
  options.tail = "1";
  options.timestamps = true;
  const auto tail = engine_->container_logs(id, options, soon());
  EXPECT_THAT(read_all(**tail, Channel::kStdout),
              ::testing::MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{9}Z 3\n"));
  EXPECT_EQ(engine_->container_logs(id, {}, soon()).status().message(),
            "Bad parameters: you must choose at least one stream");
  remove(id);
  const std::string silent =
      create({"true"}, [](auto& c) { c.host_config->log_config.emplace().type = "none"; });
  options.timestamps = false;
  EXPECT_EQ(engine_->container_logs(silent, options, soon()).code(), Code::kNotImplemented);
}

TEST_F(ContainerManagerTest, Execs) {
  const std::string id = create({"sleep", "100"}, [](auto& config) { config.env = {"A=container"}; });
  ASSERT_TRUE(start(id).is_ok());
  EXPECT_EQ(exec(id, {"cat"}, {}, "to cat").text, "to cat");
  const auto env = exec(id, {"sh", "-c", "echo $A $B; id -u; pwd; exit 4"}, [](api::ExecConfig& config) {
    config.env = {"B=exec"};
    config.user = "1000";
    config.working_dir = "/tmp";
  });
  EXPECT_EQ(env.text, "container exec\n1000\n/tmp\n");
  EXPECT_EQ(env.code, 4);
  const auto missing = exec(id, {"/nope"});
  EXPECT_THAT(missing.text, StartsWith("OCI runtime exec failed: "));
  EXPECT_EQ(missing.code, 127);
  EXPECT_EQ(exec(id, {"/etc"}).code, 126);
  EXPECT_FALSE(inspect(id).exec_ids.has_value());
  EXPECT_EQ(engine_->exec_inspect("nope", soon()).status().message(), "No such exec instance: nope");
  remove(id, true);
}

TEST_F(ContainerManagerTest, ExecDetachedAndOnlyOnce) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());
  api::ExecConfig config;
  config.cmd = {"sleep", "0.2"};
  const auto made = engine_->exec_create(id, config, soon());
  ASSERT_TRUE(made.is_ok());
  EXPECT_EQ(inspect(id).exec_ids->front(), made->id);
  api::ExecStartConfig detach;
  detach.detach = true;
  const auto stream = engine_->exec_start(made->id, detach, soon());
  ASSERT_TRUE(stream.is_ok()) << stream.status().message();
  EXPECT_EQ(*(*stream)->finish(soon()), "{}");
  EXPECT_TRUE(engine_->exec_inspect(made->id, soon())->running);
  EXPECT_EQ(engine_->exec_start(made->id, detach, soon()).code(), Code::kConflict);
  while (engine_->exec_inspect(made->id, soon())->running) ::usleep(20'000);
  EXPECT_EQ(*engine_->exec_inspect(made->id, soon())->exit_code, 0);
  remove(id, true);
  EXPECT_EQ(engine_->exec_inspect(made->id, soon()).code(), Code::kNotFound);
}

TEST_F(ContainerManagerTest, ListFilters) {
  ASSERT_TRUE(try_create("one", request({"true"})).is_ok());
  api::ContainerCreateConfig labelled = request({"sleep", "100"});
  labelled.labels.emplace()["k"] = "v";
  const auto two = try_create("two", labelled);
  ASSERT_TRUE(two.is_ok() && start(two->id).is_ok());
  EXPECT_THAT(listed({}), ElementsAre("/two", "/one"));
  EXPECT_THAT(listed({}, false), ElementsAre("/two"));
  EXPECT_THAT(listed({{"status", {"created"}}}, false), ElementsAre("/one"));
  EXPECT_THAT(listed({{"label", {"k=v"}}}), ElementsAre("/two"));
  EXPECT_THAT(listed({{"since", {"one"}}}), ElementsAre("/two"));
  EXPECT_THAT(listed({{"before", {"two"}}}), ElementsAre("/one"));
  EXPECT_THAT(listed({{"ancestor", {kImage}}}), ElementsAre("/two", "/one"));
  EXPECT_THAT(listed({{"ancestor", {"nosuch"}}}), IsEmpty());
  EXPECT_THAT(listed({{"network", {"none"}}, {"name", {"^one$"}}}), ElementsAre("/one"));
  api::ContainerListOptions options;
  options.size = true;
  const auto list = engine_->container_list(options, soon());
  ASSERT_TRUE(list.is_ok());
  EXPECT_EQ(list->front().image, kImage);
  EXPECT_EQ(list->front().command, "sleep 100");
  EXPECT_THAT(list->front().status, StartsWith("Up "));
  EXPECT_GT(*list->front().size_root_fs, 0);
  options.filters.emplace()["what"] = {"x"};
  EXPECT_EQ(engine_->container_list(options, soon()).status().message(), "Invalid filter 'what'");
}

TEST_F(ContainerManagerTest, ForceRemovesARunningOne) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());
  const StreamPtr wait = open_wait(id, "removed");
  remove(id, true);
  EXPECT_EQ(exit_code(*wait), 137);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/root/containers/" + id));
}

TEST_F(ContainerManagerTest, AttachEndsWhenTheContainerIsRemoved) {
  const std::string id = create({"true"});
  api::ContainerAttachOptions options;
  options.stream = options.stdout = true;
  const auto stream = engine_->container_attach(id, options, soon());
  ASSERT_TRUE(stream.is_ok());
  remove(id);
  EXPECT_TRUE((*stream)->finish(soon()).is_ok());
}

TEST_F(ContainerManagerTest, OpenStreamsEndWithTheEngine) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());
  api::ContainerAttachOptions attach;
  attach.stream = attach.stdout = true;
  const auto attached = engine_->container_attach(id, attach, soon());
  api::ContainerLogsOptions follow;
  follow.stdout = follow.follow = true;
  const auto logged = engine_->container_logs(id, follow, soon());
  const StreamPtr wait = open_wait(id);
  ASSERT_TRUE(attached.is_ok() && logged.is_ok());
  engine_.reset();
  EXPECT_EQ((*attached)->finish(soon()).code(), Code::kClosed);
  EXPECT_EQ((*logged)->finish(soon()).code(), Code::kClosed);
  EXPECT_EQ(wait->finish(soon()).code(), Code::kClosed);
  engine_ = open_engine();
  EXPECT_EQ(inspect(id).state.status, "running");
  remove(id, true);
}

TEST_F(ContainerManagerTest, ManyAtOnce) {
  constexpr int kContainers = 8;
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < kContainers; ++i) {
    threads.push_back(start_thread([this, &good, i] {
      const std::string id =
          create({"sh", "-c", "echo " + std::to_string(i) + "; exit " + std::to_string(i)});
      const bool same = run(id) == i && logs(id, Channel::kStdout) == std::to_string(i) + "\n";
      remove(id);
      if (same) ++good;
    }));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kContainers);
}

TEST_F(ContainerManagerTest, TransitionsOfDeadOwnersAreRecovered) {
  const std::string starting = create({"true"});
  const std::string creating = create({"true"});
  const std::string removing = create({"true"});
  const std::string running = create({"sleep", "100"});
  ASSERT_TRUE(start(running).is_ok());
  const auto set_state = [&](const std::string& id, const std::string& name) {
    auto transaction = engine_->context().db->begin(store::Durability::kBootScoped, soon());
    ASSERT_TRUE(
        transaction
            ->run("UPDATE containers SET state = ?2, owner_token = 'gone', boot_id = ?3 WHERE id = ?1", id,
                  name, engine_->context().boot_id)
            .is_ok());
    ASSERT_TRUE(transaction->commit().is_ok());
  };
  set_state(starting, "starting");
  set_state(creating, "creating");
  set_state(removing, "removing");
  set_state(running, "starting");  // its starter died between the task's start and the row's
  engine_.reset();
  engine_ = open_engine();
  EXPECT_EQ(inspect(starting).state.status, "created");
  EXPECT_EQ(inspect(running).state.status, "running");
  EXPECT_EQ(engine_->container_inspect(creating, {}, soon()).code(), Code::kNotFound);
  EXPECT_EQ(engine_->container_inspect(removing, {}, soon()).code(), Code::kNotFound);
  EXPECT_EQ(run(starting), 0);
  remove(running, true);
}

// Containers are made, run and removed by a child that is killed at any moment.
TEST_F(ContainerManagerTest, KilledAtAnyMomentLeavesNothingHalfDone) {
  constexpr int kRounds = 8;
  engine_.reset();
  for (int round = 0; round < kRounds; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      engine_ = open_engine();
      while (true) {
        const std::string id = create({"sh", "-c", "echo x"});
        run(id);
        remove(id);
      }
    }
    ::usleep(static_cast<useconds_t>(30'000 + round * 37'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
  }
  engine_ = open_engine();
  api::ContainerListOptions all;
  all.all = true;
  const auto list = engine_->container_list(all, soon());
  ASSERT_TRUE(list.is_ok());
  for (const auto& container : *list) {
    const StreamPtr wait = open_wait(container.id);
    EXPECT_GE(exit_code(*wait), 0);
    remove(container.id, true);
  }
  EXPECT_EQ(count_rows("SELECT count(*) FROM containers"), 0);
  const auto client = engine_->context().ctrd(soon());
  ASSERT_TRUE(client.is_ok());
  EXPECT_THAT(*(*client)->tasks().list(soon()), IsEmpty());
  EXPECT_THAT(*(*client)->containers().list(soon()), IsEmpty());
  // What a dead client had asked for may come late, and is then dropped.
  const auto left = [&] {
    std::vector<std::string> keys;
    const auto snapshots = (*client)->snapshots().list(soon(), "overlayfs");
    for (const auto& snapshot : *snapshots) {
      if (snapshot.kind == ctrd::SnapshotKind::kActive) keys.push_back(snapshot.name);
    }
    return keys;
  };
  const Deadline patience = Deadline::after_ms(5000);
  while (!left().empty() && !patience.has_passed()) ::usleep(50'000);
  EXPECT_THAT(left(), IsEmpty());
  // So may a process that a runtime has made for it.
  const std::string group = sys::root_cgroup(engine_->context().ns);
  const Deadline more_patience = Deadline::after_ms(20'000);
  const auto groups = [&] {
    std::set<std::string> names = sys::cgroups_in(group);
    std::erase_if(names, [](const std::string& name) { return name.size() < 64; });
    return names;
  };
  while (!groups().empty() && !more_patience.has_passed()) ::usleep(50'000);
  EXPECT_THAT(groups(), IsEmpty());
}

TEST_F(ContainerManagerTest, RunningRowOfAnEarlierBootHasEnded) {
  const std::string id = create({"true"});
  EXPECT_EQ(run(id), 0);
  {
    auto transaction = engine_->context().db->begin(store::Durability::kBootScoped, soon());
    ASSERT_TRUE(transaction
                    ->run("UPDATE containers SET state = 'running', owner_token = 'gone', boot_id = 'old', "
                          "finished_ns = NULL WHERE id = ?1",
                          id)
                    .is_ok());
    ASSERT_TRUE(transaction->commit().is_ok());
  }
  engine_.reset();
  engine_ = open_engine();
  EXPECT_EQ(inspect(id).state.status, "exited");
  EXPECT_EQ(inspect(id).state.exit_code, 255);
  remove(id);
}

TEST_F(ContainerManagerTest, AutoRemoveLeavesNothing) {
  constexpr int kRounds = 3;
  constexpr int kSideBySide = 4;
  const auto one = [&] {
    const std::string id =
        create({"sh", "-c", "exit 7"}, [](auto& config) { config.host_config->auto_remove = true; });
    const StreamPtr wait = open_wait(id, "removed");
    ASSERT_TRUE(start(id).is_ok());
    EXPECT_EQ(exit_code(*wait), 7);
    EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/root/containers/" + id));
    const auto client = engine_->context().ctrd(soon());
    EXPECT_EQ((*client)->snapshots().mounts(soon(), "overlayfs", id).code(), Code::kNotFound);
    EXPECT_EQ((*client)->containers().get(soon(), ContainerId(id)).code(), Code::kNotFound);
  };
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kSideBySide; ++i) threads.emplace_back(one);
    for (std::thread& thread : threads) thread.join();
  }
  const std::string ns = engine_->context().ns;
  engine_.reset();  // waits for what containerd has still to do
  const auto client = ctrd::Client::connect(containerd().socket_path(), ns, soon().deadline);
  ASSERT_TRUE(client.is_ok());
  EXPECT_THAT(*(*client)->tasks().list(soon()), IsEmpty());
  const std::string bundles = containerd().dir() + "/state/io.containerd.runtime.v2.task/" + ns;
  EXPECT_TRUE(!std::filesystem::exists(bundles) || std::filesystem::is_empty(bundles));
}

TEST_F(ContainerManagerTest, AutoRemoveEndsWithTheBoot) {
  const std::string id = create({"true"}, [](auto& config) { config.host_config->auto_remove = true; });
  const std::string stays = create({"true"});
  {
    auto transaction = engine_->context().db->begin(store::Durability::kBootScoped, soon());
    ASSERT_TRUE(transaction->run("UPDATE containers SET boot_id = 'old'").is_ok());
    ASSERT_TRUE(transaction->commit().is_ok());
  }
  engine_.reset();
  engine_ = open_engine();
  EXPECT_EQ(engine_->container_inspect(id, {}, soon()).code(), Code::kNotFound);
  const auto client = engine_->context().ctrd(soon());
  const auto snapshots = (*client)->snapshots().list(soon(), "overlayfs");
  ASSERT_TRUE(snapshots.is_ok());
  for (const auto& snapshot : *snapshots) EXPECT_NE(snapshot.name, id);
  EXPECT_EQ(inspect(stays).state.status, "created");
  remove(stays);
}

TEST_F(ContainerManagerTest, FolderWithoutContainerGoes) {
  const std::string stray = dir_ + "/root/containers/" + std::string(64, 'a');
  std::filesystem::create_directories(stray);
  std::ofstream(stray + "/hosts") << "x";
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(start(id).is_ok());  // brings the keeper, which tidies up
  const Deadline patience = Deadline::after_ms(5000);
  while (std::filesystem::exists(stray) && !patience.has_passed()) ::usleep(20'000);
  EXPECT_FALSE(std::filesystem::exists(stray));
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/root/containers/" + id + "/hosts"));
  remove(id, true);
}

TEST_F(ContainerManagerTest, ContainerdRestartsUnderARunningContainer) {
  const std::string id = create({"sh", "-c", "sleep 1; exit 8"});
  ASSERT_TRUE(start(id).is_ok());
  const StreamPtr wait = open_wait(id);
  ASSERT_TRUE(containerd().kill_hard().is_ok());
  ASSERT_TRUE(containerd().restart().is_ok());
  EXPECT_EQ(exit_code(*wait), 8);
  remove(id);
}

}  // namespace
}  // namespace pouch
