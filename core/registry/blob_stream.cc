#include "core/registry/blob_stream.h"

#include <algorithm>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::registry {

Status BlobStream::take(const HttpAnswer& head, std::string_view bytes) {
  if (!skip_) {
    POUCH_ASSIGN_OR_RETURN(skip_, to_skip(head));
  }
  const auto dropped = static_cast<size_t>(std::min<int64_t>(*skip_, static_cast<int64_t>(bytes.size())));
  *skip_ -= static_cast<int64_t>(dropped);
  bytes.remove_prefix(dropped);
  if (bytes.empty()) return {};
  if (static_cast<int64_t>(bytes.size()) > size_ - at_) {
    return {Code::kDataLoss, "blob " + digest_.str() + " has more than " + std::to_string(size_) + " bytes"};
  }
  at_ += static_cast<int64_t>(bytes.size());
  if (begin_ == 0) hash_.update(bytes);
  sink_status_ = sink_(bytes);
  return sink_status_;
}

Status BlobStream::finish() {
  if (begin_ != 0) return {};
  const Digest got = hash_.finish();
  if (got == digest_) return {};
  return {Code::kDataLoss, "blob " + digest_.str() + ": what came has the digest " + got.str()};
}

// A server that does not know ranges sends it from its beginning.
Result<int64_t> BlobStream::to_skip(const HttpAnswer& head) const {
  if (head.status == 200) return at_;
  const std::string range = head.header("content-range");
  const size_t space = range.find(' ');
  const int64_t begin = space == std::string::npos
                            ? -1
                            : leading_number(std::string_view(range).substr(space + 1), int64_t{-1});
  if (begin < 0 || begin > at_)
    return unavailable("blob " + digest_.str() + ": a range that was not asked for: " + quote(range));
  return at_ - begin;
}

}  // namespace pouch::registry
