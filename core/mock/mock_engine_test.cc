#include "core/mock/mock_engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "core/api/codec.h"
#include "core/mock/mock_process.h"

namespace pouch {
namespace {

// A tar archive of one file.
std::string tar_of(const std::string& name, const std::string& content) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  std::array<char, 13> size{};
  std::snprintf(size.data(), size.size(), "%011o", static_cast<unsigned>(content.size()));
  header.replace(124, 11, size.data(), 11);
  header.replace(257, 5, "ustar");
  return header + content + std::string((512 - content.size() % 512) % 512, '\0') + std::string(1024, '\0');
}

class MockEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    api::ImageFromRootfsOptions options;
    options.reference = "busybox";
    options.cmd = {{"sh"}};
    StreamPtr stream = *engine_->image_from_rootfs(options, {});
    ASSERT_TRUE(stream->write(tar_of("bin/busybox", "x"), Deadline::never()).is_ok());
    ASSERT_TRUE(stream->close_write().is_ok());
    ASSERT_TRUE(stream->finish({}).is_ok());
  }

  std::string create(const std::string& script, const std::string& name = {}) {
    api::ContainerCreateConfig config;
    config.image = "busybox";
    config.cmd = {{"sh", "-c", script}};
    config.open_stdin = true;
    config.stdin_once = true;
    config.host_config = api::HostConfig{};
    config.host_config->network_mode = "none";
    api::ContainerCreateOptions options;
    if (!name.empty()) options.name = name;
    auto made = engine_->container_create(config, options, {});
    EXPECT_TRUE(made.is_ok()) << made.status().message();
    return made->id;
  }

  std::string read_all(Stream& stream, Channel channel) {
    std::string all;
    Frame frame;
    while (true) {
      const auto next = stream.next(&frame, Deadline::after_ms(5000));
      if (!next.is_ok() || *next != Next::kFrame) return all;
      if (frame.channel == channel) all += frame.data;
    }
  }

  std::unique_ptr<MockEngine> engine_ = *MockEngine::open("mock://");
};

TEST_F(MockEngineTest, RunsAndKeepsLogs) {
  const std::string id = create("echo out; echo err >&2; exit 7");
  StreamPtr wait = *engine_->container_wait(id, {.condition = "next-exit"}, {});
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  EXPECT_EQ(read_all(*wait, Channel::kMessage), "{\"StatusCode\":7}");
  api::ContainerLogsOptions logs;
  logs.stderr = true;
  StreamPtr stream = *engine_->container_logs(id, logs, {});
  EXPECT_EQ(read_all(*stream, Channel::kStderr), "err\n");
  EXPECT_EQ(engine_->container_inspect(id, {}, {})->state.exit_code, 7);
  EXPECT_TRUE(engine_->container_remove(id, {}, {}).is_ok());
  EXPECT_EQ(engine_->container_inspect(id, {}, {}).code(), Code::kNotFound);
}

TEST_F(MockEngineTest, AttachBeforeStartCarriesStdin) {
  const std::string id = create("cat");
  api::ContainerAttachOptions options;
  options.stream = options.stdin = options.stdout = true;
  StreamPtr stream = *engine_->container_attach(id, options, {});
  ASSERT_TRUE(stream->write("hello", Deadline::never()).is_ok());
  ASSERT_TRUE(stream->close_write().is_ok());
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  EXPECT_EQ(read_all(*stream, Channel::kStdout), "hello");
}

