#include "core/image/layer_unpacker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/id.h"
#include "core/image/inflate_source.h"
#include "core/image/read_ahead.h"
#include "core/image/testing_support.h"

// Entries as nobody's tools write them, and the forms that an overlay wants. What containerd makes of layers
// is compared in layer_diff_test.cc.

namespace pouch::image {
namespace {

namespace fs = std::filesystem;
using testing::RawEntry;
using testing::TextSource;

class LayerUnpackerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "owners and device nodes need root";
    dir_ = fs::temp_directory_path() / ("pouch-test-" + random_hex(6));
    for (const char* name : {"upper", "lower", "outside"}) fs::create_directories(dir_ / name);
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  static UniqueFd open(const fs::path& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  Status unpack(const std::string& tar, const ImageLimits& limits = {}) {
    const mode_t before = ::umask(0);
    TextSource source(tar);
    InflateSource plain(source);
    ReadAhead ahead(plain);
    LayerTree tree(open(dir_ / "upper"), /*is_lowest=*/false);
    const Call call;
    Status status;
    if (auto reader = TarReader::open_plain(ahead); reader.is_ok()) {
      status = LayerUnpacker(call, tree, limits).run(**reader);
      std::vector<UniqueFd> lowers;
      lowers.push_back(open(dir_ / "lower"));
      if (status.is_ok()) status = tree.complete(lowers);
    } else {
      status = reader.status();
    }
    ::umask(before);
    return status;
  }

  Status unpack(const std::vector<RawEntry>& entries) { return unpack(testing::raw_tar(entries)); }

  void expect_refused(const std::vector<RawEntry>& entries, const std::string& why) {
    const Status status = unpack(entries);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
    EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  }

  std::string text(const std::string& path) {
    std::ifstream in(dir_ / "upper" / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  struct stat look(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat((dir_ / "upper" / path).c_str(), &info), 0) << path;
    return info;
  }

  fs::path dir_;
};

TEST_F(LayerUnpackerTest, KindsOfEntries) {
  ASSERT_TRUE(unpack({{"d/", "", '5', "", 01777},
                      {"d/f", "text", '0', "", 04755},
                      {"d/s", "", '2', "/nowhere"},
                      {"h", "", '1', "d/f"},
                      {"p", "", '6', "", 0600},
                      {"c", "", '3', "", 0666, 1, 3}})
                  .is_ok());
  EXPECT_EQ(look("d").st_mode, static_cast<mode_t>(S_IFDIR | 01777));
  EXPECT_EQ(text("d/f"), "text");
  EXPECT_EQ(look("h").st_ino, look("d/f").st_ino);
  EXPECT_EQ(fs::read_symlink(dir_ / "upper/d/s"), "/nowhere");
  EXPECT_TRUE(S_ISFIFO(look("p").st_mode));
  EXPECT_EQ(look("c").st_rdev, ::makedev(1, 3));
}

TEST_F(LayerUnpackerTest, WhatLeadsOutIsRefused) {
  expect_refused({{"../outside/x", "x"}}, "it leads out of the root");
  expect_refused({{"a/../../outside/x", "x"}}, "it leads out of the root");
  expect_refused({{"h", "", '1', "../outside/x"}}, "it leads out of the root");
  expect_refused({{"z", "", '3', "", 0644, 0, 0}}, "character device 0:0");
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh..."})
    expect_refused({{name, ""}}, "a bad whiteout");
}

TEST_F(LayerUnpackerTest, LinksInPathsStayInside) {
  const std::string outside = (dir_ / "outside").string();
  ASSERT_TRUE(
      unpack({{"abs", "", '2', outside}, {"abs/x", "in"}, {"up", "", '2', "../../../.."}, {"up/y", "in"}})
          .is_ok());
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  EXPECT_EQ(text(outside.substr(1) + "/x"), "in");
  EXPECT_EQ(text("y"), "in");
  // Also those of a lower layer, which a folder replaces as in containerd.
  fs::create_symlink(outside, dir_ / "lower/link");
  ASSERT_TRUE(unpack({{"link/z", "in"}}).is_ok());
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  EXPECT_EQ(text("link/z"), "in");
  expect_refused({{"l", "", '2', "l"}, {"l/x", "x"}}, "too many links");
  expect_refused({{"f", "x"}, {"f/x", "x"}}, "is no folder");
}

TEST_F(LayerUnpackerTest, AFileIsNeverWrittenThroughALink) {
  std::ofstream(dir_ / "outside/victim") << "whole";
  ASSERT_TRUE(unpack({{"l", "", '2', (dir_ / "outside/victim").string()}, {"l", "new"}}).is_ok());
  std::ifstream in(dir_ / "outside/victim");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "whole");
  EXPECT_EQ(text("l"), "new");
}

TEST_F(LayerUnpackerTest, AbsoluteNamesAreBelowTheRoot) {
  ASSERT_TRUE(unpack({{"/a/b", "x"}, {"//c", "y"}, {"./d/./e", "z"}}).is_ok());
  EXPECT_EQ(text("a/b") + text("c") + text("d/e"), "xyz");
}

TEST_F(LayerUnpackerTest, Whiteouts) {
  fs::create_directories(dir_ / "lower/d");
  ASSERT_TRUE(
      unpack({{"d/.wh.gone", ""}, {"o/", "", '5', "", 0755}, {"o/.wh..wh..opq", ""}, {".wh..wh.plnk", ""}})
          .is_ok());
  EXPECT_TRUE(S_ISCHR(look("d/gone").st_mode));
  EXPECT_EQ(look("d/gone").st_rdev, dev_t{0});
  char value[4] = {};
  EXPECT_EQ(::lgetxattr((dir_ / "upper/o").c_str(), "trusted.overlay.opaque", value, sizeof value), 1);
  EXPECT_EQ(value[0], 'y');
  EXPECT_FALSE(fs::exists(dir_ / "upper/.wh..wh.plnk"));
  // Hidden, and then made anew: nothing of the lower folder shines through.
  ASSERT_TRUE(unpack({{".wh.n", ""}, {"n/", "", '5', "", 0755}}).is_ok());
  EXPECT_EQ(::lgetxattr((dir_ / "upper/n").c_str(), "trusted.overlay.opaque", value, sizeof value), 1);
  // What the layer has itself stays.
  ASSERT_TRUE(unpack({{"own", "x"}, {".wh.own", ""}}).is_ok());
  EXPECT_EQ(text("own"), "x");
}

TEST_F(LayerUnpackerTest, FoldersThatAreLeftOutAreAsBelow) {
  const fs::path below = dir_ / "lower/a/b";
  fs::create_directories(below);
  ::chmod(below.c_str(), 02710);
  ASSERT_EQ(::chown(below.c_str(), 12, 34), 0);
  ::chmod(below.c_str(), 02710);
  ::lsetxattr(below.c_str(), "user.k", "v", 1, 0);
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  ::utimensat(AT_FDCWD, below.c_str(), times, 0);
  ASSERT_TRUE(unpack({{"a/b/new", "x"}}).is_ok());
  const struct stat info = look("a/b");
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFDIR | 02710));
  EXPECT_EQ(info.st_uid, 12U);
  EXPECT_EQ(info.st_gid, 34U);
  EXPECT_EQ(info.st_mtim.tv_sec, 2000);
  char value[4] = {};
  EXPECT_EQ(::lgetxattr((dir_ / "upper/a/b").c_str(), "user.k", value, sizeof value), 1);
}

