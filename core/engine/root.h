#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/executor.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/engine/keeper_watch.h"
#include "core/engine/owner.h"
#include "core/events/event_log.h"
#include "core/io/keeper_client.h"
#include "core/store/database.h"
#include "core/store/engine_context.h"
#include "core/system/root_log.h"

namespace pouch {

/// An open root without its managers: its folders, database, event log, owner lock, and the ways to its
/// containerd and its keeper.
class Root {
 public:
  /// File in the root folder while it is being reset: it is opened by nobody else.
  static constexpr const char* kResetMark = "resetting";

  /// Makes what is missing. The first opening decides containerd's address, the snapshotter and the run
  /// folder of a root; later ones take them from the database, and Conflict tells when they ask for others.
  static Result<std::unique_ptr<Root>> open(EngineOptions options);
  ~Root() = default;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  const Owner& owner() const { return *owner_; }
  Owner& owner() { return *owner_; }
  EngineContext& context() { return context_; }
  Executor& executor() { return executor_; }

 private:
  explicit Root(EngineOptions options);
  Status open_folders();
  Status open_database();
  Status adopt_settings();
  Status open_run_dir();
  void fill_context();

  Result<std::shared_ptr<ctrd::Client>> connect_containerd(const Call& call);
  Result<std::shared_ptr<ctrd::Client>> connect_private(const Call& call);  // under ctrd_mutex_
  Status share_mounts() const;
  Result<std::shared_ptr<io::KeeperClient>> connect_keeper(const Call& call);

  EngineContext context_;
  std::optional<RootLog> log_;  // before all that may have something to say at its end
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Owner> owner_;
  std::unique_ptr<events::EventLog> events_;

  std::mutex ctrd_mutex_;
  std::shared_ptr<ctrd::Client> ctrd_;  // protected by ctrd_mutex_
  std::mutex keeper_mutex_;
  std::shared_ptr<io::KeeperClient> keeper_;  // protected by keeper_mutex_

  Executor executor_;
  std::unique_ptr<KeeperWatch> keeper_watch_;
};

}  // namespace pouch
