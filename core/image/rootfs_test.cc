#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/id.h"
#include "core/base/unique_fd.h"
#include "core/image/rootfs_tar.h"
#include "core/image/tar_reader.h"
#include "core/image/testing_support.h"

namespace pouch::image {
namespace {

namespace fs = std::filesystem;
using testing::RawEntry;
using testing::TextSource;

class RootfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("pouch-rootfs-" + random_hex(6));
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void file(const std::string& name, const std::string& text) const {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }

  Result<std::string> walk(const ImageLimits& limits = {}) const {
    const Utf8Locale locale;
    testing::MemorySink sink;
    auto blob = sink.create();
    auto writer = TarWriter::create(std::move(*blob));
    const UniqueFd folder(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    POUCH_RETURN_IF_ERROR(copy_rootfs_folder(Call(), folder.get(), **writer, limits));
    POUCH_ASSIGN_OR_RETURN(const TarWriter::Blob done, (*writer)->finish());
    return sink.blobs.at(done.digest);
  }

  fs::path dir_;
};

Result<std::string> copy_tar(const std::string& tar, const ImageLimits& limits = {}) {
  const Utf8Locale locale;
  testing::MemorySink sink;
  auto blob = sink.create();
  auto writer = TarWriter::create(std::move(*blob));
  TextSource source(tar);
  POUCH_RETURN_IF_ERROR(copy_rootfs_tar(source, **writer, limits));
  POUCH_ASSIGN_OR_RETURN(const TarWriter::Blob done, (*writer)->finish());
  return sink.blobs.at(done.digest);
}

TEST_F(RootfsTest, WalksAFolder) {
  file("bin/tool", "binary");
  file("etc/\xc3\xa4\xc3\xb6", "umlaut");
  file("etc/latin\xe4", "not UTF-8");
  file(std::string(90, 'd') + "/" + std::string(120, 'f'), "long");
  fs::create_symlink("tool", dir_ / "bin/sh");
  fs::create_hard_link(dir_ / "bin/tool", dir_ / "bin/twin");
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((dir_ / "bin/tool").c_str(), 04755), 0);
  const bool with_attributes = ::setxattr((dir_ / "bin/tool").c_str(), "user.x", "y", 1, 0) == 0;
  auto tar = walk();
  ASSERT_TRUE(tar.is_ok()) << tar.status().to_string();
  const Utf8Locale locale;
  const auto files = testing::read_tar(*tar);
  EXPECT_EQ(files.at("bin/").type, '5');
  EXPECT_EQ(files.at("bin/tool").data, "binary");
  EXPECT_EQ(files.at("bin/tool").mode, 04755U);
  if (with_attributes) {
    EXPECT_EQ(files.at("bin/tool").xattrs.at("user.x"), "y");
  }
  EXPECT_EQ(files.at("bin/twin").type, '1');
  EXPECT_EQ(files.at("bin/twin").link, "bin/tool");
  EXPECT_EQ(files.at("bin/sh").link, "tool");
  EXPECT_EQ(files.at("etc/\xc3\xa4\xc3\xb6").data, "umlaut");
  EXPECT_EQ(files.at("etc/latin\xe4").data, "not UTF-8");
  EXPECT_EQ(files.at(std::string(90, 'd') + "/" + std::string(120, 'f')).data, "long");
  EXPECT_EQ(files.at("pipe").type, '6');
  EXPECT_FALSE(files.contains("./"));
}

TEST_F(RootfsTest, TheSameFolderGivesTheSameBytes) {
  for (const char* name : {"z", "a", "m/q", "m/b"}) file(name, name);
  const std::string first = *walk();
  EXPECT_EQ(first, *walk());
  EXPECT_LT(first.find("a\0"), first.find("m/b"));
}

TEST_F(RootfsTest, LeavesSocketsOut) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (dir_ / "sock").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  file("f", "x");
  const auto files = testing::read_tar(*walk());
  EXPECT_EQ(files.size(), 1U);
}

TEST_F(RootfsTest, RefusesWhiteoutsAndLimits) {
  file("a", "1");
  file("b", "22");
  ImageLimits limits;
  limits.max_rootfs_entries = 1;
  EXPECT_EQ(walk(limits).code(), Code::kResourceExhausted);
  limits = {};
  limits.max_rootfs_bytes = 2;
  EXPECT_EQ(walk(limits).code(), Code::kResourceExhausted);
  file(".wh.a", "");
  EXPECT_EQ(walk().code(), Code::kInvalidArgument);
}

