#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/netlink.h"

struct nftnl_expr;
struct nftnl_rule;
struct nlmsghdr;

// Below bridge_firewall.cc only: an nftables transaction, object by object, in wire form.

namespace pouch::sys {

/// Sets by the numbers that nft(8) knows its data types by, so that it can show them.
enum class NftKey : uint32_t { kIfName = 41, kIfNamePair = (41 << 6) | 41, kIpv4 = 7, kIpv6 = 8 };

/// Expressions of a rule, in order.
class NftRule {
 public:
  NftRule(const std::string& table, const char* chain);
  ~NftRule();
  NftRule(const NftRule&) = delete;
  NftRule& operator=(const NftRule&) = delete;

  NftRule& meta(uint32_t key, uint32_t reg);
  NftRule& in_set(uint32_t reg, const char* set, bool invert = false);
  NftRule& payload(uint32_t offset, uint32_t size, uint32_t reg);  ///< of the network header
  NftRule& equals(uint32_t reg, const void* value, uint32_t size);
  NftRule& ct_state_any_of(uint32_t states);
  NftRule& masquerade();
  NftRule& verdict(int verdict);
  const nftnl_rule* get() const { return rule_; }

 private:
  nftnl_rule* rule_;
};

/// Adds up messages; send() makes all of it happen, or nothing.
class NftBatch {
 public:
  NftBatch(NetlinkSocket& socket, std::string table);

  NftBatch& add_table(const std::string& comment = {});
  NftBatch& delete_table();
  NftBatch& add_set(const char* name, NftKey key, bool intervals = false);
  /// Of `name`: keys in wire form, each with whether it ends an interval.
  NftBatch& add_elements(const char* name, const std::vector<std::pair<std::string, bool>>& keys);
  NftBatch& delete_elements(const char* name, const std::vector<std::pair<std::string, bool>>& keys);
  NftBatch& add_base_chain(const char* name, const char* type, uint32_t hook, int32_t priority);
  NftBatch& add_rule(const NftRule& rule);
  Status send(std::string_view what);

 private:
  void message(uint16_t type, uint16_t flags, const std::function<void(nlmsghdr*)>& payload);
  void frame(bool begin);
  void elements(uint16_t type, uint16_t flags, const char* name,
                const std::vector<std::pair<std::string, bool>>& keys);

  NetlinkSocket& socket_;
  std::string table_;
  std::string buffer_;
  uint32_t first_ = 0;
  size_t last_ = 0;  ///< where in the buffer the last message begins
  uint32_t next_set_id_ = 0;
};

}  // namespace pouch::sys
