#include "core/image/content_sink.h"

#include <archive.h>
#include <archive_entry.h>

#include <utility>

#include "core/base/id.h"
#include "core/base/sha256.h"
#include "core/ctrd/content.h"

namespace pouch::image {
namespace {

constexpr int64_t kCleanUpMs = 5'000;
constexpr int64_t kReadBytes = int64_t{4} << 20U;

class ContentWriter final : public BlobSinkWriter {
 public:
  ContentWriter(std::shared_ptr<ctrd::Client> client, Call call, std::string ref, ctrd::BlobWriter writer)
      : client_(std::move(client)),
        call_(std::move(call)),
        ref_(std::move(ref)),
        writer_(std::move(writer)) {}

  ~ContentWriter() override {
    if (!open_) return;
    Call call;
    call.deadline = Deadline::after_ms(kCleanUpMs);
    client_->content().abort(call, ref_).ignore();  // the lease's end takes it anyway
  }

  Status write(std::string_view bytes) override { return writer_.write(call_, bytes); }

  Status commit(const Digest& digest, int64_t size) override {
    POUCH_RETURN_IF_ERROR(writer_.commit(call_, size, digest));
    open_ = false;
    return {};
  }

 private:
  std::shared_ptr<ctrd::Client> client_;
  Call call_;
  std::string ref_;
  ctrd::BlobWriter writer_;
  bool open_ = true;
};

// A blob in pieces.
class ContentSource final : public ByteSource {
 public:
  ContentSource(const ctrd::Client& client, Call call, Digest digest, int64_t size)
      : client_(client), call_(std::move(call)), digest_(std::move(digest)), size_(size) {}

  Result<std::string_view> next() override {
    piece_.clear();
    const int64_t want = std::min(kReadBytes, size_ - offset_);
    if (want == 0) return std::string_view();
    const auto take = [this](std::string_view bytes) {
      piece_.append(bytes);
      return Status();
    };
    POUCH_RETURN_IF_ERROR(client_.content().read(call_, digest_, offset_, want, take));
    if (piece_.empty()) return Status(Code::kDataLoss, "blob " + digest_.str() + " ends early");
    offset_ += static_cast<int64_t>(piece_.size());
    return std::string_view(piece_);
  }

 private:
  const ctrd::Client& client_;
  Call call_;
  Digest digest_;
  int64_t size_;
  int64_t offset_ = 0;
  std::string piece_;
};

struct RawRead {
  ByteSource& source;
  Status error;
};

ssize_t read_raw(archive* reader, void* state, const void** buffer) {
  auto& raw = *static_cast<RawRead*>(state);
  auto piece = raw.source.next();
  if (!piece.is_ok()) {
    raw.error = piece.status();
    ::archive_set_error(reader, EIO, "the source failed");
    return -1;
  }
  *buffer = piece->data();
  return static_cast<ssize_t>(piece->size());
}

Result<Digest> hash_uncompressed(ByteSource& source) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(::archive_read_new(), &::archive_read_free);
  RawRead raw{source, {}};
  ::archive_read_support_filter_gzip(reader.get());
  ::archive_read_support_filter_zstd(reader.get());
  ::archive_read_support_format_raw(reader.get());
  const auto failed = [&] {
    if (!raw.error.is_ok()) return raw.error;
    const char* text = ::archive_error_string(reader.get());
    return invalid_argument(std::string("a layer cannot be decompressed: ") + (text == nullptr ? "" : text));
  };
  archive_entry* entry = nullptr;
  if (::archive_read_open(reader.get(), &raw, nullptr, &read_raw, nullptr) != ARCHIVE_OK) return failed();
  if (::archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) return failed();
  Sha256 hash;
  std::string buffer(static_cast<size_t>(kReadBytes), '\0');
  while (true) {
    const ssize_t got = ::archive_read_data(reader.get(), buffer.data(), buffer.size());
    if (got < 0) return failed();
    if (got == 0) return hash.finish();
    hash.update(std::string_view(buffer.data(), static_cast<size_t>(got)));
  }
}

}  // namespace

Result<std::unique_ptr<BlobSinkWriter>> ContentSink::create() {
  const std::string ref = "pouch-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(ctrd::BlobWriter writer, client_->content().open_writer(call_, ref, 0, Digest()));
  return std::unique_ptr<BlobSinkWriter>(
      std::make_unique<ContentWriter>(client_, call_, ref, std::move(writer)));
}

Result<std::string> ContentSink::read_all(const Digest& digest, size_t limit) {
  return client_->content().read_all(call_, digest, limit);
}

Result<Digest> uncompressed_digest(const ctrd::Client& client, const Call& call, const Digest& blob) {
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, client.content().info(call, blob));
  ContentSource source(client, call, blob, info.size);
  return hash_uncompressed(source);
}

}  // namespace pouch::image
