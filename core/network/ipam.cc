#include "core/network/ipam.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "core/base/text.h"
#include "core/network/plugged.h"
#include "core/network/subnets.h"

namespace pouch::network {
namespace {

using sys::IpAddress;
using sys::IpNet;

uint64_t random_number() {
  uint64_t number = 0;
  [[maybe_unused]] const ssize_t got = ::getrandom(&number, sizeof number, 0);
  return number;
}

IpNet masked(const IpNet& net) {
  return {net.first(), net.prefix};
}

std::string family_name(const IpNet& net) {
  return net.address.is_v4() ? "an IPv4" : "an IPv6";
}

// Collects what is wrong, as Moby tells it all at once.
class Complaints {
 public:
  void add(const std::string& text) { text_ += text_.empty() ? text : '\n' + text; }
  void check_inside(const std::string& what, const std::string& address, const IpNet& subnet) {
    const auto parsed = IpAddress::parse(address);
    if (!parsed.is_ok()) return add("invalid " + what + " " + address + ": invalid address");
    if (parsed->is_v4() != subnet.address.is_v4()) {
      return add("invalid " + what + " " + address + ": parent subnet is " + family_name(subnet) + " block");
    }
    if (!subnet.contains(*parsed)) {
      add("invalid " + what + " " + address + ": parent subnet " + subnet.to_string() +
          " doesn't contain this address");
    }
  }
  void check_range(const std::string& text, const IpNet& subnet) {
    const std::string what = "invalid ip-range " + text + ": ";
    const auto range = IpNet::parse(text);
    if (!range.is_ok()) return add(what + "invalid CIDR block notation");
    if (range->address.is_v4() != subnet.address.is_v4()) {
      return add(what + "parent subnet is " + family_name(subnet) + " block");
    }
    if (masked(*range) != *range) add(what + "it should be " + masked(*range).to_string());
    if (range->prefix < subnet.prefix) {
      return add(what + "CIDR block is bigger than its parent subnet " + subnet.to_string());
    }
    if (!subnet.contains(range->address)) {
      add(what + "parent subnet " + subnet.to_string() + " doesn't contain ip-range");
    }
  }
  Status status() const {
    return text_.empty() ? Status() : invalid_argument("invalid network config:\n" + text_);
  }

