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

namespace pouch::registry {

/// How one host is reached.
struct Transport {
  bool verify = true;     ///< of its certificate
  std::string ca_pem;     ///< beside the system's certificates; empty: none
  std::string cert_file;  ///< of the client; empty: none
  std::string key_file;
  std::string proxy;     ///< URL; empty: none
  std::string no_proxy;  ///< hosts, suffixes and CIDRs, by comma
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case; of the last answer after redirects
  std::string body;                            ///< what the sink did not take

  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers = {};  ///< "Name: value"; Authorization never goes to another host
  std::optional<std::string> body = {};
  size_t max_body = size_t{4} << 20U;  ///< of the answer, in bytes
  int64_t stall_ms = 30'000;           ///< without a byte for so long the exchange has failed
  /// Takes the body of an answer of 200 or 206 instead of `body`.
  std::function<Status(const HttpAnswer& head, std::string_view bytes)> sink = {};
};

/// Why there is no whole answer.
enum class Trouble {
  kNone,
  kUnreachable,  ///< no connection, or no such name
  kTls,          ///< it speaks no TLS, or has a certificate that does not do
  kBroken,       ///< the connection ended or stalled on the way
  kOurs,         ///< the call is over, or the sink failed
};

struct Exchange {
  Trouble trouble = Trouble::kNone;
  Status status;      ///< of the trouble
  HttpAnswer answer;  ///< what came
};

/// One request over libcurl, redirects followed. Blocks; ends at once when the call does. Thread-safe.
Exchange http_exchange(net::HandlePool& pool, const Transport& transport, const HttpRequest& request,
                       const Call& call);

}  // namespace pouch::registry
