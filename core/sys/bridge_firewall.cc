#include "core/sys/bridge_firewall.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/text.h"
#include "core/sys/nft_batch.h"

namespace pouch::sys {
namespace {

constexpr size_t kNameSize = 16;

// One address family: offsets in its header, and the names of its sets.
struct Family {
  uint8_t number;
  uint32_t address_size;
  uint32_t source;
  uint8_t icmp;  // protocol
  const char* masqueraded;
  const char* routed;
  const char* unprotected;
  const char* sources;
};
constexpr Family kIpv4 = {NFPROTO_IPV4,   4,         12, IPPROTO_ICMP, "masqueraded", "routed4",
                          "unprotected4", "sources4"};
constexpr Family kIpv6 = {NFPROTO_IPV6,   16,        8, IPPROTO_ICMPV6, "masqueraded6", "routed6",
                          "unprotected6", "sources6"};
// Of nft(8)'s ct state: bits of NF_CT_STATE_BIT for established and related.
constexpr uint32_t kEstablishedOrRelated = 2 | 4;

std::string name_key(const std::string& name) {
  std::string key = name;
  key.resize(kNameSize);
  return key;
}

std::string address_key(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.data()), address.size()};
}

NftRule& of_family(NftRule& rule, const Family& family) {
  return rule.meta(NFT_META_NFPROTO, NFT_REG_1).equals(NFT_REG_1, &family.number, sizeof family.number);
}

// What gets in without the host's ports.
void add_direct_rules(NftBatch& batch, const std::string& table, const Family& family) {
  const auto rule = [&](const std::function<void(NftRule&)>& fill) {
    NftRule made(table, "forward");
    of_family(made, family);
    fill(made);
    batch.add_rule(made.verdict(NF_ACCEPT));
  };
  rule([&](NftRule& r) {
    r.meta(NFT_META_IIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges", true);
    r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, family.unprotected);
  });
  rule([&](NftRule& r) {
    r.meta(NFT_META_L4PROTO, NFT_REG_1).equals(NFT_REG_1, &family.icmp, sizeof family.icmp);
    r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, family.routed);
  });
  rule([&](NftRule& r) {
    r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, family.routed);
    to_published_port(r, family.number);
  });
  rule([&](NftRule& r) {
    r.meta(NFT_META_IIFNAME, NFT_REG_1).meta(NFT_META_OIFNAME, NFT_REG_2).in_set(NFT_REG_1, "trusted");
    to_published_port(r, family.number);
  });
}

