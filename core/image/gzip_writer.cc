#include "core/image/gzip_writer.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>

namespace pouch::image {
namespace {

constexpr size_t kInBytes = size_t{1} << 20U;
constexpr size_t kOutBytes = size_t{1} << 20U;
// The best of ISA-L's: about what zlib's level 3 gives, several times as fast.
constexpr uint32_t kLevel = 3;

}  // namespace

struct GzipWriter::Deflate {
  isal_zstream stream;
  std::string buffer = std::string(ISAL_DEF_LVL3_DEFAULT, '\0');
};

GzipWriter::GzipWriter(BlobSinkWriter& sink)
    : sink_(sink), deflate_(std::make_unique<Deflate>()), out_(kOutBytes, '\0') {
  in_.reserve(kInBytes);
  isal_zstream& stream = deflate_->stream;
  ::isal_deflate_init(&stream);
  stream.level = kLevel;
  stream.level_buf = reinterpret_cast<uint8_t*>(deflate_->buffer.data());
  stream.level_buf_size = static_cast<uint32_t>(deflate_->buffer.size());
  stream.gzip_flag = IGZIP_GZIP;
  stream.flush = NO_FLUSH;
}

GzipWriter::~GzipWriter() = default;

Status GzipWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kInBytes - in_.size());
    in_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    if (in_.size() == kInBytes) POUCH_RETURN_IF_ERROR(compress(/*is_last=*/false));
  }
  return {};
}

Status GzipWriter::compress(bool is_last) {
  isal_zstream& stream = deflate_->stream;
  stream.next_in = reinterpret_cast<uint8_t*>(in_.data());
  stream.avail_in = static_cast<uint32_t>(in_.size());
  stream.end_of_stream = is_last ? 1 : 0;
  do {
    stream.next_out = reinterpret_cast<uint8_t*>(out_.data());
    stream.avail_out = static_cast<uint32_t>(out_.size());
    if (const int error = ::isal_deflate(&stream); error != COMP_OK)
      return internal_error("compress a layer: ISA-L error " + std::to_string(error));
    const auto made = std::string_view(out_).substr(0, out_.size() - stream.avail_out);
    hash_.update(made);
    size_ += static_cast<int64_t>(made.size());
    if (!made.empty()) POUCH_RETURN_IF_ERROR(sink_.write(made));
  } while (stream.avail_out == 0);
  in_.clear();
  return {};
}

Result<GzipWriter::Blob> GzipWriter::finish() {
  POUCH_RETURN_IF_ERROR(compress(/*is_last=*/true));
  const Blob blob{hash_.finish(), size_};
  POUCH_RETURN_IF_ERROR(sink_.commit(blob.digest, blob.size));
  return blob;
}

}  // namespace pouch::image
