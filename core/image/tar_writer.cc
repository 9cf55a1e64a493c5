#include "core/image/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "core/base/text.h"

namespace pouch::image {
namespace {

constexpr int kBlockBytes = 1 << 20;

unsigned file_type(TarType type) {
  switch (type) {
    case TarType::kFolder:
      return AE_IFDIR;
    case TarType::kSymlink:
      return AE_IFLNK;
    case TarType::kCharDevice:
      return AE_IFCHR;
    case TarType::kBlockDevice:
      return AE_IFBLK;
    case TarType::kFifo:
      return AE_IFIFO;
    case TarType::kFile:
    case TarType::kHardlink:
      break;
  }
  return AE_IFREG;
}

void fill(archive_entry* out, const TarEntry& entry) {
  const std::string path =
      entry.path.empty() ? "./" : entry.path + (entry.type == TarType::kFolder ? "/" : "");
  ::archive_entry_copy_pathname(out, path.c_str());
  ::archive_entry_set_filetype(out, file_type(entry.type));
  ::archive_entry_set_perm(out, static_cast<mode_t>(entry.mode));
  ::archive_entry_set_uid(out, entry.uid);
  ::archive_entry_set_gid(out, entry.gid);
  ::archive_entry_set_mtime(out, entry.modified_s, 0);
  ::archive_entry_set_size(out, entry.type == TarType::kFile ? entry.size : 0);
  if (entry.type == TarType::kSymlink) ::archive_entry_copy_symlink(out, entry.target.c_str());
  if (entry.type == TarType::kHardlink) ::archive_entry_copy_hardlink(out, entry.target.c_str());
  if (entry.type == TarType::kCharDevice || entry.type == TarType::kBlockDevice) {
    ::archive_entry_set_rdevmajor(out, entry.device_major);
    ::archive_entry_set_rdevminor(out, entry.device_minor);
  }
  for (const auto& [name, value] : entry.xattrs) {
    ::archive_entry_xattr_add_entry(out, name.c_str(), value.data(), value.size());
  }
}

}  // namespace

void TarWriter::Free::operator()(archive* writer) const {
  ::archive_write_free(writer);
}

TarWriter::~TarWriter() {
  is_abandoned_ = true;  // freeing writes the end of the tar, which nobody wants any more
}

// Never fails for libarchive, which would then not free its buffers (3.6); add() and write() look at
// sink_error_.
ssize_t TarWriter::write_callback(archive*, void* self, const void* buffer, size_t size) {
  auto& me = *static_cast<TarWriter*>(self);
  if (me.is_abandoned_ || !me.sink_error_.is_ok()) return static_cast<ssize_t>(size);
  const std::string_view bytes(static_cast<const char*>(buffer), size);
  me.hash_.update(bytes);
  me.size_ += static_cast<int64_t>(size);
  me.sink_error_ = me.sink_->write(bytes);
  return static_cast<ssize_t>(size);
}

Result<std::unique_ptr<TarWriter>> TarWriter::create(std::unique_ptr<BlobSinkWriter> sink) {
  std::unique_ptr<TarWriter> writer(new TarWriter(std::move(sink)));
  writer->archive_.reset(::archive_write_new());
  archive* const handle = writer->archive_.get();
  if (handle == nullptr) return Status(Code::kOutOfMemory, "write a layer: out of memory");
  ::archive_write_set_format_pax_restricted(handle);
  ::archive_write_set_format_option(handle, "pax", "xattrheader", "SCHILY");  // what Go's tools read
  ::archive_write_set_bytes_per_block(handle, kBlockBytes);
  ::archive_write_set_bytes_in_last_block(handle, 1);
  if (::archive_write_open(handle, writer.get(), nullptr, &TarWriter::write_callback, nullptr) !=
      ARCHIVE_OK) {
    return writer->error("write a layer");
  }
  return writer;
}

Status TarWriter::error(std::string_view what) {
  if (!sink_error_.is_ok()) return sink_error_;
  const char* text = ::archive_error_string(archive_.get());
  return internal_error(std::string(what) + ": " + quote(text == nullptr ? "unknown error" : text));
}

Status TarWriter::add(const TarEntry& entry) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> out(::archive_entry_new2(archive_.get()),
                                                                     &::archive_entry_free);
  fill(out.get(), entry);
  const int result = ::archive_write_header(archive_.get(), out.get());
  // A warning is about a name that is no UTF-8: it is written as it is.
  if (result == ARCHIVE_OK || result == ARCHIVE_WARN) return sink_error_;
  return error("write " + quote(entry.path) + " into a layer");
}

Status TarWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::archive_write_data(archive_.get(), bytes.data(), bytes.size());
    if (wrote < 0) return error("write a layer");
    if (wrote == 0) return internal_error("write a layer: more data than the entry's size");
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return sink_error_;
}

Result<TarWriter::Blob> TarWriter::finish() {
  if (::archive_write_close(archive_.get()) != ARCHIVE_OK) return error("write a layer");
  archive_.reset();
  POUCH_RETURN_IF_ERROR(sink_error_);
  Blob blob{hash_.finish(), size_};
  POUCH_RETURN_IF_ERROR(sink_->commit(blob.digest, blob.size));
  sink_.reset();
  return blob;
}

}  // namespace pouch::image
