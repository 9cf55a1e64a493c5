#pragma once

#include <functional>
#include <string>
#include <utility>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"

namespace pouch::container {

/// A container's processes stand still while it lives. Who dies over it has left a row by which others let
/// them go on (thaw_left).
class Freeze {
 public:
  /// Waits, as long as the call does, while another one stands on the container. Conflict when the container
  /// has ended, or is paused by somebody.
  static Result<Freeze> begin(EngineContext& context, const Call& call, const ContainerId& id);
  ~Freeze();
  Freeze(Freeze&& other) noexcept;
  Freeze& operator=(Freeze&& other) = delete;

 private:
  Freeze(EngineContext& context, ContainerId id) : context_(&context), id_(std::move(id)) {}

  EngineContext* context_;  ///< null: moved from
  ContainerId id_;
};

/// Lets go on what dead engines have frozen. `is_orphan` tells whether an owner is one.
Status thaw_left(EngineContext& context, const Call& call,
                 const std::function<bool(const std::string& owner)>& is_orphan);

}  // namespace pouch::container
