#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch::sys {

/// An IPv4 or IPv6 address.
class IpAddress {
 public:
  IpAddress() = default;  ///< none: is_valid() is false
  /// InvalidArgument for what inet_pton does not take.
  static Result<IpAddress> parse(std::string_view text);
  /// `bytes` in network order: 4 or 16 of them.
  static IpAddress from_bytes(const void* bytes, size_t count);

  bool is_valid() const { return size_ != 0; }
  bool is_v4() const { return size_ == 4; }
  size_t bits() const { return size_t{size_} * 8; }
  size_t size() const { return size_; }
  const uint8_t* data() const { return bytes_.data(); }
  int family() const;  ///< AF_INET, AF_INET6
  std::string to_string() const;
  /// The address `count` further on; wraps at the end of its family's addresses.
  IpAddress plus(uint64_t count) const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  uint8_t size_ = 0;
  std::array<uint8_t, 16> bytes_{};
};

/// An address with the length of its network's prefix: a network, or a link's place in one.
struct IpNet {
  IpAddress address;
  unsigned prefix = 0;

  /// "10.1.0.0/22". InvalidArgument else.
  static Result<IpNet> parse(std::string_view text);
  std::string to_string() const;
  IpAddress first() const;  ///< all host bits 0
  IpAddress last() const;   ///< all host bits 1
  bool contains(const IpAddress& other) const;
  bool overlaps(const IpNet& other) const;
  /// first().plus(i) exists for i below it; at most 2^63.
  uint64_t size() const;

  friend bool operator==(const IpNet&, const IpNet&) = default;
};

/// "02:42:0a:c0:00:02" of six bytes.
using MacAddress = std::array<uint8_t, 6>;
std::string mac_text(const MacAddress& mac);
/// InvalidArgument else.
Result<MacAddress> parse_mac(std::string_view text);

}  // namespace pouch::sys
