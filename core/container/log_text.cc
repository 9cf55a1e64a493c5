#include "core/container/log_text.h"
#include "core/base/number.h"

namespace pouch::container {
namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

// As in a URL's query, so that "," and "=" stay separators.
std::string escape(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_unreserved(c)) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

std::string attributes_text(const std::map<std::string, std::string>& attrs) {
  std::string out;
  for (const auto& [key, value] : attrs) {
    if (!out.empty()) out += ',';
    out += escape(key) + '=' + escape(value);
  }
  return out;
}

// "all", and whatever is no number, is from the beginning.
int64_t parse_tail(const std::string& text) {
  return std::max<int64_t>(-1, whole_number<int64_t>(text).value_or(-1));
}

}  // namespace

std::string fixed_rfc3339(Timestamp time) {
  std::string text = time.to_rfc3339();
  if (text.ends_with('Z')) text.pop_back();
  size_t dot = text.find('.');
  if (dot == std::string::npos) {
    dot = text.size();
    text += '.';
  }
  text.resize(dot + 10, '0');
  return text + 'Z';
}

Result<io::JsonLogQuery> log_query(const api::ContainerLogsOptions& options) {
  io::JsonLogQuery query;
  query.want_stdout = options.stdout.value_or(false);
  query.want_stderr = options.stderr.value_or(false);
  if (!query.want_stdout && !query.want_stderr) {
    return invalid_argument("Bad parameters: you must choose at least one stream");
  }
  query.follow = options.follow.value_or(false);
  query.tail = parse_tail(options.tail.value_or("all"));
  // Zero is how clients say "not given".
  if (options.since && !options.since->is_zero() && options.since->ns != 0) query.since = options.since;
  if (options.until && !options.until->is_zero() && options.until->ns != 0) query.until = options.until;
  return query;
}

std::string log_record(const io::LogLine& line, bool timestamps, bool details) {
  std::string out;
  if (timestamps) out += fixed_rfc3339(line.time) + ' ';
  if (details) out += attributes_text(line.attrs) + ' ';
  return out + line.text;
}

}  // namespace pouch::container
