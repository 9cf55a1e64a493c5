#pragma once

#include <cstdint>
#include <string>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace pouch::sys {

/// A counter in a shared file that wakes waiters of all processes: rung after a change was committed.
/// Thread-safe. To end a waiting thread of one's own: set a flag, then ring.
class Bell {
 public:
  /// Opens or creates (0600) the file.
  static Result<Bell> open(const std::string& path);
  ~Bell();
  Bell(Bell&& other) noexcept;
  Bell& operator=(Bell&& other) noexcept;
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  /// The count now; read it before looking for changes, then wait() for a later one.
  uint32_t value() const;
  void ring();
  /// True when the count is not `seen` any more; false when the deadline passed first.
  bool wait(uint32_t seen, Deadline deadline) const;

 private:
  explicit Bell(uint32_t* counter) : counter_(counter) {}
  uint32_t* counter_ = nullptr;  // shared mapping of one page
};

}  // namespace pouch::sys
