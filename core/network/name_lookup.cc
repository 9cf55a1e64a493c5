#include "core/network/name_lookup.h"

#include <net/if.h>

#include <algorithm>
#include <sstream>

#include "core/api/codec.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/network/endpoints.h"
#include "core/network/mode.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"
#include "core/network/records.h"
#include "core/sys/file.h"

namespace pouch::network {

using store::Session;
using store::Statement;

namespace {

constexpr const char* kOwnAddress = "127.0.0.11";
constexpr size_t kMaxResolvConf = size_t{1} << 16;
constexpr size_t kMaxLabels = 20;  // of a name that is tried in parts

std::optional<std::pair<ContainerId, int64_t>> parse_key(const std::string& sandbox) {
  const size_t dash = sandbox.rfind('-');
  if (dash == std::string::npos) return std::nullopt;
  const auto generation = whole_number<int64_t>(std::string_view(sandbox).substr(dash + 1));
  if (!generation) return std::nullopt;
  return std::pair(ContainerId(sandbox.substr(0, dash)), *generation);
}

bool is_same_name(std::string_view one, std::string_view other) {
  return to_lower(one) == to_lower(other);
}

const std::string* link_of(const Asker::Place& place, const std::string& name) {
  for (const auto& [alias, container] : place.links) {
    if (is_same_name(alias, name)) return &container;
  }
  return nullptr;
}

// Those of all who are called so.
Result<bool> add_addresses(Session& session, const std::string& network_id, const std::string& name,
                           const std::string& boot, std::vector<std::string>& out) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare("SELECT e.address, e.address6 FROM endpoint_names x JOIN endpoints e "
                      "ON e.network_id = x.network_id AND e.container_id = x.container_id "
                      "WHERE x.network_id = ?1 AND x.name = ?2 AND e.endpoint_id <> '' AND e.boot_id = ?3 "
                      "AND e.state IN ('', 'joining')"));
  find.bind(network_id, name, boot);
  bool is_known = false;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return is_known;
    is_known = true;
    for (const int column : {0, 1}) {
      if (!find.text(column).empty()) out.push_back(find.text(column));
    }
  }
}

// `name` in the networks that are called so ("": in all). Links come first, and hide names.
Result<bool> look_in(Session& session, const Asker& asker, const std::string& name,
                     const std::string& network, const std::string& boot, std::vector<std::string>& out) {
  for (const bool by_link : {true, false}) {
    for (const Asker::Place& place : asker.places) {
      if (!network.empty() && !is_same_name(network, place.network_name)) continue;
      const std::string* const link = link_of(place, name);
      if ((link != nullptr) != by_link) continue;
      const std::string& asked = by_link ? *link : name;
      POUCH_ASSIGN_OR_RETURN(const bool is_known, add_addresses(session, place.network_id, asked, boot, out));
      if (is_known) return true;
    }
  }
  return false;
}

std::string server_text(const std::string& word) {
  const size_t percent = word.find('%');
  if (percent == std::string::npos) return word;
  const unsigned number = ::if_nametoindex(word.c_str() + percent + 1);
  return number == 0 ? word : word.substr(0, percent + 1) + std::to_string(number);
}

}  // namespace

std::pair<std::string, std::string> parse_link(const std::string& text) {
  const size_t colon = text.find(':');
  std::string name = text.substr(0, colon);
  std::string alias = colon == std::string::npos ? name : text.substr(colon + 1);
  alias = alias.substr(alias.rfind('/') + 1);
  return {name.substr(name.rfind('/') + 1), alias};
}

Result<std::optional<Asker>> find_asker(Session& session, const std::string& sandbox,
                                        const std::string& boot) {
  const auto key = parse_key(sandbox);
  if (!key) return std::optional<Asker>();
  Asker asker;
  asker.id = key->first;
  POUCH_ASSIGN_OR_RETURN(const auto endpoints, endpoints_of(session, asker.id));
  bool is_there = false;
  for (const EndpointRow& row : endpoints) {
    const bool runs = row.is_running() && row.generation == key->second && row.boot_id == boot;
    if (!runs || row.state == "leaving") continue;
    POUCH_ASSIGN_OR_RETURN(const auto network, load_network(session, row.network_id));
    if (!network) continue;
    is_there = true;
    POUCH_ASSIGN_OR_RETURN(PluginFacts facts, PluginFacts::parse(row.plugin_json));
    std::move(facts.name_servers.begin(), facts.name_servers.end(), std::back_inserter(asker.name_servers));
    asker.has_way_out = asker.has_way_out || !network->internal;
    if (network->name == kBridgeName) continue;
    POUCH_ASSIGN_OR_RETURN(const api::EndpointSettings settings, row.settings());
    Asker::Place place{network->id, network->name, {}};
    for (const std::string& link : settings.links.value_or(std::vector<std::string>{})) {
      auto [name, alias] = parse_link(link);
      place.links.emplace_back(std::move(alias), std::move(name));
    }
    asker.places.push_back(std::move(place));
  }
  return is_there ? std::optional<Asker>(std::move(asker)) : std::nullopt;
}