TEST_F(LayerUnpackerTest, AFolderMayBeToldOfAfterWhatIsInIt) {
  fs::create_directories(dir_ / "lower/d");
  ::chmod((dir_ / "lower/d").c_str(), 0700);
  ASSERT_TRUE(unpack({{"d/f", "x"}, {"d/", "", '5', "", 0711}}).is_ok());
  EXPECT_EQ(look("d").st_mode, static_cast<mode_t>(S_IFDIR | 0711));
  EXPECT_EQ(text("d/f"), "x");
}

TEST_F(LayerUnpackerTest, HardLinksToLowerLayersCopyUp) {
  fs::create_directories(dir_ / "lower/d");
  std::ofstream(dir_ / "lower/d/f") << "below";
  ::chmod((dir_ / "lower/d/f").c_str(), 0640);
  ASSERT_TRUE(unpack({{"h", "", '1', "d/f", 0640}}).is_ok());
  EXPECT_EQ(text("h"), "below");
  EXPECT_EQ(look("h").st_ino, look("d/f").st_ino);
  expect_refused({{"g", "", '1', "nosuch"}}, "it is in no layer");
  expect_refused({{"x/", "", '5'}, {"y", "", '1', "x"}}, "a hard link to a folder");
}

TEST_F(LayerUnpackerTest, LaterEntriesReplaceEarlierOnes) {
  ASSERT_TRUE(unpack({{"a/", "", '5', "", 0700},
                      {"a/b/", "", '5', "", 0700},
                      {"a/b/c", "x"},
                      {"a", "file"},
                      {"f", "one"},
                      {"f", "two"},
                      {"g", "x"},
                      {"g/", "", '5', "", 0711},
                      {"g/in", "y"}})
                  .is_ok());
  EXPECT_EQ(text("a"), "file");
  EXPECT_EQ(text("f"), "two");
  EXPECT_EQ(text("g/in"), "y");
}

