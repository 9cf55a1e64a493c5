#pragma once

#include <memory>

#include "core/api/stream.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"

namespace pouch {

/// system.session: the sessions that this engine has open. What they made is removed by the keeper
/// (SessionWatch), so that it makes no difference how they end. Thread-safe.
class Sessions {
 public:
  /// The context must outlive it.
  explicit Sessions(EngineContext& context);
  ~Sessions();  ///< ends them all
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// Where an earlier process has left sessions, sees to it that there is a keeper to clean up.
  Status recover();
  Result<StreamPtr> open(const Call& call);

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace pouch
