#include <algorithm>
#include <charconv>

#include "cli/flag_values.h"
#include "cli/options.h"

namespace pouch::cli {
namespace {

std::vector<std::string> fields_of(const std::string& text) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

void set_field(const std::string& key, const std::string& value, std::string& name, Json::Value& endpoint) {
  if (key == "name") {
    name = value;
  } else if (key == "alias") {
    endpoint["Aliases"].append(value);
  } else if (key == "ip") {
    endpoint["IPAMConfig"]["IPv4Address"] = value;
  } else if (key == "ip6") {
    endpoint["IPAMConfig"]["IPv6Address"] = value;
  } else if (key == "link-local-ip") {
    endpoint["IPAMConfig"]["LinkLocalIPs"].append(value);
  } else if (key == "mac-address") {
    endpoint["MacAddress"] = value;
  } else if (key == "driver-opt") {
    const auto [option, setting] = parse_pair(value);
    endpoint["DriverOpts"][option] = setting;
  } else if (key == "gw-priority") {
    int64_t priority = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), priority);
    if (error != std::errc() || end != value.data() + value.size()) {
      throw BadValue("invalid gw-priority (" + value + "): invalid syntax");
    }
    endpoint["GwPriority"] = Json::Int64(priority);
  } else {
    throw BadValue("invalid field key " + key);
  }
}

}  // namespace

std::string parse_network(const std::string& text, Json::Value& endpoint) {
  endpoint = Json::Value(Json::objectValue);
  if (text.find('=') == std::string::npos) return text;
  std::string name;
  for (const std::string& field : fields_of(text)) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) throw BadValue("invalid field " + field);
    set_field(field.substr(0, equals), field.substr(equals + 1), name, endpoint);
  }
  if (name.empty()) throw BadValue("network name/id is not specified");
  return name;
}

}  // namespace pouch::cli
