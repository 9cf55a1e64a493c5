// The client against a real containerd: everything but tasks and events.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/scope_guard.h"
#include "core/ctrd/client.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/content.h"
#include "core/ctrd/diff.h"
#include "core/ctrd/grpc_status.h"
#include "core/ctrd/images.h"
#include "core/ctrd/introspection.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/namespaces.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/ctrd/testing/test_image.h"
#include "core/ctrd/version.h"

namespace pouch::ctrd {
namespace {

using testing::import_busybox;
using testing::kSnapshotter;
using testing::PrivateContainerd;

const Labels kKeep{{"containerd.io/gc.root", "test"}};

class CtrdTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PrivateContainerd::start();
    if (started.is_ok()) {
      containerd = std::move(started).value();
    } else {
      why = started.status();
    }
  }
  static void TearDownTestSuite() { containerd.reset(); }

  void SetUp() override {
    if (why.code() == Code::kNotImplemented) GTEST_SKIP() << why.message();
    ASSERT_TRUE(containerd) << why.to_string();
    auto connected = Client::connect(containerd->socket_path(), "pouch-test", Deadline::after_ms(10'000));
    ASSERT_TRUE(connected.is_ok()) << connected.status().to_string();
    client = *connected;
  }

  Descriptor describe(const std::string& bytes) {
    return {.media_type = "text/plain",
            .digest = Digest(sha256_digest(bytes)),
            .size = static_cast<int64_t>(bytes.size()),
            .annotations = {}};
  }

  static std::unique_ptr<PrivateContainerd> containerd;
  static Status why;
  std::shared_ptr<Client> client;
  Call call;
};

std::unique_ptr<PrivateContainerd> CtrdTest::containerd;
Status CtrdTest::why;

TEST(CtrdConnect, AbsentSocketIsUnavailableAndNamesIt) {
  const auto client = Client::connect("/nonexistent/c.sock", "x", Deadline::after_ms(60));
  ASSERT_EQ(client.code(), Code::kUnavailable);
  EXPECT_EQ(client.status().message(),
            "containerd: health.check: connect to \"/nonexistent/c.sock\": No "
            "such file or directory");
}

TEST(CtrdConnect, BadArguments) {
  EXPECT_EQ(Client::connect(std::string(108, 'x'), "x", Deadline::after_ms(50)).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Client::connect("/x", "", Deadline::after_ms(50)).code(), Code::kInvalidArgument);
}

TEST(GrpcStatus, CodesAndMessages) {
  EXPECT_EQ(code_of_grpc(0), Code::kOk);
  EXPECT_EQ(code_of_grpc(5), Code::kNotFound);
  EXPECT_EQ(code_of_grpc(9), Code::kConflict);
  EXPECT_EQ(code_of_grpc(12), Code::kNotImplemented);
  EXPECT_EQ(code_of_grpc(14), Code::kUnavailable);
  EXPECT_EQ(code_of_grpc(16), Code::kUnauthenticated);
  EXPECT_EQ(code_of_grpc(17), Code::kInternal);
  EXPECT_EQ(status_of_grpc(2, "write /x: no space left on device").code(), Code::kResourceExhausted);
  EXPECT_EQ(status_of_grpc(2, "write cgroup.procs: no space left on device").code(), Code::kInternal);
  EXPECT_EQ(status_of_grpc(5, "no space left on device").code(), Code::kNotFound);
  EXPECT_EQ(code_of_grpc(-1), Code::kInternal);
  EXPECT_EQ(percent_decode("a%20b%C3%A9%"), "a b\xC3\xA9%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%41"), "%zzA");
}

TEST_F(CtrdTest, VersionAndPlugins) {
  const auto version = client->version().get(call);
  ASSERT_TRUE(version.is_ok()) << version.status().to_string();
  EXPECT_FALSE(version->version.empty());
  const auto overlay = client->introspection().plugin(call, "io.containerd.snapshotter.v1", kSnapshotter);
  ASSERT_TRUE(overlay.is_ok()) << overlay.status().to_string();
  EXPECT_TRUE(overlay->exports.contains("root"));
  EXPECT_EQ(client->introspection().plugin(call, "io.containerd.snapshotter.v1", "zfs").code(),
            Code::kNotFound);
  EXPECT_FALSE(client->introspection().server_uuid(call)->empty());
}

TEST_F(CtrdTest, Namespaces) {
  ASSERT_TRUE(client->namespaces().create(call, "ns-a", {{"k", "v"}}).is_ok());
  EXPECT_EQ(client->namespaces().create(call, "ns-a").code(), Code::kAlreadyExists);
  EXPECT_EQ(client->namespaces().get(call, "ns-a")->labels.at("k"), "v");
  EXPECT_TRUE(client->namespaces().remove(call, "ns-a").is_ok());
  EXPECT_TRUE(client->namespaces().get(call, "ns-a")->labels.empty());
  EXPECT_EQ(client->namespaces().remove(call, "ns-a").code(), Code::kNotFound);
}

TEST_F(CtrdTest, ErrorsNameCallObjectAndReason) {
  const auto missing = client->containers().get(call, ContainerId("nobody"));
  ASSERT_EQ(missing.code(), Code::kNotFound);
  EXPECT_TRUE(missing.status().message().starts_with("containerd: containers.get on \"nobody\": "))
      << missing.status().message();
  EXPECT_EQ(client->containers().get(call, ContainerId("bad id!")).code(), Code::kNotFound);
  ContainerRecord bad;
  bad.id = ContainerId("bad id!");
  EXPECT_EQ(client->containers().create(call, bad).code(), Code::kInvalidArgument);
}

TEST_F(CtrdTest, BlobWriteReadAndExists) {
  std::string bytes(3'500'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 7);
  const Descriptor blob = describe(bytes);
  Content& content = client->content();
  ASSERT_TRUE(content.write_blob(call, "big", blob, bytes, kKeep).is_ok());
  EXPECT_EQ(content.info(call, blob.digest)->size, blob.size);
  EXPECT_EQ(content.info(call, blob.digest)->labels, kKeep);
  EXPECT_EQ(content.read_all(call, blob.digest, 4'000'000).value(), bytes);
  EXPECT_EQ(content.read_all(call, blob.digest, 1000).code(), Code::kResourceExhausted);
  std::string middle;
  ASSERT_TRUE(content
                  .read(call, blob.digest, 2'000'000, 1234,
                        [&](std::string_view piece) {
                          middle += piece;
                          return Status();
                        })
                  .is_ok());
  EXPECT_EQ(middle, bytes.substr(2'000'000, 1234));
  // Again, with another label: ok, and the label is there.
  ASSERT_TRUE(content.write_blob(call, "again", blob, bytes, {{"second", "2"}}).is_ok());
  const auto info = content.info(call, blob.digest);
  EXPECT_EQ(info->labels.at("second"), "2");
  EXPECT_EQ(info->labels.size(), 2U);
  ASSERT_TRUE(content.update_labels(call, blob.digest, {{"second", ""}}).is_ok());
  EXPECT_EQ(content.list(call, {"labels.second==2"})->size(), 0U);
  EXPECT_EQ(content.list(call, {"digest==" + blob.digest.str()})->size(), 1U);
  EXPECT_TRUE(content.remove(call, blob.digest).is_ok());
  EXPECT_EQ(content.remove(call, blob.digest).code(), Code::kNotFound);
}

TEST_F(CtrdTest, BlobResumeAndAbort) {
  const std::string bytes = "the first half, the second half";
  const Descriptor blob = describe(bytes);
  Content& content = client->content();
  {
    auto writer = content.open_writer(call, "resume", blob.size, blob.digest);
    ASSERT_TRUE(writer.is_ok()) << writer.status().to_string();
    ASSERT_TRUE(writer->write(call, bytes.substr(0, 15)).is_ok());
    EXPECT_EQ(writer->offset(), 15);
  }
  EXPECT_EQ(content.status(call, "resume")->offset, 15);
  EXPECT_EQ(content.list_ingests(call)->size(), 1U);
  {
    auto writer = content.open_writer(call, "resume", blob.size, blob.digest);  // waits for the dropped one
    ASSERT_TRUE(writer.is_ok()) << writer.status().to_string();
    ASSERT_EQ(writer->offset(), 15);
    ASSERT_TRUE(writer->write(call, bytes.substr(15)).is_ok());
    ASSERT_TRUE(writer->commit(call, blob.size, blob.digest, kKeep).is_ok());
    EXPECT_EQ(writer->write(call, "x").code(), Code::kClosed);
  }
  EXPECT_EQ(*content.read_all(call, blob.digest, 100), bytes);
  auto again = content.open_writer(call, "resume", blob.size, blob.digest);
  ASSERT_TRUE(again.is_ok());
  EXPECT_TRUE(again->exists());
  EXPECT_EQ(content.abort(call, "nothing").code(), Code::kNotFound);
}

TEST_F(CtrdTest, WrongDigestIsRefused) {
  const Descriptor blob = describe("what was promised");
  auto writer = client->content().open_writer(call, "wrong", 0, {});
  ASSERT_TRUE(writer.is_ok());
  ASSERT_TRUE(writer->write(call, "what came instead").is_ok());
  EXPECT_EQ(writer->commit(call, blob.size, blob.digest).code(), Code::kConflict);
  EXPECT_EQ(client->content().info(call, blob.digest).code(), Code::kNotFound);
  const Deadline limit = Deadline::after_ms(2000);
  Status aborted = client->content().abort(call, "wrong");
  while (!aborted.is_ok() && !limit.has_passed()) aborted = client->content().abort(call, "wrong");
  EXPECT_TRUE(aborted.is_ok()) << aborted.to_string();
}

TEST_F(CtrdTest, LockedRefWaitsThenSaysSo) {
  auto holder = client->content().open_writer(call, "locked", 5, {});
  ASSERT_TRUE(holder.is_ok());
  Call brief;
  brief.deadline = Deadline::after_ms(150);
  const auto second = client->content().open_writer(brief, "locked", 5, {});
  EXPECT_TRUE(second.code() == Code::kUnavailable || second.code() == Code::kDeadlineExceeded)
      << second.status().to_string();
  std::thread releaser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    holder = Status(Code::kClosed, "dropped");
  });
  EXPECT_TRUE(client->content().open_writer(call, "locked", 5, {}).is_ok());
  releaser.join();
}

