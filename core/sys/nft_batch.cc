#include "core/sys/nft_batch.h"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/fault.h"

namespace pouch::sys {
namespace {

constexpr uint16_t kFamily = NFPROTO_INET;
constexpr uint32_t kNameSize = 16;  // IFNAMSIZ, as nftables compares names
// Of nft(8)'s notes on a set.
constexpr uint32_t kHostEndian = 1;
constexpr uint32_t kBigEndian = 2;
constexpr size_t kMaxComment = 127;
constexpr size_t kMessageSize = size_t{64} << 10;

// MNL_ALIGN mixes signs.
size_t aligned(uint32_t size) {
  return (size_t{size} + 3) & ~size_t{3};
}

uint32_t size_of(NftKey key) {
  switch (key) {
    case NftKey::kIpv4:
      return 4;
    case NftKey::kIpv6:
      return 16;
    case NftKey::kIfName:
      return kNameSize;
    case NftKey::kIfNamePair:
      return 2 * kNameSize;
    case NftKey::kPort:
    case NftKey::kIpv4Target:
      return 8;
    case NftKey::kIpv4Port:
      return 12;
    case NftKey::kIpv6Target:
      return 20;
    case NftKey::kIpv6Port:
      return 24;
  }
  return 0;
}

uint32_t byte_order_of(NftKey key) {
  return key == NftKey::kIfName || key == NftKey::kIfNamePair ? kHostEndian : kBigEndian;
}

using Set = std::unique_ptr<nftnl_set, void (*)(const nftnl_set*)>;

// For nft(8) alone, which would show names backwards.
void note_byte_order(nftnl_set& set, NftKey key) {
  const std::unique_ptr<nftnl_udata_buf, void (*)(const nftnl_udata_buf*)> notes(nftnl_udata_buf_alloc(64),
                                                                                 nftnl_udata_buf_free);
  nftnl_udata_put_u32(notes.get(), NFTNL_UDATA_SET_KEYBYTEORDER, byte_order_of(key));
  nftnl_set_set_data(&set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(notes.get()),
                     nftnl_udata_buf_len(notes.get()));
}

// By name alone, for a change of its elements.
Set set_named(const std::string& table, const char* name) {
  Set set(nftnl_set_alloc(), nftnl_set_free);
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, name);
  return set;
}

}  // namespace

NftRule::NftRule(const std::string& table, const char* chain) : rule_(nftnl_rule_alloc()) {
  nftnl_rule_set_str(rule_, NFTNL_RULE_TABLE, table.c_str());
  nftnl_rule_set_str(rule_, NFTNL_RULE_CHAIN, chain);
  nftnl_rule_set_u32(rule_, NFTNL_RULE_FAMILY, kFamily);
}

NftRule::~NftRule() {
  nftnl_rule_free(rule_);
}

NftRule& NftRule::meta(uint32_t key, uint32_t reg) {
  nftnl_expr* expr = nftnl_expr_alloc("meta");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, reg);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::in_set(uint32_t reg, const char* set, bool invert) {
  nftnl_expr* expr = nftnl_expr_alloc("lookup");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, reg);
  nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set);
  if (invert) nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::payload(uint32_t offset, uint32_t size, uint32_t reg) {
  return load(NFT_PAYLOAD_NETWORK_HEADER, offset, size, reg);
}

NftRule& NftRule::transport(uint32_t offset, uint32_t size, uint32_t reg) {
  return load(NFT_PAYLOAD_TRANSPORT_HEADER, offset, size, reg);
}

NftRule& NftRule::load(uint32_t base, uint32_t offset, uint32_t size, uint32_t reg) {
  nftnl_expr* expr = nftnl_expr_alloc("payload");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::equals(uint32_t reg, const void* value, uint32_t size) {
  nftnl_expr* expr = nftnl_expr_alloc("cmp");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, reg);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
  nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, value, size);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::ct_state_any_of(uint32_t states) {
  return ct_any_of(NFT_CT_STATE, states);
}

NftRule& NftRule::ct_status_any_of(uint32_t status) {
  return ct_any_of(NFT_CT_STATUS, status);
}

NftRule& NftRule::to_local_address() {
  constexpr uint32_t kLocal = RTN_LOCAL;
  nftnl_expr* fib = nftnl_expr_alloc("fib");
  nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
  nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
  nftnl_rule_add_expr(rule_, fib);
  return equals(NFT_REG_1, &kLocal, sizeof kLocal);
}

