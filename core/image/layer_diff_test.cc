#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>

#include "core/base/text.h"
#include "core/ctrd/client.h"
#include "core/ctrd/content.h"
#include "core/ctrd/diff.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/testing/private_containerd.h"
#include "core/image/archive_images.h"
#include "core/image/layer_apply.h"
#include "core/image/tar_reader.h"
#include "core/image/testing_support.h"

// Generated stacks of layers, unpacked by us and by containerd's Diff.Apply: the folders must be the same.
// $POUCH_STACKS and $POUCH_SEED say how many and which.

namespace pouch::image {
namespace {

namespace fs = std::filesystem;
using ctrd::testing::PrivateContainerd;

constexpr int kLayers = 3;

Call minute() {
  Call call;
  call.deadline = Deadline::after_ms(60'000);
  return call;
}

int number_of(const char* variable, int otherwise) {
  const char* const text = ::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

struct Generated {
  std::string path;
  mode_t kind = AE_IFREG;
  std::string data;
  std::string target;
  bool is_hard_link = false;
  mode_t mode = 0644;
  int64_t uid = 0;
  int64_t gid = 0;
  timespec modified{};
  std::map<std::string, std::string> xattrs;
};

/// Layers as tools write them, more or less: few names, so that layers meet each other's.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  std::vector<Generated> layer(bool is_lowest) {
    std::vector<Generated> out;
    is_lowest_ = is_lowest;
    for (const auto& [path, kind] : used_) {
      if (kind != AE_IFDIR) no_folders_.insert(path);
    }
    used_.clear();
    told_.clear();
    files_.clear();
    const int count = pick(1, 14);
    for (int i = 0; i < count; ++i) add(out);
    return out;
  }

 private:
  int pick(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  std::string name() {
    static const std::vector<std::string> kNames{"a",       "b", "c", "d", "long-" + std::string(120, 'n'),
                                                 "\xc3\xa4"};
    return kNames.at(static_cast<size_t>(pick(0, static_cast<int>(kNames.size()) - 1)));
  }

  // Through no file of this layer.
  std::string path() {
    std::string out = name();
    for (int depth = pick(0, 2); depth > 0; --depth) out += "/" + name();
    return out;
  }

  bool is_free(const std::string& path) {
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const auto above = used_.find(path.substr(0, slash));
      if (above != used_.end() && above->second != AE_IFDIR) return false;
    }
    return !used_.contains(path) || used_[path] == AE_IFDIR;
  }

  bool has_below(const std::string& path) {
    return std::any_of(used_.begin(), used_.end(),
                       [&](const auto& one) { return one.first.starts_with(path + "/"); });
  }

  void fill(Generated& entry) {
    static const std::vector<mode_t> kModes{0644, 0755, 0600, 04755, 02755, 01777, 0, 06711};
    entry.mode = kModes.at(static_cast<size_t>(pick(0, static_cast<int>(kModes.size()) - 1)));
    entry.uid = chance(60) ? 0 : pick(1, 70'000);
    entry.gid = chance(60) ? 0 : pick(1, 70'000);
    entry.modified = {pick(1, 2'000'000'000), chance(50) ? 0 : pick(1, 999'999'999)};
    if (chance(15)) entry.xattrs["user.k"] = std::string("v\0w", 3);
    if (chance(10)) entry.xattrs["trusted.t"] = "x";
    if (chance(5))
      entry.xattrs["security.capability"] = std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  }

  void add(std::vector<Generated>& out) {
    Generated entry;
    entry.path = path();
    if (!is_free(entry.path)) return;
    fill(entry);
    const int kind = pick(1, 100);
    if (kind <= 40) {
      make_file(entry);
    } else if (kind <= 62) {
      entry.kind = AE_IFDIR;
    } else if (kind <= 75) {
      entry.kind = AE_IFLNK;
      entry.target = chance(50) ? "/" + path() : "../" + name();
      entry.xattrs.erase("user.k");  // the kernel has none on links
      entry.xattrs.erase("security.capability");
    } else if (kind <= 82) {
      entry.kind = chance(50) ? AE_IFIFO : AE_IFCHR;
      entry.xattrs.clear();
    } else if (kind <= 90) {
      if (files_.empty()) return;
      const Generated& first = files_.at(static_cast<size_t>(pick(0, static_cast<int>(files_.size()) - 1)));
      const std::string path = entry.path;
      if (path == first.path) return;
      entry = first;
      entry.path = path;
      entry.is_hard_link = true;
      entry.target = first.path;
    } else {
      // In the lowest layer containerd lets an opaque folder lose what the tar left out of it.
      return is_lowest_ ? void() : hide(out, entry);
    }
    // A file in place of a folder of this layer: whatever was below goes, which is containerd's affair, too.
    if (entry.kind != AE_IFDIR && has_below(entry.path)) return;
    if (used_.contains(entry.path) && entry.kind != AE_IFDIR) return;
    // A folder that is told of after what is in it keeps, with containerd, attributes that it has below.
    if (used_.contains(entry.path) && !told_.contains(entry.path)) return;
    if (entry.kind == AE_IFDIR) told_.insert(entry.path);
    used_[entry.path] = entry.is_hard_link ? AE_IFREG : entry.kind;
    note_parents(out, entry.path);
    if (entry.kind == AE_IFREG && !entry.is_hard_link) files_.push_back(entry);
    out.push_back(entry);
  }

  void make_file(Generated& entry) {
    const int size = chance(80) ? pick(0, 3000) : pick(0, 300'000);
    entry.data.resize(static_cast<size_t>(size));
    for (char& c : entry.data) c = static_cast<char>(pick(0, 255));
  }

  // Whiteouts only of what this layer does not have; it makes no folder of the name afterwards.
  void hide(std::vector<Generated>& out, Generated entry) {
    const size_t slash = entry.path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : entry.path.substr(0, slash + 1);
    const std::string base = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
    if (chance(30) && !parent.empty()) {
      if (used_.contains(entry.path)) return;
      entry.path = parent + ".wh..wh..opq";
    } else {
      if (used_.contains(entry.path) || has_below(entry.path)) return;
      used_[entry.path] = AE_IFCHR;
      entry.path = parent + ".wh." + base;
    }
    note_parents(out, entry.path);
    entry.data.clear();
    entry.xattrs.clear();
    out.push_back(entry);
  }

  // A folder that the tar leaves out, below what was no folder in a lower layer, is more than containerd 1.6
  // takes.
  void note_parents(std::vector<Generated>& out, const std::string& path) {
    bool must_tell = false;
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      Generated parent;
      parent.path = path.substr(0, slash);
      parent.kind = AE_IFDIR;
      must_tell = must_tell || no_folders_.contains(parent.path);
      if (used_.emplace(parent.path, AE_IFDIR).second && must_tell) {
        fill(parent);
        told_.insert(parent.path);
        out.push_back(parent);
      }
    }
  }

  std::mt19937_64 random_;
  bool is_lowest_ = false;
  std::map<std::string, mode_t> used_;
  std::set<std::string> told_;        ///< folders of this layer that have an entry
  std::set<std::string> no_folders_;  ///< in lower layers
  std::vector<Generated> files_;
};

std::string to_tar(const std::vector<Generated>& entries) {
  const Utf8Locale locale;
  std::string out;
  const std::unique_ptr<archive, int (*)(archive*)> writer(::archive_write_new(), &::archive_write_free);
  ::archive_write_set_format_pax(writer.get());
  ::archive_write_set_format_option(writer.get(), "pax", "xattrheader", "SCHILY");
  const auto write = [](archive*, void* to, const void* bytes, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  };
  ::archive_write_open(writer.get(), &out, nullptr, write, nullptr);
  for (const Generated& entry : entries) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> header(::archive_entry_new(),
                                                                          &::archive_entry_free);
    ::archive_entry_set_pathname(header.get(), entry.path.c_str());
    ::archive_entry_set_filetype(header.get(), entry.kind);
    ::archive_entry_set_perm(header.get(), entry.mode);
    ::archive_entry_set_uid(header.get(), entry.uid);
    ::archive_entry_set_gid(header.get(), entry.gid);
    ::archive_entry_set_mtime(header.get(), entry.modified.tv_sec, entry.modified.tv_nsec);
    if (entry.kind == AE_IFCHR)
      ::archive_entry_set_rdevmajor(header.get(), 1), ::archive_entry_set_rdevminor(header.get(), 3);
    if (entry.is_hard_link) {
      ::archive_entry_set_hardlink(header.get(), entry.target.c_str());
    } else if (entry.kind == AE_IFLNK) {
      ::archive_entry_set_symlink(header.get(), entry.target.c_str());
    } else if (entry.kind == AE_IFREG) {
      ::archive_entry_set_size(header.get(), static_cast<int64_t>(entry.data.size()));
    }
    for (const auto& [key, value] : entry.xattrs)
      ::archive_entry_xattr_add_entry(header.get(), key.c_str(), value.data(), value.size());
    EXPECT_EQ(::archive_write_header(writer.get(), header.get()), ARCHIVE_OK) << entry.path;
    if (entry.kind == AE_IFREG && !entry.is_hard_link)
      ::archive_write_data(writer.get(), entry.data.data(), entry.data.size());
  }
  ::archive_write_close(writer.get());
  return out;
}

std::string xattrs_text(const fs::path& path) {
  std::string names(65536, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  names.resize(size < 0 ? 0 : static_cast<size_t>(size));
  std::set<std::string> out;
  for (const std::string& name : split(names, '\0')) {
    if (name.empty()) continue;
    std::string value(65536, '\0');
    const ssize_t got = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(got < 0 ? 0 : static_cast<size_t>(got));
    out.insert(name + "=" + quote(value));
  }
  return join({out.begin(), out.end()}, ",");
}

// All of a tree as text. The times of folders that a tar left out are containerd's clock's.
std::map<std::string, std::string> describe(const fs::path& root, const std::set<std::string>& in_tar) {
  std::map<std::string, std::string> out;
  std::map<ino_t, std::string> first;
  std::vector<fs::path> all;
  for (const auto& entry : fs::recursive_directory_iterator(root)) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  for (const fs::path& path : all) {
    const std::string name = path.lexically_relative(root).string();
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    std::string text = std::to_string(info.st_mode) + " " + std::to_string(info.st_uid) + ":" +
                       std::to_string(info.st_gid) + " " + std::to_string(info.st_rdev) + " " +
                       xattrs_text(path);
    const bool is_whiteout = S_ISCHR(info.st_mode) && info.st_rdev == 0;
    if (!is_whiteout && (!S_ISDIR(info.st_mode) || in_tar.contains(name)))
      text += " " + std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
    if (S_ISLNK(info.st_mode)) text += " -> " + fs::read_symlink(path).string();
    if (S_ISREG(info.st_mode)) {
      std::ifstream in(path, std::ios::binary);
      text += " " + sha256_digest(std::string(std::istreambuf_iterator<char>(in), {}));
      text += " like " + first.emplace(info.st_ino, name).first->second;
    }
    out[name] = text;
  }
  return out;
}

class LayerDiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = PrivateContainerd::start();
    if (!started.is_ok()) GTEST_SKIP() << started.status().message();
    containerd_ = std::move(*started);
    client_ = *ctrd::Client::connect(containerd_->socket_path(), "layers", Deadline::after_ms(10'000));
  }

  struct Side {
    std::string parent;
    std::string key;
    OverlayFolders folders;
  };

  void prepare(Side& side, std::vector<ctrd::Mount>& mounts) {
    side.key = random_hex(8);
    const auto prepared = client_->snapshots().prepare(minute(), "overlayfs", side.key, side.parent,
                                                       {{"containerd.io/gc.root", "1"}});
    ASSERT_TRUE(prepared.is_ok()) << prepared.status().message();
    mounts = *prepared;
    side.folders = *overlay_folders(mounts, side.parent.empty());
  }

  void commit(Side& side) {
    side.parent = "c-" + side.key;
    ASSERT_TRUE(client_->snapshots()
                    .commit(minute(), "overlayfs", side.parent, side.key, {{"containerd.io/gc.root", "1"}})
                    .is_ok());
  }

  std::unique_ptr<PrivateContainerd> containerd_;
  std::shared_ptr<ctrd::Client> client_;
};

TEST_F(LayerDiffTest, AsContainerdUnpacksThem) {
  const int stacks = number_of("POUCH_STACKS", 150);
  const int seed = number_of("POUCH_SEED", 1);
  int refused = 0;
  for (int stack = 0; stack < stacks; ++stack) {
    Generator generator(static_cast<uint64_t>(seed) * 1'000'003U + static_cast<uint64_t>(stack));
    Side ours;
    Side theirs;
    for (int layer = 0; layer < kLayers; ++layer) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", stack " + std::to_string(stack) + ", layer " +
                   std::to_string(layer));
      const std::vector<Generated> entries = generator.layer(layer == 0);
      const std::string tar = to_tar(entries);
      const std::string bytes = stack % 3 == 0   ? tar
                                : stack % 3 == 1 ? testing::gzip(tar)
                                                 : testing::zstd(tar);
      ctrd::Descriptor blob;
      blob.media_type = std::string(kOciLayerType) + (stack % 3 == 0   ? ""
                                                      : stack % 3 == 1 ? "+gzip"
                                                                       : "+zstd");
      blob.digest = Digest(sha256_digest(bytes));
      blob.size = static_cast<int64_t>(bytes.size());
      ASSERT_TRUE(client_->content()
                      .write_blob(minute(), random_hex(8), blob, bytes, {{"containerd.io/gc.root", "1"}})
                      .is_ok());
      std::vector<ctrd::Mount> mounts;
      prepare(theirs, mounts);
      const auto applied = client_->diff().apply(minute(), blob, mounts);
      prepare(ours, mounts);
      ASSERT_TRUE(*shares_folders(*client_, minute(), "overlayfs", ours.key, ours.folders));
      const fs::path staging = fs::path(ours.folders.upper).parent_path() / "staging";
      fs::create_directory(staging);
      auto unpacked = StagedLayer::unpack(*client_, minute(), blob, staging.string(), layer == 0, {});
      if (!applied.is_ok()) {
        ++refused;
        break;
      }
      ASSERT_TRUE(unpacked.is_ok()) << unpacked.status().message();
      EXPECT_EQ(unpacked->diff_id().str(), sha256_digest(tar));
      const Status moved = unpacked->move_into(ours.folders);
      ASSERT_TRUE(moved.is_ok()) << moved.message();
      fs::remove(staging);
      std::set<std::string> in_tar;
      for (const Generated& entry : entries) in_tar.insert(entry.path);
      const auto expected = describe(theirs.folders.upper, in_tar);
      const auto found = describe(ours.folders.upper, in_tar);
      ASSERT_EQ(found, expected);
      commit(theirs);
      commit(ours);
    }
    for (const std::string& key : {ours.parent, theirs.parent})
      if (!key.empty()) client_->snapshots().remove(minute(), "overlayfs", key).ignore();
  }
  EXPECT_LT(refused, stacks / 10) << "the generator makes too much that containerd refuses";
}

}  // namespace
}  // namespace pouch::image
