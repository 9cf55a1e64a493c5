#include "core/registry/network_address.h"
#include "core/base/number.h"

#include <arpa/inet.h>

namespace pouch::registry {

bool NetworkAddress::is_loopback() const {
  return is_within(*this, "127.0.0.0/8") || is_within(*this, "::1/128");
}

std::optional<NetworkAddress> parse_address(const std::string& text) {
  NetworkAddress out;
  if (::inet_pton(AF_INET, text.c_str(), out.bytes.data()) == 1) {
    out.bits = 32;
    return out;
  }
  if (::inet_pton(AF_INET6, text.c_str(), out.bytes.data()) != 1) return std::nullopt;
  out.bits = 128;
  return out;
}

bool is_within(const NetworkAddress& address, const std::string& cidr) {
  const size_t slash = cidr.find('/');
  if (slash == std::string::npos) return false;
  const std::optional<NetworkAddress> net = parse_address(cidr.substr(0, slash));
  const int bits = whole_number<int>(std::string_view(cidr).substr(slash + 1)).value_or(-1);
  if (!net || net->bits != address.bits || bits < 0 || bits > net->bits) return false;
  for (int i = 0; i < bits; ++i) {
    const auto index = static_cast<size_t>(i / 8);
    const auto mask = static_cast<uint8_t>(0x80U >> static_cast<unsigned>(i % 8));
    if ((net->bytes[index] & mask) != (address.bytes[index] & mask)) return false;
  }
  return true;
}

}  // namespace pouch::registry
