#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/inflate_source.h"

struct archive;
struct archive_entry;

namespace pouch::image {

/// Makes this thread take text for UTF-8 while it lives (libarchive converts names by the thread's locale,
/// and would damage them in the "C" locale). The process's locale stays untouched. One per worker function,
/// around all use of TarReader and TarWriter.
class Utf8Locale {
 public:
  Utf8Locale();
  ~Utf8Locale();
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  void* previous_ = nullptr;
};

/// Reads a tar, plain or compressed by gzip, zstd, bzip2 or xz, entry by entry. Not thread-safe.
///
/// Errors: those of the source as they are; else InvalidArgument that begins with "the archive ", where an
/// early end is told as "the archive is truncated".
class TarReader {
 public:
  /// `source` must outlive the reader.
  static Result<std::unique_ptr<TarReader>> open(ByteSource& source);
  /// The same for what is not compressed (any more); empty is an archive without entries.
  static Result<std::unique_ptr<TarReader>> open_plain(ByteSource& source);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next entry, valid until the next call; null at the end. What was unread of the last one is skipped.
  Result<archive_entry*> next();
  /// Up to a MiB of the current entry's data; empty: its end.
  Result<std::string_view> read();
  /// What libarchive complained of in the last next() without failing; empty: nothing.
  const std::string& warning() const { return warning_; }
  /// Reads what stands behind the end of the archive, so that whoever sends it can end well, and checksums
  /// are compared. InvalidArgument for a small archive that unpacks to very much there.
  Status drain();

 private:
  explicit TarReader(ByteSource& source) : source_(source) {}
  static Result<std::unique_ptr<TarReader>> open_with(ByteSource& source, bool has_filters);
  Status error();
  static ssize_t read_callback(archive* reader, void* self, const void** buffer);

  struct Free {
    void operator()(archive* reader) const;
  };
  std::unique_ptr<InflateSource> inflated_;  ///< where the archive may be compressed: what is read
  ByteSource& source_;
  Status source_error_;
  bool source_ended_ = false;
  std::unique_ptr<archive, Free> archive_;
  std::string buffer_;
  std::string warning_;
};

}  // namespace pouch::image
