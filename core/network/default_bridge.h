#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/network/records.h"
#include "core/store/engine_context.h"
#include "core/sys/links.h"

namespace pouch::network {

/// Links and tables carry the root's id.
std::string bridge_name(const std::string& root_id);
std::string table_name(const std::string& root_id);

/// The default bridge of a root: a link, its subnet, and the root's nftables table. It is brought up when
/// first needed and taken down when the keeper ends; while it is down it has no subnet of its own, and takes
/// another the next time if somebody else uses its former one. Thread-safe, over processes too.
class DefaultBridge {
 public:
  explicit DefaultBridge(EngineContext& context) : context_(context) {}

  /// The row, made when there is none.
  Result<NetworkRow> ensure_row(store::Session& session);
  /// Brings it up unless another has.
  Status bring_up(const Call& call);
  /// Makes what somebody took away of a bridge that is up, with the subnet that it has.
  Status mend(const Call& call);
  /// Takes it down, unless a container uses it.
  Status take_down_idle(const Call& call);
  /// Is there anything to take down?
  Result<bool> is_there();

 private:
  Status make(const Call& call, NetworkRow& row);
  Status make_once(const NetworkRow& row, sys::Links& links, bool& collides);
  Status pick_subnet(NetworkRow& row, sys::Links& links);
  Status write_pool(const NetworkRow& row, const Call& call);
  Status write_up(const NetworkRow& row, const std::string& boot, const Call& call);
  Result<NetworkRow> read_row();
  std::string lock_path() const { return context_.run_dir() + "/network.lock"; }

  EngineContext& context_;
  std::mutex mutex_;  ///< held while links and rules of the bridge change, beside the file's lock
};

}  // namespace pouch::network
