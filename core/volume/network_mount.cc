#include "core/volume/network_mount.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/text.h"

namespace pouch::volume {
namespace {

constexpr std::string_view kAddress = "addr=";
constexpr std::string_view kDeviceStart = "//";

bool is_smb(const std::string& type) {
  return type == "cifs";
}

Result<std::string> address_of(const std::string& host, const Resolve& resolve) {
  auto address = resolve(host);
  if (address.is_ok()) return address;
  return address.status().prefix("error resolving passed in network volume address");
}

// Host and port of "//host:port/share"; "" of any other text.
std::string authority_of(const std::string& device) {
  if (!device.starts_with(kDeviceStart)) return {};
  const size_t end = std::min(device.find('/', kDeviceStart.size()), device.size());
  return device.substr(kDeviceStart.size(), end - kDeviceStart.size());
}

Result<std::string> look_up(const std::string& host, int family) {
  addrinfo wanted{};
  wanted.ai_family = family;
  wanted.ai_socktype = SOCK_STREAM;  // else each address comes once per kind
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &wanted, &found); error != 0)
    return invalid_argument("look up " + quote(host) + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> held(found, ::freeaddrinfo);
  std::array<char, NI_MAXHOST> text{};
  const int error =
      ::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  if (error != 0) return invalid_argument("look up " + quote(host) + ": " + ::gai_strerror(error));
  return std::string(text.data());
}

}  // namespace

Result<sys::MountOrder> with_addresses(sys::MountOrder order, const Resolve& resolve) {
  if (!order.type.starts_with("nfs") && !is_smb(order.type)) return order;
  std::vector<std::string> words = split(order.options, ',');
  const auto word = std::find_if(words.begin(), words.end(),
                                 [](const std::string& each) { return each.starts_with(kAddress); });
  if (word != words.end()) {
    POUCH_ASSIGN_OR_RETURN(const std::string address, address_of(word->substr(kAddress.size()), resolve));
    *word = std::string(kAddress) + address;
    order.options = join(words, ",");
    return order;
  }
  const std::string host = is_smb(order.type) ? authority_of(order.source) : std::string();
  if (host.empty()) return order;
  POUCH_ASSIGN_OR_RETURN(const std::string address, address_of(host, resolve));
  order.source.replace(kDeviceStart.size(), host.size(), address);
  return order;
}

Result<std::string> resolve_host(const std::string& host) {
  auto address = look_up(host, AF_INET);
  return address.is_ok() ? address : look_up(host, AF_UNSPEC);
}

Status check_device(const std::string& type, const std::string& device) {
  if (!is_smb(type) || authority_of(device).find(':') == std::string::npos) return {};
  return invalid_argument("port not allowed in CIFS device URL, include 'port' in 'o='");
}

}  // namespace pouch::volume
