#include "core/api/json.h"

#include <json/reader.h>
#include <json/writer.h>

#include <algorithm>
#include <exception>
#include <memory>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch {
namespace {

::Json::CharReaderBuilder strict_builder(int max_depth) {
  ::Json::CharReaderBuilder builder;
  ::Json::CharReaderBuilder::strictMode(&builder.settings_);
  builder["strictRoot"] = false;  // a bare string is JSON too; schemas ask for objects themselves
  builder["failIfExtra"] = true;
  builder["rejectDupKeys"] = true;
  builder["allowSpecialFloats"] = false;
  builder["stackLimit"] = max_depth;
  return builder;
}

// The code unit that "\\uXXXX" at `at` names; -1 where none stands there.
int code_unit(std::string_view text, size_t at) {
  constexpr size_t kEscape = 6;
  if (at + kEscape > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  return whole_number<int>(text.substr(at + 2, 4), 16).value_or(-1);
}

bool is_high_surrogate(int unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}

bool is_low_surrogate(int unit) {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

// What jsoncpp lets pass even in strict mode: comments inside objects (outside strings JSON has no slash at
// all), control characters in strings, and surrogates without their other half, of which it makes invalid
// UTF-8 or another character. Empty when there is nothing of it.
std::string_view beyond_json(std::string_view text) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && static_cast<unsigned char>(text[i]) < 0x20) return "a control character in a string";
    if (in_string && text[i] == '\\') {
      const int unit = code_unit(text, i);
      const bool is_pair = is_high_surrogate(unit) && is_low_surrogate(code_unit(text, i + 6));
      if (!is_pair && (is_high_surrogate(unit) || is_low_surrogate(unit))) return "half a surrogate pair";
      i += is_pair ? 11 : 1;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text[i] == '/') {
      return "comments are not allowed";
    }
  }
  return {};
}

// jsoncpp's message is "* Line 1, Column 2\n  Syntax error…\n"; ours are one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (text.find("  ") != std::string::npos) text.replace(text.find("  "), 2, " ");
  const std::string_view trimmed = trim(text);
  return std::string(trimmed.starts_with("* ") ? trimmed.substr(2) : trimmed);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Status(Code::kResourceExhausted, "JSON of " + std::to_string(text.size()) +
                                                " bytes is over the limit of " +
                                                std::to_string(limits.max_bytes));
  }
  if (!is_valid_utf8(text)) return invalid_argument("invalid JSON: not UTF-8");
  if (const std::string_view what = beyond_json(text); !what.empty()) {
    return invalid_argument("invalid JSON: " + std::string(what));
  }
  try {
    const std::unique_ptr<::Json::CharReader> reader(strict_builder(limits.max_depth).newCharReader());
    Json value;
    std::string errors;
    if (!reader->parse(text.data(), text.data() + text.size(), &value, &errors)) {
      return invalid_argument("invalid JSON: " + one_line(errors));
    }
    return value;
  } catch (const std::exception& error) {  // jsoncpp throws where the depth limit is met
    return invalid_argument("invalid JSON: " + one_line(error.what()));
  }
}

std::string write_json(const Json& value) {
  return write_indented_json(value, "");
}

std::string write_indented_json(const Json& value, const std::string& indent) {
  ::Json::StreamWriterBuilder builder;
  builder["indentation"] = indent;
  builder["emitUTF8"] = true;
  builder["enableYAMLCompatibility"] = false;
  return ::Json::writeString(builder, value);
}

Json json_object() {
  return Json(::Json::objectValue);
}

Json json_array() {
  return Json(::Json::arrayValue);
}

}  // namespace pouch
