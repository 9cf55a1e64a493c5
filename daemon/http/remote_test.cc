#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <thread>

#include "core/mock/mock_engine.h"
#include "core/remote/remote_engine.h"
#include "daemon/http/api_handler.h"
#include "daemon/http/server.h"

// RemoteEngine against the server: what goes in at one end comes out at the other.

namespace pouch::http {
namespace {

class RemoteTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "pouch-http-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    mock_ = std::move(MockEngine::open("mock://").value());
    handler_ = std::make_unique<ApiHandler>(*mock_, watch_);
    ServerOptions options;
    options.listen = {"unix://" + folder_ + "/s"};
    server_ = std::move(
        Server::start(std::move(options), [this](Exchange& exchange) { handler_->serve(exchange); }).value());
    engine_ = std::move(remote::RemoteEngine::open("unix://" + folder_ + "/s").value());
    make_image();
  }
  void TearDown() override {
    engine_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void make_image() {
    std::string tar(512, '\0');
    tar.replace(0, 1, "x");
    tar.replace(124, 11, "00000000000");
    tar.replace(257, 5, "ustar");
    tar.append(1024, '\0');
    api::ImageFromRootfsOptions options;
    options.reference = "busybox";
    options.env = {{"A=b & c", "D=/é"}};
    Result<StreamPtr> stream = engine_->image_from_rootfs(options, {});
    ASSERT_TRUE(stream.is_ok()) << stream.status().to_string();
    ASSERT_TRUE((*stream)->write(tar, Deadline::never()).is_ok());
    ASSERT_TRUE((*stream)->close_write().is_ok());
    const Result<std::string> result = (*stream)->finish({});
    ASSERT_TRUE(result.is_ok()) << result.status().to_string();
    EXPECT_NE(result->find("busybox:latest"), std::string::npos);
  }

  std::string create(const std::vector<std::string>& cmd, bool with_input = false) {
    api::ContainerCreateConfig config;
    config.image = "busybox";
    config.cmd = cmd;
    config.open_stdin = with_input;
    config.stdin_once = with_input;
    config.host_config.emplace().network_mode = "none";
    const auto made = engine_->container_create(config, {}, {});
    EXPECT_TRUE(made.is_ok()) << made.status().to_string();
    return made.is_ok() ? made->id : "";
  }

  StreamPtr attach(const std::string& id) {
    api::ContainerAttachOptions options;
    options.stream = options.stdin = options.stdout = options.stderr = true;
    Result<StreamPtr> stream = engine_->container_attach(id, options, {});
    EXPECT_TRUE(stream.is_ok()) << stream.status().to_string();
    return std::move(*stream);
  }

  static std::string read(Stream& stream, Channel channel) {
    std::string all;
    Frame frame;
    while (true) {
      const Result<Next> next = stream.next(&frame, Deadline::after_ms(10'000));
      EXPECT_TRUE(next.is_ok()) << next.status().to_string();
      if (!next.is_ok() || *next != Next::kFrame) return all;
      if (frame.channel == channel) all += frame.data;
    }
  }

  std::string folder_;
  std::unique_ptr<MockEngine> mock_;
  DisconnectWatch watch_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(RemoteTest, DocumentsAreTheSame) {
  const std::string id = create({"true"});
  EXPECT_EQ(api::to_json_text(*engine_->container_inspect(id, {}, {})),
            api::to_json_text(*mock_->container_inspect(id, {}, {})));
  EXPECT_EQ(api::to_json_text(*engine_->image_inspect("busybox", {}, {})),
            api::to_json_text(*mock_->image_inspect("busybox", {}, {})));
  EXPECT_EQ(api::to_json_text(*engine_->system_ping({})), api::to_json_text(*mock_->system_ping({})));
  EXPECT_EQ(api::to_json_text(*engine_->system_version({})), api::to_json_text(*mock_->system_version({})));
  api::ContainerListOptions all;
  all.all = true;
  EXPECT_EQ(api::encode_value(*engine_->container_list(all, {})),
            api::encode_value(*mock_->container_list(all, {})));
}

TEST_F(RemoteTest, ErrorsAreTheSame) {
  const Status far = engine_->container_remove("nope", {}, {});
  const Status near = mock_->container_remove("nope", {}, {});
  EXPECT_EQ(far.code(), Code::kNotFound);
  EXPECT_EQ(far.code(), near.code());
  EXPECT_NE(far.message().find(near.message()), std::string::npos) << far.message();
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  EXPECT_EQ(engine_->container_start(id, {}, {}).code(), Code::kNotModified);
  EXPECT_EQ(engine_->container_remove(id, {}, {}).code(), Code::kConflict);
  EXPECT_EQ(engine_->container_logs(id, {}, {}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(engine_->container_kill(id, {}, {}).is_ok());
}

TEST_F(RemoteTest, AttachCarriesBytesBothWays) {
  const std::string id = create({"cat"}, true);
  const StreamPtr stream = attach(id);
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  std::string sent;
  for (int i = 0; i < 300'000; ++i) sent += std::to_string(i) + '\0';
  std::thread writer([&] {
    for (std::string_view rest = sent; !rest.empty();) {
      const Result<size_t> taken = stream->write(rest, Deadline::after_ms(10'000));
      ASSERT_TRUE(taken.is_ok()) << taken.status().to_string();
      rest.remove_prefix(*taken);
    }
    EXPECT_TRUE(stream->close_write().is_ok());
  });
  const std::string got = read(*stream, Channel::kStdout);
  writer.join();
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_TRUE(got == sent);
  EXPECT_TRUE(stream->finish({}).is_ok());
}

TEST_F(RemoteTest, WaitIsRegisteredWhenItIsOpen) {
  const std::string id = create({"sh", "-c", "exit 9"});
  api::ContainerWaitOptions options;
  options.condition = "next-exit";
  const StreamPtr wait = std::move(engine_->container_wait(id, options, {}).value());
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  EXPECT_EQ(read(*wait, Channel::kMessage), R"({"StatusCode":9})");
}

TEST_F(RemoteTest, ExecTellsItsExitCode) {
  const std::string id = create({"sleep", "100"});
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  api::ExecConfig config;
  config.cmd = {{"sh", "-c", "echo out; echo err >&2; exit 4"}};
  config.attach_stdout = config.attach_stderr = true;
  const auto exec = engine_->exec_create(id, config, {});
  ASSERT_TRUE(exec.is_ok()) << exec.status().to_string();
  const StreamPtr stream = std::move(engine_->exec_start(exec->id, {}, {}).value());
  EXPECT_EQ(read(*stream, Channel::kStderr), "err\n");
  EXPECT_EQ(stream->finish({}).value(), R"({"ExitCode":4})");
  EXPECT_TRUE(engine_->container_kill(id, {}, {}).is_ok());
}

TEST_F(RemoteTest, LateErrorsArriveWithTheirCode) {
  Result<StreamPtr> stream = engine_->image_load({}, {});
  ASSERT_TRUE(stream.is_ok());
  ASSERT_TRUE((*stream)->write("no tar at all", Deadline::never()).is_ok());
  ASSERT_TRUE((*stream)->close_write().is_ok());
  const Result<std::string> far = (*stream)->finish({});
  StreamPtr near = std::move(mock_->image_load({}, {}).value());
  ASSERT_TRUE(near->write("no tar at all", Deadline::never()).is_ok());
  near->close_write().ignore();
  EXPECT_EQ(far.code(), near->finish({}).code());
  EXPECT_FALSE(far.is_ok());
}

TEST_F(RemoteTest, CancelledCallsReachTheEngine) {
  const std::string id = create({"sh", "-c", "trap '' TERM; echo ready; sleep 100"});
  const StreamPtr output = attach(id);
  ASSERT_TRUE(engine_->container_start(id, {}, {}).is_ok());
  Frame ready;
  ASSERT_TRUE(output->next(&ready, Deadline::after_ms(10'000)).is_ok());
  api::ContainerStopOptions options;
  options.t = -1;
  Call call;
  call.deadline = Deadline::after_ms(200);
  const int64_t before = boot_now_ns();
  EXPECT_EQ(engine_->container_stop(id, options, call).code(), Code::kDeadlineExceeded);
  EXPECT_LT(boot_now_ns() - before, int64_t{2} * 1'000'000'000);
  EXPECT_TRUE(engine_->container_kill(id, {}, {}).is_ok());
}

TEST_F(RemoteTest, TheServersEndEndsStreams) {
  const StreamPtr events = std::move(engine_->system_events({}, {}).value());
  server_->stop();
  Frame frame;
  const Result<Next> next = events->next(&frame, Deadline::after_ms(10'000));
  EXPECT_EQ(next.code(), Code::kUnavailable) << next.status().to_string();
}

}  // namespace
}  // namespace pouch::http
