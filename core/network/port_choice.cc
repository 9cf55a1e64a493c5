#include "core/network/port_choice.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdio>

#include "core/base/text.h"
#include "core/io/held_ports.h"
#include "core/sys/file.h"

namespace pouch::network {
namespace {

struct PortRange {
  uint16_t first = 49153;  // Docker's where the kernel does not tell
  uint16_t last = 65535;

  uint32_t size() const { return uint32_t{last} - first + 1; }
};

// From where the kernel takes the ports of connections.
PortRange ephemeral_range() {
  PortRange range;
  const auto text = sys::read_file("/proc/sys/net/ipv4/ip_local_port_range", 64);
  if (!text.is_ok()) return range;
  unsigned first = 0;
  unsigned last = 0;
  if (::sscanf(text->c_str(), "%u %u", &first, &last) == 2 && first > 0 && first <= last && last <= 65535) {
    range.first = static_cast<uint16_t>(first);
    range.last = static_cast<uint16_t>(last);
  }
  return range;
}

// Somewhere: many roots and many processes look for one at the same time.
uint32_t random_below(uint32_t limit) {
  uint32_t number = 0;
  [[maybe_unused]] const ssize_t got = ::getrandom(&number, sizeof number, 0);
  return number % limit;
}

Result<sys::IpAddress> address_asked_for(const std::string& text) {
  const auto address = sys::IpAddress::parse(text);
  return address.is_ok() ? *address : Result<sys::IpAddress>(invalid_argument("invalid IP address: " + text));
}

bool host_has_ipv6() {
  const auto bound = io::bind_port({"tcp", "::1", 0, "", 0});
  return bound.is_ok() && bound->is_valid();
}

// The addresses of the host that it names, or all.
std::vector<std::string> addresses_of(const spec::PortRequest& request,
                                      const std::vector<PortTarget>& targets) {
  if (!request.host_address.empty()) return {request.host_address};
  const PortTarget* v4 = of_family(targets, true);
  if (v4 != nullptr && !v4->host_binding.empty()) return {v4->host_binding};
  return {"0.0.0.0", "::"};
}

}  // namespace

PublishedPort PortWay::at(const spec::ContainerPort& port, uint16_t host_port) const {
  return {port.protocol, host.to_string(), is_direct ? port.port : host_port, target.to_string(), port.port};
}

const PortTarget* of_family(const std::vector<PortTarget>& targets, bool v4) {
  const auto at = std::find_if(targets.begin(), targets.end(),
                               [v4](const PortTarget& target) { return target.address.is_v4() == v4; });
  return at == targets.end() ? nullptr : &*at;
}

Result<std::vector<PortWay>> ways_of(const spec::PortRequest& request,
                                     const std::vector<PortTarget>& targets) {
  std::vector<PortWay> ways;
  const std::vector<std::string> wanted = addresses_of(request, targets);
  const bool any = wanted.size() > 1;
  for (const std::string& text : wanted) {
    POUCH_ASSIGN_OR_RETURN(const sys::IpAddress host, address_asked_for(text));
    const PortTarget* target = of_family(targets, host.is_v4());
    if (target != nullptr && target->is_direct) {
      ways.push_back({target->address, target->address, true});
      continue;
    }
    if (target == nullptr && !host.is_v4() && request.port.protocol != "sctp" && (!any || host_has_ipv6())) {
      target = of_family(targets, true);  // the keeper relays
      if (target != nullptr && target->is_direct) target = nullptr;
    }
    if (target != nullptr) {
      ways.push_back({host, target->address, false});
    } else if (!any) {
      return not_implemented("HostConfig.PortBindings: HostIp " + quote(text) +
                             " is not supported for a container without an IPv" + (host.is_v4() ? "4" : "6") +
                             " address");
    }
  }
  return ways;
}

std::vector<uint16_t> candidates(const spec::PortRequest& request, const std::vector<PortWay>& ways) {
  const bool needs_one =
      std::any_of(ways.begin(), ways.end(), [](const PortWay& way) { return !way.is_direct; });
  if (!needs_one) return {request.port.port};
  PortRange range{request.first, request.last};
  uint32_t start = 0;
  if (request.first == 0) {
    range = ephemeral_range();
    start = random_below(range.size());
  }
  std::vector<uint16_t> out;
  out.reserve(range.size());
  for (uint32_t i = 0; i < range.size(); ++i) {
    out.push_back(static_cast<uint16_t>(range.first + (start + i) % range.size()));
  }
  return out;
}

Status all_taken(const spec::PortRequest& request, const PortWay& first) {
  const std::string where = "Bind for " + before_port(first.host.to_string());
  if (request.is_fixed()) {
    return conflict(where + ":" + std::to_string(request.first) + " failed: port is already allocated");
  }
  const std::string range = request.first == 0
                                ? std::string()
                                : ":" + std::to_string(request.first) + "-" + std::to_string(request.last);
  return conflict(where + range + " failed: all ports are allocated");
}

std::string before_port(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

}  // namespace pouch::network
