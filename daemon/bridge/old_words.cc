#include "daemon/bridge/old_words.h"

#include <array>
#include <string_view>

namespace pouch::bridge {
namespace {

struct Change {
  std::string_view now;
  std::string_view before;
};

constexpr std::array kChanges = {
    Change{"failed to create task for container: ", ""},
    Change{"unknown or invalid runtime name: ", "Unknown runtime specified "},
    Change{"invalid IPC mode: ", "Invalid IPC mode: "},
    Change{"name=seccomp,profile=builtin", "name=seccomp,profile=default"},
};

}  // namespace

std::string old_words(std::string text) {
  for (const Change& change : kChanges) {
    const size_t at = text.find(change.now);
    if (at != std::string::npos) text.replace(at, change.now.size(), change.before);
  }
  return text;
}

}  // namespace pouch::bridge
