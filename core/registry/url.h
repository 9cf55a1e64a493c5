#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pouch::registry {

/// An http or https URL. Made anew of its parts before it is used, so that libcurl and we see the same host.
struct Url {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< with the port where one is given, in lower case: "localhost:5000", "[::1]"
  std::string target;  ///< path and query, with a slash at its beginning; or empty

  bool is_tls() const { return scheme == "https"; }
  /// Without the port, and without brackets: "::1".
  std::string name() const;
  int port() const;  ///< that of the scheme where none is given
  std::string str() const { return scheme + "://" + host + target; }

  friend bool operator==(const Url&, const Url&) = default;
};

/// nullopt for any other scheme, no host, a bad port, blanks, backslashes and control bytes. An account in it
/// ("user:password@") and a fragment are left out.
std::optional<Url> parse_url(std::string_view text);

/// What a Location header of `base` means, which may be relative (RFC 3986, section 5.2; dots stay).
std::optional<Url> resolve_location(const Url& base, std::string_view location);

/// Same scheme, host and port: what is meant for the one may be told the other.
bool is_same_origin(const Url& a, const Url& b);

/// For messages: an account in the URL becomes "xxxxx".
std::string without_account(std::string_view url);

/// With one more query parameter; `value` is escaped.
std::string with_parameter(const std::string& url, std::string_view name, std::string_view value);

/// RFC 3986: all but letters, digits and "-._~" as %XX.
std::string escape(std::string_view text);

}  // namespace pouch::registry