TEST_F(CtrdTest, LayersAndSnapshots) {
  const auto layer = import_busybox(*client, containerd->dir());
  if (layer.code() == Code::kNotImplemented) GTEST_SKIP() << layer.status().message();
  ASSERT_TRUE(layer.is_ok()) << layer.status().to_string();
  Snapshots& snapshots = client->snapshots();
  EXPECT_EQ(snapshots.stat(call, kSnapshotter, layer->snapshot)->kind, SnapshotKind::kCommitted);
  EXPECT_GT(snapshots.usage(call, kSnapshotter, layer->snapshot)->size, 100'000);
  const auto mounts = snapshots.prepare(call, kSnapshotter, "work", layer->snapshot, kKeep);
  ASSERT_TRUE(mounts.is_ok()) << mounts.status().to_string();
  ASSERT_EQ(mounts->size(), 1U);
  EXPECT_EQ(mounts->front().type, "overlay");
  EXPECT_EQ(snapshots.mounts(call, kSnapshotter, "work")->front().options, mounts->front().options);
  EXPECT_EQ(snapshots.prepare(call, kSnapshotter, "work", layer->snapshot).code(), Code::kAlreadyExists);
  EXPECT_EQ(snapshots.prepare(call, kSnapshotter, "x", "no-parent").code(), Code::kNotFound);
  EXPECT_EQ(snapshots.remove(call, kSnapshotter, layer->snapshot).code(), Code::kConflict);
  ASSERT_TRUE(snapshots.update_labels(call, kSnapshotter, "work", {{"a", "b"}}).is_ok());
  EXPECT_EQ(snapshots.list(call, kSnapshotter, {"labels.a==b"})->size(), 1U);
  EXPECT_TRUE(snapshots.view(call, kSnapshotter, "look", layer->snapshot, kKeep).is_ok());
  const auto changes = client->diff().diff(call, *snapshots.mounts(call, kSnapshotter, "look"),
                                           *snapshots.mounts(call, kSnapshotter, "work"),
                                           {.media_type = {}, .ref = {}, .labels = kKeep});
  ASSERT_TRUE(changes.is_ok()) << changes.status().to_string();
  EXPECT_GT(changes->size, 0);
  EXPECT_TRUE(snapshots.remove(call, kSnapshotter, "look").is_ok());
  EXPECT_TRUE(snapshots.remove(call, kSnapshotter, "work").is_ok());
  EXPECT_EQ(snapshots.stat(call, "no-such", "x").code(), Code::kInvalidArgument);
}

TEST_F(CtrdTest, ImagesPutAndRemove) {
  ImageRecord image;
  image.name = "docker.io/library/test:1";
  image.labels = {{"l", "1"}};
  image.target = describe("a manifest");
  ASSERT_TRUE(client->content().write_blob(call, "m", image.target, "a manifest").is_ok());
  EXPECT_EQ(client->images().update(call, image).code(), Code::kNotFound);
  ASSERT_TRUE(client->images().put(call, image).is_ok());
  EXPECT_EQ(client->images().create(call, image).code(), Code::kAlreadyExists);
  image.labels = {{"l", "2"}};
  ASSERT_TRUE(client->images().put(call, image).is_ok());
  const auto got = client->images().get(call, image.name);
  ASSERT_TRUE(got.is_ok());
  EXPECT_EQ(got->labels, image.labels);
  EXPECT_EQ(got->target.digest, image.target.digest);
  EXPECT_FALSE(got->created_at.is_zero());
  EXPECT_EQ(client->images().list(call, {"name==" + image.name})->size(), 1U);
  ASSERT_TRUE(client->images().remove(call, image.name, true).is_ok());
  EXPECT_EQ(client->content().info(call, image.target.digest).code(), Code::kNotFound);  // gc has run
}

TEST_F(CtrdTest, LeaseKeepsUntilItEnds) {
  const Labels mine{{"pouch.test", "lease"}};
  auto lease = HeldLease::create(call, client, Duration{.ns = 3'600'000'000'000}, mine);
  ASSERT_TRUE(lease.is_ok()) << lease.status().to_string();
  const auto leases = client->leases().list(call, {"labels.\"pouch.test\"==lease"});
  ASSERT_EQ(leases->size(), 1U);
  EXPECT_EQ(leases->front().id, lease->id());
  EXPECT_TRUE(leases->front().labels.contains("containerd.io/gc.expire"));
  const Descriptor blob = describe("kept by a lease");
  ASSERT_TRUE(lease->client()->content().write_blob(call, "leased", blob, "kept by a lease").is_ok());
  // A collection in between takes nothing.
  ASSERT_TRUE(client->leases().create(call, "other", {}, mine).is_ok());
  ASSERT_TRUE(client->leases().remove(call, "other", true).is_ok());
  EXPECT_TRUE(client->content().info(call, blob.digest).is_ok());
  EXPECT_TRUE(lease->end(call, true).is_ok());
  EXPECT_EQ(client->content().info(call, blob.digest).code(), Code::kNotFound);
}

#ifdef POUCH_FAULTS
TEST_F(CtrdTest, ALeaseWhoseCreationFailedIsNotLeft) {
  const std::string control = containerd->dir() + "/faults";
  const ScopeGuard no_faults([] { set_fault_file(""); });
  for (const char* fault :
       {"fail:Unavailable * rpc.leases.create.after 1", "fail:EIO * rpc.leases.create.after 1",
        "fail:Unavailable * rpc.leases.delete.before 1"}) {
    std::filesystem::remove(control + ".fired-1");
    std::ofstream(control) << fault << "\n";
    set_fault_file(control);
    HeldLease::create({}, client, Duration{60'000'000'000}, {}).status().ignore();
    set_fault_file("");
    EXPECT_TRUE(std::filesystem::exists(control + ".fired-1")) << fault;
    EXPECT_TRUE(client->leases().list(Call{})->empty()) << fault;
  }
}
#endif

TEST_F(CtrdTest, ContainerRecords) {
  ContainerRecord record;
  record.id = ContainerId("record-1");
  record.labels = {{"a", "1"}, {"b", "2"}};
  record.runtime_name = "io.containerd.runc.v2";
  record.runtime_options = RuncOptions{.binary_name = "crun", .root = "/run/x"};
  record.spec_json = R"({"ociVersion":"1.0.2"})";
  ASSERT_TRUE(client->containers().create(call, record).is_ok());
  EXPECT_EQ(client->containers().create(call, record).code(), Code::kAlreadyExists);
  ASSERT_TRUE(client->containers().update_labels(call, record.id, {{"a", ""}, {"c", "3"}}).is_ok());
  ASSERT_TRUE(client->containers().update_spec(call, record.id, R"({"ociVersion":"1.1.0"})").is_ok());
  const auto got = client->containers().get(call, record.id);
  ASSERT_TRUE(got.is_ok()) << got.status().to_string();
  EXPECT_EQ(got->labels, (Labels{{"b", "2"}, {"c", "3"}}));
  EXPECT_EQ(got->spec_json, R"({"ociVersion":"1.1.0"})");
  EXPECT_EQ(got->runtime_options->binary_name, "crun");
  EXPECT_EQ(got->runtime_options->root, "/run/x");
  EXPECT_EQ(client->containers().list(call, {"labels.c==3"})->size(), 1U);
  EXPECT_EQ(client->with_namespace("elsewhere")->containers().list(call)->size(), 0U);
  EXPECT_TRUE(client->containers().remove(call, record.id).is_ok());
  EXPECT_EQ(client->containers().remove(call, record.id).code(), Code::kNotFound);
}

TEST_F(CtrdTest, FiredTokenAndPassedDeadlineAreSeenBeforeTheCall) {
  Call cancelled;
  cancelled.cancel = std::make_shared<CancelToken>();
  cancelled.cancel->fire();
  EXPECT_EQ(client->version().get(cancelled).code(), Code::kCancelled);
  EXPECT_EQ(client->content().list(cancelled).code(), Code::kCancelled);
  Call late;
  late.deadline = Deadline::at_boot_ns(1);
  EXPECT_EQ(client->version().get(late).code(), Code::kDeadlineExceeded);
}

TEST_F(CtrdTest, ManyThreadsShareOneClient) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) good += client->version().get(Call()).is_ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

TEST_F(CtrdTest, ForkedChildIsToldAndMayOpenItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer forbids threads in a forked child";
#endif
  std::atomic<bool> stop = false;
  std::atomic<int> bad = 0;
  std::thread busy([&] {
    while (!stop) bad += client->version().get(Call()).is_ok() ? 0 : 1;
  });
  for (int round = 0; round < 5; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      const std::string path = client->socket_path();
      const bool told = client->version().get(Call()).code() == Code::kForked &&
                        client->content().list(Call()).code() == Code::kForked;
      client.reset();  // must not hang or harm the parent
      const auto own = Client::connect(path, "child", Deadline::after_ms(10'000));
      ::_exit(told && own.is_ok() && (*own)->version().get(Call()).is_ok() ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace pouch::ctrd
