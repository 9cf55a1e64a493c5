#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "core/base/id.h"
#include "core/image/inflate_source.h"
#include "core/image/layer_unpacker.h"
#include "core/image/testing_support.h"

// Layers that want too much of us, or what is not theirs. Simple escapes are in layer_unpacker_test.cc; what
// a user is told of all these in tests/e2e/test_hostile_images.py.

namespace pouch::image {
namespace {

namespace fs = std::filesystem;
using testing::RawEntry;
using testing::sparse_tar;
using testing::TextSource;

/// The same text over and over, without an end unless one is asked for.
class EndlessSource final : public ByteSource {
 public:
  explicit EndlessSource(std::string text, int64_t times = -1) : text_(std::move(text)), left_(times) {}
  Result<std::string_view> next() override {
    if (left_ == 0) return std::string_view();
    --left_;
    return std::string_view(text_);
  }

 private:
  std::string text_;
  int64_t left_;
};

/// One source after another.
class ChainSource final : public ByteSource {
 public:
  ChainSource(ByteSource& first, ByteSource& second) : first_(first), second_(second) {}
  Result<std::string_view> next() override {
    if (!is_first_over_) {
      POUCH_ASSIGN_OR_RETURN(const std::string_view piece, first_.next());
      if (!piece.empty()) return piece;
      is_first_over_ = true;
    }
    return second_.next();
  }

 private:
  ByteSource& first_;
  ByteSource& second_;
  bool is_first_over_ = false;
};

class HostileLayerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "owners and device nodes need root";
    dir_ = fs::temp_directory_path() / ("pouch-test-" + random_hex(6));
    for (const char* name : {"upper", "middle", "lowest"}) fs::create_directories(dir_ / name);
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  static UniqueFd open(const fs::path& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  Status unpack(ByteSource& source, const ImageLimits& limits = {}, const Call& call = {}) {
    const mode_t before = ::umask(0);
    LayerTree tree(open(dir_ / "upper"), /*is_lowest=*/false, limits);
    Status status;
    if (auto reader = TarReader::open_plain(source); reader.is_ok()) {
      status = LayerUnpacker(call, tree, limits).run(**reader);
      std::vector<UniqueFd> lowers;
      lowers.push_back(open(dir_ / "middle"));
      lowers.push_back(open(dir_ / "lowest"));
      if (status.is_ok()) status = tree.complete(lowers);
    } else {
      status = reader.status();
    }
    ::umask(before);
    return status;
  }

  Status unpack(const std::string& tar, const ImageLimits& limits = {}) {
    TextSource source(tar);
    return unpack(source, limits);
  }
  Status unpack(const std::vector<RawEntry>& entries, const ImageLimits& limits = {}) {
    return unpack(testing::raw_tar(entries), limits);
  }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((dir_ / path).parent_path());
    std::ofstream(dir_ / path) << text;
  }

  int64_t disk_bytes() {
    int64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / "upper")) {
      struct stat info {};
      if (::lstat(entry.path().c_str(), &info) == 0) bytes += info.st_blocks * 512;
    }
    return bytes;
  }

  fs::path dir_;
};

