#include "cli/commands/common.h"

#include "cli/flag_values.h"
#include "cli/time_value.h"

namespace pouch::cli {

int for_each_name(Context& context, const Words& names,
                  const std::function<std::string(const std::string&)>& act) {
  int code = 0;
  Client& client = context.client();  // an engine that cannot be opened is told once
  static_cast<void>(client);
  for (const std::string& name : names) {
    try {
      const std::string line = act(name);
      context.console().out_line(line.empty() ? name : line);
    } catch (const ApiError& error) {
      context.console().err_line(error.what());
      code = kExitError;
    }
  }
  return code;
}

void declare_filter(Options& options, Json::Value* filters, const char* names) {
  options.value(names, "filter", "Filter output based on conditions provided",
                [filters](const std::string& text) {
                  const auto [name, value] = parse_filter(text);
                  (*filters)[name].append(value);
                });
}

std::string time_option(const std::string& flag, const std::string& text) {
  const std::optional<std::string> time = parse_time(text, wall_clock_ns());
  if (!time) {
    throw Exit(kExitError, "invalid value for \"" + flag +
                               "\": failed to parse value as time or duration: \"" + text + "\"");
  }
  return *time;
}

std::string json_string(const Json::Value& object, const char* key) {
  const Json::Value& value = object[key];
  return value.isString() ? value.asString() : "";
}

}  // namespace pouch::cli