NftRule& NftRule::look_up(uint32_t reg, const char* map, uint32_t to) {
  nftnl_expr* expr = nftnl_expr_alloc("lookup");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, reg);
  nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, map);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_DREG, to);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::dnat(uint32_t family, uint32_t address, uint32_t port) {
  nftnl_expr* expr = nftnl_expr_alloc("nat");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_FAMILY, family);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_REG_ADDR_MIN, address);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_REG_PROTO_MIN, port);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::snat(uint32_t family, uint32_t address) {
  nftnl_expr* expr = nftnl_expr_alloc("nat");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_TYPE, NFT_NAT_SNAT);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_FAMILY, family);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_NAT_REG_ADDR_MIN, address);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::jump(const char* chain) {
  nftnl_expr* expr = nftnl_expr_alloc("immediate");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, static_cast<uint32_t>(NFT_JUMP));
  nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, chain);
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftRule& NftRule::ct_any_of(uint32_t key, uint32_t bits) {
  constexpr uint32_t kZero = 0;
  nftnl_expr* load = nftnl_expr_alloc("ct");
  nftnl_expr_set_u32(load, NFTNL_EXPR_CT_KEY, key);
  nftnl_expr_set_u32(load, NFTNL_EXPR_CT_DREG, NFT_REG_1);
  nftnl_rule_add_expr(rule_, load);
  nftnl_expr* mask = nftnl_expr_alloc("bitwise");
  nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
  nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
  nftnl_expr_set_u32(mask, NFTNL_EXPR_BITWISE_LEN, sizeof bits);
  nftnl_expr_set(mask, NFTNL_EXPR_BITWISE_MASK, &bits, sizeof bits);
  nftnl_expr_set(mask, NFTNL_EXPR_BITWISE_XOR, &kZero, sizeof kZero);
  nftnl_rule_add_expr(rule_, mask);
  nftnl_expr* compare = nftnl_expr_alloc("cmp");
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, NFT_CMP_NEQ);
  nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, &kZero, sizeof kZero);
  nftnl_rule_add_expr(rule_, compare);
  return *this;
}

NftRule& NftRule::masquerade() {
  nftnl_rule_add_expr(rule_, nftnl_expr_alloc("masq"));
  return *this;
}

NftRule& NftRule::verdict(int verdict) {
  nftnl_expr* expr = nftnl_expr_alloc("immediate");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, static_cast<uint32_t>(verdict));
  nftnl_rule_add_expr(rule_, expr);
  return *this;
}

NftBatch::NftBatch(NetlinkSocket& socket, std::string table) : socket_(socket), table_(std::move(table)) {
  frame(true);
}

void NftBatch::frame(bool begin) {
  alignas(nlmsghdr) std::array<char, 64> space{};
  const uint32_t sequence = socket_.next_sequence();
  if (begin) first_ = sequence;
  const nlmsghdr* head =
      begin ? nftnl_batch_begin(space.data(), sequence) : nftnl_batch_end(space.data(), sequence);
  buffer_.append(space.data(), aligned(head->nlmsg_len));
}

void NftBatch::message(uint16_t type, uint16_t flags, const std::function<void(nlmsghdr*)>& payload) {
  const auto space = std::make_unique<uint64_t[]>(kMessageSize / sizeof(uint64_t));
  nlmsghdr* head = nftnl_nlmsg_build_hdr(reinterpret_cast<char*>(space.get()), type, kFamily, flags,
                                         socket_.next_sequence());
  payload(head);
  last_ = buffer_.size();
  buffer_.append(reinterpret_cast<const char*>(space.get()), aligned(head->nlmsg_len));
}

NftBatch& NftBatch::add_table(const std::string& comment) {
  const std::unique_ptr<nftnl_table, void (*)(const nftnl_table*)> table(nftnl_table_alloc(),
                                                                         nftnl_table_free);
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, table_.c_str());
  using Notes = std::unique_ptr<nftnl_udata_buf, void (*)(const nftnl_udata_buf*)>;
  const Notes notes(nftnl_udata_buf_alloc(256), nftnl_udata_buf_free);
  if (!comment.empty()) {
    nftnl_udata_put_strz(notes.get(), NFTNL_UDATA_TABLE_COMMENT, comment.substr(0, kMaxComment).c_str());
    nftnl_table_set_data(table.get(), NFTNL_TABLE_USERDATA, nftnl_udata_buf_data(notes.get()),
                         nftnl_udata_buf_len(notes.get()));
  }
  message(NFT_MSG_NEWTABLE, NLM_F_CREATE,
          [&](nlmsghdr* head) { nftnl_table_nlmsg_build_payload(head, table.get()); });
  return *this;
}

NftBatch& NftBatch::delete_table() {
  const std::unique_ptr<nftnl_table, void (*)(const nftnl_table*)> table(nftnl_table_alloc(),
                                                                         nftnl_table_free);
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, table_.c_str());
  message(NFT_MSG_DELTABLE, 0, [&](nlmsghdr* head) { nftnl_table_nlmsg_build_payload(head, table.get()); });
  return *this;
}

NftBatch& NftBatch::add_set(const char* name, NftKey key, bool intervals) {
  const Set set = set_named(table_, name);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FAMILY, kFamily);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, static_cast<uint32_t>(key));
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, size_of(key));
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, ++next_set_id_);
  note_byte_order(*set, key);
  if (intervals) nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
  message(NFT_MSG_NEWSET, NLM_F_CREATE,
          [&](nlmsghdr* head) { nftnl_set_nlmsg_build_payload(head, set.get()); });
  return *this;
}

