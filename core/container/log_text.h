#pragma once

#include <string>

#include "core/api/container.gen.h"
#include "core/base/status.h"
#include "core/io/json_log.h"

namespace pouch::container {

/// What a log request asks of the reader. InvalidArgument "you must choose at least one stream".
Result<io::JsonLogQuery> log_query(const api::ContainerLogsOptions& options);

/// One record as it is sent: the line, with time and attributes in front where asked for.
std::string log_record(const io::LogLine& line, bool timestamps, bool details);

/// RFC 3339 with always nine decimals, as Docker's log lines have it.
std::string fixed_rfc3339(Timestamp time);

}  // namespace pouch::container
