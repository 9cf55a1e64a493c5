#include "core/image/content_sink.h"

#include <utility>

#include "core/base/id.h"
#include "core/ctrd/content.h"
#include "core/image/inflate_source.h"
#include "core/image/stored_image.h"

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

  // What is there already a commit does not put under the lease, although it may be nobody's: the collector
  // would take it from us.
  Status commit(const Digest& digest, int64_t size) override {
    const ctrd::Descriptor blob{"", digest, size, {}};
    POUCH_ASSIGN_OR_RETURN(bool is_pinned, pin_blob(*client_, call_, blob));
    if (is_pinned) return {};
    POUCH_RETURN_IF_ERROR(writer_.commit(call_, size, digest));
    open_ = false;
    if (!writer_.exists()) return {};
    POUCH_ASSIGN_OR_RETURN(is_pinned, pin_blob(*client_, call_, blob));
    return is_pinned ? Status() : unavailable("blob " + digest.str() + " came and went while it was stored");
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

std::unique_ptr<ByteSource> content_source(const ctrd::Client& client, const Call& call, const Digest& digest,
                                           int64_t size) {
  return std::make_unique<ContentSource>(client, call, digest, size);
}

Result<Digest> uncompressed_digest(const ctrd::Client& client, const Call& call, const Digest& blob,
                                   int64_t max_bytes) {
  POUCH_ASSIGN_OR_RETURN(const ctrd::ContentInfo info, client.content().info(call, blob));
  ContentSource source(client, call, blob, info.size);
  InflateSource plain(source);
  BoundedSource bounded(plain, call, max_bytes);
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const std::string_view piece, bounded.next());
    if (piece.empty()) return plain.digest();
  }
}

}  // namespace pouch::image
