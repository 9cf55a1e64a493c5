#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/id.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/registry/client.h"
#include "core/registry/http.h"

namespace pouch::registry {

/// The bytes of one blob on their way to a sink, over as many answers as it takes.
class BlobStream {
 public:
  /// All must outlive it.
  BlobStream(const Digest& digest, int64_t size, int64_t offset, const Sink& sink)
      : digest_(digest), size_(size), begin_(offset), at_(offset), sink_(sink) {}

  int64_t at() const { return at_; }
  bool is_whole() const { return at_ == size_; }
  /// Of the sink: what it did not take is lost, and nothing can go on.
  const Status& sink_status() const { return sink_status_; }

  /// Another answer comes, which may begin before at().
  void begin_answer() { skip_.reset(); }
  /// DataLoss when there is more than there should be; else the sink's error.
  Status take(const HttpAnswer& head, std::string_view bytes);
  /// Compares the digest where all came through here.
  Status finish();

 private:
  Result<int64_t> to_skip(const HttpAnswer& head) const;

  const Digest& digest_;
  const int64_t size_;
  const int64_t begin_;
  int64_t at_;
  const Sink& sink_;
  Sha256 hash_;
  Status sink_status_;
  std::optional<int64_t> skip_;  ///< bytes of the answer that are here already; none: it has not begun
};

}  // namespace pouch::registry
