#pragma once

#include <json/value.h>

#include <functional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/options.h"

namespace pouch::cli {

using Words = std::vector<std::string>;

/// Does something to each object; prints its name, or the line that `act` returns if that is not empty. What
/// fails is told on stderr and the others go on. The exit code.
int for_each_name(Context& context, const Words& names,
                  const std::function<std::string(const std::string&)>& act);

/// Declares -f/--filter, or --filter where -f means something else. `filters` becomes {"name": ["value"]}.
void declare_filter(Options& options, Json::Value* filters, const char* names = "-f, --filter");

/// The value of --since or --until as the API wants it. Throws Exit naming the flag.
std::string time_option(const std::string& flag, const std::string& text);

/// A text field, "" when it is not there.
std::string json_string(const Json::Value& object, const char* key);

}  // namespace pouch::cli
