#include "core/sys/conntrack.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

#include "core/sys/links.h"
#include "core/sys/netlink.h"

namespace pouch::sys {
namespace {

constexpr uint8_t kLoopbackByte = 127;  // the first of 127.0.0.0/8

constexpr uint16_t type_of(uint16_t message) {
  return static_cast<uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | message);
}

/// The first direction of a flow: where its packets were sent to.
struct Flow {
  uint8_t protocol = 0;
  uint16_t port = 0;
  IpAddress address;
  std::string tuple;  ///< as the kernel has it, to name the flow by
};

void read_tuple(const nlattr* attr, Flow& flow) {
  each_nested(attr, [&](const nlattr* part) {
    const bool is_address = mnl_attr_get_type(part) == CTA_TUPLE_IP;
    each_nested(part, [&](const nlattr* value) {
      const uint16_t type = mnl_attr_get_type(value);
      const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(value));
      const size_t size = mnl_attr_get_payload_len(value);
      if (is_address && (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST)) {
        flow.address = IpAddress::from_bytes(bytes, size);
      } else if (!is_address && type == CTA_PROTO_NUM) {
        flow.protocol = bytes[0];
      } else if (!is_address && type == CTA_PROTO_DST_PORT) {
        flow.port = static_cast<uint16_t>((bytes[0] << 8) | bytes[1]);
      }
    });
  });
}

bool is_all(const IpAddress& address) {
  return std::all_of(address.data(), address.data() + address.size(), [](uint8_t byte) { return byte == 0; });
}

bool is_led_by(const Flow& flow, const PortRule& rule) {
  return rule.protocol == IPPROTO_UDP && flow.protocol == IPPROTO_UDP && flow.port == rule.host_port &&
         (is_all(rule.host) || rule.host == flow.address);
}

// What the host passes on to others' ports of the same number is not its own.
bool is_to_host(const Flow& flow, const std::vector<LinkAddress>& own) {
  return (flow.address.is_v4() && flow.address.data()[0] == kLoopbackByte) ||
         std::any_of(own.begin(), own.end(),
                     [&](const LinkAddress& one) { return one.net.address == flow.address; });
}

Result<std::vector<Flow>> flows_to(NetlinkSocket& socket, const std::vector<PortRule>& rules,
                                   uint8_t family) {
  NetlinkMessage message(type_of(IPCTNL_MSG_CT_GET), NLM_F_DUMP);
  message.header<nfgenmsg>()->nfgen_family = family;
  POUCH_ASSIGN_OR_RETURN(Links links, Links::open());
  POUCH_ASSIGN_OR_RETURN(const std::vector<LinkAddress> own, links.addresses());
  std::vector<Flow> found;
  POUCH_RETURN_IF_ERROR(socket.query(message, "list the kernel's flows", [&](const nlmsghdr* answer) {
    Flow flow;
    each_attribute(answer, sizeof(nfgenmsg), [&](const nlattr* attr) {
      if (mnl_attr_get_type(attr) != CTA_TUPLE_ORIG) return;
      read_tuple(attr, flow);
      flow.tuple.assign(static_cast<const char*>(mnl_attr_get_payload(attr)), mnl_attr_get_payload_len(attr));
    });
    const auto leads = [&](const PortRule& rule) { return is_led_by(flow, rule); };
    if (!std::any_of(rules.begin(), rules.end(), leads)) return;
    if (is_to_host(flow, own)) found.push_back(std::move(flow));
  }));
  return found;
}

}  // namespace

Status forget_datagram_flows(const std::vector<PortRule>& rules) {
  for (const bool v4 : {true, false}) {
    const bool any = std::any_of(rules.begin(), rules.end(), [v4](const PortRule& rule) {
      return rule.protocol == IPPROTO_UDP && rule.host.is_v4() == v4;
    });
    if (!any) continue;
    const uint8_t family = v4 ? AF_INET : AF_INET6;
    POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
    const auto flows = flows_to(socket, rules, family);
    if (!flows.is_ok()) return {};  // a kernel without ctnetlink
    for (const Flow& flow : *flows) {
      NetlinkMessage message(type_of(IPCTNL_MSG_CT_DELETE), 0);
      message.header<nfgenmsg>()->nfgen_family = family;
      message.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.tuple.data(), flow.tuple.size());
      const Status gone = socket.request(message, "netlink.forget_flow", "forget a flow");
      if (!gone.is_ok() && gone.code() != Code::kNotFound) return gone;
    }
  }
  return {};
}

}  // namespace pouch::sys
