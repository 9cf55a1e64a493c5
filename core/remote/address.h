#pragma once

#include <string>

#include "core/base/status.h"

namespace pouch::remote {

/// Where a server listens.
struct Address {
  std::string uri;        ///< as the user gave it, for messages
  std::string socket;     ///< path of a unix socket; empty for TCP
  std::string authority;  ///< host[:port] for the URL and the Host header

  /// unix:///path, tcp://host[:port] or http://host[:port] (port 2375 unless given). InvalidArgument else.
  static Result<Address> parse(const std::string& uri);
  /// Why a connection could not be made: PermissionDenied or Unavailable, with what mends it. `why` is used
  /// where `os_error` tells nothing special.
  Status connect_error(const std::string& op, int os_error, const std::string& why) const;
};

}  // namespace pouch::remote