TEST_F(HostileLayerTest, HardLinksDoNotReachWhatALayerBetweenHasRemoved) {
  write("lowest/a/f", "secret");
  write("lowest/b/f", "secret");
  write("lowest/c/f", "secret");
  write("lowest/d", "secret");
  write("lowest/e/deep/f", "secret");
  fs::create_directories(dir_ / "middle/a");
  ASSERT_EQ(::setxattr((dir_ / "middle/a").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(::mknod((dir_ / "middle/b").c_str(), S_IFCHR, 0), 0);
  write("middle/c", "a file now");
  ASSERT_EQ(::mknod((dir_ / "middle/d").c_str(), S_IFCHR, 0), 0);
  fs::create_directory_symlink("/nowhere", dir_ / "middle/e");
  for (const char* path : {"a/f", "b/f", "c/f", "d", "e/deep/f"}) {
    const Status status = unpack({{"h", "", '1', path}});
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << path << ": " << status.message();
    EXPECT_FALSE(fs::exists(dir_ / "upper/h")) << path;
    fs::remove(dir_ / "upper/h");
  }
}

TEST_F(HostileLayerTest, HardLinksDoNotReachWhatTheLayerItselfRemoves) {
  write("lowest/o/f", "secret");
  write("lowest/v/f", "secret");
  for (const std::vector<RawEntry>& entries : std::vector<std::vector<RawEntry>>{
           {{"o/", "", '5', "", 0755}, {"o/.wh..wh..opq", ""}, {"h", "", '1', "o/f"}},
           {{".wh.v", ""}, {"h", "", '1', "v/f"}}}) {
    EXPECT_EQ(unpack(entries).code(), Code::kInvalidArgument);
    EXPECT_FALSE(fs::exists(dir_ / "upper/h"));
  }
}

TEST_F(HostileLayerTest, SparseFiles) {
  ASSERT_TRUE(unpack(sparse_tar("s", 1'000'000, {{4096, "head"}, {500'000, "tail"}})).is_ok());
  std::ifstream in(dir_ / "upper/s", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  ASSERT_EQ(text.size(), 1'000'000U);
  EXPECT_EQ(text.substr(4095, 6), std::string("\0head\0", 6));
  EXPECT_EQ(text.substr(500'000, 4), "tail");
}

TEST_F(HostileLayerTest, ASparseFileOverTheLimitIsRefusedBeforeItIsWritten) {
  ImageLimits limits;
  limits.max_rootfs_bytes = int64_t{1} << 30U;
  for (const uint64_t size : {uint64_t{1} << 31U, uint64_t{1} << 62U}) {
    const Status status = unpack(sparse_tar("s", size, {{0, "x"}, {size - 1, "y"}}), limits);
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.message();
    EXPECT_EQ(status.message().find("entry \"s\": the layer is over the limit"), 0U) << status.message();
    EXPECT_LT(disk_bytes(), 1'000'000);
  }
}

TEST_F(HostileLayerTest, ASparseMapBehindTheEndOfTheFile) {
  ImageLimits limits;
  limits.max_rootfs_bytes = int64_t{1} << 30U;
  const Status status = unpack(sparse_tar("s", 10, {{uint64_t{1} << 40U, "x"}}), limits);
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
  EXPECT_LT(disk_bytes(), 1'000'000);
}

TEST_F(HostileLayerTest, NamesAndAttributesThatNoFileSystemHas) {
  const std::string record = "70025 SCHILY.xattr.user.k=" + std::string(70'025 - 27, 'v') + "\n";
  const std::string long_name = "310 path=" + std::string(300, 'n') + "\n";
  ASSERT_EQ(record.size(), 70'025U);
  ASSERT_EQ(long_name.size(), 310U);
  for (const std::vector<RawEntry>& entries : std::vector<std::vector<RawEntry>>{
           {{"x", record, 'x'}, {"f", "x"}}, {{"x", long_name, 'x'}, {"f", "x"}}}) {
    const Status status = unpack(entries);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
  }
}

TEST_F(HostileLayerTest, WhatUnpacksToMoreThanTheLimit) {
  const std::string zeros = testing::raw_tar({{"z", std::string(8U << 20U, '\0')}});
  for (const std::string& bytes : {testing::gzip(zeros), testing::zstd(zeros)}) {
    ASSERT_LT(bytes.size(), 20'000U);
    ImageLimits limits;
    limits.max_rootfs_bytes = 4 << 20U;
    TextSource source(bytes);
    InflateSource plain(source);
    const Status status = unpack(plain, limits);
    EXPECT_EQ(status.message(), "entry \"z\": the layer is over the limit of 4194304 bytes");
    EXPECT_EQ(status.code(), Code::kResourceExhausted);
    EXPECT_EQ(disk_bytes(), 0);
  }
}

// An entry that writes nothing, and what stands behind the end, are read all the same: the digest is of them,
// too.
TEST_F(HostileLayerTest, BytesThatNobodyWants) {
  const std::string tar = testing::raw_tar({{"f", "x"}});
  const std::string skipped = testing::raw_tar({{".wh.f", std::string(1U << 20U, 'x')}}, /*with_end=*/false);
  const Call call;
  for (const std::string& head : {tar, skipped}) {
    TextSource first(head);
    EndlessSource zeros(std::string(1U << 20U, '\0'));
    ChainSource both(first, zeros);
    BoundedSource bounded(both, call, 64 << 20U);
    const Status status = unpack(bounded);
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.message();
    EXPECT_NE(status.message().find("the layer unpacks to more than the limit of 67108864 bytes"),
              std::string::npos)
        << status.message();
  }
}

TEST_F(HostileLayerTest, ABombCanBeCancelled) {
  TextSource tar(testing::raw_tar({{"f", "x"}}));
  EndlessSource zeros(std::string(1U << 20U, '\0'));
  ChainSource both(tar, zeros);
  Call call;
  call.cancel = std::make_shared<CancelToken>();
  BoundedSource bounded(both, call, int64_t{1} << 60U);
  std::thread canceller([&] { call.cancel->fire(); });
  EXPECT_EQ(unpack(bounded, {}, call).code(), Code::kCancelled);
  canceller.join();
}

TEST_F(HostileLayerTest, AMillionEntries) {
  std::vector<RawEntry> hundred(99, {"./", "", '5'});
  hundred.push_back({"d/", "", '5', "", 0755});
  ImageLimits limits;
  limits.max_rootfs_entries = 1'000'000;
  EndlessSource many(testing::raw_tar(hundred, /*with_end=*/false));
  const Status status = unpack(many, limits);
  EXPECT_EQ(status.message(), "the layer is over the limit of 1000000 entries");
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
}

// Folders that no entry tells of are made, too: few entries, many folders.
TEST_F(HostileLayerTest, FoldersThatNoEntryTellsOfCount) {
  ImageLimits limits;
  limits.max_rootfs_entries = 100;
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "d/";
  const Status status =
      unpack({{"a/" + deep + "f", "x"}, {"b/" + deep + "f", "x"}, {"c/" + deep + "f", "x"}}, limits);
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.message();
  EXPECT_NE(status.message().find("entry \"c/d/"), std::string::npos) << status.message();
}

TEST_F(HostileLayerTest, NamesThatMustBeKept) {
  ImageLimits limits;
  limits.max_name_bytes = 10'000;
  EXPECT_TRUE(unpack({{"a/", "", '5', "", 0755}, {"b", "", '1', "nosuch"}}, limits)
                  .message()
                  .ends_with("in no layer"));
  const std::vector<RawEntry> kinds[] = {{{"folder/", "", '5', "", 0755}}, {{"link", "", '1', "nosuch"}}};
  for (const std::vector<RawEntry>& entries : kinds) {
    EndlessSource many(testing::raw_tar(entries, /*with_end=*/false), 1000);
    const Status status = unpack(many, limits);
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.message();
    EXPECT_NE(status.message().find("bytes of names"), std::string::npos) << status.message();
  }
}

// Links lead deeper than any name could say. Few descriptors are in use, however deep it is.
TEST_F(HostileLayerTest, FoldersInFolders) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 200;
  std::string half;
  for (int i = 0; i < 49; ++i) half += "d/";
  half += "d";
  std::vector<RawEntry> entries;
  for (const char* name : {"1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b"}) {
    const std::string last = entries.empty() ? "" : entries.back().name;
    entries.push_back({(last.empty() ? "" : last + "/") + half + "/f", ""});
    entries.push_back({name, "", '2', last.empty() ? half : last + "/" + half});
  }
  for (RawEntry& entry : entries) ASSERT_LT(entry.name.size(), 110U);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Status fits = unpack(std::vector<RawEntry>(entries.begin(), entries.begin() + 4));
  const Status status = unpack(entries);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(fits.is_ok()) << fits.message();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
  EXPECT_TRUE(status.message().ends_with("more than 512 folders in each other")) << status.message();
}

}  // namespace
}  // namespace pouch::image
