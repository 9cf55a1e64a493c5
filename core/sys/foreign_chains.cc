#include "core/sys/foreign_chains.h"

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "core/sys/netlink.h"

namespace pouch::sys {
namespace {

constexpr std::string_view kRootsTable = "pouch_";
constexpr int kMaxDepth = 16;  // NFT_JUMP_STACK_SIZE

/// What a rule does with every packet.
struct Step {
  int verdict = NFT_CONTINUE;  ///< nothing, or only with some of them
  std::string chain;           ///< of NFT_JUMP and NFT_GOTO
  bool lets_ports_pass = false;
};

struct BaseChain {
  DroppingChain names;
  uint8_t family = NFPROTO_UNSPEC;
  bool drops_by_policy = false;
};

std::string_view text_of(const nftnl_expr* expression, uint16_t attribute) {
  const char* text = nftnl_expr_get_str(expression, attribute);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

// Neither a condition nor a verdict. iptables' matches and targets keep their names beyond nftables.
bool changes_nothing(const nftnl_expr* expression) {
  const std::string_view name = text_of(expression, NFTNL_EXPR_NAME);
  return name == "counter" || name == "log" ||
         (name == "match" && text_of(expression, NFTNL_EXPR_MT_NAME) == "comment") ||
         (name == "target" && text_of(expression, NFTNL_EXPR_TG_NAME) == "LOG");
}

bool rejects(const nftnl_expr* expression) {
  const std::string_view name = text_of(expression, NFTNL_EXPR_NAME);
  return name == "reject" || (name == "target" && text_of(expression, NFTNL_EXPR_TG_NAME) == "REJECT");
}

bool is_verdict(const nftnl_expr* expression) {
  return text_of(expression, NFTNL_EXPR_NAME) == "immediate" &&
         nftnl_expr_is_set(expression, NFTNL_EXPR_IMM_VERDICT);
}

bool masks_dnat(const nftnl_expr* expression) {
  uint32_t size = 0;
  uint32_t mask = 0;
  const void* data = nftnl_expr_get(expression, NFTNL_EXPR_BITWISE_MASK, &size);
  if (data == nullptr || size != sizeof mask) return false;
  std::memcpy(&mask, data, sizeof mask);
  return mask == IPS_DST_NAT;
}

/// Looks at the expressions of a rule in their order.
class StepReader {
 public:
  /// False after the one that decides.
  bool next(const nftnl_expr* expression) {
    if (changes_nothing(expression)) return true;
    if (is_verdict(expression)) {
      conclude(expression);
      return false;
    }
    if (rejects(expression)) {
      if (!has_conditions_) step_.verdict = NF_DROP;
      return false;
    }
    has_conditions_ = true;
    return may_be_of_ports(expression);
  }
  const Step& step() const { return step_; }

 private:
  // `ct status dnat accept` is the load of the status, a mask, a comparison with 0, and the verdict.
  bool may_be_of_ports(const nftnl_expr* expression) {
    const std::string_view name = text_of(expression, NFTNL_EXPR_NAME);
    if (name == "ct") return nftnl_expr_get_u32(expression, NFTNL_EXPR_CT_KEY) == NFT_CT_STATUS;
    if (name == "bitwise") return masks_ = masks_dnat(expression);
    return masks_ && name == "cmp" && nftnl_expr_get_u32(expression, NFTNL_EXPR_CMP_OP) == NFT_CMP_NEQ;
  }
  void conclude(const nftnl_expr* expression) {
    const int verdict = static_cast<int>(nftnl_expr_get_u32(expression, NFTNL_EXPR_IMM_VERDICT));
    step_.lets_ports_pass = masks_ && verdict == NF_ACCEPT;
    if (has_conditions_) return;
    step_.verdict = verdict;
    if (verdict == NFT_JUMP || verdict == NFT_GOTO) step_.chain = text_of(expression, NFTNL_EXPR_IMM_CHAIN);
  }

  Step step_;
  bool has_conditions_ = false;
  bool masks_ = false;
};

Step step_of(const nftnl_rule* rule) {
  StepReader reader;
  const std::unique_ptr<nftnl_expr_iter, void (*)(nftnl_expr_iter*)> at(nftnl_expr_iter_create(rule),
                                                                        nftnl_expr_iter_destroy);
  const nftnl_expr* expression = at ? nftnl_expr_iter_next(at.get()) : nullptr;
  while (expression != nullptr && reader.next(expression)) expression = nftnl_expr_iter_next(at.get());
  return reader.step();
}

/// One table of somebody else.
class TableReader {
 public:
  TableReader(NetlinkSocket& socket, const BaseChain& base) : socket_(socket), base_(base) {}

  /// Nothing when the chain does not drop.
  Result<std::optional<DroppingChain>> read(const std::string& device) {
    DroppingChain found = base_.names;
    POUCH_ASSIGN_OR_RETURN(const std::vector<Step> steps, steps_of(found.chain));
    for (const Step& step : steps) found.lets_ports_pass = found.lets_ports_pass || step.lets_ports_pass;
    POUCH_ASSIGN_OR_RETURN(const std::optional<bool> drops, fate(steps, 0));
    if (!drops.value_or(base_.drops_by_policy)) return std::optional<DroppingChain>();
    POUCH_ASSIGN_OR_RETURN(found.mentions_device, mentions(device));
    return std::optional(std::move(found));
  }

 private:
  Status each_rule(const std::string& chain, const std::function<void(const nlmsghdr*)>& each) {
    NetlinkMessage message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE, NLM_F_DUMP);
    message.header<nfgenmsg>()->nfgen_family = base_.family;
    message.put(NFTA_RULE_TABLE, base_.names.table);
    if (!chain.empty()) message.put(NFTA_RULE_CHAIN, chain);
    return socket_.query(message, "list nftables rules", each);
  }

  Result<std::vector<Step>> steps_of(const std::string& chain) {
    std::vector<Step> steps;
    POUCH_RETURN_IF_ERROR(each_rule(chain, [&](const nlmsghdr* answer) {
      const std::unique_ptr<nftnl_rule, void (*)(const nftnl_rule*)> rule(nftnl_rule_alloc(),
                                                                          nftnl_rule_free);
      if (nftnl_rule_nlmsg_parse(answer, rule.get()) != 0) return;
      // Old kernels send the whole table.
      if (nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN) == chain) steps.push_back(step_of(rule.get()));
    }));
    return steps;
  }

