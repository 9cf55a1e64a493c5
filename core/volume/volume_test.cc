#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/id.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"
#include "core/volume/copy_tree.h"
#include "core/volume/folder_bytes.h"
#include "core/volume/list_filter.h"
#include "core/volume/local_driver.h"
#include "core/volume/network_mount.h"

namespace pouch::volume {
namespace {

VolumeRow row_of(const std::string& name, std::optional<Texts> options = {}) {
  VolumeRow row;
  row.name = name;
  row.driver = "local";
  row.options = std::move(options);
  return row;
}

TEST(VolumeNames, AreThoseOfFiles) {
  for (const char* good : {"ab", "a.b", "a_b-c", "0a", "A9"})
    EXPECT_TRUE(check_local_name(good).is_ok()) << good;
  for (const char* bad : {"", "a", ".a", "-a", "a/b", "..", "a b", "\xc3\xa4\xc3\xa4", "a\nb"}) {
    EXPECT_EQ(check_local_name(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(check_local_name(std::string(255, 'a')).is_ok());
  EXPECT_EQ(check_local_name(std::string(256, 'a')).code(), Code::kInvalidArgument);
}

TEST(LocalDriver, ChecksOptions) {
  const LocalDriver driver("/nonexistent");
  const auto check = [&](const Texts& options) { return driver.check(row_of("vol", options)); };
  EXPECT_TRUE(check({}).is_ok());
  EXPECT_TRUE(check({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}}).is_ok());
  EXPECT_EQ(check({{"colour", "red"}}).message(), "invalid option: \"colour\"");
  EXPECT_EQ(check({{"type", "tmpfs"}}).message(), "missing required option: \"device\"");
  EXPECT_EQ(check({{"device", "/x"}}).message(), "missing required option: \"type\"");
  EXPECT_EQ(check({{"o", "bind"}, {"device", "/x"}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check({{"size", "much"}}).message(), "invalid size: \"much\"");
  EXPECT_TRUE(check({{"size", "0"}}).is_ok());
  // procfs has no quotas anywhere.
  const LocalDriver without("/proc/nonexistent/volumes");
  const Status refused = without.check(row_of("vol", Texts{{"size", "1m"}}));
  EXPECT_EQ(refused.code(), Code::kNotImplemented);
  EXPECT_EQ(refused.message(), "DriverOpts size: quota size requested but no quota support");
  EXPECT_FALSE(driver.needs_staging(row_of("vol")));
  EXPECT_TRUE(driver.needs_staging(row_of("vol", Texts{{"type", "none"}, {"device", "/x"}})));
}

TEST(NetworkMounts, HaveAddressesWhereNamesWere) {
  const auto resolve = [](const std::string& host) -> Result<std::string> {
    if (host == "files" || host == "192.0.2.7") return std::string("192.0.2.7");
    return not_found("no such host: " + host);
  };
  const auto changed = [&](const char* type, const char* device, const char* options) -> std::string {
    const auto order = with_addresses({type, device, options}, resolve);
    return order.is_ok() ? order->source + " " + order->options : order.status().message();
  };
  EXPECT_EQ(changed("nfs", ":/export", "addr=files,nfsvers=4"), ":/export addr=192.0.2.7,nfsvers=4");
  EXPECT_EQ(changed("nfs4", ":/export", "ro,addr=192.0.2.7"), ":/export ro,addr=192.0.2.7");
  EXPECT_EQ(changed("nfs", "files:/export", "ro"), "files:/export ro");
  EXPECT_EQ(changed("nfs", ":/export", "addr=nowhere"),
            "error resolving passed in network volume address: no such host: nowhere");
  EXPECT_EQ(changed("cifs", "//files/share", "username=me"), "//192.0.2.7/share username=me");
  EXPECT_EQ(changed("cifs", "//files/share", "addr=files"), "//files/share addr=192.0.2.7");
  EXPECT_EQ(changed("cifs", "//files", ""), "//192.0.2.7 ");
  EXPECT_EQ(changed("tmpfs", "tmpfs", "addr=files"), "tmpfs addr=files");
  EXPECT_EQ(*resolve_host("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(*resolve_host("::1"), "::1");
  EXPECT_EQ(*resolve_host("localhost"), "127.0.0.1");
  EXPECT_TRUE(check_device("nfs", "host:/a:b").is_ok());
  EXPECT_TRUE(check_device("cifs", "//host/a:b").is_ok());
  EXPECT_EQ(check_device("cifs", "//host:99/a").code(), Code::kInvalidArgument);
}

bool lists(const FilterMap& filters, bool is_used = false) {
  VolumeRow row = row_of("vol1");
  row.labels = Texts{{"a", "b"}};
  const auto filter = ListFilter::parse(filters);
  return filter.is_ok() && filter->matches(row, is_used);
}

TEST(VolumeFilters, OfLists) {
  EXPECT_TRUE(lists({}));
  EXPECT_TRUE(lists({{"name", {"nosuch", "ol"}}, {"driver", {"local"}}, {"label", {"a", "a=b"}}}));
  EXPECT_FALSE(lists({{"label", {"a", "c"}}}));
  EXPECT_FALSE(lists({{"driver", {"other"}}}));
  EXPECT_TRUE(lists({{"dangling", {"true"}}}));
  EXPECT_FALSE(lists({{"dangling", {"1"}}}, true));
  EXPECT_TRUE(lists({{"dangling", {"false"}}}, true));
  EXPECT_EQ(ListFilter::parse({{"colour", {"red"}}}).status().message(), "Invalid filter 'colour'");
  EXPECT_EQ(ListFilter::parse({{"dangling", {"perhaps"}}}).status().message(),
            "Invalid filter 'dangling=[perhaps]'");
  EXPECT_EQ(ListFilter::parse({{"dangling", {"true", "false"}}}).code(), Code::kInvalidArgument);
}

TEST(VolumeFilters, OfPrunes) {
  VolumeRow row = row_of("vol1");
  row.labels = Texts{{"a", "b"}};
  const auto prunes = [&](const FilterMap& filters) { return PruneFilter::parse(filters)->matches(row); };
  EXPECT_FALSE(prunes({}));
  EXPECT_FALSE(prunes({{"all", {"false"}}}));
  EXPECT_TRUE(prunes({{"all", {"1"}}}));
  row.is_anonymous = true;
  EXPECT_TRUE(prunes({}));
  EXPECT_FALSE(prunes({{"label!", {"a"}}}));
  EXPECT_TRUE(prunes({{"label", {"a=b"}}, {"label!", {"a=c"}}}));
  EXPECT_EQ(PruneFilter::parse({{"until", {"1h"}}}).code(), Code::kInvalidArgument);
}

class Trees : public ::testing::Test {
 protected:
  void SetUp() override {
    top_ = std::filesystem::temp_directory_path() / ("pouch-volume-" + random_hex(6));
    std::filesystem::create_directories(top_ / "from/sub/deeper");
    std::filesystem::create_directory(top_ / "to");
  }
  void TearDown() override { ASSERT_TRUE(sys::remove_tree(top_).is_ok()); }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(top_ / name) << text;
    return top_ / name;
  }
  static UniqueFd open(const std::filesystem::path& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  Status copy() { return copy_tree(open(top_ / "from").get(), open(top_ / "to").get()); }
  struct stat look(const std::string& name) {
    struct stat info {};
    EXPECT_EQ(::lstat((top_ / name).c_str(), &info), 0) << name;
    return info;
  }

  std::filesystem::path top_;
};

TEST_F(Trees, AreCopiedWhole) {
  const auto file = write("from/file", "text");
  write("from/sub/deeper/last", std::string(100'000, 'x'));
  ASSERT_EQ(::chmod(file.c_str(), 04751), 0);
  const bool has_attributes = ::setxattr(file.c_str(), "user.a", "b", 1, 0) == 0;
  std::filesystem::create_hard_link(file, top_ / "from/sub/same");
  std::filesystem::create_symlink("/etc", top_ / "from/out");
  ASSERT_EQ(::mkfifo((top_ / "from/pipe").c_str(), 0640), 0);
  const timespec times[] = {{1000, 5}, {2000, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  ASSERT_EQ(::chmod((top_ / "from").c_str(), 01770), 0);
  ASSERT_TRUE(*is_empty_folder(open(top_ / "to").get()));

  ASSERT_TRUE(copy().is_ok()) << copy().message();
  EXPECT_FALSE(*is_empty_folder(open(top_ / "to").get()));
  EXPECT_EQ(look("to/file").st_mode & 07777, 04751U);
  EXPECT_EQ(look("to/file").st_mtim.tv_sec, 2000);
  EXPECT_EQ(look("to/file").st_mtim.tv_nsec, 7);
  EXPECT_EQ(look("to/file").st_ino, look("to/sub/same").st_ino);
  EXPECT_NE(look("to/file").st_ino, look("from/file").st_ino);
  EXPECT_EQ(look("to/sub/deeper/last").st_size, 100'000);
  EXPECT_TRUE(S_ISFIFO(look("to/pipe").st_mode));
  EXPECT_EQ(std::filesystem::read_symlink(top_ / "to/out"), "/etc");
  EXPECT_EQ(look("to").st_mode & 07777, 01770U);
  char value[4] = {};
  const ssize_t size = ::getxattr((top_ / "to/file").c_str(), "user.a", value, sizeof value);
  EXPECT_EQ(size, has_attributes ? 1 : -1);
  EXPECT_EQ(*folder_bytes(top_ / "to"), 100'000 + 4 + 4);  // the link's own four
}

TEST_F(Trees, AreNotCopiedOverOthers) {
  write("from/file", "new");
  write("to/file", "old");
  EXPECT_FALSE(copy().is_ok());
  EXPECT_EQ(look("to/file").st_size, 3);
  EXPECT_EQ(*sys::read_file(top_ / "to/file"), "old");
}

TEST_F(Trees, HaveBytesWithoutWhatLinksLeadTo) {
  write("from/file", "four");
  std::filesystem::create_symlink(top_, top_ / "to/up");
  EXPECT_EQ(*folder_bytes(top_ / "to"), static_cast<int64_t>(top_.string().size()));
  EXPECT_FALSE(folder_bytes(top_ / "nosuch").is_ok());
}

TEST_F(Trees, OfTheLocalDriverComeAndGo) {
  if (::geteuid() != 0) GTEST_SKIP() << "folders must belong to root";
  LocalDriver driver(top_ / "volumes");
  const VolumeRow row = row_of("vol");
  ASSERT_TRUE(driver.create(row, {}).is_ok());
  ASSERT_TRUE(driver.create(row, {}).is_ok());
  EXPECT_EQ(look("volumes/vol/_data").st_mode & 07777, 0755U);
  EXPECT_EQ(look("volumes").st_mode & 07777, 0700U);
  ASSERT_TRUE(driver.remove(row, {}).is_ok());
  ASSERT_TRUE(driver.remove(row, {}).is_ok());
  EXPECT_FALSE(std::filesystem::exists(top_ / "volumes/vol"));
}

}  // namespace
}  // namespace pouch::volume