Result<std::optional<std::vector<std::string>>> addresses_of(Session& session, const Asker& asker,
                                                             const std::string& name,
                                                             const std::string& boot) {
  std::vector<std::string> out;
  POUCH_ASSIGN_OR_RETURN(bool is_known, look_in(session, asker, name, "", boot, out));
  size_t tries = 0;
  for (size_t dot = name.rfind('.'); !is_known && dot != std::string::npos && dot > 0 && tries < kMaxLabels;
       dot = name.rfind('.', dot - 1), ++tries) {
    POUCH_ASSIGN_OR_RETURN(is_known,
                           look_in(session, asker, name.substr(0, dot), name.substr(dot + 1), boot, out));
  }
  return is_known ? std::optional(std::move(out)) : std::nullopt;
}

Result<std::optional<std::string>> name_of(Session& session, const Asker& asker, const std::string& address,
                                           const std::string& boot) {
  for (const Asker::Place& place : asker.places) {
    POUCH_ASSIGN_OR_RETURN(
        Statement find,
        session.prepare("SELECT x.name FROM endpoints e JOIN endpoint_names x "
                        "ON x.network_id = e.network_id AND x.container_id = e.container_id "
                        "WHERE e.network_id = ?1 AND (e.address = ?2 OR e.address6 = ?2) AND e.boot_id = ?3 "
                        "ORDER BY x.position LIMIT 1"));
    find.bind(place.network_id, address, boot);
    POUCH_ASSIGN_OR_RETURN(const bool found, find.step());
    if (found) return std::optional(find.text(0) + "." + place.network_name);
  }
  return std::optional<std::string>();
}

Result<std::vector<std::string>> sandboxes_with_names(Session& session, const std::string& boot) {
  POUCH_ASSIGN_OR_RETURN(
      Statement find,
      session.prepare(
          "SELECT DISTINCT e.container_id, e.generation FROM endpoints e JOIN networks n "
          "ON n.id = e.network_id WHERE e.endpoint_id <> '' AND e.boot_id = ?1 AND n.name <> ?2"));
  find.bind(boot, kBridgeName);
  std::vector<std::string> keys;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, find.step());
    if (!more) return keys;
    keys.push_back(sandbox_key(ContainerId(find.text(0)), find.integer(1)));
  }
}

std::vector<std::string> name_servers_in(std::string_view resolv_conf) {
  std::vector<std::string> servers;
  for (const std::string& line : split(resolv_conf, '\n')) {
    std::istringstream words(line);
    std::string keyword;
    std::string server;
    if (words >> keyword >> server && keyword == "nameserver") servers.push_back(server_text(server));
  }
  return servers;
}

bool wants_dots(const std::vector<std::string>& options) {
  return std::any_of(options.begin(), options.end(), [](const std::string& option) {
    return option.starts_with("ndots:") && option != "ndots:0";
  });
}

}  // namespace pouch::network

namespace pouch {

using network::NameAnswer;

// Always what the database says now: nothing is kept.
Result<NameAnswer> NetworkManager::look_up(const network::NameQuestion& question) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  POUCH_ASSIGN_OR_RETURN(const auto asker, network::find_asker(snapshot, question.sandbox, context_.boot_id));
  if (!asker) return NameAnswer{};
  if (!question.name.empty()) {
    POUCH_ASSIGN_OR_RETURN(auto found,
                           network::addresses_of(snapshot, *asker, question.name, context_.boot_id));
    if (found) return NameAnswer{NameAnswer::Kind::kKnown, std::move(*found)};
  }
  if (!question.address.empty()) {
    POUCH_ASSIGN_OR_RETURN(auto found,
                           network::name_of(snapshot, *asker, question.address, context_.boot_id));
    if (found) return NameAnswer{NameAnswer::Kind::kKnown, {std::move(*found)}};
  }
  POUCH_ASSIGN_OR_RETURN(const ContainerPlace place, containers_->find(snapshot, asker->id.str()));
  return ask_others(*asker, place.host, question);
}

// As Docker does: what has one label is not asked for outside when the user wants it to be completed first.
NameAnswer NetworkManager::ask_others(const network::Asker& asker, const api::HostConfig& host,
                                      const network::NameQuestion& question) {
  const bool is_bare = question.name.find('.') == std::string::npos && !question.name.empty();
  if (is_bare && question.is_address &&
      network::wants_dots(host.dns_options.value_or(std::vector<std::string>{}))) {
    return {NameAnswer::Kind::kKnown, {}};
  }
  if (!asker.has_way_out) return {};
  NameAnswer answer{NameAnswer::Kind::kForward, host.dns.value_or(std::vector<std::string>{})};
  if (answer.items.empty()) answer.items = asker.name_servers;
  if (answer.items.empty()) {
    const auto text = sys::read_file("/etc/resolv.conf", network::kMaxResolvConf);
    if (text.is_ok()) answer.items = network::name_servers_in(*text);
    return answer;
  }
  std::erase(answer.items, network::kOwnAddress);  // which would be the container's own, not the host's
  return answer;
}

Result<std::vector<std::string>> NetworkManager::sandboxes_with_names() {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
  return network::sandboxes_with_names(snapshot, context_.boot_id);
}

}  // namespace pouch
