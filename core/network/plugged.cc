#include "core/network/plugged.h"

#include <array>
#include <string_view>

#include "core/api/json.h"
#include "core/network/sub_links.h"

namespace pouch::network {
namespace {

void write_texts(const std::vector<std::string>& texts, Json& out) {
  out = json_array();
  for (const std::string& text : texts) out.append(text);
}

}  // namespace

bool is_plugin_driver(const std::string& driver) {
  return !driver.empty() && driver != "bridge" && driver != "host" && driver != "null" &&
         !has_sub_links(driver);
}

std::string PluginFacts::to_json() const {
  Json out = json_object();
  out["address"] = address;
  out["address6"] = address6;
  out["gateway"] = gateway;
  out["gateway6"] = gateway6;
  out["wants_way_out"] = wants_way_out;
  out["routes"] = json_array();
  for (const StaticRoute& route : routes) {
    Json each = json_object();
    each["destination"] = route.destination;
    each["next_hop"] = route.next_hop;
    out["routes"].append(each);
  }
  write_texts(name_servers, out["name_servers"]);
  write_texts(search, out["search"]);
  return write_json(out);
}

Result<PluginFacts> PluginFacts::parse(const std::string& json) {
  PluginFacts out;
  if (json.empty()) return out;
  POUCH_ASSIGN_OR_RETURN(const Json from, parse_json(json));
  out.address = from.get("address", "").asString();
  out.address6 = from.get("address6", "").asString();
  out.gateway = from.get("gateway", "").asString();
  out.gateway6 = from.get("gateway6", "").asString();
  out.wants_way_out = from.get("wants_way_out", false).asBool();
  for (const Json& each : from["routes"]) {
    out.routes.push_back({each.get("destination", "").asString(), each.get("next_hop", "").asString()});
  }
  for (const Json& each : from["name_servers"]) out.name_servers.push_back(each.asString());
  for (const Json& each : from["search"]) out.search.push_back(each.asString());
  return out;
}

}  // namespace pouch::network
