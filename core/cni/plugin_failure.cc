#include "core/cni/plugin_failure.h"

#include <string.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/api/json.h"
#include "core/base/text.h"

namespace pouch::cni {
namespace {

// Codes of the specification, "Errors". 100 and more are a plugin's own.
Code code_of(int code) {
  switch (code) {
    case 1:  // a version that the plugin does not speak
    case 2:  // a field that it does not know
      return Code::kNotImplemented;
    case 3:  // an unknown container
      return Code::kNotFound;
    case 4:  // bad environment
    case 6:  // undecodable content
    case 7:  // bad configuration
      return Code::kInvalidArgument;
    case 11:  // try again later
    case 50:  // STATUS: not available
    case 51:  // STATUS: not available, and what is there has limited connectivity
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

// Foreign words as part of a message of one line.
std::string one_line(std::string_view text) {
  constexpr size_t kMost = 1024;
  text = trim(text);
  if (!is_valid_utf8(text) || text.size() > kMost) return quote(text, kMost);
  std::string line(text);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  std::replace_if(line.begin(), line.end(), is_control, ' ');
  return line;
}

std::string member(const Json& object, const char* key) {
  const Json& value = object[key];
  return value.isString() ? one_line(value.asString()) : std::string();
}

std::string last_line(const std::string& text) {
  const std::vector<std::string> lines = split(trim(text), '\n');
  return one_line(lines.back());
}

}  // namespace

Status plugin_failure(const std::string& type, const sys::RunOutput& output) {
  if (output.exit.signal != 0) {
    const char* const name = ::sigabbrev_np(output.exit.signal);
    return internal_error(type + ": it was ended by signal " + std::to_string(output.exit.signal) +
                          (name != nullptr ? std::string(" (SIG") + name + ")" : ""));
  }
  if (output.exit.code == 0) return {};
  const Result<Json> answer = parse_json(output.stdout_text);
  if (answer.is_ok() && answer->isObject() && (*answer)["code"].isInt()) {
    const int code = (*answer)["code"].asInt();
    std::vector<std::string> words = {type, member(*answer, "msg"), member(*answer, "details")};
    if (words[1].empty()) words[1] = "error " + std::to_string(code);
    if (words[2].empty()) words.pop_back();
    return {code_of(code), join(words, ": ")};
  }
  const std::string said = last_line(output.stderr_text);
  const std::string how = "it ended with " + std::to_string(output.exit.code);
  return internal_error(type + ": " + (said.empty() ? how + " and said nothing" : how + ": " + said));
}

}  // namespace pouch::cni
