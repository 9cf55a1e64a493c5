#include "core/api/detach_keys.h"

#include <utility>

#include "core/base/text.h"

namespace pouch {
namespace {

constexpr const char* kDefault = "\x10\x11";

// The longest beginning of `keys` that ends `held` + `next`; what comes before it is given up.
size_t longest_beginning(const std::string& keys, size_t held, char next) {
  const std::string seen = keys.substr(0, held) + next;
  for (size_t length = seen.size(); length > 0; --length) {
    if (keys.compare(0, length, seen, seen.size() - length, length) == 0) return length;
  }
  return 0;
}

}  // namespace

Result<std::string> parse_detach_keys(const std::string& text) {
  std::string out;
  if (text.empty()) return out;
  for (const std::string& key : split(text, ',')) {
    if (key.size() == 1) {
      out += key;
      continue;
    }
    static constexpr std::string_view kControl = "ctrl-";
    const std::string_view letter =
        key.starts_with(kControl) ? std::string_view(key).substr(kControl.size()) : "";
    static constexpr std::string_view kSpecial = "@[\\]^_";  // 0 and 27 to 31
    if (letter.size() == 1 && letter[0] >= 'a' && letter[0] <= 'z') {
      out += static_cast<char>(letter[0] - 'a' + 1);
    } else if (letter.size() == 1 && kSpecial.find(letter[0]) != std::string_view::npos) {
      const size_t at = kSpecial.find(letter[0]);
      out += static_cast<char>(at == 0 ? 0 : 26 + static_cast<int>(at));
    } else {
      return invalid_argument("Invalid detach keys (" + quote(text) + ") provided");
    }
  }
  return out;
}

DetachKeys::DetachKeys(std::string keys) : keys_(keys.empty() ? std::string(kDefault) : std::move(keys)) {}

std::string DetachKeys::pass(std::string_view input) {
  std::string out;
  for (const char c : input) {
    if (were_pressed()) break;
    const size_t held = matched_;
    matched_ = longest_beginning(keys_, held, c);
    if (matched_ > held) continue;
    out.append(keys_, 0, held + 1 - matched_);  // of the held bytes and c, all but the new beginning
    if (matched_ == 0) out.back() = c;
  }
  return out;
}

std::string DetachKeys::rest() {
  if (were_pressed()) return {};
  return keys_.substr(0, std::exchange(matched_, 0));
}

}  // namespace pouch
