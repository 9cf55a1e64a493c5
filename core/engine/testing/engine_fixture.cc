#include "core/engine/testing/engine_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/api/codec.h"
#include "core/api/stream_pipe.h"
#include "core/io/keeper_client.h"
#include "core/sys/child.h"
#include "core/sys/mounts.h"

namespace pouch::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kApplets[] = {"sh",       "echo", "sleep", "cat",   "true", "false",
                                    "ls",       "id",   "env",   "kill",  "head", "yes",
                                    "hostname", "pwd",  "touch", "mount", "wc"};

std::unique_ptr<ctrd::testing::PrivateContainerd>& shared_containerd() {
  static std::unique_ptr<ctrd::testing::PrivateContainerd> containerd;
  return containerd;
}

void make_rootfs(const fs::path& folder) {
  for (const char* sub : {"bin", "etc", "tmp", "proc", "dev", "sys"}) fs::create_directories(folder / sub);
  fs::copy_file("/bin/busybox", folder / "bin/busybox");
  for (const char* applet : kApplets) fs::create_symlink("busybox", folder / "bin" / applet);
  std::ofstream(folder / "etc/passwd") << "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n";
  std::ofstream(folder / "etc/group") << "root:x:0:\nuser:x:1000:\n";
}

}  // namespace

void EngineTest::SetUpTestSuite() {
  auto started = ctrd::testing::PrivateContainerd::start();
  if (started.is_ok()) shared_containerd() = std::move(*started);
}

void EngineTest::TearDownTestSuite() {
  shared_containerd().reset();
}

ctrd::testing::PrivateContainerd& EngineTest::containerd() {
  return *shared_containerd();
}

void EngineTest::SetUp() {
  if (!shared_containerd()) GTEST_SKIP() << "no private containerd on this machine";
  if (!fs::exists("/bin/busybox")) GTEST_SKIP() << "needs busybox-static";
  std::string pattern = "/tmp/pouch-engine-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  dir_ = pattern;
  engine_ = open_engine();
  ASSERT_NE(engine_, nullptr);
  make_image();
}

void EngineTest::TearDown() {
  if (dir_.empty()) return;
  const std::string group = engine_ ? engine_->context().ns : std::string();
  if (engine_) remove_all_containers();
  engine_.reset();
  end_keeper();
  // A keeper that a test killed could not remove the root's cgroup parent.
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
    if (!group.empty()) ::rmdir((hierarchy.path() / group).c_str());
  }
  sys::unmount_tree(dir_).ignore();
  fs::remove_all(dir_);
}

EngineOptions EngineTest::options() const {
  EngineOptions out;
  out.root_dir = dir_ + "/root";
  out.run_dir = dir_ + "/run";
  out.containerd_address = containerd().socket_path();
  out.keeper_program = POUCH_KEEPER_PROGRAM;
  return out;
}

std::unique_ptr<LocalEngine> EngineTest::open_engine() const {
  auto engine = LocalEngine::open(options());
  EXPECT_TRUE(engine.is_ok()) << engine.status().message();
  return engine.is_ok() ? std::move(*engine) : nullptr;
}

void EngineTest::make_image() {
  const fs::path rootfs = fs::path(dir_) / "rootfs";
  make_rootfs(rootfs);
  api::ImageFromRootfsOptions from;
  from.reference = kImage;
  from.path = rootfs;
  from.cmd = {"sh"};
  from.env = {"PATH=/bin"};
  const auto stream = engine_->image_from_rootfs(from, soon());
  ASSERT_TRUE(stream.is_ok()) << stream.status().message();
  const auto made = (*stream)->finish(soon());
  ASSERT_TRUE(made.is_ok()) << made.status().message();
}

void EngineTest::remove_all_containers() {
  api::ContainerListOptions all;
  all.all = true;
  const auto list = engine_->container_list(all, soon());
  EXPECT_TRUE(list.is_ok()) << list.status().message();
  if (!list.is_ok()) return;
  for (const auto& container : *list) remove(container.id, true);
}