void add_forward_rules(NftBatch& batch, const std::string& table) {
  const auto rule = [&](const std::function<void(NftRule&)>& fill) {
    NftRule made(table, "forward");
    fill(made);
    batch.add_rule(made);
  };
  // What is between others is none of ours.
  rule([](NftRule& r) {
    r.meta(NFT_META_IIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges", true);
    r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges", true).verdict(NF_ACCEPT);
  });
  rule([](NftRule& r) { r.ct_state_any_of(kEstablishedOrRelated).verdict(NF_ACCEPT); });
  rule([](NftRule& r) { r.ct_status_any_of(IPS_DST_NAT).verdict(NF_ACCEPT); });
  // Within one bridge, which comes here where the kernel filters bridged packets too.
  rule([](NftRule& r) {
    r.meta(NFT_META_IIFNAME, NFT_REG_1).meta(NFT_META_OIFNAME, NFT_REG_2);
    r.in_set(NFT_REG_1, "within").verdict(NF_ACCEPT);
  });
  rule(
      [](NftRule& r) { r.meta(NFT_META_IIFNAME, NFT_REG_1).in_set(NFT_REG_1, "internal").verdict(NF_DROP); });
  for (const Family& family : {kIpv4, kIpv6}) add_direct_rules(batch, table, family);
  rule([](NftRule& r) { r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges").verdict(NF_DROP); });
}

// A packet that leaves under another address than its container's.
NftRule& leaving(NftRule& rule, const Family& family) {
  of_family(rule, family).payload(family.source, family.address_size, NFT_REG_1);
  rule.in_set(NFT_REG_1, family.masqueraded);
  return rule.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges", true);
}

// Of packets that came in through a bridge of ours: where the kernel filters bridged packets too
// (br_netfilter), those within somebody else's bridge come by, and its subnet may be one of ours.
void add_masquerade(NftBatch& batch, const std::string& table, const Family& family) {
  constexpr uint32_t kSource = NFT_REG32_00 + 8;  // no other expression of the rule writes there
  const bool knows_input = BridgeFirewall::can_choose_sources();
  if (knows_input) {
    NftRule chosen(table, "postrouting");
    chosen.meta(NFT_META_IIFNAME, NFT_REG_1).look_up(NFT_REG_1, family.sources, kSource);
    batch.add_rule(leaving(chosen, family).snat(family.number, kSource));
  }
  NftRule rule(table, "postrouting");
  if (knows_input) rule.meta(NFT_META_IIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges");
  batch.add_rule(leaving(rule, family).masquerade());
}

using Elements = std::vector<std::pair<std::string, bool>>;

// What a bridge is in the sets, one by one.
void each_element(const BridgeRules& bridge, const std::function<void(const char*, const Elements&)>& each) {
  const std::string key = name_key(bridge.device);
  each("bridges", {{key, false}});
  if (bridge.is_open_within) each("within", {{key + key, false}});
  if (bridge.is_internal) each("internal", {{key, false}});
  for (const std::string& link : bridge.trusted) each("trusted", {{name_key(link) + key, false}});
  for (const auto& [family, ways] : {std::pair(kIpv4, bridge.v4), std::pair(kIpv6, bridge.v6)}) {
    if (ways.is_routed) each(family.routed, {{key, false}});
    if (ways.is_unprotected) each(family.unprotected, {{key, false}});
  }
  for (const IpNet& net : bridge.masqueraded) {
    each((net.address.is_v4() ? kIpv4 : kIpv6).masqueraded,
         {{address_key(net.first()), false}, {address_key(net.last().plus(1)), true}});
  }
}

// Under which addresses of the host its packets leave.
void each_source(const BridgeRules& bridge, const std::function<void(const char*, const NftPair&)>& each) {
  const std::string key = name_key(bridge.device);
  if (bridge.v4.source.is_valid()) each(kIpv4.sources, {key, address_key(bridge.v4.source)});
  if (bridge.v6.source.is_valid()) each(kIpv6.sources, {key, address_key(bridge.v6.source)});
}

void add_bridge_elements(NftBatch& batch, const BridgeRules& bridge) {
  each_element(bridge, [&](const char* set, const Elements& keys) { batch.add_elements(set, keys); });
  each_source(bridge, [&](const char* map, const NftPair& entry) { batch.add_entries(map, {entry}); });
}

void add_sets(NftBatch& batch) {
  batch.add_set("bridges", NftKey::kIfName)
      .add_set("within", NftKey::kIfNamePair)
      .add_set("internal", NftKey::kIfName)
      .add_set("trusted", NftKey::kIfNamePair);
  for (const Family& family : {kIpv4, kIpv6}) {
    const NftKey address = family.number == NFPROTO_IPV4 ? NftKey::kIpv4 : NftKey::kIpv6;
    batch.add_set(family.masqueraded, address, true)
        .add_set(family.routed, NftKey::kIfName)
        .add_set(family.unprotected, NftKey::kIfName)
        .add_map(family.sources, NftKey::kIfName, address);
  }
}

}  // namespace

Result<BridgeFirewall> BridgeFirewall::open(std::string table) {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
  return BridgeFirewall(std::move(table), std::move(socket));
}

bool BridgeFirewall::can_choose_sources() {
  utsname names{};
  int major = 0;
  int minor = 0;
  if (::uname(&names) != 0 || ::sscanf(names.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 7);
}

Status BridgeFirewall::find() {
  NetlinkMessage message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 0);
  message.header<nfgenmsg>()->nfgen_family = NFPROTO_INET;
  message.put(NFTA_TABLE_NAME, table_);
  return socket_.query(message, "find nftables table " + quote(table_), [](const nlmsghdr*) {});
}

Status BridgeFirewall::create(const std::vector<BridgeRules>& bridges, const std::vector<PortRule>& ports,
                              const std::string& comment) {
  NftBatch batch(socket_, table_);
  batch.add_table().delete_table().add_table(comment);  // whatever was there
  add_sets(batch);
  add_port_sets(batch);
  for (const BridgeRules& bridge : bridges) add_bridge_elements(batch, bridge);
  batch.add_base_chain("forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
  batch.add_base_chain("postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
  add_forward_rules(batch, table_);
  for (const Family& family : {kIpv4, kIpv6}) add_masquerade(batch, table_, family);
  add_port_chains(batch, table_);
  add_port_elements(batch, ports);
  return batch.send("create nftables table " + quote(table_));
}

Status BridgeFirewall::add(const BridgeRules& bridge) {
  NftBatch batch(socket_, table_);
  add_bridge_elements(batch, bridge);
  return batch.send("add bridge " + quote(bridge.device) + " to nftables table " + quote(table_));
}

// One by one: a batch with an element that is not there would take out none.
Status BridgeFirewall::take_out(const BridgeRules& bridge) {
  Status first;
  const auto send = [&](NftBatch& batch) {
    const Status done =
        batch.send("take bridge " + quote(bridge.device) + " out of nftables table " + quote(table_));
    if (first.is_ok() && done.code() != Code::kNotFound) first = done;
  };
  each_element(bridge, [&](const char* set, const Elements& keys) {
    NftBatch batch(socket_, table_);
    send(batch.delete_elements(set, keys));
  });
  each_source(bridge, [&](const char* map, const NftPair& entry) {
    NftBatch batch(socket_, table_);
    send(batch.delete_entries(map, {entry}));
  });
  return first;
}

Status BridgeFirewall::remove() {
  NftBatch batch(socket_, table_);
  batch.delete_table();
  const Status status = batch.send("remove nftables table " + quote(table_));
  return status.code() == Code::kNotFound ? Status() : status;
}

}  // namespace pouch::sys
