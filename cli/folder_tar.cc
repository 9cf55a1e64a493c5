#include "cli/folder_tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

#include "cli/error.h"

namespace pouch::cli {
namespace {

struct Sink {
  const std::function<bool(std::string_view)>& take;
  bool is_full = false;
};

la_ssize_t write_bytes(archive* tar, void* context, const void* data, size_t size) {
  auto* const sink = static_cast<Sink*>(context);
  try {
    if (!sink->is_full && sink->take(std::string_view(static_cast<const char*>(data), size))) {
      return static_cast<la_ssize_t>(size);
    }
    sink->is_full = true;
    archive_set_error(tar, 0, "the engine takes no more");
  } catch (const std::exception& error) {
    archive_set_error(tar, 0, "%s", error.what());
  }
  return -1;
}

[[noreturn]] void fail(archive* source, const std::string& what) {
  const char* const reason = archive_error_string(source);
  throw Exit(kExitError, "pouch: " + what + ": " + (reason == nullptr ? "unknown error" : reason));
}

class FolderTar {
 public:
  FolderTar(std::string folder, const std::function<bool(std::string_view)>& take)
      : folder_(std::move(folder)),
        sink_{take},
        disk_(archive_read_disk_new(), &archive_read_free),
        tar_(archive_write_new(), &archive_write_free),
        links_(archive_entry_linkresolver_new(), &archive_entry_linkresolver_free) {}

  void run() {
    archive_read_disk_set_symlink_physical(disk_.get());
    archive_read_disk_set_behavior(disk_.get(), ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
    archive_write_set_format_pax_restricted(tar_.get());
    archive_entry_linkresolver_set_strategy(links_.get(), ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
    archive_write_set_bytes_in_last_block(tar_.get(), 1);
    if (archive_write_open(tar_.get(), &sink_, nullptr, &write_bytes, nullptr) != ARCHIVE_OK) {
      return check_write("begin the archive");
    }
    if (archive_read_disk_open(disk_.get(), folder_.c_str()) != ARCHIVE_OK)
      fail(disk_.get(), "read " + folder_);
    while (!sink_.is_full && write_next()) {
    }
    if (!sink_.is_full && archive_write_close(tar_.get()) != ARCHIVE_OK) check_write("end the archive");
  }

 private:
  // False at the end.
  bool write_next() {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    const int result = archive_read_next_header2(disk_.get(), entry.get());
    if (result == ARCHIVE_EOF) return false;
    if (result != ARCHIVE_OK) fail(disk_.get(), "read " + folder_);
    archive_read_disk_descend(disk_.get());
    if (archive_entry_filetype(entry.get()) == AE_IFSOCK || !rename(entry.get())) return true;
    archive_entry* present = entry.get();
    archive_entry* deferred = nullptr;  // never used with pax: a link comes with its first name
    archive_entry_linkify(links_.get(), &present, &deferred);
    const int written = archive_write_header(tar_.get(), present);
    if (written < ARCHIVE_WARN) check_write(archive_entry_pathname(present));
    if (written >= ARCHIVE_WARN && archive_entry_size(present) > 0)
      copy_data(archive_entry_pathname(present));
    return true;
  }

  // From the path on the disk to the one below the folder; false for the folder itself.
  bool rename(archive_entry* entry) const {
    const std::string path = archive_entry_pathname(entry);
    const size_t begin = path.find_first_not_of('/', folder_.size());
    if (begin == std::string::npos || path.size() <= folder_.size()) return false;
    archive_entry_copy_pathname(entry, path.substr(begin).c_str());
    return true;
  }

  void copy_data(const std::string& name) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    la_int64_t at = 0;
    int result = ARCHIVE_OK;
    while ((result = archive_read_data_block(disk_.get(), &data, &size, &offset)) == ARCHIVE_OK) {
      for (; at < offset && !sink_.is_full; at += write_zeros(offset - at)) {
      }
      if (archive_write_data(tar_.get(), data, size) < 0) return check_write(name);
      at += static_cast<la_int64_t>(size);
    }
    if (result != ARCHIVE_EOF) fail(disk_.get(), "read " + name);
  }

  // Part of a hole of a sparse file; how much of it.
  la_int64_t write_zeros(la_int64_t wanted) {
    static constexpr char kZeros[64 * 1024] = {};
    const la_int64_t count = std::min<la_int64_t>(wanted, sizeof kZeros);
    if (archive_write_data(tar_.get(), kZeros, static_cast<size_t>(count)) < 0) check_write("a sparse file");
    return count;
  }

  // An engine that takes no more tells why by itself.
  void check_write(const std::string& what) {
    if (!sink_.is_full) fail(tar_.get(), "write " + what);
  }

  std::string folder_;
  Sink sink_;
  std::unique_ptr<archive, decltype(&archive_read_free)> disk_;
  std::unique_ptr<archive, decltype(&archive_write_free)> tar_;
  std::unique_ptr<archive_entry_linkresolver, decltype(&archive_entry_linkresolver_free)> links_;
};

}  // namespace

void write_folder_tar(const std::string& folder, const std::function<bool(std::string_view)>& sink) {
  std::string path = folder;
  while (path.size() > 1 && path.ends_with("/")) path.pop_back();
  FolderTar(path, sink).run();
}

}  // namespace pouch::cli
