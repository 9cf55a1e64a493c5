#include "core/sys/ip_net.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::sys {

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  std::array<uint8_t, 16> bytes{};
  const bool whole = copy.find('\0') == std::string::npos;
  if (whole && ::inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return from_bytes(bytes.data(), 4);
  if (whole && ::inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return from_bytes(bytes.data(), 16);
  return invalid_argument("invalid IP address: " + quote(text));
}

IpAddress IpAddress::from_bytes(const void* bytes, size_t count) {
  IpAddress out;
  if (count != 4 && count != 16) return out;
  out.size_ = static_cast<uint8_t>(count);
  std::memcpy(out.bytes_.data(), bytes, count);
  return out;
}

int IpAddress::family() const {
  return is_v4() ? AF_INET : AF_INET6;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_valid()) ::inet_ntop(family(), bytes_.data(), text, sizeof text);
  return text;
}

IpAddress IpAddress::plus(uint64_t count) const {
  IpAddress out = *this;
  for (size_t i = size_; i > 0 && count > 0; --i) {
    const uint64_t sum = out.bytes_[i - 1] + (count & 0xff);
    out.bytes_[i - 1] = static_cast<uint8_t>(sum);
    count = (count >> 8) + (sum >> 8);
  }
  return out;
}

Result<IpNet> IpNet::parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return invalid_argument("invalid CIDR address: " + quote(text));
  IpNet net;
  POUCH_ASSIGN_OR_RETURN(net.address, IpAddress::parse(text.substr(0, slash)));
  const auto prefix = whole_number<decltype(net.prefix)>(text.substr(slash + 1));
  if (!prefix || *prefix > net.address.bits())
    return invalid_argument("invalid CIDR address: " + quote(text));
  net.prefix = *prefix;
  return net;
}

std::string IpNet::to_string() const {
  return address.to_string() + "/" + std::to_string(prefix);
}

namespace {

// The address with all bits after the prefix set to `bit`.
IpAddress with_host_bits(const IpNet& net, bool bit) {
  std::array<uint8_t, 16> bytes{};
  std::copy_n(net.address.data(), net.address.size(), bytes.begin());
  for (size_t i = 0; i < net.address.size(); ++i) {
    const size_t kept = net.prefix > i * 8 ? std::min<size_t>(8, net.prefix - i * 8) : 0;
    const auto mask = static_cast<uint8_t>(0xff >> kept);
    bytes[i] = static_cast<uint8_t>(bit ? bytes[i] | mask : bytes[i] & ~mask);
  }
  return IpAddress::from_bytes(bytes.data(), net.address.size());
}

}  // namespace

IpAddress IpNet::first() const {
  return with_host_bits(*this, false);
}

IpAddress IpNet::last() const {
  return with_host_bits(*this, true);
}

bool IpNet::contains(const IpAddress& other) const {
  return other.size() == address.size() && first() <= other && other <= last();
}

bool IpNet::overlaps(const IpNet& other) const {
  return address.size() == other.address.size() && first() <= other.last() && other.first() <= last();
}

uint64_t IpNet::size() const {
  const size_t host_bits = address.bits() - prefix;
  return uint64_t{1} << std::min<size_t>(host_bits, 63);
}

std::string mac_text(const MacAddress& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                mac[5]);
  return text;
}

Result<MacAddress> parse_mac(std::string_view text) {
  MacAddress mac{};
  const auto parts = split(text, ':');
  bool good = parts.size() == mac.size();
  for (size_t i = 0; good && i < mac.size(); ++i) {
    const auto byte = whole_number<uint8_t>(parts[i], 16);
    good = parts[i].size() == 2 && byte;
    mac[i] = byte.value_or(0);
  }
  if (!good) return invalid_argument("invalid MAC address: " + quote(text));
  return mac;
}

}  // namespace pouch::sys
