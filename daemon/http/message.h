#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace pouch::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// The head of a request, as it came.
struct RequestHead {
  std::string method;
  std::string target;  ///< "/v1.41/containers/json?all=1"
  Headers headers;
  bool is_http_1_0 = false;
  bool keep_alive = true;
  bool has_body = false;
  std::optional<uint64_t> content_length;

  /// Empty when absent; the first one when repeated. Names are compared without case.
  std::string_view header(std::string_view name) const;
  /// "Connection: Upgrade" with "Upgrade: tcp".
  bool wants_upgrade() const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

Response json_response(int status, std::string body);

/// "Not Found"; "Unknown" for what is not in the table.
std::string_view reason_phrase(int status);
/// Status line, headers and the empty line.
std::string render_head(int status, const Headers& headers);
/// "Mon, 02 Jan 2006 15:04:05 GMT", the Date header.
std::string http_date();

/// %XX decoded ("+" too in queries); InvalidArgument for a broken escape.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

using QueryItems = std::vector<std::pair<std::string, std::string>>;
/// "a=1&b=2" in order, decoded.
Result<QueryItems> parse_query(std::string_view query);

bool equals_ignore_case(std::string_view a, std::string_view b);

}  // namespace pouch::http
