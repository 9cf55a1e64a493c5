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
constexpr uint32_t kSourceOffset = 12;  // of the source address in an IPv4 header
constexpr uint32_t kSourceOffset6 = 8;  // in an IPv6 header
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
  rule([](NftRule& r) { r.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges").verdict(NF_DROP); });
}

// Since Linux 5.7 a packet that leaves tells where it came in.
bool knows_input_of_leaving() {
  utsname names{};
  int major = 0;
  int minor = 0;
  if (::uname(&names) != 0 || ::sscanf(names.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 7);
}

// Of packets that came in through a bridge of ours: where the kernel filters bridged packets too
// (br_netfilter), those within somebody else's bridge come by, and its subnet may be one of ours.
void add_masquerade(NftBatch& batch, const std::string& table, bool is_v4) {
  const uint8_t family = is_v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  NftRule rule(table, "postrouting");
  if (knows_input_of_leaving()) rule.meta(NFT_META_IIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges");
  rule.meta(NFT_META_NFPROTO, NFT_REG_1).equals(NFT_REG_1, &family, sizeof family);
  rule.payload(is_v4 ? kSourceOffset : kSourceOffset6, is_v4 ? 4 : 16, NFT_REG_1);
  rule.in_set(NFT_REG_1, is_v4 ? "masqueraded" : "masqueraded6");
  rule.meta(NFT_META_OIFNAME, NFT_REG_1).in_set(NFT_REG_1, "bridges", true).masquerade();
  batch.add_rule(rule);
}

using Elements = std::vector<std::pair<std::string, bool>>;

// What a bridge is in the sets, one by one.
void each_element(const BridgeRules& bridge, const std::function<void(const char*, const Elements&)>& each) {
  const std::string key = name_key(bridge.device);
  each("bridges", {{key, false}});
  if (bridge.is_open_within) each("within", {{key + key, false}});
  if (bridge.is_internal) each("internal", {{key, false}});
  for (const IpNet& net : bridge.masqueraded) {
    each(net.address.is_v4() ? "masqueraded" : "masqueraded6",
         {{address_key(net.first()), false}, {address_key(net.last().plus(1)), true}});
  }
}

void add_bridge_elements(NftBatch& batch, const BridgeRules& bridge) {
  each_element(bridge, [&](const char* set, const Elements& keys) { batch.add_elements(set, keys); });
}

}  // namespace

Result<BridgeFirewall> BridgeFirewall::open(std::string table) {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
  return BridgeFirewall(std::move(table), std::move(socket));
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
  batch.add_set("bridges", NftKey::kIfName)
      .add_set("within", NftKey::kIfNamePair)
      .add_set("internal", NftKey::kIfName)
      .add_set("masqueraded", NftKey::kIpv4, true)
      .add_set("masqueraded6", NftKey::kIpv6, true);
  for (const BridgeRules& bridge : bridges) add_bridge_elements(batch, bridge);
  batch.add_base_chain("forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
  batch.add_base_chain("postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
  add_forward_rules(batch, table_);
  add_masquerade(batch, table_, true);
  add_masquerade(batch, table_, false);
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
  each_element(bridge, [&](const char* set, const Elements& keys) {
    NftBatch batch(socket_, table_);
    batch.delete_elements(set, keys);
    const Status done =
        batch.send("take bridge " + quote(bridge.device) + " out of nftables table " + quote(table_));
    if (first.is_ok() && done.code() != Code::kNotFound) first = done;
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