NftBatch& NftBatch::add_elements(const char* name, const std::vector<std::pair<std::string, bool>>& keys) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, name, keys);
  return *this;
}

NftBatch& NftBatch::delete_elements(const char* name, const std::vector<std::pair<std::string, bool>>& keys) {
  elements(NFT_MSG_DELSETELEM, 0, name, keys);
  return *this;
}

void NftBatch::elements(uint16_t type, uint16_t flags, const char* name,
                        const std::vector<std::pair<std::string, bool>>& keys) {
  const Set set = set_named(table_, name);
  for (const auto& [key, is_end] : keys) {
    nftnl_set_elem* element = nftnl_set_elem_alloc();
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(), static_cast<uint32_t>(key.size()));
    if (is_end) nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    nftnl_set_elem_add(set.get(), element);
  }
  message(type, flags, [&](nlmsghdr* head) { nftnl_set_elems_nlmsg_build_payload(head, set.get()); });
}

NftBatch& NftBatch::add_map(const char* name, NftKey key, NftKey data) {
  const Set map = set_named(table_, name);
  nftnl_set_set_u32(map.get(), NFTNL_SET_FAMILY, kFamily);
  nftnl_set_set_u32(map.get(), NFTNL_SET_FLAGS, NFT_SET_MAP);
  nftnl_set_set_u32(map.get(), NFTNL_SET_KEY_TYPE, static_cast<uint32_t>(key));
  nftnl_set_set_u32(map.get(), NFTNL_SET_KEY_LEN, size_of(key));
  nftnl_set_set_u32(map.get(), NFTNL_SET_DATA_TYPE, static_cast<uint32_t>(data));
  nftnl_set_set_u32(map.get(), NFTNL_SET_DATA_LEN, size_of(data));
  nftnl_set_set_u32(map.get(), NFTNL_SET_ID, ++next_set_id_);
  note_byte_order(*map, key);
  message(NFT_MSG_NEWSET, NLM_F_CREATE,
          [&](nlmsghdr* head) { nftnl_set_nlmsg_build_payload(head, map.get()); });
  return *this;
}

void NftBatch::change_entries(const char* map, const std::vector<NftPair>& entries, bool add) {
  // A message has an end; some hundreds fit into one.
  constexpr size_t kPerMessage = 400;
  for (size_t first = 0; first < entries.size(); first += kPerMessage) {
    const Set set = set_named(table_, map);
    for (size_t i = first; i < std::min(entries.size(), first + kPerMessage); ++i) {
      nftnl_set_elem* element = nftnl_set_elem_alloc();
      const auto& [key, data] = entries[i];
      nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(), static_cast<uint32_t>(key.size()));
      if (add && !data.empty())
        nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, data.data(), static_cast<uint32_t>(data.size()));
      nftnl_set_elem_add(set.get(), element);
    }
    message(add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0,
            [&](nlmsghdr* head) { nftnl_set_elems_nlmsg_build_payload(head, set.get()); });
  }
}

NftBatch& NftBatch::add_entries(const char* map, const std::vector<NftPair>& entries) {
  change_entries(map, entries, true);
  return *this;
}

NftBatch& NftBatch::delete_entries(const char* map, const std::vector<NftPair>& entries) {
  change_entries(map, entries, false);
  return *this;
}

NftBatch& NftBatch::add_chain(const char* name) {
  const std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(),
                                                                         nftnl_chain_free);
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_.c_str());
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, name);
  message(NFT_MSG_NEWCHAIN, NLM_F_CREATE,
          [&](nlmsghdr* head) { nftnl_chain_nlmsg_build_payload(head, chain.get()); });
  return *this;
}

NftBatch& NftBatch::add_base_chain(const char* name, const char* type, uint32_t hook, int32_t priority) {
  const std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(),
                                                                         nftnl_chain_free);
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_.c_str());
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, name);
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, type);
  nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, hook);
  nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, priority);
  nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  message(NFT_MSG_NEWCHAIN, NLM_F_CREATE,
          [&](nlmsghdr* head) { nftnl_chain_nlmsg_build_payload(head, chain.get()); });
  return *this;
}

NftBatch& NftBatch::add_rule(const NftRule& rule) {
  message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
          [&](nlmsghdr* head) { nftnl_rule_nlmsg_build_payload(head, const_cast<nftnl_rule*>(rule.get())); });
  return *this;
}

Status NftBatch::send(std::string_view what) {
  // The acknowledgement of the last message is that of all.
  auto* last = reinterpret_cast<nlmsghdr*>(buffer_.data() + last_);
  last->nlmsg_flags |= NLM_F_ACK;
  const uint32_t acked = last->nlmsg_seq;
  frame(false);
  return with_faults("netlink.nftables",
                     [&] { return socket_.batch(buffer_.data(), buffer_.size(), first_, acked, what); });
}

}  // namespace pouch::sys
