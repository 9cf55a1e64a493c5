#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pouch {

/// Foreign text for messages and tables: in double quotes, control bytes and invalid UTF-8 escaped,
/// cut at `limit` bytes.
std::string quote(std::string_view text, size_t limit = 256);
bool is_valid_utf8(std::string_view text);
/// Pieces between separators; "" gives one empty piece.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower(std::string_view text);
std::string_view trim(std::string_view text);

}  // namespace pouch
