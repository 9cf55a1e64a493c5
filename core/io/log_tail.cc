#include "core/io/log_tail.h"

#include <functional>
#include <utility>

#include "core/base/text.h"

namespace pouch::io {
namespace {

constexpr int64_t kFirstTail = 256;
constexpr int64_t kMaxTail = 1 << 20;    // entries
constexpr size_t kMaxPiece = 64 * 1024;  // bytes

uint64_t& of_stream(OutputCounts& counts, LogStream stream) {
  return stream == LogStream::kStdout ? counts.stdout_bytes : counts.stderr_bytes;
}

// How many entries there were.
Result<int64_t> for_each_line(const std::string& path, const JsonLogQuery& query,
                              const std::function<void(const LogLine&)>& visit) {
  POUCH_ASSIGN_OR_RETURN(const auto reader, JsonLogReader::open(path, query));
  for (int64_t count = 0;; ++count) {
    POUCH_ASSIGN_OR_RETURN(const std::optional<LogLine> line, reader->next(Deadline::never()));
    if (!line) return count;
    visit(*line);
  }
}

Result<std::vector<OutputPiece>> collect(const std::string& path, const JsonLogQuery& query,
                                         OutputCounts surplus) {
  std::vector<OutputPiece> pieces;
  POUCH_RETURN_IF_ERROR(for_each_line(path, query, [&](const LogLine& line) {
                          uint64_t& left = of_stream(surplus, line.stream);
                          const size_t bytes = line.output_bytes();
                          const size_t passed = std::min<uint64_t>(left, bytes);
                          left -= passed;
                          add_output(pieces, line.stream, line.text_after(passed), bytes - passed);
                        }).status());
  return pieces;
}

}  // namespace

void add_output(std::vector<OutputPiece>& pieces, LogStream stream, std::string_view data, size_t bytes) {
  if (bytes == 0) return;
  const bool is_new =
      pieces.empty() || pieces.back().stream != stream || pieces.back().data.size() + data.size() > kMaxPiece;
  if (is_new) pieces.push_back({stream, {}, 0});
  pieces.back().data += data;
  pieces.back().bytes += bytes;
}

Result<std::vector<OutputPiece>> last_output(const std::string& path, const OutputCounts& wanted) {
  JsonLogQuery query;
  for (query.tail = kFirstTail; query.tail <= kMaxTail; query.tail *= 8) {
    OutputCounts found;
    POUCH_ASSIGN_OR_RETURN(const int64_t lines, for_each_line(path, query, [&](const LogLine& line) {
                             of_stream(found, line.stream) += line.output_bytes();
                           }));
    if (found.stdout_bytes >= wanted.stdout_bytes && found.stderr_bytes >= wanted.stderr_bytes) {
      return collect(path, query,
                     {found.stdout_bytes - wanted.stdout_bytes, found.stderr_bytes - wanted.stderr_bytes});
    }
    if (lines < query.tail) break;
  }
  return not_found("read log " + quote(path) + ": it has less than what is missing");
}

Result<OutputCounts> count_output(const std::string& path, const LogPlace& from) {
  JsonLogQuery query;
  query.from = from;
  OutputCounts found;
  POUCH_RETURN_IF_ERROR(for_each_line(path, query, [&](const LogLine& line) {
                          of_stream(found, line.stream) += line.output_bytes();
                        }).status());
  return found;
}

}  // namespace pouch::io
