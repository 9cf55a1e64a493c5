#include "core/api/json.h"

#include <json/reader.h>
#include <json/writer.h>

#include <algorithm>
#include <exception>
#include <memory>

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

// What jsoncpp lets pass even in strict mode: comments inside objects (outside strings JSON has no slash at
// all) and control characters in strings. Empty when there is nothing of it.
std::string_view beyond_json(std::string_view text) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && static_cast<unsigned char>(text[i]) < 0x20) return "a control character in a string";
    if (in_string && text[i] == '\\') {
      ++i;
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
