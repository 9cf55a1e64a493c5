#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/io/json_log.h"
#include "core/io/stdio.h"

namespace pouch::io {

/// Consecutive output of one stream.
struct OutputPiece {
  LogStream stream = LogStream::kStdout;
  std::string data;  ///< bytes that were not UTF-8 are U+FFFD, as the log has them
  size_t bytes = 0;  ///< that were printed: each of those is one
};

/// The last so many bytes of output that are in a log and its rotated files, in its order. For the log's
/// writer: nobody may write meanwhile. NotFound when it has not so many (any more).
Result<std::vector<OutputPiece>> last_output(const std::string& path, const OutputCounts& wanted);

/// How much output there is from a place in a log to its end. NotFound as JsonLogQuery::from.
Result<OutputCounts> count_output(const std::string& path, const LogPlace& from);

/// Adds output to what may already end with some of the same stream.
void add_output(std::vector<OutputPiece>& pieces, LogStream stream, std::string_view data, size_t bytes);

}  // namespace pouch::io