TEST_F(MockEngineTest, StopsKillsAndRefuses) {
  const std::string id = create("sleep 100", "one");
  EXPECT_EQ(engine_->container_stop(id, {}, {}).code(), Code::kNotModified);
  ASSERT_TRUE(engine_->container_start("one", {}, {}).is_ok());
  EXPECT_EQ(engine_->container_remove("one", {}, {}).code(), Code::kConflict);
  EXPECT_EQ(engine_->container_kill("one", {.signal = "NOPE"}, {}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(engine_->container_stop("one", {}, {}).is_ok());
  EXPECT_EQ(engine_->container_inspect("one", {}, {})->state.exit_code, 143);
  EXPECT_EQ(engine_->container_rename("one", {.name = "one"}, {}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(engine_->container_rename("one", {.name = "two"}, {}).is_ok());
}

TEST_F(MockEngineTest, ExecsInARunningContainer) {
  const std::string id = create("sleep 100");
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  api::ExecConfig config;
  config.cmd = {{"sh", "-c", "echo in; exit 3"}};
  config.attach_stdout = true;
  const std::string exec = engine_->exec_create(id, config, {})->id;
  StreamPtr stream = *engine_->exec_start(exec, {}, {});
  EXPECT_EQ(read_all(*stream, Channel::kStdout), "in\n");
  EXPECT_EQ(*stream->finish({}), "{\"ExitCode\":3}");
  EXPECT_EQ(*engine_->exec_inspect(exec, {})->exit_code, 3);
  EXPECT_EQ(engine_->exec_start(exec, {}, {}).code(), Code::kConflict);
}

TEST_F(MockEngineTest, TerminalEchoesAndIsLeftByKeys) {
  api::ContainerCreateConfig config;
  config.image = "busybox";
  config.cmd = {{"cat"}};
  config.tty = config.open_stdin = true;
  config.host_config.emplace().network_mode = "none";
  const std::string id = engine_->container_create(config, {}, {})->id;
  api::ContainerAttachOptions options;
  options.stream = options.stdin = options.stdout = true;
  StreamPtr stream = *engine_->container_attach(id, options, {});
  EXPECT_EQ(stream->resize(1, 2).code(), Code::kConflict);
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  EXPECT_TRUE(stream->resize(1, 2).is_ok());
  ASSERT_TRUE(stream->write("\x10\x11", Deadline::never()).is_ok());
  EXPECT_EQ(*stream->finish({}), "{\"Detached\":true}");
  EXPECT_TRUE(engine_->container_inspect(id, {}, {})->state.running);

  StreamPtr again = *engine_->container_attach(id, options, {});
  ASSERT_TRUE(again->write("hi\x7f\x7fyo\r\x04", Deadline::never()).is_ok());
  EXPECT_EQ(read_all(*again, Channel::kStdout), "hi\b \b\b \byo\r\nyo\r\n");
  EXPECT_EQ(*again->finish({}), "{}");
}

TEST(MockProcessTest, WhatIsTypedIsShownBeforeItIsAnswered) {
  std::mutex mutex;
  std::string shown;
  std::promise<void> ended;
  std::unique_ptr<mock::MockProcess> process;
  mock::MockProcess::Hooks hooks;
  hooks.output = [&](Channel, const std::string& bytes) {
    if (bytes == "\r\n") {
      // Whoever reads has every chance to be first.
      process->signal(0);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const std::lock_guard lock(mutex);
    shown += bytes;
  };
  hooks.exited = [&](int) { ended.set_value(); };
  process = std::make_unique<mock::MockProcess>(std::vector<std::string>{"cat"}, true, mock::TerminalSize{},
                                                std::move(hooks));
  process->start();
  process->write_stdin("hi\n");
  process->write_stdin("\x04");
  ended.get_future().wait();
  EXPECT_EQ(shown, "hi\r\nhi\r\n");
}

TEST_F(MockEngineTest, CtrlCEndsWhatRunsOnATerminal) {
  api::ContainerCreateConfig config;
  config.image = "busybox";
  config.cmd = {{"sleep", "100"}};
  config.tty = config.open_stdin = true;
  config.host_config.emplace().network_mode = "none";
  const std::string id = engine_->container_create(config, {}, {})->id;
  api::ContainerAttachOptions options;
  options.stream = options.stdin = options.stdout = true;
  StreamPtr stream = *engine_->container_attach(id, options, {});
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  ASSERT_TRUE(stream->write("\x03", Deadline::never()).is_ok());
  EXPECT_EQ(read_all(*stream, Channel::kStdout), "^C");
  EXPECT_EQ(engine_->container_inspect(id, {}, {})->state.exit_code, 130);
}

TEST_F(MockEngineTest, TellsEventsInOrder) {
  const std::string id = create("true");
  api::SystemEventsOptions options;
  options.since = Timestamp{0};
  options.filters = {{{"container", {id}}}};
  StreamPtr stream = *engine_->system_events(options, {});
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  std::vector<std::string> actions;
  Frame frame;
  while (actions.size() < 3 && *stream->next(&frame, Deadline::after_ms(5000)) == Next::kFrame) {
    actions.push_back((*parse_json(frame.data))["Action"].asString());
  }
  EXPECT_EQ(actions, (std::vector<std::string>{"create", "start", "die"}));
  stream->cancel();
}

TEST(MockUri, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(MockEngine::open("mock:///path").code(), Code::kInvalidArgument);
  EXPECT_EQ(MockEngine::open("mock://?wrong=everything").code(), Code::kInvalidArgument);
  EXPECT_TRUE(MockEngine::open("mock://?wrong=exit-code").is_ok());
}

TEST_F(MockEngineTest, WhatASessionMadeGoesWithIt) {
  StreamPtr session = *engine_->system_session({});
  Frame frame;
  ASSERT_EQ(*session->next(&frame, Deadline::after_ms(5000)), Next::kFrame);
  Call call;
  call.session = api::parse_document<api::SessionMessage>(frame.data)->id;
  EXPECT_EQ(*session->next(&frame, Deadline::after_ms(0)), Next::kAgain);

  const std::string kept = create("true");
  api::ContainerCreateConfig config;
  config.image = "busybox";
  config.cmd = {{"sh", "-c", "sleep 1000"}};
  config.host_config.emplace().network_mode = "none";
  const std::string gone = engine_->container_create(config, {}, call)->id;
  ASSERT_TRUE(engine_->container_start(gone, {}, {}).is_ok());
  api::ImageTagOptions tag;
  tag.repo = "other";
  ASSERT_TRUE(engine_->image_tag("busybox", tag, call).is_ok());

  session->cancel();
  EXPECT_EQ(engine_->container_inspect(gone, {}, {}).code(), Code::kNotFound);
  EXPECT_TRUE(engine_->container_inspect(kept, {}, {}).is_ok());
  EXPECT_EQ(engine_->image_inspect("other", {}, {}).code(), Code::kNotFound);
  EXPECT_TRUE(engine_->image_inspect("busybox", {}, {}).is_ok());
  EXPECT_EQ(engine_->container_create(config, {}, call).code(), Code::kClosed);
}

}  // namespace
}  // namespace pouch
