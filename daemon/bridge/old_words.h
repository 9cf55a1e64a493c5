#pragma once

#include <string>

namespace pouch::bridge {

/// The engine words its errors as Moby does from this minor version on.
inline constexpr int kNewWordsMinor = 42;

/// A text as Moby of before that worded it.
std::string old_words(std::string text);

}  // namespace pouch::bridge
