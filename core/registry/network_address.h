#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace pouch::registry {

/// An address of IPv4 or IPv6.
struct NetworkAddress {
  std::array<uint8_t, 16> bytes{};
  int bits = 0;  ///< 32 or 128

  bool is_loopback() const;
};

/// "127.0.0.1", "::1"; nullopt for anything else.
std::optional<NetworkAddress> parse_address(const std::string& text);

/// "10.0.0.0/8" holds "10.1.2.3"; false for what is no CIDR.
bool is_within(const NetworkAddress& address, const std::string& cidr);

}  // namespace pouch::registry
