#include "core/sys/port_rules.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "core/base/text.h"
#include "core/sys/conntrack.h"
#include "core/sys/file.h"
#include "core/sys/nft_batch.h"

namespace pouch::sys {
namespace {

// Maps from (address .) protocol . port to address . port. An address goes before all addresses.
constexpr const char* kIpv4One = "ports4";
constexpr const char* kIpv4All = "ports4_all";
constexpr const char* kIpv6One = "ports6";
constexpr const char* kIpv6All = "ports6_all";
// Sets of address . protocol . port.
constexpr const char* kIpv4Published = "published4";
constexpr const char* kIpv6Published = "published6";
constexpr const char* kChain = "ports";

// Offsets in headers.
constexpr uint32_t kIpv4Source = 12;
constexpr uint32_t kIpv4Destination = 16;
constexpr uint32_t kIpv6Source = 8;
constexpr uint32_t kIpv6Destination = 24;
constexpr uint32_t kDestinationPort = 2;
constexpr uint8_t kLoopbackByte = 127;  // the first of 127.0.0.0/8

// Registers of four bytes each.
constexpr uint32_t reg(uint32_t index) {
  return NFT_REG32_00 + index;
}

bool is_all(const IpAddress& address) {
  for (size_t i = 0; i < address.size(); ++i) {
    if (address.data()[i] != 0) return false;
  }
  return true;
}

const char* map_of(const PortRule& rule) {
  if (rule.host.is_v4()) return is_all(rule.host) ? kIpv4All : kIpv4One;
  return is_all(rule.host) ? kIpv6All : kIpv6One;
}

void append_padded(std::string& out, std::string bytes) {
  bytes.resize((bytes.size() + 3) & ~size_t{3});
  out += bytes;
}

void append_address(std::string& out, const IpAddress& address) {
  append_padded(out, {reinterpret_cast<const char*>(address.data()), address.size()});
}

void append_port(std::string& out, uint16_t port) {
  append_padded(out, {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)});
}

NftPair entry_of(const PortRule& rule) {
  NftPair entry;
  if (!is_all(rule.host)) append_address(entry.key, rule.host);
  append_padded(entry.key, {static_cast<char>(rule.protocol)});
  append_port(entry.key, rule.host_port);
  append_address(entry.data, rule.target);
  append_port(entry.data, rule.target_port);
  return entry;
}

NftPair published(const PortRule& rule) {
  NftPair element;
  append_address(element.key, rule.target);
  append_padded(element.key, {static_cast<char>(rule.protocol)});
  append_port(element.key, rule.target_port);
  return element;
}

// By the map or set that they are in.
using Elements = std::map<std::string, std::vector<NftPair>>;

Elements map_entries(const std::vector<PortRule>& rules) {
  Elements out;
  for (const PortRule& rule : rules) {
    if (!rule.is_direct()) out[map_of(rule)].push_back(entry_of(rule));
  }
  return out;
}

// Several ports of the host may lead to one of a container, which is published once.
Elements elements_of(const std::vector<PortRule>& rules) {
  Elements out = map_entries(rules);
  std::set<std::string> seen;
  for (const PortRule& rule : rules) {
    NftPair element = published(rule);
    if (!seen.insert(element.key).second) continue;
    out[rule.target.is_v4() ? kIpv4Published : kIpv6Published].push_back(std::move(element));
  }
  return out;
}

using Change = NftBatch& (NftBatch::*)(const char*, const std::vector<NftPair>&);

void change(NftBatch& batch, const Elements& elements, Change how) {
  for (const auto& [name, entries] : elements) (batch.*how)(name.c_str(), entries);
}

NftRule& of_family(NftRule& rule, uint8_t family) {
  return rule.meta(NFT_META_NFPROTO, NFT_REG_1).equals(NFT_REG_1, &family, sizeof family);
}

// Looks the packet's port up, at the address that it is for or at all of them.
void add_lookup(NftBatch& batch, const std::string& table, const char* map, uint8_t family, bool one) {
  const bool v4 = family == NFPROTO_IPV4;
  const uint32_t words = v4 ? 1 : 4;  // of an address
  const uint32_t protocol = one ? words : 0;
  constexpr uint32_t kTarget = 8;
  NftRule rule(table, kChain);
  of_family(rule, family);
  if (one) rule.payload(v4 ? kIpv4Destination : kIpv6Destination, words * 4, reg(0));
  rule.meta(NFT_META_L4PROTO, reg(protocol)).transport(kDestinationPort, 2, reg(protocol + 1));
  rule.look_up(reg(0), map, reg(kTarget)).dnat(family, reg(kTarget), reg(kTarget + words));
  batch.add_rule(rule);
}

void add_rule(NftBatch& batch, const std::string& table, const char* chain,
              const std::function<void(NftRule&)>& fill) {
  NftRule rule(table, chain);
  fill(rule);
  batch.add_rule(rule);
}

NftRule& with_loopback(NftRule& rule, uint32_t offset) {
  return of_family(rule, NFPROTO_IPV4)
      .payload(offset, 1, NFT_REG_1)
      .equals(NFT_REG_1, &kLoopbackByte, sizeof kLoopbackByte);
}

// Bridges route 127.0.0.0/8, for answers to the host's own connections: these come under the bridge's address
// and are renamed later than here. Whatever has such an address by itself was made up.
void add_guard(NftBatch& batch, const std::string& table) {
  batch.add_base_chain("guard", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
  for (const uint32_t offset : {kIpv4Source, kIpv4Destination}) {
    add_rule(batch, table, "guard", [&](NftRule& r) {
      with_loopback(r, offset)
          .meta(NFT_META_IIFNAME, NFT_REG_1)
          .in_set(NFT_REG_1, "bridges")
          .verdict(NF_DROP);
    });
  }
}

}  // namespace

void add_port_sets(NftBatch& batch) {
  batch.add_map(kIpv4One, NftKey::kIpv4Port, NftKey::kIpv4Target)
      .add_map(kIpv4All, NftKey::kPort, NftKey::kIpv4Target)
      .add_map(kIpv6One, NftKey::kIpv6Port, NftKey::kIpv6Target)
      .add_map(kIpv6All, NftKey::kPort, NftKey::kIpv6Target)
      .add_set(kIpv4Published, NftKey::kIpv4Port)
      .add_set(kIpv6Published, NftKey::kIpv6Port);
}

NftRule& to_published_port(NftRule& rule, uint8_t family) {
  const bool v4 = family == NFPROTO_IPV4;
  const uint32_t words = v4 ? 1 : 4;  // of an address
  rule.payload(v4 ? kIpv4Destination : kIpv6Destination, words * 4, reg(0));
  rule.meta(NFT_META_L4PROTO, reg(words)).transport(kDestinationPort, 2, reg(words + 1));
  return rule.in_set(reg(0), v4 ? kIpv4Published : kIpv6Published);
}

void add_port_chains(NftBatch& batch, const std::string& table) {
  batch.add_chain(kChain);
  batch.add_base_chain("prerouting", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST);
  batch.add_base_chain("output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
  add_guard(batch, table);
  add_lookup(batch, table, kIpv4One, NFPROTO_IPV4, true);
  add_lookup(batch, table, kIpv4All, NFPROTO_IPV4, false);
  add_lookup(batch, table, kIpv6One, NFPROTO_IPV6, true);
  add_lookup(batch, table, kIpv6All, NFPROTO_IPV6, false);
  // A packet for 127.0.0.1 that comes from outside is not led anywhere: the kernel drops it.
  add_rule(batch, table, "prerouting",
           [](NftRule& r) { with_loopback(r, kIpv4Destination).verdict(NFT_RETURN); });
  add_rule(batch, table, "prerouting", [](NftRule& r) { r.to_local_address().jump(kChain); });
  // Nothing of IPv6 leads away from ::1.
  add_rule(batch, table, "output", [](NftRule& r) {
    constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    of_family(r, NFPROTO_IPV6).payload(kIpv6Destination, 16, NFT_REG_1);
    r.equals(NFT_REG_1, kLoopback.data(), kLoopback.size()).verdict(NFT_RETURN);
  });
  add_rule(batch, table, "output", [](NftRule& r) { r.to_local_address().jump(kChain); });
  add_rule(batch, table, "postrouting", [](NftRule& r) {
    with_loopback(r, kIpv4Source).meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges").masquerade();
  });
  // From a container, through the host's port, to one beside it or itself.
  for (const bool v4 : {true, false}) {
    add_rule(batch, table, "postrouting", [v4](NftRule& r) {
      of_family(r, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6).ct_status_any_of(IPS_DST_NAT);
      r.payload(v4 ? kIpv4Source : kIpv6Source, v4 ? 4 : 16, NFT_REG_1);
      r.in_set(NFT_REG_1, v4 ? "masqueraded" : "masqueraded6");
      r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges").masquerade();
    });
  }
}

Status lead_own_packets(const std::string& table, const std::vector<PortRule>& rules) {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
  NftBatch batch(socket, table);
  batch.add_table().delete_table().add_table();  // whatever was there
  batch.add_map(kIpv4One, NftKey::kIpv4Port, NftKey::kIpv4Target);
  batch.add_base_chain(kChain, "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
  add_lookup(batch, table, kIpv4One, NFPROTO_IPV4, true);
  change(batch, map_entries(rules), &NftBatch::add_entries);
  POUCH_RETURN_IF_ERROR(batch.send("lead packets in nftables table " + quote(table)));
  // A namespace that is new has none, and to look through the kernel's takes as long as all the rest.
  const auto flows = read_file("/proc/sys/net/netfilter/nf_conntrack_count", 32);
  return flows.is_ok() && *flows == "0\n" ? Status() : forget_datagram_flows(rules);
}

void add_port_elements(NftBatch& batch, const std::vector<PortRule>& rules) {
  change(batch, elements_of(rules), &NftBatch::add_entries);
}

Result<PortRules> PortRules::open(std::string table) {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
  return PortRules(std::move(table), std::move(socket));
}

Status PortRules::add(const std::vector<PortRule>& rules) {
  const std::string what = "publish ports in nftables table " + quote(table_);
  const auto send = [&] {
    NftBatch batch(socket_, table_);
    add_port_elements(batch, rules);
    return batch.send(what);
  };
  const Status added = rules.empty() ? Status() : send();
  if (added.code() != Code::kAlreadyExists) return added;
  POUCH_RETURN_IF_ERROR(remove(rules));
  return send();
}

Status PortRules::remove(const std::vector<PortRule>& rules) {
  const std::string what = "remove ports from nftables table " + quote(table_);
  const auto send = [&](const Elements& some) {
    NftBatch batch(socket_, table_);
    change(batch, some, &NftBatch::delete_entries);
    return batch.send(what);
  };
  if (rules.empty()) return {};
  const Elements elements = elements_of(rules);
  const Status all = send(elements);
  if (all.code() != Code::kNotFound) return all;
  for (const auto& [name, entries] : elements) {  // some were never there
    for (const NftPair& entry : entries) {
      const Status one = send({{name, {entry}}});
      if (!one.is_ok() && one.code() != Code::kNotFound) return one;
    }
  }
  return {};
}

}  // namespace pouch::sys
