#pragma once

#include <string>

#include "core/base/clock.h"

namespace pouch::container {

/// "Less than a second", "5 seconds", "About a minute", "3 weeks": as Docker tells spans.
std::string human_duration(Duration span);

struct StateForText {
  std::string state;  ///< created, running, paused, restarting, removing, exited or dead
  int64_t exit_code = 0;
  Timestamp started_at;
  Timestamp finished_at;
  std::string health;  ///< empty: no health check
};

/// "Up 2 minutes", "Exited (0) 3 seconds ago", "Created".
std::string status_text(const StateForText& state, Timestamp now);

}  // namespace pouch::container
