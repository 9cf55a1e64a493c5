#include "core/engine/embed_uri.h"

#include <set>
#include <string>

#include "core/base/text.h"

namespace pouch {
namespace {

constexpr std::string_view kScheme = "embed://";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return invalid_argument(quote(text) + ": % is not followed by two hex digits");
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  if (out.find('\0') != std::string::npos) return invalid_argument(quote(text) + " contains a zero byte");
  return out;
}

std::string* field_of(EngineOptions& options, std::string_view key) {
  if (key == "run") return &options.run_dir;
  if (key == "containerd") return &options.containerd_address;
  if (key == "snapshotter") return &options.snapshotter;
  if (key == "runtime") return &options.default_runtime;
  if (key == "keeper") return &options.keeper_program;
  if (key == "registries") return &options.registries_file;
  return nullptr;
}

Status parse_parameter(std::string_view parameter, std::set<std::string>& seen, EngineOptions& options) {
  const size_t equals = parameter.find('=');
  const std::string key(parameter.substr(0, equals));
  std::string* field = field_of(options, key);
  if (field == nullptr) {
    return invalid_argument("unknown parameter " + quote(key) +
                            "; known are run, containerd, snapshotter, runtime, keeper and registries");
  }
  if (!seen.insert(key).second) return invalid_argument("parameter " + quote(key) + " is given twice");
  if (equals == std::string_view::npos || equals + 1 == parameter.size()) {
    return invalid_argument("parameter " + quote(key) + " has no value");
  }
  POUCH_ASSIGN_OR_RETURN(*field, percent_decode(parameter.substr(equals + 1)));
  return {};
}

Result<EngineOptions> parse_rest(std::string_view rest) {
  EngineOptions options;
  if (rest.find('#') != std::string_view::npos) return invalid_argument("a fragment (#) has no meaning");
  const size_t question = rest.find('?');
  const std::string_view path = rest.substr(0, question);
  if (!path.empty() && path.front() != '/') {
    return invalid_argument("it names a host; a root folder is written with three slashes, embed:///path");
  }
  POUCH_ASSIGN_OR_RETURN(options.root_dir, percent_decode(path));
  if (question == std::string_view::npos) return options;
  std::set<std::string> seen;
  for (const std::string& parameter : split(rest.substr(question + 1), '&')) {
    POUCH_RETURN_IF_ERROR(parse_parameter(parameter, seen, options));
  }
  return options;
}

}  // namespace

Result<EngineOptions> parse_embed_uri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) {
    return invalid_argument("address " + quote(uri) + ": it does not begin with embed://");
  }
  Result<EngineOptions> options = parse_rest(uri.substr(kScheme.size()));
  if (!options.is_ok()) return options.status().prefix("address " + quote(uri));
  return options;
}

}  // namespace pouch
