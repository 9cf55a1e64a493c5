#include "core/cni/outcome.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/cni/version.h"

namespace pouch::cni {
namespace {

// How results are written. The specification changed it twice.
enum class Shape {
  kFamilies,   // to 0.2.0: "ip4" and "ip6", each with its routes
  kMarkedIps,  // 0.3.0 to 0.4.0: "ips" that say "version": "4" or "6"
  kPlainIps,   // from 1.0.0 on
};

Shape shape_of(std::string_view version) {
  if (is_at_least(version, "1.0.0")) return Shape::kPlainIps;
  return is_at_least(version, "0.3.0") ? Shape::kMarkedIps : Shape::kFamilies;
}

bool is_ipv6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

// A member that is a string, or is not there.
Result<std::string> text_of(const Json& object, const char* key) {
  const Json& value = object[key];
  if (value.isNull()) return std::string();
  if (!value.isString()) return invalid_argument(quote(key) + " is no string");
  return value.asString();
}

Result<std::vector<std::string>> texts_of(const Json& object, const char* key) {
  std::vector<std::string> texts;
  const Json& value = object[key];
  if (!value.isNull() && !value.isArray()) return invalid_argument(quote(key) + " is no array");
  for (const Json& item : value) {
    if (!item.isString()) return invalid_argument(quote(key) + " holds something that is no string");
    texts.push_back(item.asString());
  }
  return texts;
}

// Calls `read` for each object of an array that may be missing.
template <class Read>
Status for_each(const Json& object, const char* key, Read&& read) {
  const Json& value = object[key];
  if (!value.isNull() && !value.isArray()) return invalid_argument(quote(key) + " is no array");
  for (const Json& item : value) {
    if (!item.isObject()) return invalid_argument(quote(key) + " holds something that is no object");
    POUCH_RETURN_IF_ERROR(read(item));
  }
  return {};
}

Status read_interface(const Json& item, Outcome& outcome) {
  Interface interface;
  POUCH_ASSIGN_OR_RETURN(interface.name, text_of(item, "name"));
  POUCH_ASSIGN_OR_RETURN(interface.mac, text_of(item, "mac"));
  POUCH_ASSIGN_OR_RETURN(interface.sandbox, text_of(item, "sandbox"));
  if (item["mtu"].isInt()) interface.mtu = item["mtu"].asInt();
  outcome.interfaces.push_back(std::move(interface));
  return {};
}

Status read_ip(const Json& item, const char* address_key, Outcome& outcome) {
  Ip ip;
  POUCH_ASSIGN_OR_RETURN(ip.address, text_of(item, address_key));
  POUCH_ASSIGN_OR_RETURN(ip.gateway, text_of(item, "gateway"));
  if (ip.address.empty()) return invalid_argument("an address that is missing");
  const Json& index = item["interface"];
  if (!index.isNull()) {
    if (!index.isInt() || index.asInt() < -1 ||
        index.asInt() >= static_cast<int>(outcome.interfaces.size())) {
      return invalid_argument(quote(ip.address) + " is on an interface that is not in the list");
    }
    ip.interface = index.asInt();
  }
  outcome.ips.push_back(std::move(ip));
  return {};
}

Status read_routes(const Json& object, Outcome& outcome) {
  return for_each(object, "routes", [&](const Json& item) -> Status {
    Route route;
    POUCH_ASSIGN_OR_RETURN(route.dst, text_of(item, "dst"));
    POUCH_ASSIGN_OR_RETURN(route.gw, text_of(item, "gw"));
    outcome.routes.push_back(std::move(route));
    return {};
  });
}

Status read_dns(const Json& document, Dns& dns) {
  const Json& object = document["dns"];
  if (object.isNull()) return {};
  if (!object.isObject()) return invalid_argument("\"dns\" is no object");
  POUCH_ASSIGN_OR_RETURN(dns.nameservers, texts_of(object, "nameservers"));
  POUCH_ASSIGN_OR_RETURN(dns.domain, text_of(object, "domain"));
  POUCH_ASSIGN_OR_RETURN(dns.search, texts_of(object, "search"));
  POUCH_ASSIGN_OR_RETURN(dns.options, texts_of(object, "options"));
  return {};
}

Status read_families(const Json& document, Outcome& outcome) {
  for (const char* family : {"ip4", "ip6"}) {
    const Json& object = document[family];
    if (object.isNull()) continue;
    if (!object.isObject()) return invalid_argument(quote(family) + " is no object");
    POUCH_RETURN_IF_ERROR(read_ip(object, "ip", outcome));
    POUCH_RETURN_IF_ERROR(read_routes(object, outcome));
  }
  return {};
}

Status read_lists(const Json& document, Outcome& outcome) {
  POUCH_RETURN_IF_ERROR(
      for_each(document, "interfaces", [&](const Json& item) { return read_interface(item, outcome); }));
  POUCH_RETURN_IF_ERROR(
      for_each(document, "ips", [&](const Json& item) { return read_ip(item, "address", outcome); }));
  return read_routes(document, outcome);
}

Result<Outcome> read_outcome(const Json& document, const std::string& fallback_version) {
  if (!document.isObject()) return invalid_argument("it is no object");
  POUCH_ASSIGN_OR_RETURN(std::string version, text_of(document, "cniVersion"));
  if (version.empty()) version = fallback_version;
  if (version_rank(version) < 0) return invalid_argument("its version " + quote(version) + " is unknown");
  Outcome outcome;
  outcome.document = document;
  outcome.document["cniVersion"] = version;
  POUCH_RETURN_IF_ERROR(shape_of(version) == Shape::kFamilies ? read_families(document, outcome)
                                                              : read_lists(document, outcome));
  POUCH_RETURN_IF_ERROR(read_dns(document, outcome.dns));
  return outcome;
}

Json route_json(const Route& route) {
  Json item = json_object();
  item["dst"] = route.dst;
  if (!route.gw.empty()) item["gw"] = route.gw;
  return item;
}

// What old results can tell: the first address of each family, with its routes.
Json as_families(const Outcome& outcome) {
  Json document = json_object();
  for (const bool v6 : {false, true}) {
    const auto ip = std::find_if(outcome.ips.begin(), outcome.ips.end(),
                                 [v6](const Ip& one) { return is_ipv6(one.address) == v6; });
    if (ip == outcome.ips.end()) continue;
    Json& family = document[v6 ? "ip6" : "ip4"];
    family["ip"] = ip->address;
    if (!ip->gateway.empty()) family["gateway"] = ip->gateway;
    for (const Route& route : outcome.routes) {
      if (is_ipv6(route.dst) == v6) family["routes"].append(route_json(route));
    }
  }
  return document;
}

Json from_families(const Outcome& outcome) {
  Json document = json_object();
  document["ips"] = json_array();
  for (const Ip& ip : outcome.ips) {
    Json item = json_object();
    item["address"] = ip.address;
    if (!ip.gateway.empty()) item["gateway"] = ip.gateway;
    document["ips"].append(std::move(item));
  }
  for (const Route& route : outcome.routes) document["routes"].append(route_json(route));
  return document;
}

void mark_ips(Json& document, bool wanted) {
  if (!document["ips"].isArray()) return;
  for (Json& ip : document["ips"]) {
    if (wanted) {
      ip["version"] = is_ipv6(ip["address"].asString()) ? "6" : "4";
    } else {
      ip.removeMember("version");
    }
  }
}

}  // namespace

Result<Outcome> parse_outcome(const Json& document, const std::string& fallback_version) {
  Result<Outcome> outcome = read_outcome(document, fallback_version);
  if (!outcome.is_ok()) return outcome.status().prefix("CNI result");
  return outcome;
}

Json convert_outcome(const Outcome& outcome, const std::string& version) {
  const Json& had = outcome.document["cniVersion"];
  const Shape before = shape_of(had.isString() ? had.asString() : std::string(kVersions.front()));
  const Shape after = shape_of(version);
  Json document = outcome.document;
  if (before != after) {
    if (after == Shape::kFamilies) document = as_families(outcome);
    if (before == Shape::kFamilies) document = from_families(outcome);
    if (after == Shape::kFamilies || before == Shape::kFamilies) {
      if (!outcome.document["dns"].isNull()) document["dns"] = outcome.document["dns"];
    }
    if (after != Shape::kFamilies) mark_ips(document, after == Shape::kMarkedIps);
  }
  document["cniVersion"] = version;
  return document;
}

std::vector<Ip> Outcome::container_ips() const {
  if (interfaces.empty()) return ips;
  std::vector<Ip> inside;
  for (const Ip& ip : ips) {
    if (ip.interface >= 0 && !interfaces[static_cast<size_t>(ip.interface)].sandbox.empty())
      inside.push_back(ip);
  }
  return inside;
}

const Interface* Outcome::container_interface(std::string_view name) const {
  const auto found = std::find_if(interfaces.begin(), interfaces.end(), [name](const Interface& one) {
    return one.name == name && !one.sandbox.empty();
  });
  return found == interfaces.end() ? nullptr : &*found;
}

}  // namespace pouch::cni