TEST_F(LayerUnpackerTest, Limits) {
  ImageLimits limits;
  limits.max_rootfs_entries = 2;
  EXPECT_EQ(unpack(testing::raw_tar({{"a", ""}, {"b", ""}, {"c", ""}}), limits).code(),
            Code::kResourceExhausted);
  limits = {};
  limits.max_rootfs_bytes = 10;
  EXPECT_EQ(unpack(testing::raw_tar({{"a", "12345678901"}}), limits).code(), Code::kResourceExhausted);
}

TEST_F(LayerUnpackerTest, DamagedTars) {
  const std::string tar = testing::raw_tar({{"a", std::string(100'000, 'x')}});
  EXPECT_EQ(unpack(tar.substr(0, 50'000)).message(), "entry \"a\": the archive is truncated");
  EXPECT_EQ(unpack(std::string(1024, '\0')).code(), Code::kOk);
  EXPECT_EQ(unpack(std::string()).code(), Code::kOk);
  EXPECT_EQ(unpack(std::string(2000, 'x')).code(), Code::kInvalidArgument);
}

TEST_F(LayerUnpackerTest, Compressions) {
  const std::string tar = testing::raw_tar({{"a", std::string(3'000'000, 'x')}, {"b", "y"}});
  for (const std::string& bytes : {tar, testing::gzip(tar), testing::zstd(tar)}) {
    fs::remove_all(dir_ / "upper");
    fs::create_directories(dir_ / "upper");
    ASSERT_TRUE(unpack(bytes).is_ok());
    EXPECT_EQ(text("a").size(), 3'000'000U);
    EXPECT_EQ(text("b"), "y");
    if (bytes == tar) continue;
    EXPECT_EQ(unpack(bytes.substr(0, bytes.size() / 2)).code(), Code::kInvalidArgument);
    EXPECT_EQ(unpack(bytes.substr(0, bytes.size() - 4)).code(), Code::kInvalidArgument);
  }
  // Several members, one behind the other, as some builders write them.
  const std::string two = testing::gzip(tar.substr(0, 1'000'000)) + testing::gzip(tar.substr(1'000'000));
  fs::remove_all(dir_ / "upper");
  fs::create_directories(dir_ / "upper");
  ASSERT_TRUE(unpack(two).is_ok());
  EXPECT_EQ(text("a").size(), 3'000'000U);
  std::string flipped = testing::gzip(tar);
  flipped[flipped.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(unpack(flipped).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace pouch::image
