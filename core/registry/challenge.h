#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pouch::registry {

/// One way to authenticate that a server offers in WWW-Authenticate (RFC 9110, section 11.6.1).
struct Challenge {
  std::string scheme;                             ///< in lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  ///< names in lower case
};

/// All challenges of the header, whose lines may have been joined by commas. What cannot be read is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace pouch::registry
