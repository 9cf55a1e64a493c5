#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/network/records.h"
#include "core/store/engine_context.h"
#include "core/sys/bridge_firewall.h"
#include "core/sys/links.h"

namespace pouch::network {

/// Links and tables carry the root's id.
std::string bridge_name(const std::string& root_id);
std::string table_name(const std::string& root_id);
/// Of a user network that names none.
std::string bridge_name(const std::string& root_id, const std::string& network_id);
/// Whether a link was made as a bridge of the root's user networks.
bool is_of_root(const sys::Link& link, const std::string& root_id);

/// The bridges of a root: each a link, its subnets, and elements in the root's nftables table. The default
/// one is brought up when first needed and taken down when the keeper ends; while it is down it has no subnet
/// of its own, and takes another the next time if somebody else uses its former one. Those of user networks
/// are up from their creation (after a reboot: from their first use) to their removal. Thread-safe, over
/// processes too.
class Bridges {
 public:
  explicit Bridges(EngineContext& context) : context_(context) {}

  /// The row of the default one, made with those of host and none when there is none.
  Result<NetworkRow> ensure_default(store::Session& session);
  /// Brings it up unless another has. NotFound: the network is gone.
  Status bring_up(const std::string& network_id, const Call& call);
  /// Makes what somebody took away of a bridge that is up, with the subnets that it has.
  Status mend(const std::string& network_id, const Call& call);
  /// Takes it down for good; its network is being removed.
  Status take_down(const NetworkRow& row, const Call& call);
  /// Takes the default one down, unless a container uses it.
  Status take_down_idle(const Call& call);

 private:
  Status make(const Call& call, NetworkRow& row);
  Status make_once(const NetworkRow& row, sys::Links& links, bool& collides);
  Status configure(const NetworkRow& row, sys::Links& links, const sys::Link& bridge);
  Status clear_place(const NetworkRow& row, sys::Links& links);
  Status pick_subnets(NetworkRow& row, sys::Links& links, const Call& call);
  Status write_pools(store::Transaction& transaction, const NetworkRow& row);
  Status unmake(const NetworkRow& row, const Call& call);
  Status write_up(const NetworkRow& row, const std::string& boot, const Call& call);
  Status add_to_table(const NetworkRow& row);
  Status make_table(const NetworkRow& row, sys::BridgeFirewall& firewall);
  Status take_out_of_table(const NetworkRow& row);
  Result<bool> is_device_shared(const NetworkRow& row);
  Result<NetworkRow> read_row(const std::string& network_id);
  Result<std::vector<NetworkRow>> others_up(const NetworkRow& row);
  std::string lock_path() const { return context_.run_dir() + "/network.lock"; }

  EngineContext& context_;
  std::mutex mutex_;  ///< held while links and rules of bridges change, beside the file's lock
};

}  // namespace pouch::network
