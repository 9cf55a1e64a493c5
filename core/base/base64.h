#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pouch {

/// RFC 4648, with padding.
std::string base64_encode(std::string_view bytes);
/// With '-' and '_' for '+' and '/', as it stands in HTTP headers; with padding, as Docker's clients send it.
std::string base64url_encode(std::string_view bytes);
/// Either alphabet, with or without padding. nullopt for anything else, whitespace included.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace pouch
