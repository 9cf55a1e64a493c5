#pragma once

#include <functional>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/registry/http.h"

namespace pouch::registry {

/// How often an exchange is tried.
struct Patience {
  int tries = 5;           ///< where the other side is there, but busy or broken
  int connect_tries = 2;   ///< where it is not, or is silent
  Deadline reach = {};     ///< no new connection is tried after it
  bool is_stream = false;  ///< what broke amid its body is resumed by the caller
};

/// Runs `ask` until its outcome counts, with growing pauses between, or those that the server wants when they
/// are bearable. The call's error comes as Trouble::kOurs.
Exchange with_retries(const Call& call, const Patience& patience, const std::function<Exchange()>& ask);

}  // namespace pouch::registry
