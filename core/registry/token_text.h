#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/registry/challenge.h"
#include "core/registry/http.h"
#include "core/registry/settings.h"
#include "core/registry/token.h"

// What is said between us and a token server, as text.

namespace pouch::registry {

/// A token and for how many seconds it is good.
struct Granted {
  Token token;
  int64_t seconds = 0;
};

/// A parameter of the challenge; empty where it has none of that name.
std::string parameter(const Challenge& challenge, const char* name);

/// Asks the challenge's realm: with an identity token by POST (OAuth2), else by GET.
HttpRequest token_request(const Challenge& challenge, const std::optional<Credentials>& account,
                          bool wants_identity);

/// Whether it can stand in a header: a line break would begin another one, a NUL end it.
bool is_header_text(std::string_view text);

/// The body of an answer of 200; `realm` names the server. Unavailable where it grants nothing of use.
Result<Granted> read_token(std::string_view answer, const std::string& realm);

}  // namespace pouch::registry
