#pragma once

#include "core/api/json.h"
#include "core/api/op.h"
#include "daemon/http/message.h"

namespace pouch::http {

/// An operation's query parameters as its options document. Strict: canonical forms only, an unknown or
/// repeated parameter is InvalidArgument. Else Moby's rules: unknown ones are ignored, the first of several
/// counts, an empty one is absent, and anything but "", 0, no, false, none is true.
Result<Json> options_from_query(const api::OpInfo& op, const QueryItems& query, bool is_strict);

/// Adds the options that travel in headers. What cannot be read is InvalidArgument when strict (its value is
/// not told, for it may be secret), else left out, as Moby does.
Status add_options_from_headers(const api::OpInfo& op, const RequestHead& head, bool is_strict,
                                Json& options);

}  // namespace pouch::http
