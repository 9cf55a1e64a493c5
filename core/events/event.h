#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/clock.h"

namespace pouch::events {

/// Something that happened to an object, in Moby's words.
struct Event {
  int64_t seq = 0;            ///< set by append: 1, 2, 3, … without a gap, over all processes of the root
  Timestamp time = {};        ///< zero: append sets now
  std::string type = {};      ///< "container", "image", …
  std::string action = {};    ///< "create", "die", "exec_create: sh", …
  std::string actor_id = {};  ///< id of the object; the reference or id for an image
  std::map<std::string, std::string> attributes = {};  ///< labels, "name", "image", "exitCode", …
  std::string scope = "local";
};

}  // namespace pouch::events
