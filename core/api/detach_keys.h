#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch {

/// "ctrl-a,b": the keys' bytes. InvalidArgument else.
Result<std::string> parse_detach_keys(const std::string& text);

/// Looks in a client's input for the keys with which it leaves a terminal and lets the process go on. What
/// may be the beginning of them is held back until it is known. Not thread-safe.
class DetachKeys {
 public:
  /// `keys` as bytes; empty: Docker's ctrl-p,ctrl-q.
  explicit DetachKeys(std::string keys);

  /// What goes on to the process now. Once the keys have come, nothing more does.
  std::string pass(std::string_view input);
  /// The input has ended: what was held back is no beginning of anything.
  std::string rest();
  bool were_pressed() const { return matched_ == keys_.size(); }

 private:
  const std::string keys_;
  size_t matched_ = 0;  // bytes of keys_ that are held back
};

}  // namespace pouch
