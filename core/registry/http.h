#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/net/curl_handle.h"
#include "core/registry/client.h"
#include "core/registry/transport.h"

namespace pouch::registry {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< what the sink did not take
  std::string url;                             ///< who answered, after redirects

  std::string header(const std::string& name) const;
};

/// A body that is too large to be held.
struct HttpUpload {
  const Source* source = nullptr;  ///< outlives the request
  int64_t offset = 0;              ///< of its first byte in the source
  int64_t size = 0;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};
  std::vector<std::string> headers = {};  ///< "Name: value"
  std::optional<std::string> body = {};
  std::optional<HttpUpload> upload = {};  ///< instead of `body`
  size_t max_body = size_t{4} << 20U;     ///< of the answer, in bytes
  int64_t stall_ms = 0;        ///< without a byte for so long it has failed; 0: as the settings say
  int64_t connect_ms = 4'000;  ///< for name, connection and TLS
  bool has_secret = false;     ///< in the body: redirects to other hosts are not followed
  /// Takes the body of an answer of 200 or 206 instead of `body`.
  std::function<Status(const HttpAnswer& head, std::string_view bytes)> sink = {};
};

/// Why there is no whole answer.
enum class Trouble {
  kNone,
  kUnreachable,  ///< no connection, or no such name
  kTls,          ///< it speaks no TLS, or has a certificate that does not do
  kBroken,       ///< the connection ended on the way
  kStalled,      ///< no bytes came or went
  kRefused,      ///< no token is to be had for it
  kOurs,         ///< the call is over, or sink or source failed
};

struct Exchange {
  Trouble trouble = Trouble::kNone;
  Status status;      ///< of the trouble
  HttpAnswer answer;  ///< what came
  std::string proxy;  ///< that was used, without an account in it; empty: none
};

/// One request over libcurl; redirects are answers. Blocks; ends at once when the call does. Thread-safe.
Exchange http_exchange(net::HandlePool& pool, const Transport& transport, const HttpRequest& request,
                       const Call& call);

}  // namespace pouch::registry