void EngineTest::end_keeper() {
  auto client = io::KeeperClient::connect(dir_ + "/run", Deadline::after_ms(1000));
  if (!client.is_ok()) return;
  const auto status = (*client)->status(Deadline::after_ms(30'000));
  ASSERT_TRUE(status.is_ok()) << status.status().message();
  const auto keeper = sys::open_pidfd(status->keeper_pid);
  EXPECT_TRUE((*client)->shutdown(true, Deadline::after_ms(30'000)).is_ok());
  client->reset();
  if (keeper.is_ok()) {
    EXPECT_TRUE(sys::wait_pidfd(keeper->get(), Deadline::after_ms(30'000)));
  }
}

std::string EngineTest::create(const std::vector<std::string>& command,
                               const std::function<void(api::ContainerCreateConfig&)>& change) {
  api::ContainerCreateConfig config;
  config.image = kImage;
  config.cmd = command;
  config.host_config.emplace().network_mode = "none";
  if (change) change(config);
  const auto created = engine_->container_create(config, {}, soon());
  EXPECT_TRUE(created.is_ok()) << created.status().message();
  return created.is_ok() ? created->id : std::string();
}

Status EngineTest::start(const std::string& id) {
  return engine_->container_start(id, {}, soon());
}

int64_t EngineTest::run(const std::string& id) {
  const StreamPtr wait = open_wait(id, "next-exit");
  const Status started = start(id);
  EXPECT_TRUE(started.is_ok()) << started.message();
  return started.is_ok() ? exit_code(*wait) : -1;
}

void EngineTest::remove(const std::string& id, bool force) {
  api::ContainerRemoveOptions options;
  options.force = force;
  const Status removed = engine_->container_remove(id, options, soon());
  EXPECT_TRUE(removed.is_ok()) << removed.message();
}

api::ContainerInspect EngineTest::inspect(const std::string& id) {
  const auto found = engine_->container_inspect(id, {}, soon());
  EXPECT_TRUE(found.is_ok()) << found.status().message();
  return found.is_ok() ? *found : api::ContainerInspect();
}

StreamPtr EngineTest::open_wait(const std::string& id, const std::string& condition) {
  api::ContainerWaitOptions options;
  options.condition = condition;
  auto stream = engine_->container_wait(id, options, soon());
  EXPECT_TRUE(stream.is_ok()) << stream.status().message();
  // A stream without a message makes the reader fail rather than crash.
  return stream.is_ok() ? std::move(*stream) : single_message_stream("{}");
}

int64_t EngineTest::exit_code(Stream& wait) {
  Frame frame;
  const auto next = wait.next(&frame, Deadline::after_ms(30'000));
  EXPECT_TRUE(next.is_ok()) << next.status().message();
  if (!next.is_ok() || *next != Next::kFrame) {
    ADD_FAILURE() << "the wait ended without a message";
    return -1;
  }
  const auto result = api::parse_document<api::WaitResult>(frame.data);
  EXPECT_TRUE(result.is_ok()) << frame.data;
  return result.is_ok() ? result->status_code : -1;
}

std::string EngineTest::logs(const std::string& id, Channel channel) {
  api::ContainerLogsOptions options;
  options.stdout = options.stderr = true;
  const auto stream = engine_->container_logs(id, options, soon());
  EXPECT_TRUE(stream.is_ok()) << stream.status().message();
  return stream.is_ok() ? read_all(**stream, channel) : std::string();
}

std::string EngineTest::read_all(Stream& stream, Channel channel) {
  std::string all;
  Frame frame;
  while (true) {
    const auto next = stream.next(&frame, Deadline::after_ms(30'000));
    EXPECT_TRUE(next.is_ok()) << next.status().message();
    if (!next.is_ok()) return all;
    if (*next == Next::kAgain) {
      ADD_FAILURE() << "the stream did not end";
      return all;
    }
    if (*next == Next::kEof) return all;
    if (frame.channel == channel) all += frame.data;
  }
}

std::vector<std::string> EngineTest::actions(Stream& events, size_t count) {
  std::vector<std::string> out;
  Frame frame;
  while (out.size() < count) {
    const auto next = events.next(&frame, Deadline::after_ms(10'000));
    if (!next.is_ok() || *next != Next::kFrame) {
      ADD_FAILURE() << "the events ended or stood still after " << out.size();
      return out;
    }
    const auto message = api::parse_document<api::EventMessage>(frame.data);
    if (message.is_ok() && message->type == "container") out.push_back(message->action);
  }
  return out;
}

}  // namespace pouch::testing
