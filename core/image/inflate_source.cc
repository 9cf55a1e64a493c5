#include "core/image/inflate_source.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <cstdint>
#include <utility>

namespace pouch::image {
namespace {

constexpr size_t kOutBytes = size_t{1} << 20U;
constexpr size_t kMagicBytes = 4;
constexpr std::string_view kGzip = "\x1f\x8b";
constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";

}  // namespace

class InflateSource::Codec {
 public:
  virtual ~Codec() = default;
  /// What comes next of what the source gives; empty at the end.
  virtual Result<std::string_view> next() = 0;
};

namespace {

// The source's pieces, after what was read of it before.
class Input {
 public:
  Input(ByteSource& source, std::string head, std::string what)
      : source_(source), head_(std::move(head)), what_(std::move(what)) {}

  Result<std::string_view> next() {
    if (!has_given_head_) {
      has_given_head_ = true;
      if (!head_.empty()) return std::string_view(head_);
    }
    return source_.next();
  }
  Status damaged() const { return invalid_argument(what_ + " is damaged: its compression cannot be undone"); }
  Status truncated() const { return invalid_argument(what_ + " is truncated"); }

 private:
  ByteSource& source_;
  std::string head_;
  std::string what_;
  bool has_given_head_ = false;
};

class Plain final : public InflateSource::Codec {
 public:
  explicit Plain(Input input) : input_(std::move(input)) {}
  Result<std::string_view> next() override { return input_.next(); }

 private:
  Input input_;
};

class Gzip final : public InflateSource::Codec {
 public:
  explicit Gzip(Input input) : input_(std::move(input)), out_(kOutBytes, '\0') { reset(); }

  Result<std::string_view> next() override {
    state_.next_out = reinterpret_cast<uint8_t*>(out_.data());
    state_.avail_out = static_cast<uint32_t>(out_.size());
    while (state_.avail_out > 0) {
      if (state_.avail_in == 0 && !is_at_end_) POUCH_RETURN_IF_ERROR(fill());
      if (is_finished()) {
        // There may be more of them, one behind the other.
        if (state_.avail_in == 0) break;
        next_member();
      }
      if (state_.avail_in == 0 && is_at_end_ && !has_pending()) return input_.truncated();
      const uint32_t before = state_.avail_out + state_.avail_in;
      if (::isal_inflate(&state_) != ISAL_DECOMP_OK) return input_.damaged();
      const bool is_stuck = state_.avail_out + state_.avail_in == before && is_at_end_ && !is_finished();
      if (is_stuck) return input_.truncated();
    }
    return std::string_view(out_).substr(0, out_.size() - state_.avail_out);
  }

 private:
  void reset() {
    ::isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  void next_member() {
    uint8_t* const in = state_.next_in;
    uint8_t* const out = state_.next_out;
    const uint32_t in_left = state_.avail_in;
    const uint32_t out_left = state_.avail_out;
    reset();
    state_.next_in = in;
    state_.avail_in = in_left;
    state_.next_out = out;
    state_.avail_out = out_left;
  }

  bool is_finished() const { return state_.block_state == ISAL_BLOCK_FINISH; }
  // Output that waits for room needs no input.
  bool has_pending() const { return state_.tmp_out_valid > state_.tmp_out_processed; }

  Status fill() {
    POUCH_ASSIGN_OR_RETURN(const std::string_view piece, input_.next());
    is_at_end_ = piece.empty();
    state_.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(piece.data()));
    state_.avail_in = static_cast<uint32_t>(piece.size());
    return {};
  }

  Input input_;
  std::string out_;
  inflate_state state_;
  bool is_at_end_ = false;
};

class Zstd final : public InflateSource::Codec {
 public:
  explicit Zstd(Input input)
      : input_(std::move(input)), out_(kOutBytes, '\0'), stream_(::ZSTD_createDStream()) {}

  Result<std::string_view> next() override {
    if (stream_ == nullptr) return Status(Code::kOutOfMemory, "undo a compression: out of memory");
    ZSTD_outBuffer out{out_.data(), out_.size(), 0};
    while (out.pos < out.size) {
      if (in_.pos == in_.size && !is_at_end_) {
        POUCH_ASSIGN_OR_RETURN(const std::string_view piece, input_.next());
        is_at_end_ = piece.empty();
        in_ = {piece.data(), piece.size(), 0};
      }
      if (in_.pos == in_.size && is_at_end_) {
        if (is_in_frame_ && out.pos == 0) return input_.truncated();
        break;
      }
      const size_t left = ::ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (::ZSTD_isError(left) != 0) return input_.damaged();
      is_in_frame_ = left != 0;
    }
    return std::string_view(out_).substr(0, out.pos);
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
  };

  Input input_;
  std::string out_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool is_at_end_ = false;
  bool is_in_frame_ = false;
};

}  // namespace

InflateSource::InflateSource(ByteSource& source) : source_(source) {}
InflateSource::InflateSource(ByteSource& source, std::string what)
    : source_(source), what_(std::move(what)), is_hashed_(false) {}
InflateSource::~InflateSource() = default;

Status InflateSource::begin() {
  has_begun_ = true;
  while (head_.size() < kMagicBytes) {
    POUCH_ASSIGN_OR_RETURN(const std::string_view piece, source_.next());
    if (piece.empty()) break;
    head_ += piece;
  }
  const std::string_view head = head_;
  const bool is_gzip = head.starts_with(kGzip);
  const bool is_zstd = head.starts_with(kZstd);
  Input input(source_, std::move(head_), what_);
  if (is_gzip) {
    codec_ = std::make_unique<Gzip>(std::move(input));
  } else if (is_zstd) {
    codec_ = std::make_unique<Zstd>(std::move(input));
  } else {
    codec_ = std::make_unique<Plain>(std::move(input));
  }
  return {};
}

Result<std::string_view> InflateSource::next() {
  if (!has_begun_) POUCH_RETURN_IF_ERROR(begin());
  POUCH_ASSIGN_OR_RETURN(const std::string_view piece, codec_->next());
  if (is_hashed_) hash_.update(piece);
  return piece;
}

}  // namespace pouch::image