 private:
  std::string text_;
};

// `is_bare`: a gateway that is not given is left to others.
PoolRow pool_of(const api::IPAMConfig& config, bool is_bare, Complaints& complaints) {
  PoolRow pool;
  pool.subnet = config.subnet.value_or("");
  const auto subnet = IpNet::parse(pool.subnet);
  if (!subnet.is_ok()) {
    complaints.add("invalid subnet " + pool.subnet + ": invalid CIDR block notation");
    return pool;
  }
  if (masked(*subnet) != *subnet) {
    complaints.add("invalid subnet " + pool.subnet + ": it should be " + masked(*subnet).to_string());
  }
  pool.subnet = masked(*subnet).to_string();
  pool.ip_range = config.ip_range.value_or("");
  if (!pool.ip_range.empty()) complaints.check_range(pool.ip_range, *subnet);
  pool.gateway = config.gateway.value_or("");
  if (pool.gateway.empty()) {
    if (!is_bare) pool.gateway = gateway_of(*subnet).to_string();
  } else {
    complaints.check_inside("gateway", pool.gateway, *subnet);
  }
  pool.aux = config.auxiliary_addresses.value_or(Texts{});
  for (const auto& [name, address] : pool.aux) {
    complaints.check_inside("auxiliary address " + name, address, *subnet);
  }
  return pool;
}

Status check_families(const api::NetworkCreateConfig& config, const std::vector<PoolRow>& pools) {
  for (const bool v4 : {true, false}) {
    const auto count =
        std::count_if(pools.begin(), pools.end(), [v4](const PoolRow& p) { return p.is_v4() == v4; });
    const bool enabled = v4 ? config.enable_ipv4.value_or(true) : config.enable_ipv6.value_or(false);
    if (count > 0 && !enabled) {
      return invalid_argument(std::string("IPAM.Config: the network has an ") + (v4 ? "IPv4" : "IPv6") +
                              " subnet, but " + (v4 ? "EnableIPv4" : "EnableIPv6") + " is false");
    }
    const std::string driver = config.driver.value_or("");
    const bool is_bridge = driver.empty() || driver == "default" || driver == "bridge";
    if (count > 1 && is_bridge && !config.config_only.value_or(false)) {
      return {Code::kPermissionDenied, "bridge driver doesn't support multiple subnets"};
    }
  }
  return {};
}

// As written by us, so that equal addresses are equal texts.
std::string canonical(const std::string& address) {
  const auto parsed = IpAddress::parse(address);
  return parsed.is_ok() ? parsed->to_string() : address;
}

bool is_reserved(const PoolRow& pool, const std::string& address) {
  const auto holds = [&](const auto& aux) { return canonical(aux.second) == address; };
  return canonical(pool.gateway) == address || std::any_of(pool.aux.begin(), pool.aux.end(), holds);
}

Status none_left(const NetworkRow& row, bool v4) {
  return {Code::kResourceExhausted, std::string("no available ") + (v4 ? "IPv4" : "IPv6") +
                                        " addresses on this network's address pools: " + row.name + " (" +
                                        row.id + ")"};
}

Result<std::string> pick_address(store::Session& session, const NetworkRow& row, PoolRow& pool,
                                 const std::string& asked) {
  if (!asked.empty()) {
    const std::string address = canonical(asked);
    POUCH_ASSIGN_OR_RETURN(const bool taken, is_address_taken(session, row.id, address));
    if (taken || is_reserved(pool, address)) return Status(Code::kPermissionDenied, "Address already in use");
    return address;
  }
  POUCH_ASSIGN_OR_RETURN(const IpNet subnet, IpNet::parse(pool.subnet));
  POUCH_ASSIGN_OR_RETURN(const IpNet range,
                         IpNet::parse(pool.ip_range.empty() ? pool.subnet : pool.ip_range));
  const auto last = IpAddress::parse(pool.last_address);
  const auto next = next_address(subnet, range, last.is_ok() ? *last : IpAddress(),
                                 [&](const IpAddress& address) -> Result<bool> {
                                   const std::string text = address.to_string();
                                   if (is_reserved(pool, text)) return true;
                                   return is_address_taken(session, row.id, text);
                                 });
  if (next.code() == Code::kResourceExhausted) return none_left(row, pool.is_v4());
  if (!next.is_ok()) return next.status();
  pool.last_address = next->to_string();
  POUCH_RETURN_IF_ERROR(set_last_address(session, row.id, pool));
  return pool.last_address;
}

// Of several pools the one with the address that is asked for, else the first with room.
Result<std::string> pick_of_family(store::Session& session, NetworkRow& row, bool v4,
                                   const std::string& asked) {
  for (PoolRow& pool : row.pools) {
    if (pool.is_v4() != v4 || (!asked.empty() && row.pool_of(asked) != &pool)) continue;
    auto picked = pick_address(session, row, pool, asked);
    if (picked.code() != Code::kResourceExhausted) return picked;
  }
  return none_left(row, v4);
}

std::string random_mac() {
  const uint64_t number = random_number();
  sys::MacAddress mac{};
  std::memcpy(mac.data(), &number, mac.size());
  mac[0] = 0x02;
  mac[1] = 0x42;
  return sys::mac_text(mac);
}

}  // namespace

Result<std::vector<PoolRow>> pools_of(const api::NetworkCreateConfig& config) {
  const api::IPAMRequest ipam = config.ipam.value_or(api::IPAMRequest{});
  const std::string ipam_driver = ipam.driver.value_or("");
  // A configuration says what was given, and no more.
  const bool is_bare =
      config.config_only.value_or(false) || (!ipam_driver.empty() && ipam_driver != "default");
  std::vector<PoolRow> pools;
  Complaints complaints;
  for (const api::IPAMConfig& asked : ipam.config.value_or(std::vector<api::IPAMConfig>{})) {
    const bool is_empty = asked.subnet.value_or("").empty() && asked.ip_range.value_or("").empty() &&
                          asked.gateway.value_or("").empty();
    if (!is_empty) pools.push_back(pool_of(asked, is_bare, complaints));
  }
  POUCH_RETURN_IF_ERROR(complaints.status());
  POUCH_RETURN_IF_ERROR(check_families(config, pools));
  return pools;
}

Status choose_pools(NetworkRow& row, const std::vector<IpNet>& used) {
  if (!has_own_addresses(row)) return {};
  if (row.ipv4 && row.pool(true) == nullptr) {
    const auto chosen = choose_subnet(default_subnets(), random_number(), used);
    if (!chosen) {
      return {Code::kResourceExhausted, "all predefined address pools have been fully subnetted"};
    }
    row.pools.insert(row.pools.begin(),
                     {chosen->to_string(), gateway_of(*chosen).to_string(), "", {}, "", true, ""});
  }
  if (row.ipv6 && row.pool(false) == nullptr) {
    const IpNet chosen = random_subnet6();
    row.pools.push_back({chosen.to_string(), gateway_of(chosen).to_string(), "", {}, "", true, ""});
  }
  return {};
}

Result<std::vector<IpNet>> subnets_of_networks(store::Session& session, const std::string& except) {
  POUCH_ASSIGN_OR_RETURN(const auto rows, all_networks(session, true));
  std::vector<IpNet> out;
  for (const NetworkRow& row : rows) {
    if (row.id == except || row.config_only) continue;
    for (const PoolRow& pool : row.pools) {
      POUCH_ASSIGN_OR_RETURN(const IpNet net, IpNet::parse(pool.subnet));
      out.push_back(net);
    }
  }
  return out;
}

Status check_overlaps(const NetworkRow& row, std::vector<IpNet> others) {
  for (const PoolRow& pool : row.pools) {
    POUCH_ASSIGN_OR_RETURN(const IpNet net, IpNet::parse(pool.subnet));
    if (std::any_of(others.begin(), others.end(), [&](const IpNet& other) { return net.overlaps(other); })) {
      return {Code::kPermissionDenied,
              "invalid pool request: Pool overlaps with other one on this address space"};
    }
    others.push_back(net);
  }
  return {};
}

Status check_addresses(const NetworkRow& row, const api::EndpointSettings& asked) {
  const api::EndpointIPAMConfig ipam = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  for (const bool v4 : {true, false}) {
    const std::string text = (v4 ? ipam.ipv4_address : ipam.ipv6_address).value_or("");
    if (text.empty()) continue;
    const auto address = IpAddress::parse(text);
    const std::string family = v4 ? "IPv4" : "IPv6";
    if (!address.is_ok() || address->is_v4() != v4) {
      return invalid_argument("invalid endpoint settings:\ninvalid " + family + " address: " + text);
    }
    const PoolRow* pool = row.pool(v4);
    if (row.driver == kCni) continue;  // its plugins' affair
    if (pool == nullptr || pool->chosen) {
      return invalid_argument(
          "invalid endpoint settings:\nuser specified IP address is supported only when "
          "connecting to networks with user configured subnets");
    }
    pool = row.pool_of(text);
    const Status outside =
        invalid_argument("invalid endpoint settings:\nno configured subnet contains IP address " + text);
    if (pool == nullptr) return outside;
    POUCH_ASSIGN_OR_RETURN(const IpNet subnet, IpNet::parse(pool->subnet));
    const bool is_end = *address == subnet.first() || (v4 && *address == subnet.last());
    if (is_end && subnet.prefix + 2 <= address->bits()) return outside;
  }
  for (const std::string& text : ipam.link_local_ips.value_or(std::vector<std::string>{})) {
    if (!IpAddress::parse(text).is_ok()) {
      return invalid_argument("invalid endpoint settings:\ninvalid link-local IP address: " + text);
    }
  }
  const std::string mac = asked.mac_address.value_or("");
  return mac.empty() ? Status() : sys::parse_mac(mac).status();
}

Status assign_addresses(store::Session& session, NetworkRow& row, const api::EndpointSettings& asked,
                        EndpointRow& endpoint) {
  const api::EndpointIPAMConfig ipam = asked.ipam_config.value_or(api::EndpointIPAMConfig{});
  const bool is_own = has_own_addresses(row);
  if (is_own && row.ipv4 && row.pool(true) != nullptr) {
    POUCH_ASSIGN_OR_RETURN(endpoint.address,
                           pick_of_family(session, row, true, ipam.ipv4_address.value_or("")));
  }
  if (is_own && row.ipv6 && row.pool(false) != nullptr) {
    POUCH_ASSIGN_OR_RETURN(endpoint.address6,
                           pick_of_family(session, row, false, ipam.ipv6_address.value_or("")));
  }
  endpoint.mac = asked.mac_address.value_or("");
  // A driver that is a plugin says which; where another hands out the addresses there is none to make it of.
  if (!endpoint.mac.empty() || is_plugin_driver(row.driver)) return {};
  if (endpoint.address.empty()) {
    endpoint.mac = random_mac();
    return {};
  }
  POUCH_ASSIGN_OR_RETURN(const IpAddress address, IpAddress::parse(endpoint.address));
  endpoint.mac = sys::mac_text(mac_of(address));
  return {};
}

}  // namespace pouch::network