TEST(RootfsTar, CopiesWhatIsSafe) {
  const std::string tar =
      testing::raw_tar({{.name = "./", .type = '5', .mode = 0755},
                        {.name = "./bin/", .type = '5', .mode = 0755},
                        {.name = "./bin/sh", .data = "x", .mode = 0755},
                        {.name = "bin/ash", .type = '1', .link = "./bin/sh"},
                        {.name = "lib", .type = '2', .link = "/../../usr/lib"},
                        {.name = "dev/null", .type = '3', .device_major = 1, .device_minor = 3}});
  for (const std::string& outer : {tar, testing::gzip(tar), testing::zstd(tar)}) {
    auto layer = copy_tar(outer);
    ASSERT_TRUE(layer.is_ok()) << layer.status().to_string();
    const auto files = testing::read_tar(*layer);
    EXPECT_EQ(files.at("./").mode, 0755U);
    EXPECT_EQ(files.at("bin/sh").data, "x");
    EXPECT_EQ(files.at("bin/ash").link, "bin/sh");
    EXPECT_EQ(files.at("lib").link, "/../../usr/lib");  // the unpacker resolves links inside the root
    EXPECT_EQ(files.at("dev/null").type, '3');
  }
}

TEST(RootfsTar, RefusesWhatIsNot) {
  const std::vector<std::vector<RawEntry>> hostile = {
      {{.name = "../x"}},
      {{.name = "a/../../x"}},
      {{.name = "a/.."}},
      {{.name = "/etc/passwd"}},
      {{.name = ".wh.etc"}},
      {{.name = "etc/.wh..wh..opq"}},
      {{.name = ".wh.x/file"}},
      {{.name = ".", .data = "a root that is a file"}},
      {{.name = "a", .type = '1', .link = "../etc/passwd"}},
      {{.name = "a", .type = '1', .link = "/etc/passwd"}},
      {{.name = "a", .type = '1', .link = "b"}},
      {{.name = "gone", .type = '3'}},
  };
  for (const auto& entries : hostile) {
    auto copied = copy_tar(testing::raw_tar(entries));
    EXPECT_EQ(copied.code(), Code::kInvalidArgument) << entries.front().name << " " << entries.front().link;
  }
}

TEST(RootfsTar, RefusesOverlayAttributes) {
  const std::string record = "41 SCHILY.xattr.trusted.overlay.opaque=y\n";
  ASSERT_EQ(record.size(), 41U);
  const std::string tar =
      testing::raw_tar({{.name = "PaxHeader/d", .data = record, .type = 'x'}, {.name = "d/", .type = '5'}});
  auto copied = copy_tar(tar);
  EXPECT_EQ(copied.code(), Code::kInvalidArgument) << copied.status().to_string();
}

TEST(RootfsTar, Truncated) {
  const std::string tar = testing::raw_tar({{.name = "big", .data = std::string(100'000, 'x')}});
  auto copied = copy_tar(tar.substr(0, 50'000));
  EXPECT_EQ(copied.code(), Code::kInvalidArgument);
  EXPECT_NE(copied.status().message().find("truncated"), std::string::npos) << copied.status().message();
  EXPECT_EQ(copy_tar("").code(), Code::kInvalidArgument);
  EXPECT_EQ(copy_tar("no tar at all").code(), Code::kInvalidArgument);
  const uint64_t far = uint64_t{1} << 30U;
  EXPECT_EQ(copy_tar(testing::sparse_tar("s", 10, {{far, "x"}})).code(), Code::kInvalidArgument);
}

TEST(RootfsTar, Limits) {
  ImageLimits limits;
  limits.max_rootfs_entries = 1;
  const std::string tar = testing::raw_tar({{.name = "a", .data = "1"}, {.name = "b", .data = "2"}});
  EXPECT_EQ(copy_tar(tar, limits).code(), Code::kResourceExhausted);
  limits = {};
  limits.max_rootfs_bytes = 1;
  EXPECT_EQ(copy_tar(tar, limits).code(), Code::kResourceExhausted);
  EXPECT_EQ(copy_tar(testing::sparse_tar("s", uint64_t{1} << 62U, {{0, "x"}}) + tar, limits).code(),
            Code::kResourceExhausted);
  limits = {};
  limits.max_name_bytes = 1;
  EXPECT_EQ(copy_tar(tar, limits).code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace pouch::image
