#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch {

/// Nanoseconds of CLOCK_BOOTTIME: goes on during suspend, never jumps. For durations and deadlines.
int64_t boot_now_ns();

/// A point on the boot clock after which a caller no longer waits. Default: never.
class Deadline {
 public:
  Deadline() = default;
  static Deadline after_ms(int64_t ms);
  static Deadline at_boot_ns(int64_t ns) { return Deadline(ns); }
  static Deadline never() { return {}; }

  bool is_never() const { return boot_ns_ == std::numeric_limits<int64_t>::max(); }
  bool has_passed() const { return !is_never() && boot_now_ns() >= boot_ns_; }
  /// What is left in ns, at least 0; int64 max when never.
  int64_t remaining_ns() const;
  /// For poll(2): -1 when never, else what is left rounded up, capped at INT_MAX.
  int poll_timeout_ms() const;
  int64_t boot_ns() const { return boot_ns_; }
  Deadline earlier(Deadline other) const { return boot_ns_ <= other.boot_ns_ ? *this : other; }

 private:
  explicit Deadline(int64_t ns) : boot_ns_(ns) {}
  int64_t boot_ns_ = std::numeric_limits<int64_t>::max();
};

/// Wall time in ns since the Unix epoch: only for what people read and for since/until.
/// `kZero` is Go's zero time, "0001-01-01T00:00:00Z": "never happened" in Moby's documents.
struct Timestamp {
  static constexpr int64_t kZeroNs = std::numeric_limits<int64_t>::min();
  int64_t ns = kZeroNs;

  static Timestamp now();
  bool is_zero() const { return ns == kZeroNs; }
  /// RFC 3339 with up to nine decimals, UTC, as Go's RFC3339Nano writes it.
  std::string to_rfc3339() const;
  /// RFC 3339 with any offset; InvalidArgument else.
  static Result<Timestamp> parse_rfc3339(std::string_view text);
  /// "seconds[.nanos]" as Moby's since/until query parameters have it.
  std::string to_unix_decimal() const;
  static Result<Timestamp> parse_unix_decimal(std::string_view text);

  friend bool operator==(const Timestamp&, const Timestamp&) = default;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

/// A span in ns; an int64 on the wire.
struct Duration {
  int64_t ns = 0;
  friend bool operator==(const Duration&, const Duration&) = default;
  friend auto operator<=>(const Duration&, const Duration&) = default;
};

}  // namespace pouch
