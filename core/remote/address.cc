#include "core/remote/address.h"

#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "core/base/finding.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

constexpr std::string_view kDefaultPort = "2375";

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '[' || c == ']' || c == '%';
}

bool has_port(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  const size_t bracket = authority.rfind(']');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

}  // namespace

Result<Address> Address::parse(const std::string& uri) {
  const std::string what = "address " + quote(uri);
  const size_t at = uri.find("://");
  if (at == std::string::npos) return invalid_argument(what + ": expected unix:///path or tcp://host:port");
  const std::string scheme = uri.substr(0, at);
  std::string rest = uri.substr(at + 3);
  if (scheme == "unix") {
    if (rest.empty() || rest[0] != '/') return invalid_argument(what + ": the path of a socket is absolute");
    if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
      return invalid_argument(what + ": the path of a socket is at most 107 bytes long");
    }
    return Address{uri, rest, "localhost"};
  }
  if (scheme != "tcp" && scheme != "http") return invalid_argument(what + ": unknown scheme");
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  if (rest.empty() || !std::all_of(rest.begin(), rest.end(), is_host_character)) {
    return invalid_argument(what + ": expected host:port after the scheme");
  }
  if (!has_port(rest)) rest += ":" + std::string(kDefaultPort);
  return Address{uri, "", rest};
}

Status Address::connect_error(const std::string& op, int os_error, const std::string& why) const {
  if (os_error == EACCES || os_error == EPERM) {
    return findings::forbidden_engine(uri, socket).status(Code::kPermissionDenied, op);
  }
  return findings::silent_engine(uri, why).status(Code::kUnavailable, op);
}

}  // namespace pouch::remote
