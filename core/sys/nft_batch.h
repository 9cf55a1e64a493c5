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
enum class NftKey : uint32_t {
  kIfName = 41,
  kIfNamePair = (41 << 6) | 41,
  kIpv4 = 7,
  kIpv6 = 8,
  kPort = (12 << 6) | 13,                  ///< protocol . port
  kIpv4Port = (7 << 12) | (12 << 6) | 13,  ///< address . protocol . port
  kIpv6Port = (8 << 12) | (12 << 6) | 13,
  kIpv4Target = (7 << 6) | 13,  ///< address . port
  kIpv6Target = (8 << 6) | 13,
};

/// What a map leads from and to, in wire form: each part padded to four bytes.
struct NftPair {
  std::string key;
  std::string data;
};

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
  NftRule& transport(uint32_t offset, uint32_t size, uint32_t reg);
  NftRule& equals(uint32_t reg, const void* value, uint32_t size);
  NftRule& ct_state_any_of(uint32_t states);
  NftRule& ct_status_any_of(uint32_t status);
  NftRule& to_local_address();  ///< the destination is one of the host's own
  /// What the map has for the key that begins in `reg` goes to `to`; no match without an entry.
  NftRule& look_up(uint32_t reg, const char* map, uint32_t to);
  /// To the address in `address` and the port in `port`, registers both. `family`: NFPROTO_IPV4, …
  NftRule& dnat(uint32_t family, uint32_t address, uint32_t port);
  /// From the address in register `address`.
  NftRule& snat(uint32_t family, uint32_t address);
  NftRule& masquerade();
  NftRule& verdict(int verdict);
  NftRule& jump(const char* chain);
  const nftnl_rule* get() const { return rule_; }

 private:
  NftRule& load(uint32_t base, uint32_t offset, uint32_t size, uint32_t reg);
  NftRule& ct_any_of(uint32_t key, uint32_t bits);
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
  NftBatch& add_map(const char* name, NftKey key, NftKey data);
  /// Of a map, or of a set: without data.
  NftBatch& add_entries(const char* map, const std::vector<NftPair>& entries);
  /// NotFound when one of them is not there.
  NftBatch& delete_entries(const char* map, const std::vector<NftPair>& entries);
  NftBatch& add_chain(const char* name);
  NftBatch& add_base_chain(const char* name, const char* type, uint32_t hook, int32_t priority);
  NftBatch& add_rule(const NftRule& rule);
  Status send(std::string_view what);

 private:
  void message(uint16_t type, uint16_t flags, const std::function<void(nlmsghdr*)>& payload);
  void frame(bool begin);
  void elements(uint16_t type, uint16_t flags, const char* name,
                const std::vector<std::pair<std::string, bool>>& keys);
  void change_entries(const char* map, const std::vector<NftPair>& entries, bool add);

  NetlinkSocket& socket_;
  std::string table_;
  std::string buffer_;
  uint32_t first_ = 0;
  size_t last_ = 0;  ///< where in the buffer the last message begins
  uint32_t next_set_id_ = 0;
};

}  // namespace pouch::sys
