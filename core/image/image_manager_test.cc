#include "core/image/image_manager.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/base/executor.h"
#include "core/ctrd/client.h"
#include "core/ctrd/content.h"
#include "core/ctrd/images.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/events/event_log.h"
#include "core/image/testing_support.h"
#include "core/store/database.h"
#include "core/store/engine_context.h"

namespace pouch::image {
namespace {

namespace fs = std::filesystem;
using ctrd::testing::PrivateContainerd;
using testing::DockerImage;

Call minute() {
  Call call;
  call.deadline = Deadline::after_ms(60'000);
  return call;
}

std::string busybox() {
  std::ifstream in("/bin/busybox", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class FakeUsers final : public ImageUsers {
 public:
  Result<std::vector<ImageUse>> uses_of_image(const Digest&) override { return uses; }
  std::vector<ImageUse> uses;
};

class ImageManagerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PrivateContainerd::start();
    if (started.is_ok()) {
      containerd_ = std::move(*started);
    } else {
      why_not_ = started.status().message();
    }
  }
  static void TearDownTestSuite() { containerd_.reset(); }

  void SetUp() override {
    if (containerd_ == nullptr) GTEST_SKIP() << why_not_;
    dir_ = containerd_->dir() + "/" + random_hex(4);
    fs::create_directories(dir_);
    database_ = std::move(*store::Database::open(dir_ + "/pouch.db", Deadline::never()));
    events_ = std::move(*events::EventLog::open(*database_, dir_ + "/bell"));
    context_.options.root_dir = dir_;
    context_.options.snapshotter = "overlayfs";
    context_.root_id = random_hex(6);
    context_.ns = "pouch-" + context_.root_id;
    context_.db = database_.get();
    context_.events = events_.get();
    context_.executor = &executor_;
    client_ = *ctrd::Client::connect(containerd_->socket_path(), context_.ns, Deadline::after_ms(10'000));
    context_.owner_token = "living";
    context_.is_owner_alive = [](const std::string& token) { return token == "living"; };
    context_.ctrd = [this](const Call&) { return Result<std::shared_ptr<ctrd::Client>>(client_); };
    images_ = std::make_unique<ImageManager>(context_);
    images_->set_users(&users_);
  }

  void TearDown() override {
    if (containerd_ == nullptr) return;
    auto all = images_->list({}, minute());
    users_.uses.clear();
    api::ImageRemoveOptions force;
    force.force = true;
    if (all.is_ok()) {
      for (const auto& image : *all) images_->remove(image.id, force, minute()).status().ignore();
    }
    expect_nothing_left();
    images_.reset();
  }

  void expect_nothing_left() {
    EXPECT_TRUE(client_->images().list(minute())->empty());
    EXPECT_TRUE(client_->leases().list(minute())->empty());
    // Blobs and snapshots go with the collector, which a lease's end only starts: end one and wait for it.
    auto sweep = ctrd::HeldLease::create(minute(), client_, Duration{60'000'000'000}, {{"for", "test"}});
    ASSERT_TRUE(sweep->end(minute(), true).is_ok());
    EXPECT_TRUE(client_->snapshots().list(minute(), "overlayfs")->empty());
    EXPECT_TRUE(client_->content().list(minute())->empty());
    EXPECT_TRUE(client_->content().list_ingests(minute())->empty());
  }

  struct Loaded {
    Status status;
    api::ImageLoadResult result;
    std::string lines;
  };

  static Status upload(Stream& stream, std::string_view bytes) {
    while (!bytes.empty()) {
      auto wrote = stream.write(bytes, Deadline::after_ms(30'000));
      if (!wrote.is_ok()) return wrote.status();
      bytes.remove_prefix(*wrote);
    }
    return stream.close_write();
  }

  static std::string lines_of(Stream& stream) {
    std::string lines;
    Frame frame;
    while (true) {
      auto next = stream.next(&frame, Deadline::after_ms(60'000));
      if (!next.is_ok() || *next != Next::kFrame) return lines;
      auto message = api::parse_document<api::ProgressMessage>(frame.data);
      if (message.is_ok() && message->stream) lines += *message->stream;
    }
  }

  Loaded load(const std::string& archive) {
    api::ImageLoadOptions options;
    options.quiet = true;
    auto stream = images_->load(options, minute());
    if (!stream.is_ok()) return {stream.status(), {}, {}};
    upload(**stream, archive).ignore();
    Loaded loaded;
    loaded.lines = lines_of(**stream);
    auto result = (*stream)->finish(minute());
    loaded.status = result.status();
    if (result.is_ok()) loaded.result = *api::parse_document<api::ImageLoadResult>(*result);
    return loaded;
  }

  Result<api::ImageFromRootfsResult> from_rootfs(const api::ImageFromRootfsOptions& options,
                                                 const std::string& tar = {}) {
    POUCH_ASSIGN_OR_RETURN(const StreamPtr stream, images_->from_rootfs(options, minute()));
    upload(*stream, tar).ignore();
    POUCH_ASSIGN_OR_RETURN(const std::string result, stream->finish(minute()));
    return api::parse_document<api::ImageFromRootfsResult>(result);
  }

  static DockerImage busybox_image(std::vector<std::string> tags) {
    const std::string low = testing::raw_tar({{.name = "bin/", .type = '5', .mode = 0755},
                                              {.name = "bin/busybox", .data = busybox(), .mode = 0755}});
    const std::string high = testing::raw_tar({{.name = "etc/", .type = '5', .mode = 0755},
                                               {.name = "etc/passwd", .data = "root:x:0:0::/:/bin/sh\n"}});
    return {.layers = {low, testing::gzip(high)},
            .diff_ids = {sha256_digest(low), sha256_digest(high)},
            .tags = std::move(tags),
            .config = R"({"Cmd":["/bin/busybox","true"],"Env":["A=b"],"Labels":{"k":"v"}})"};
  }

  // The whole file of a committed snapshot, by way of a view of it; empty: not there.
  std::string read_in_snapshot(const ChainId& chain, const std::string& path) {
    const std::string key = "look-" + random_hex(4);
    auto mounts = client_->snapshots().view(minute(), "overlayfs", key, chain.str());
    if (!mounts.is_ok() || mounts->empty()) return {};
    std::vector<std::string> folders;
    if (mounts->front().type == "bind") folders.push_back(mounts->front().source);
    for (const std::string& option : mounts->front().options) {
      if (!option.starts_with("lowerdir=")) continue;
      std::stringstream list(option.substr(9));
      for (std::string folder; std::getline(list, folder, ':');) folders.push_back(folder);
    }
    std::string text;
    for (const std::string& folder : folders) {
      std::ifstream in(folder + path, std::ios::binary);
      if (in) text.assign(std::istreambuf_iterator<char>(in), {});
    }
    client_->snapshots().remove(minute(), "overlayfs", key).ignore();
    return text;
  }

  std::vector<std::string> actions() {
    auto session = database_->read();
    auto rows = session->prepare("SELECT action FROM events ORDER BY seq");
    std::vector<std::string> out;
    while (*rows->step()) out.push_back(rows->text(0));
    return out;
  }

  static std::unique_ptr<PrivateContainerd> containerd_;
  static std::string why_not_;
  std::string dir_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<events::EventLog> events_;
  Executor executor_;
  EngineContext context_;
  std::shared_ptr<ctrd::Client> client_;
  FakeUsers users_;
  std::unique_ptr<ImageManager> images_;
};

std::unique_ptr<PrivateContainerd> ImageManagerTest::containerd_;
std::string ImageManagerTest::why_not_;

TEST_F(ImageManagerTest, LoadsBothFormatsToTheSameImage) {
  const DockerImage image = busybox_image({"busybox:latest", "t/b:1"});
  const Loaded first = load(testing::docker_archive(image));
  ASSERT_TRUE(first.status.is_ok()) << first.status.to_string();
  EXPECT_EQ(first.result.ids, std::vector<std::string>{testing::image_id(image)});
  EXPECT_EQ(first.result.references, (std::vector<std::string>{"busybox:latest", "t/b:1"}));
  EXPECT_EQ(first.lines, "Loaded image: busybox:latest\nLoaded image: t/b:1\n");
  auto found = images_->resolve("busybox", minute());
  ASSERT_TRUE(found.is_ok()) << found.status().to_string();
  EXPECT_EQ(found->reference, "busybox:latest");
  EXPECT_EQ(found->config.cmd, (std::vector<std::string>{"/bin/busybox", "true"}));
  EXPECT_EQ(found->chain_id.str(), sha256_digest(image.diff_ids[0] + " " + image.diff_ids[1]));
  EXPECT_EQ(read_in_snapshot(found->chain_id, "/bin/busybox"), busybox());
  EXPECT_EQ(read_in_snapshot(found->chain_id, "/etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  EXPECT_GT(*images_->unpacked_bytes(found->id, minute()), static_cast<int64_t>(busybox().size()));
  EXPECT_TRUE(client_->images().get(minute(), "docker.io/library/busybox:latest").is_ok());
  const Loaded second = load(testing::gzip(testing::oci_archive(image)));
  ASSERT_TRUE(second.status.is_ok()) << second.status.to_string();
  EXPECT_EQ(second.result.ids, first.result.ids);
  EXPECT_EQ(*images_->count(), 1);
  EXPECT_EQ(actions(), (std::vector<std::string>{"load", "load"}));
}

TEST_F(ImageManagerTest, DoubleLoadAndSurvivesTheCollector) {
  const DockerImage image = busybox_image({"busybox:latest"});
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  EXPECT_EQ(*images_->count(), 1);
  auto sweep = ctrd::HeldLease::create(minute(), client_, Duration{60'000'000'000}, {{"for", "test"}});
  ASSERT_TRUE(sweep->end(minute(), true).is_ok());
  auto found = images_->resolve("busybox", minute());
  EXPECT_TRUE(client_->snapshots().stat(minute(), "overlayfs", found->chain_id.str()).is_ok());
  // Two layers, config and manifest; only the image's own snapshots.
  EXPECT_EQ(client_->content().list(minute())->size(), 4U);
  EXPECT_EQ(client_->snapshots().list(minute(), "overlayfs")->size(), 2U);
}

TEST_F(ImageManagerTest, WhatWasPinnedIsLetGoWithoutTheCollector) {
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(load(testing::docker_archive(busybox_image({"busybox:latest"}))).status.is_ok());
  const auto snapshots = client_->snapshots().list(minute(), "overlayfs");
  ASSERT_TRUE(snapshots.is_ok());
  for (const ctrd::SnapshotInfo& snapshot : *snapshots) EXPECT_FALSE(snapshot.name.starts_with("pouch-pin"));
}

TEST_F(ImageManagerTest, ParallelLoadsOfOneImage) {
  const std::string archive = testing::docker_archive(busybox_image({"busybox:latest"}));
  std::vector<StreamPtr> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(*images_->load({}, minute()));
  for (const StreamPtr& stream : streams) upload(*stream, archive).ignore();
  for (const StreamPtr& stream : streams) {
    auto result = stream->finish(minute());
    EXPECT_TRUE(result.is_ok()) << result.status().to_string();
  }
  EXPECT_EQ(*images_->count(), 1);
}

TEST_F(ImageManagerTest, NothingIsLeftAfterABadLoad) {
  const std::string good = testing::docker_archive(busybox_image({"busybox:latest"}));
  for (const size_t part : {good.size() / 3, good.size() * 2 / 3}) {
    const Loaded loaded = load(good.substr(0, part));
    EXPECT_EQ(loaded.status.code(), Code::kInvalidArgument) << loaded.status.to_string();
    EXPECT_NE(loaded.status.message().find("truncated"), std::string::npos) << loaded.status.to_string();
    expect_nothing_left();
  }
  DockerImage wrong = busybox_image({"busybox:latest"});
  wrong.diff_ids[1] = sha256_digest("another");
  const Loaded mismatch = load(testing::docker_archive(wrong));
  EXPECT_EQ(mismatch.status.code(), Code::kDataLoss) << mismatch.status.to_string();
  expect_nothing_left();
  DockerImage damaged = busybox_image({"busybox:latest"});
  damaged.layers[1].resize(damaged.layers[1].size() / 2);
  const Loaded half = load(testing::docker_archive(damaged));
  EXPECT_EQ(half.status.code(), Code::kInvalidArgument) << half.status.to_string();
  expect_nothing_left();
  EXPECT_EQ(*images_->count(), 0);
  EXPECT_TRUE(actions().empty());
}

TEST_F(ImageManagerTest, AnotherBlobForAKnownLayerIsFound) {
  DockerImage image = busybox_image({"busybox:latest"});
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  image.layers[1] = testing::zstd(testing::raw_tar({{.name = "evil", .data = "x"}}));
  const Loaded loaded = load(testing::docker_archive(image));
  EXPECT_EQ(loaded.status.code(), Code::kDataLoss) << loaded.status.to_string();
}

TEST_F(ImageManagerTest, LoadsZstdLayers) {
  DockerImage image = busybox_image({"busybox:latest"});
  image.layers[0] = testing::zstd(image.layers[0]);
  const Loaded loaded = load(testing::docker_archive(image));
  ASSERT_TRUE(loaded.status.is_ok()) << loaded.status.to_string();
  EXPECT_EQ(read_in_snapshot(images_->resolve("busybox", minute())->chain_id, "/bin/busybox"), busybox());
}

TEST_F(ImageManagerTest, ACancelledLoadIsUndone) {
  auto stream = images_->load({}, minute());
  const std::string archive = testing::docker_archive(busybox_image({"busybox:latest"}));
  const std::string half = archive.substr(0, archive.size() / 2);
  std::string_view rest = half;
  while (!rest.empty()) rest.remove_prefix(*(*stream)->write(rest, Deadline::after_ms(10'000)));
  // The pipe takes half an archive before the load has begun.
  const auto wait_for_lease = [this](bool there) {
    const Deadline deadline = Deadline::after_ms(60'000);
    while (client_->leases().list(minute())->empty() == there && !deadline.has_passed()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  };
  wait_for_lease(true);
  (*stream)->cancel();
  stream->reset();
  wait_for_lease(false);
  EXPECT_EQ(*images_->count(), 0);
  expect_nothing_left();
}

TEST_F(ImageManagerTest, SweepsWhatDeadEnginesLeft) {
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"busybox:latest"}))).status.is_ok());
  ctrd::ImageRecord record = *client_->images().get(minute(), "docker.io/library/busybox:latest");
  const ctrd::Labels dead{{"pouch.owner", "dead"}, {"pouch.for", "image"}};
  record.labels = dead;
  EXPECT_TRUE(client_->images().put(minute(), record).is_ok());  // known: stays
  record.name = "docker.io/library/orphan:latest";
  EXPECT_TRUE(client_->images().create(minute(), record).is_ok());
  record.name = "docker.io/library/living:latest";
  record.labels["pouch.owner"] = "living";
  EXPECT_TRUE(client_->images().create(minute(), record).is_ok());
  EXPECT_TRUE(client_->leases().create(minute(), "left", Duration{60'000'000'000}, dead).is_ok());
  const std::string chain = images_->resolve("busybox", minute())->chain_id.str();
  const auto leased = client_->with_lease("left");
  EXPECT_TRUE(leased->snapshots().view(minute(), "overlayfs", "pouch-pin-left", chain).is_ok());
  // At once, and not when containerd's collector comes by.
  ASSERT_TRUE(images_->sweep().is_ok());
  EXPECT_EQ(client_->snapshots().stat(minute(), "overlayfs", "pouch-pin-left").code(), Code::kNotFound);
  EXPECT_TRUE(client_->leases().create(minute(), "left", Duration{60'000'000'000}, dead).is_ok());
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"t/b:1"}))).status.is_ok());
  EXPECT_TRUE(client_->images().get(minute(), "docker.io/library/busybox:latest").is_ok());
  EXPECT_EQ(client_->images().get(minute(), "docker.io/library/orphan:latest").code(), Code::kNotFound);
  EXPECT_TRUE(client_->images().get(minute(), "docker.io/library/living:latest").is_ok());
  EXPECT_TRUE(client_->leases().list(minute())->empty());
  EXPECT_TRUE(client_->images().remove(minute(), "docker.io/library/living:latest", true).is_ok());
}

TEST_F(ImageManagerTest, SweepsWhatContainerdCouldNotGiveUpThen) {
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"busybox:latest", "t/b:1"}))).status.is_ok());
  const auto whole = context_.ctrd;
  context_.ctrd = [](const Call&) -> Result<std::shared_ptr<ctrd::Client>> { return unavailable("away"); };
  EXPECT_TRUE(images_->remove("t/b:1", {}, minute()).is_ok());
  EXPECT_TRUE(images_->remove("busybox", {}, minute()).is_ok());
  context_.ctrd = whole;
  EXPECT_EQ(client_->images().list(minute())->size(), 3U);
  EXPECT_TRUE(images_->owes_removals());
  ASSERT_TRUE(images_->sweep().is_ok());
  EXPECT_TRUE(client_->images().list(minute())->empty());
}

TEST_F(ImageManagerTest, SweepsLeasesOfItsOwnThatNobodyHolds) {
  const ctrd::Labels ours{{"pouch.owner", context_.owner_token}, {"pouch.for", "image"}};
  const Duration life{60'000'000'000};
  auto held = ctrd::HeldLease::create(minute(), client_, life, ours);
  ASSERT_TRUE(held.is_ok());
  EXPECT_TRUE(client_->leases().create(minute(), "lost", life, ours).is_ok());
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"t/b:1"}))).status.is_ok());
  const auto left = client_->leases().list(minute());
  ASSERT_EQ(left->size(), 1U);
  EXPECT_EQ(left->front().id, held->id());
  EXPECT_TRUE(held->end(minute()).is_ok());
}

TEST_F(ImageManagerTest, LooksUpByNameDigestIdAndPrefix) {
  const DockerImage image = busybox_image({"busybox:latest", "q.io/x:1"});
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  const std::string id = testing::image_id(image);
  auto inspect = images_->inspect("busybox", {}, minute());
  ASSERT_TRUE(inspect.is_ok());
  EXPECT_EQ(inspect->id, id);
  EXPECT_EQ(*inspect->repo_tags, (std::vector<std::string>{"busybox:latest", "q.io/x:1"}));
  EXPECT_EQ(*inspect->root_fs.layers, image.diff_ids);
  EXPECT_EQ(inspect->architecture, "amd64");
  EXPECT_EQ(inspect->config->env, std::vector<std::string>{"A=b"});
  const std::string manifest = inspect->descriptor->digest;
  for (const std::string& name : {id, id.substr(7), id.substr(7, 12), id.substr(0, 15),
                                  std::string("q.io/x:1"), "busybox@" + manifest, "q.io/x:9@" + manifest}) {
    EXPECT_EQ(images_->inspect(name, {}, minute())->id, id) << name;
  }
  const auto error = [&](const std::string& name) { return images_->inspect(name, {}, minute()).status(); };
  EXPECT_EQ(error("x").to_string(), "NotFound: No such image: x:latest");
  EXPECT_EQ(error("x:1").to_string(), "NotFound: No such image: x:1");
  EXPECT_EQ(error(std::string(64, '0')).to_string(),
            "NotFound: No such image: sha256:" + std::string(64, '0'));
  EXPECT_EQ(error("UPPER").code(), Code::kInvalidArgument);
  EXPECT_EQ(error("other@" + manifest).code(), Code::kNotFound);
}

TEST_F(ImageManagerTest, Lists) {
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"busybox:latest", "t/b:1"}))).status.is_ok());
  DockerImage nameless = busybox_image({});
  nameless.config = R"({"Labels":{"other":"1"}})";
  ASSERT_TRUE(load(testing::docker_archive(nameless)).status.is_ok());
  const auto list = [&](const std::map<std::string, std::vector<std::string>>& filters) {
    api::ImageListOptions options;
    options.filters = filters;
    return images_->list(options, minute());
  };
  const auto count = [&](const std::map<std::string, std::vector<std::string>>& filters) {
    auto listed = list(filters);
    return listed.is_ok() ? static_cast<int>(listed->size()) : -1;
  };
  EXPECT_EQ(count({}), 2);
  EXPECT_EQ(count({{"dangling", {"true"}}}), 1);
  EXPECT_EQ(count({{"dangling", {"false"}}}), 1);
  EXPECT_EQ(count({{"label", {"k"}}}), 1);
  EXPECT_EQ(count({{"label", {"k=v"}}}), 1);
  EXPECT_EQ(count({{"label", {"k=w"}}}), 0);
  EXPECT_EQ(count({{"label", {"k", "other"}}}), 0);
  EXPECT_EQ(count({{"reference", {"busy*"}}}), 1);
  EXPECT_EQ(count({{"reference", {"b"}}}), 0);
  EXPECT_EQ(count({{"reference", {"*/b"}}}), 1);
  EXPECT_EQ(count({{"before", {"busybox"}}}), 0);
  EXPECT_EQ(count({{"since", {"busybox"}}}), 0);
  EXPECT_EQ(count({{"until", {"1h"}}}), 2);
  EXPECT_EQ(count({{"until", {"2001-01-01"}}}), 0);
  auto only = list({{"reference", {"t/*"}}});
  EXPECT_EQ(*only->front().repo_tags, std::vector<std::string>{"t/b:1"});
  for (const std::map<std::string, std::vector<std::string>>& bad :
       std::vector<std::map<std::string, std::vector<std::string>>>{{{"nosuch", {"x"}}},
                                                                    {{"dangling", {"perhaps"}}},
                                                                    {{"until", {"soon"}}},
                                                                    {{"before", {"none"}}},
                                                                    {{"reference", {"a["}}}}) {
    EXPECT_EQ(list(bad).code(), Code::kInvalidArgument) << bad.begin()->first;
  }
}

TEST_F(ImageManagerTest, TagsMoveAndLoadTellsIt) {
  ASSERT_TRUE(load(testing::docker_archive(busybox_image({"busybox:latest"}))).status.is_ok());
  const std::string first = images_->inspect("busybox", {}, minute())->id;
  api::ImageTagOptions options;
  options.repo = "t/other";
  EXPECT_TRUE(images_->tag("busybox", options, minute()).is_ok());
  EXPECT_EQ(images_->inspect("t/other", {}, minute())->id, first);
  EXPECT_TRUE(client_->images().get(minute(), "docker.io/t/other:latest").is_ok());
  EXPECT_EQ(images_->tag("none", options, minute()).code(), Code::kNotFound);
  options.repo = "t/other:1";
  EXPECT_EQ(images_->tag("busybox", options, minute()).code(), Code::kInvalidArgument);
  DockerImage newer = busybox_image({"busybox:latest"});
  newer.config = "{}";
  const Loaded loaded = load(testing::docker_archive(newer));
  EXPECT_EQ(loaded.lines, "The image busybox:latest already exists, renaming the old one with ID " + first +
                              " to empty string\nLoaded image: busybox:latest\n");
  EXPECT_EQ(images_->inspect("t/other", {}, minute())->id, first);
  EXPECT_EQ(actions(), (std::vector<std::string>{"load", "tag", "load"}));
}

TEST_F(ImageManagerTest, RemovesByMobysRules) {
  const DockerImage image = busybox_image({"busybox:latest", "t/b:1"});
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  const std::string id = testing::image_id(image);
  const std::string short_id = id.substr(7, 12);
  api::ImageRemoveOptions force;
  force.force = true;
  EXPECT_EQ(images_->remove("none", {}, minute()).status().to_string(),
            "NotFound: No such image: none:latest");
  EXPECT_EQ(images_->remove(short_id, {}, minute()).status().to_string(),
            "Conflict: conflict: unable to delete " + short_id +
                " (must be forced) - image is referenced in multiple repositories");
  auto untagged = images_->remove("t/b:1", {}, minute());
  ASSERT_TRUE(untagged.is_ok());
  ASSERT_EQ(untagged->size(), 1U);
  EXPECT_EQ(untagged->front().untagged, "t/b:1");
  users_.uses = {{ContainerId(std::string(64, 'c')), false}};
  EXPECT_EQ(images_->remove("busybox", {}, minute()).status().to_string(),
            "Conflict: conflict: unable to remove repository reference \"busybox\" (must force) - container "
            "cccccccccccc is using its referenced image " +
                short_id);
  EXPECT_EQ(images_->remove(id, {}, minute()).status().to_string(),
            "Conflict: conflict: unable to delete " + short_id +
                " (must be forced) - image is being used by stopped container cccccccccccc");
  users_.uses[0].running = true;
  EXPECT_EQ(images_->remove(id, force, minute()).status().to_string(),
            "Conflict: conflict: unable to delete " + short_id +
                " (cannot be forced) - image is being used by running container cccccccccccc");
  EXPECT_TRUE(images_->inspect("busybox", {}, minute()).is_ok());
  users_.uses.clear();
  auto removed = images_->remove("busybox", {}, minute());
  ASSERT_TRUE(removed.is_ok()) << removed.status().to_string();
  ASSERT_EQ(removed->size(), 4U);
  EXPECT_EQ((*removed)[0].untagged, "busybox:latest");
  EXPECT_EQ((*removed)[1].deleted, id);
  EXPECT_EQ((*removed)[2].deleted, sha256_digest(image.diff_ids[0] + " " + image.diff_ids[1]));
  EXPECT_EQ((*removed)[3].deleted, image.diff_ids[0]);
  // Its own remove has waited for the collector.
  EXPECT_TRUE(client_->snapshots().list(minute(), "overlayfs")->empty());
  EXPECT_TRUE(client_->content().list(minute())->empty());
  EXPECT_EQ(actions(), (std::vector<std::string>{"load", "untag", "untag", "delete"}));
}

TEST_F(ImageManagerTest, AForcedUntagOfARunningImageLeavesItNameless) {
  const DockerImage image = busybox_image({"busybox:latest"});
  ASSERT_TRUE(load(testing::docker_archive(image)).status.is_ok());
  users_.uses = {{ContainerId(std::string(64, 'c')), true}};
  api::ImageRemoveOptions force;
  force.force = true;
  auto removed = images_->remove("busybox", force, minute());
  ASSERT_EQ(removed->size(), 1U);
  EXPECT_EQ(images_->inspect(testing::image_id(image), {}, minute())->repo_tags->size(), 0U);
  EXPECT_TRUE(client_->snapshots()
                  .stat(minute(), "overlayfs", sha256_digest(image.diff_ids[0] + " " + image.diff_ids[1]))
                  .is_ok());
}

TEST_F(ImageManagerTest, FromRootfsByFolderAndUpload) {
  const std::string tree = dir_ + "/tree";
  fs::create_directories(tree + "/bin");
  fs::copy_file("/bin/busybox", tree + "/bin/busybox");
  fs::create_symlink("busybox", tree + "/bin/sh");
  fs::create_hard_link(tree + "/bin/busybox", tree + "/bin/twin");
  api::ImageFromRootfsOptions options;
  options.reference = "t/made:1";
  options.path = tree;
  options.cmd = {"/bin/sh"};
  options.env = {"A=b"};
  options.labels = std::map<std::string, std::string>{{"l", "m"}};
  auto made = from_rootfs(options);
  ASSERT_TRUE(made.is_ok()) << made.status().to_string();
  EXPECT_EQ(made->reference, "t/made:1");
  auto found = images_->resolve("t/made:1", minute());
  EXPECT_EQ(found->id.str(), made->id);
  EXPECT_EQ(found->config.cmd, std::vector<std::string>{"/bin/sh"});
  EXPECT_EQ(read_in_snapshot(found->chain_id, "/bin/twin"), busybox());
  api::ImageFromRootfsOptions uploaded;
  uploaded.reference = "t/up";
  auto up = from_rootfs(uploaded, testing::gzip(testing::raw_tar({{.name = "hello", .data = "world"}})));
  ASSERT_TRUE(up.is_ok()) << up.status().to_string();
  EXPECT_EQ(up->reference, "t/up:latest");
  EXPECT_EQ(read_in_snapshot(images_->resolve("t/up", minute())->chain_id, "/hello"), "world");
  EXPECT_EQ(actions(), (std::vector<std::string>{"tag", "import", "tag", "import"}));
}

TEST_F(ImageManagerTest, FromRootfsRefuses) {
  api::ImageFromRootfsOptions options;
  options.reference = "t/made";
  EXPECT_EQ(from_rootfs(options, testing::raw_tar({{.name = "../x"}})).code(), Code::kInvalidArgument);
  EXPECT_EQ(from_rootfs(options, "").code(), Code::kInvalidArgument);
  options.path = dir_ + "/absent";
  EXPECT_EQ(from_rootfs(options).code(), Code::kNotFound);
  options.path = "relative";
  EXPECT_EQ(from_rootfs(options).code(), Code::kInvalidArgument);
  options.path = dir_;
  options.reference = "BAD";
  EXPECT_EQ(from_rootfs(options).code(), Code::kInvalidArgument);
  options.reference = "t/made";
  options.workingdir = "relative";
  EXPECT_EQ(from_rootfs(options).code(), Code::kInvalidArgument);
  expect_nothing_left();
  EXPECT_EQ(*images_->count(), 0);
}

}  // namespace
}  // namespace pouch::image
