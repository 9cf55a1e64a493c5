#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_options.h"

namespace pouch {

class Executor;
namespace ctrd {
class Client;
}
namespace events {
class EventLog;
}
namespace io {
class KeeperClient;
}
namespace store {
class Database;
}

/// One open root, as its managers share it. Made by LocalEngine::open before the managers and ended after
/// them; constant in between, and every function in it may be called from any thread.
struct EngineContext {
  EngineOptions options;                ///< with all defaults filled in; containerd_address is a path
  bool has_private_containerd = false;  ///< it is the root's own, started when it is needed
  std::string root_id;                  ///< 12 hex digits
  std::string ns;           ///< containerd's namespace: "pouch-<root id>", or "pouch" for the system root
  std::string boot_id;      ///< of the kernel; what is boot-scoped in the database carries it
  std::string owner_token;  ///< of this open engine: for the owner_token columns. Alive while we are.

  store::Database* db = nullptr;
  events::EventLog* events = nullptr;
  Executor* executor = nullptr;

  /// Connects on first use; afterwards the same client at once. A private containerd is started when it does
  /// not run. Unavailable names the socket and the way out.
  std::function<Result<std::shared_ptr<ctrd::Client>>(const Call&)> ctrd;
  /// Launches the root's keeper when there is none. In the keeper's role: a client of itself.
  std::function<Result<std::shared_ptr<io::KeeperClient>>(const Call&)> keeper;
  /// False when the engine that had this token is gone: what it was doing may be recovered. One lock probe;
  /// true for owner_token itself. The empty token is nobody's.
  std::function<bool(const std::string& token)> is_owner_alive;

  /// Folder of the lasting state, absolute.
  const std::string& root_dir() const { return options.root_dir; }
  /// Folder of what ends with the boot, absolute.
  const std::string& run_dir() const { return options.run_dir; }
  /// Null when there is no runtime of that name ("" is the default one).
  const RuntimeOptions* find_runtime(const std::string& name) const {
    const auto at = options.runtimes.find(name.empty() ? options.default_runtime : name);
    return at == options.runtimes.end() ? nullptr : &at->second;
  }
};

}  // namespace pouch
