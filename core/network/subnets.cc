#include "core/network/subnets.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace pouch::network {
namespace {

// Not where Docker's (172.17 and up, 192.168) and podman's (10.88, 10.89) defaults are.
constexpr const char* kFirstPool = "10.192.0.0/12";
constexpr const char* kSecondPool = "172.16.0.0/16";
constexpr unsigned kPrefix = 22;

void add_pool(const char* pool, std::vector<sys::IpNet>& out) {
  const auto net = sys::IpNet::parse(pool);
  if (!net.is_ok()) return;
  constexpr uint64_t kStep = uint64_t{1} << (32 - kPrefix);
  for (uint64_t offset = 0; offset < net->size(); offset += kStep) {
    out.push_back({net->address.plus(offset), kPrefix});
  }
}

}  // namespace

std::vector<sys::IpNet> default_subnets() {
  std::vector<sys::IpNet> out;
  add_pool(kFirstPool, out);
  add_pool(kSecondPool, out);
  return out;
}

std::optional<sys::IpNet> choose_subnet(const std::vector<sys::IpNet>& candidates, uint64_t start,
                                        const std::vector<sys::IpNet>& used) {
  for (uint64_t i = 0; i < candidates.size(); ++i) {
    const sys::IpNet& candidate = candidates[(start + i) % candidates.size()];
    const bool is_free = std::none_of(used.begin(), used.end(),
                                      [&](const sys::IpNet& other) { return candidate.overlaps(other); });
    if (is_free) return candidate;
  }
  return std::nullopt;
}

std::vector<sys::IpNet> used_subnets(const std::vector<sys::LinkAddress>& addresses,
                                     const std::vector<sys::Route>& routes, int except) {
  std::vector<sys::IpNet> used;
  for (const sys::LinkAddress& address : addresses) {
    if (address.link != except) used.push_back(address.net);
  }
  for (const sys::Route& route : routes) {
    if (route.link != except && route.destination.prefix > 0) used.push_back(route.destination);
  }
  return used;
}

sys::IpAddress gateway_of(const sys::IpNet& subnet) {
  return subnet.first().plus(1);
}

sys::IpNet random_subnet6() {
  std::array<uint8_t, 16> bytes{0xfd};
  [[maybe_unused]] const ssize_t got = ::getrandom(bytes.data() + 1, 7, 0);
  return {sys::IpAddress::from_bytes(bytes.data(), bytes.size()), 64};
}

Result<sys::IpAddress> next_address(const sys::IpNet& subnet, const sys::IpNet& range,
                                    const sys::IpAddress& last,
                                    const std::function<Result<bool>(const sys::IpAddress&)>& is_taken) {
  const sys::IpAddress first = range.first();
  const sys::IpAddress end = range.last();
  sys::IpAddress address = last.is_valid() && range.contains(last) ? last : end;
  for (uint64_t i = 0; i < range.size(); ++i) {
    address = address == end ? first : address.plus(1);
    if (address == subnet.first() || (address.is_v4() && address == subnet.last())) continue;
    POUCH_ASSIGN_OR_RETURN(const bool taken, is_taken(address));
    if (!taken) return address;
  }
  return Status(Code::kResourceExhausted, "no address is left in " + range.to_string());
}

sys::MacAddress mac_of(const sys::IpAddress& address) {
  sys::MacAddress mac{0x02, 0x42};
  std::copy_n(address.data() + address.size() - 4, 4, mac.begin() + 2);
  return mac;
}

}  // namespace pouch::network
