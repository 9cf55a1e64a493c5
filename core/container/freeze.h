#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/store/engine_context.h"

namespace pouch::container {

/// Tells whether the engine with this owner token is dead.
using IsOrphan = std::function<bool(const std::string& owner)>;

/// A container's processes stand still while it lives. Who dies over it has left a row by which others let
/// them go on (thaw_left).
class Freeze {
 public:
  /// Waits, as long as the call does, while another one stands on the container; what a dead engine left is
  /// let go on first. Conflict when the container has ended, or is paused by somebody.
  static Result<Freeze> begin(EngineContext& context, const Call& call, const ContainerId& id,
                              const IsOrphan& is_orphan);
  ~Freeze();  // NOLINT(bugprone-exception-escape): see its definition
  Freeze(Freeze&& other) noexcept;
  Freeze& operator=(Freeze&& other) = delete;

 private:
  Freeze(EngineContext& context, std::shared_ptr<ctrd::Client> client, ContainerId id)
      : context_(&context), client_(std::move(client)), id_(std::move(id)) {}

  EngineContext* context_;  ///< null: moved from
  std::shared_ptr<ctrd::Client> client_;
  ContainerId id_;
};

/// Lets go on what dead engines have frozen.
Status thaw_left(EngineContext& context, const Call& call, const IsOrphan& is_orphan);

}  // namespace pouch::container
