#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace pouch {

/// The number that all of `text` is; nullopt for anything else (signs but '-', blanks, "") and for what T
/// cannot hold.
template <class T>
std::optional<T> whole_number(std::string_view text, int base = 10) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  return error == std::errc() && at == end ? std::optional<T>(value) : std::nullopt;
}

/// The number with which `text` begins, as in "12 kB"; `otherwise` where it begins with none.
template <class T>
T leading_number(std::string_view text, T otherwise = T{}, int base = 10) {
  T value{};
  return std::from_chars(text.data(), text.data() + text.size(), value, base).ec == std::errc() ? value
                                                                                                : otherwise;
}

}  // namespace pouch
