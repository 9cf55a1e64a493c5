#include "core/image/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <cerrno>

#include "core/base/text.h"

namespace pouch::image {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20U;
constexpr size_t kMaxBehindEnd = size_t{1} << 30U;  // of an archive that was compressed; tar pads to some KiB

// Made once and kept: the last of several threads to free one would unload what others have just used.
locale_t utf8_locale() {
  static const locale_t kLocale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kLocale;
}

}  // namespace

Utf8Locale::Utf8Locale() {
  if (utf8_locale() != nullptr) previous_ = ::uselocale(utf8_locale());
}

Utf8Locale::~Utf8Locale() {
  if (previous_ != nullptr) ::uselocale(static_cast<locale_t>(previous_));
}

void TarReader::Free::operator()(archive* reader) const {
  ::archive_read_free(reader);
}

TarReader::~TarReader() = default;

ssize_t TarReader::read_callback(archive* reader, void* self, const void** buffer) {
  auto& me = *static_cast<TarReader*>(self);
  auto piece = me.source_.next();
  if (!piece.is_ok()) {
    me.source_error_ = piece.status();
    ::archive_set_error(reader, EIO, "the source failed");
    return -1;
  }
  me.source_ended_ = piece->empty();
  *buffer = piece->data();
  return static_cast<ssize_t>(piece->size());
}

Result<std::unique_ptr<TarReader>> TarReader::open(ByteSource& source) {
  // libarchive compares no checksum of gzip, and takes twice the time. The rare kinds are left to it.
  auto inflated = std::make_unique<InflateSource>(source, "the archive");
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<TarReader> reader, open_with(*inflated, /*has_filters=*/true));
  reader->inflated_ = std::move(inflated);
  return reader;
}

Result<std::unique_ptr<TarReader>> TarReader::open_plain(ByteSource& source) {
  return open_with(source, /*has_filters=*/false);
}

Result<std::unique_ptr<TarReader>> TarReader::open_with(ByteSource& source, bool has_filters) {
  std::unique_ptr<TarReader> reader(new TarReader(source));
  reader->archive_.reset(::archive_read_new());
  archive* const handle = reader->archive_.get();
  if (handle == nullptr) return Status(Code::kOutOfMemory, "read the archive: out of memory");
  if (has_filters) {
    ::archive_read_support_filter_gzip(handle);
    ::archive_read_support_filter_zstd(handle);
    ::archive_read_support_filter_bzip2(handle);
    ::archive_read_support_filter_xz(handle);
  }
  ::archive_read_support_format_tar(handle);
  if (!has_filters) ::archive_read_support_format_empty(handle);
  if (::archive_read_open(handle, reader.get(), nullptr, &TarReader::read_callback, nullptr) != ARCHIVE_OK) {
    return reader->error();
  }
  reader->buffer_.resize(kReadBytes);
  return reader;
}

Status TarReader::error() {
  if (!source_error_.is_ok()) return source_error_;
  const char* text = ::archive_error_string(archive_.get());
  const std::string reason = text == nullptr ? "unknown error" : text;
  const std::string lower = to_lower(reason);
  if (lower.find("truncated") != std::string::npos || lower.find("premature") != std::string::npos) {
    return invalid_argument("the archive is truncated");
  }
  if (lower.find("unrecognized archive format") != std::string::npos) {
    return invalid_argument("the archive is not a tar archive, or it is damaged");
  }
  return invalid_argument("the archive is damaged: " + quote(reason));
}

Result<archive_entry*> TarReader::next() {
  warning_.clear();
  archive_entry* entry = nullptr;
  int result = ARCHIVE_RETRY;
  while (result == ARCHIVE_RETRY) result = ::archive_read_next_header(archive_.get(), &entry);
  if (result == ARCHIVE_EOF) return static_cast<archive_entry*>(nullptr);
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return error();
  if (result == ARCHIVE_WARN) {
    const char* text = ::archive_error_string(archive_.get());
    warning_ = text == nullptr ? "unknown warning" : text;
  }
  return entry;
}

Result<std::string_view> TarReader::read() {
  const ssize_t got = ::archive_read_data(archive_.get(), buffer_.data(), buffer_.size());
  if (got >= 0) return std::string_view(buffer_.data(), static_cast<size_t>(got));
  return error();  // also where it may be read on: a sparse file whose pieces are in no order
}

Status TarReader::drain() {
  size_t bytes = 0;
  while (!source_ended_) {
    POUCH_ASSIGN_OR_RETURN(const std::string_view piece, source_.next());
    source_ended_ = piece.empty();
    bytes += piece.size();
    if (inflated_ != nullptr && bytes > kMaxBehindEnd)
      return invalid_argument("the archive is damaged: it has too much behind its end");
  }
  return {};
}

}  // namespace pouch::image