  // Whether they drop a packet that meets no condition; nothing when they leave that to what comes after.
  Result<std::optional<bool>> fate(const std::vector<Step>& steps, int depth) {
    using Fate = std::optional<bool>;
    for (const Step& step : steps) {
      if (step.verdict == NF_DROP || step.verdict == NF_ACCEPT) return Fate(step.verdict == NF_DROP);
      if (step.verdict == NFT_RETURN) return Fate();
      if (step.chain.empty() || depth == kMaxDepth) continue;
      POUCH_ASSIGN_OR_RETURN(const std::vector<Step> inner, steps_of(step.chain));
      POUCH_ASSIGN_OR_RETURN(const Fate found, fate(inner, depth + 1));
      if (found || step.verdict == NFT_GOTO) return found;
    }
    return Fate();
  }

  // By the bytes of the rules: iptables' own matches are opaque to all but itself.
  Result<bool> mentions(const std::string& device) {
    bool found = false;
    POUCH_RETURN_IF_ERROR(each_rule("", [&](const nlmsghdr* answer) {
      const std::string_view bytes(reinterpret_cast<const char*>(answer), answer->nlmsg_len);
      found = found || bytes.find(device) != std::string_view::npos;
    }));
    return found;
  }

  NetlinkSocket& socket_;
  const BaseChain& base_;
};

std::optional<BaseChain> base_chain(const nlmsghdr* answer) {
  const std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(),
                                                                         nftnl_chain_free);
  if (nftnl_chain_nlmsg_parse(answer, chain.get()) != 0) return {};
  const uint32_t family = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_FAMILY);
  const std::string table = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE);
  const bool is_in_the_way = (family == NFPROTO_IPV4 || family == NFPROTO_INET) &&
                             nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM) &&
                             nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM) == NF_INET_FORWARD;
  if (!is_in_the_way || table.starts_with(kRootsTable)) return {};
  BaseChain found;
  found.names.family = family == NFPROTO_IPV4 ? "ip" : "inet";
  found.names.table = table;
  found.names.chain = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
  found.family = static_cast<uint8_t>(family);
  found.drops_by_policy = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_POLICY) == NF_DROP;
  return found;
}

}  // namespace

Result<std::vector<DroppingChain>> dropping_chains(const std::string& device) {
  POUCH_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::open(NetlinkSocket::Bus::kNetfilter));
  NetlinkMessage message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, NLM_F_DUMP);
  message.header<nfgenmsg>()->nfgen_family = NFPROTO_UNSPEC;
  std::vector<BaseChain> bases;
  POUCH_RETURN_IF_ERROR(socket.query(message, "list nftables chains", [&](const nlmsghdr* answer) {
    if (auto base = base_chain(answer)) bases.push_back(std::move(*base));
  }));
  std::vector<DroppingChain> chains;
  for (const BaseChain& base : bases) {
    POUCH_ASSIGN_OR_RETURN(auto found, TableReader(socket, base).read(device));
    if (found) chains.push_back(std::move(*found));
  }
  return chains;
}

}  // namespace pouch::sys
