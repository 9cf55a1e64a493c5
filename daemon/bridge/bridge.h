#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/api/op.h"
#include "core/base/status.h"

// Moby's dialect, versions 1.24 to 1.50, to and from the canonical documents of core/api. Pure functions over
// JSON; the requests that ask for strictness (docs/wire.md) never come here. A version is told by its minor
// number: 41 for 1.41.

namespace pouch::bridge {

inline constexpr int kMinMinor = 24;
inline constexpr int kMaxMinor = 50;

/// 41 → "1.41".
std::string version_text(int minor);
/// "1.41" → 41; InvalidArgument with Moby's text when it is too new or too old.
Result<int> check_version(std::string_view version);

using QueryItems = std::vector<std::pair<std::string, std::string>>;

/// Routes of Moby's that are another operation's with other words become that: `path` and `query` as they
/// came, still encoded. GET /images/x/get is GET
/// /images/get?names=x, POST /images/create?fromSrc=- is POST /images/import.
void apply_aliases(std::string_view method, std::string& path, std::string& query);

/// Makes a request canonical: field names in their case, nulls and unknown fields dropped, a string where a
/// list is wanted, both forms of filters, what the version did not have yet or had elsewhere. `query` is the
/// request's query as it came, `options` what was understood of it.
Status normalise_request(const api::OpInfo& op, int minor, const QueryItems& query, Json& options,
                         Json& config);

/// Shapes the result of a unary operation for a version.
void shape_response(const api::OpInfo& op, int minor, Json& result);
/// The same for one message of a stream.
std::string shape_message(const api::OpInfo& op, int minor, std::string message);

struct ErrorAnswer {
  int http_status = 500;
  std::string message;
};
/// Moby's wording, of the version asked, where its clients depend on it. `op` may be null.
ErrorAnswer shape_error(const api::OpInfo* op, int minor, const std::vector<std::string>& ids,
                        const Json& config, const Status& error);
/// Why a method and path have no operation: NotImplemented for a route of Moby's, NotFound for an object of a
/// kind that there cannot be, Unavailable for Swarm's, else Moby's "page not found".
Status unserved(std::string_view method, std::string_view path);
/// The last line of a message stream for an error that came after the first byte; empty where Moby sends
/// none.
std::string stream_error_line(const api::OpInfo& op, const Status& error);

/// The Content-Type of a stream's answer; empty where Moby of that version sends none.
std::string stream_content_type(const api::OpInfo& op, int minor, bool terminal, bool upgraded);

}  // namespace pouch::bridge
