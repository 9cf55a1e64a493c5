#include "core/network/ports.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/io/held_ports.h"
#include "core/io/keeper_client.h"
#include "core/network/bridges.h"
#include "core/network/mode.h"
#include "core/network/records.h"
#include "core/sys/conntrack.h"
#include "core/sys/file.h"
#include "core/sys/net_namespace.h"

namespace pouch::network {
namespace {

constexpr int kFreeAttempts = 5;  // to remove what ended runs have, against others that end
constexpr int64_t kLockMs = 30'000;

// Without a target where none of ours leads: what comes all the same is not relayed.
io::HeldPort to_held(const PublishedPort& port) {
  const std::string target = port.is_not_ours() ? std::string() : port.address;
  return {port.protocol, port.host_address, port.host_port, target, port.port};
}

// What a keeper of an older build cannot do: looks only, so that at least a wrong start is seen.
io::HoldAnswer look(const std::vector<io::HeldPort>& ports) {
  for (size_t i = 0; i < ports.size(); ++i) {
    const auto bound = io::bind_port(ports[i]);
    if (!bound.is_ok()) return {static_cast<int>(i), bound.status()};
  }
  return {};
}

// Whether these lead to these targets already, each in its way, and to each that has no port of the host.
bool lead_to(const std::vector<PublishedPort>& ports, const std::vector<PortTarget>& targets) {
  const auto leads = [](const PublishedPort& port, const PortTarget& target) {
    return port.address == target.address.to_string() && port.is_direct() == target.is_direct;
  };
  const auto is_led = [&](const PublishedPort& port) {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const auto& target) { return leads(port, target); });
  };
  const auto is_met = [&](const PortTarget& target) {
    return !target.is_direct ||
           std::any_of(ports.begin(), ports.end(), [&](const auto& port) { return leads(port, target); });
  };
  return std::all_of(ports.begin(), ports.end(), is_led) &&
         std::all_of(targets.begin(), targets.end(), is_met);
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "0.0.0.0";
}

}  // namespace

bool publishes(const api::HostConfig& host) {
  return (host.port_bindings && !host.port_bindings->empty()) || host.publish_all_ports.value_or(false);
}

std::vector<std::string> port_warnings(const api::HostConfig& host) {
  if (!publishes(host)) return {};
  const std::string mode = mode_of(host);
  if (mode == "host") return {"Published ports are discarded when using host network mode"};
  if (!has_own_links(host)) return {};
  const spec::PortMap bindings = host.port_bindings.value_or(spec::PortMap{});
  const bool has_sctp = std::any_of(bindings.begin(), bindings.end(),
                                    [](const auto& entry) { return entry.first.ends_with("/sctp"); });
  const auto probe = has_sctp ? io::bind_port({"sctp", "127.0.0.1", 0, "", 0}) : Result<UniqueFd>(UniqueFd());
  if (!has_sctp || !probe.is_ok() || probe->is_valid()) return {};
  return {
      "The kernel has no SCTP (module sctp): the published ports of sctp lead to the container, which can "
      "serve them only without the kernel's help"};
}

std::string Ports::table() const {
  return table_name(context_.root_id);
}

Result<std::vector<PublishedPort>> Ports::claim(const ContainerId& id, int64_t generation,
                                                const api::HostConfig& host,
                                                const std::vector<PortTarget>& targets, const Call& call) {
  const spec::PortMap bindings = host.port_bindings.value_or(spec::PortMap{});
  POUCH_ASSIGN_OR_RETURN(const auto requests, spec::port_requests(bindings));
  if (requests.empty()) return std::vector<PublishedPort>{};
  const std::string key = sandbox_key(id, generation);
  Avoided avoided;
  while (true) {
    POUCH_RETURN_IF_ERROR(call.check());
    auto reserved = reserve(id, generation, requests, targets, avoided, call);
    if (!reserved.is_ok()) return explain(id, reserved.status());
    Status why;
    POUCH_ASSIGN_OR_RETURN(const auto taken, hold(key, reserved->ports, why, call));
    if (!taken) return std::move(reserved->ports);
    POUCH_RETURN_IF_ERROR(give_back(id, generation, call));
    const PublishedPort& port = reserved->ports[*taken];
    if (reserved->is_fixed[*taken] || why.code() != Code::kConflict) {
      return explain(id, why.prefix("failed to bind host port " + before_port(port.host_address) + ":" +
                                    std::to_string(port.host_port) + "/" + port.protocol));
    }
    avoided.emplace(port.protocol, port.host_port);
  }
}

// In place of what the run had before.
Result<Ports::Reservation> Ports::reserve(const ContainerId& id, int64_t generation,
                                          const std::vector<spec::PortRequest>& requests,
                                          const std::vector<PortTarget>& targets, const Avoided& avoided,
                                          const Call& call) {
  for (int attempt = 0; attempt < kFreeAttempts; ++attempt) {
    Reservation reserved;
    {
      POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                             context_.db->begin(store::Durability::kBootScoped, call));
      const PortRow row{id, generation, context_.boot_id, {}};
      POUCH_RETURN_IF_ERROR(delete_ports(transaction, id, generation));
      for (const PortTarget& target : targets) {
        POUCH_ASSIGN_OR_RETURN(const bool has_ended,
                               has_ended_at(transaction, context_.boot_id, target.address.to_string()));
        reserved.must_wait = reserved.must_wait || has_ended;
      }
      for (const spec::PortRequest& request : requests) {
        if (reserved.must_wait) break;
        POUCH_ASSIGN_OR_RETURN(const auto ways, ways_of(request, targets));
        POUCH_RETURN_IF_ERROR(place(transaction, row, request, ways, avoided, reserved));
      }
      if (!reserved.must_wait) {
        POUCH_RETURN_IF_ERROR(transaction.commit());
        return reserved;
      }
    }
    POUCH_RETURN_IF_ERROR(free_ended(call, true));
  }
  return unavailable("ports of ended containers are not free again");
}

// The first of its ports that is free at all addresses.
Status Ports::place(store::Session& session, const PortRow& row, const spec::PortRequest& request,
                    const std::vector<PortWay>& ways, const Avoided& avoided, Reservation& out) {
  if (ways.empty()) return invalid_argument("a container without an address publishes no ports");
  bool has_ended = false;
  for (const uint16_t candidate : candidates(request, ways)) {
    if (avoided.contains({request.port.protocol, candidate})) continue;
    std::vector<PublishedPort> ports;
    PortUse worst = PortUse::kFree;
    for (const PortWay& way : ways) {
      PublishedPort port = way.at(request.port, candidate);
      // Another port of the host leads there too.
      if (way.is_direct && std::find(out.ports.begin(), out.ports.end(), port) != out.ports.end()) continue;
      POUCH_ASSIGN_OR_RETURN(const PortUse use, use_of_port(session, context_.boot_id, port));
      worst = std::max(worst, use);
      ports.push_back(std::move(port));
    }
    has_ended = has_ended || worst == PortUse::kEnded;
    if (worst != PortUse::kFree) continue;
    for (PublishedPort& port : ports) {
      PortRow mine = row;
      mine.port = port;
      POUCH_RETURN_IF_ERROR(insert_port(session, mine));
      out.ports.push_back(std::move(port));
      out.is_fixed.push_back(request.is_fixed());
    }
    return {};
  }
  if (!has_ended) return all_taken(request, ways.front());
  out.must_wait = true;
  return {};
}

// The number of one that somebody else has, and what the kernel says to it.
Result<std::optional<size_t>> Ports::hold(const std::string& key, const std::vector<PublishedPort>& ports,
                                          Status& why, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto keeper, context_.keeper(call));
  std::vector<io::HeldPort> wanted;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].is_direct()) continue;
    wanted.push_back(to_held(ports[i]));
    numbers.push_back(i);
  }
  auto answer = keeper->hold_ports(key, wanted, call.deadline);
  if (answer.code() == Code::kNotImplemented) {
    log_warning("network",
                "the keeper is of an older build, and others on the host may take published ports");
    answer = look(wanted);
  }
  if (!answer.is_ok()) return answer.status().prefix("hold published ports");
  if (answer->taken < 0 || static_cast<size_t>(answer->taken) >= ports.size()) return std::optional<size_t>();
  why = answer->why;
  return std::optional<size_t>(static_cast<size_t>(answer->taken));
}

Status Ports::give_back(const ContainerId& id, int64_t generation, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_RETURN_IF_ERROR(delete_ports(transaction, id, generation));
  return transaction.commit();
}

// In Docker's words.
Status Ports::explain(const ContainerId& id, const Status& why) {
  if (why.code() != Code::kConflict && why.code() != Code::kInvalidArgument) return why;
  std::string name;
  std::string endpoint;
  const auto look_up = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(
        auto find, snapshot.prepare("SELECT c.name, e.endpoint_id FROM containers c LEFT JOIN endpoints e "
                                    "ON e.container_id = c.id AND e.endpoint_id <> '' WHERE c.id = ?1"));
    POUCH_ASSIGN_OR_RETURN(const bool found, find.bind(id).step());
    if (!found) return {};
    name = find.optional_text(0).value_or("");
    endpoint = find.optional_text(1).value_or("");
    return {};
  };
  look_up().ignore();  // the reason counts
  return why.prefix("driver failed programming external connectivity on endpoint " + name + " (" + endpoint +
                    ")");
}

Status Ports::publish(const std::vector<PublishedPort>& ports, const std::vector<std::string>& bridges) {
  if (ports.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const auto rules, port_rules_of(ports));
  POUCH_ASSIGN_OR_RETURN(auto table_rules, sys::PortRules::open(table()));
  POUCH_RETURN_IF_ERROR(table_rules.add(rules));
  POUCH_RETURN_IF_ERROR(sys::forget_datagram_flows(rules));
  const bool needs_loopback = std::any_of(
      ports.begin(), ports.end(), [](const PublishedPort& port) { return is_loopback(port.host_address); });
  if (!needs_loopback) return {};
  // The table keeps out of 127.0.0.0/8 what comes from there.
  for (const std::string& bridge : bridges) {
    POUCH_RETURN_IF_ERROR(sys::set_net_setting("ipv4/conf/" + bridge + "/route_localnet", "1")
                              .prefix("let 127.0.0.1 lead to bridge " + bridge));
  }
  return {};
}

// Of ports that lead elsewhere now: each is one of the host's, which stays.
Result<Ports::Moves> Ports::write_moves(const ContainerId& id, int64_t generation,
                                        const std::vector<PortTarget>& targets, const Call& call) {
  Moves moves;
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto ports, ports_of(transaction, id, generation));
  for (const PublishedPort& port : ports) {
    POUCH_ASSIGN_OR_RETURN(const sys::IpAddress host, sys::IpAddress::parse(port.host_address));
    const PortTarget* target = of_family(targets, host.is_v4());
    if (target == nullptr && !host.is_v4()) target = of_family(targets, true);
    const std::string nowhere = host.is_v4() ? "0.0.0.0" : "::";
    const std::string address = target == nullptr ? nowhere : target->address.to_string();
    moves.now.push_back(port);
    if (address == port.address) continue;
    moves.before.push_back(port);
    moves.now.back().address = address;
    if (port.is_direct()) {
      POUCH_RETURN_IF_ERROR(delete_port(transaction, {id, generation, context_.boot_id, port}));
      moves.now.pop_back();
    } else {
      POUCH_RETURN_IF_ERROR(set_target(transaction, moves.now.back()));
    }
  }
  // The elements go before the rows do: the address may be another container's soon.
  POUCH_RETURN_IF_ERROR(withdraw(moves.before));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return moves;
}

Status Ports::withdraw(const std::vector<PublishedPort>& ports) {
  if (ports.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const auto rules, port_rules_of(ports));
  POUCH_ASSIGN_OR_RETURN(auto table_rules, sys::PortRules::open(table()));
  POUCH_RETURN_IF_ERROR(table_rules.remove(rules));
  return sys::forget_datagram_flows(rules);
}

// All are published again: who died over the same had withdrawn some, and the rows do not tell.
Result<std::vector<PublishedPort>> Ports::move(const ContainerId& id, int64_t generation,
                                               const api::HostConfig& host,
                                               const std::vector<PortTarget>& targets, const Call& call) {
  std::vector<PublishedPort> before;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(before, ports_of(snapshot, id, generation));
  }
  // Nothing moves for it when another network comes or goes: its ports stay, random ones too.
  if (!before.empty() && lead_to(before, targets)) return before;
  const bool is_other_kind =
      before.empty() ||
      std::any_of(before.begin(), before.end(), [](const auto& p) { return p.is_direct(); }) ||
      std::any_of(targets.begin(), targets.end(), [](const auto& target) { return target.is_direct; });
  if (is_other_kind && !targets.empty()) {
    POUCH_RETURN_IF_ERROR(withdraw(before));
    return claim(id, generation, host, targets, call);
  }
  POUCH_ASSIGN_OR_RETURN(Moves moves, write_moves(id, generation, targets, call));
  Status why;
  if (!moves.before.empty()) {
    POUCH_RETURN_IF_ERROR(hold(sandbox_key(id, generation), moves.now, why, call).status());
  }
  return std::move(moves.now);
}

Status Ports::free_ended(const Call& call, bool keeper_serves) {
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto ended, ended_ports(snapshot, context_.boot_id));
    if (ended.empty()) return {};
  }
  // One at a time: a row that goes may be another's at once, and with it socket and element.
  POUCH_ASSIGN_OR_RETURN(const auto lock,
                         sys::FileLock::acquire(context_.run_dir() + "/ports.lock",
                                                call.deadline.earlier(Deadline::after_ms(kLockMs))));
  std::vector<PortRow> ended;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(ended, ended_ports(snapshot, context_.boot_id));
  }
  std::vector<PublishedPort> ports;
  std::set<std::string> keys;
  for (const PortRow& row : ended) {
    if (row.boot_id != context_.boot_id) continue;  // went with its boot
    ports.push_back(row.port);
    keys.insert(sandbox_key(row.container_id, row.generation));
  }
  POUCH_RETURN_IF_ERROR(withdraw(ports));
  if (keeper_serves && !keys.empty()) {
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context_.keeper(call));
    for (const std::string& key : keys) {
      const Status released = keeper->release_ports(key, call.deadline);
      if (released.code() != Code::kNotImplemented) POUCH_RETURN_IF_ERROR(released.prefix("release ports"));
    }
  }
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, call));
  for (const PortRow& row : ended) POUCH_RETURN_IF_ERROR(delete_port(transaction, row));
  return transaction.commit();
}

Status Ports::hold_running(const Call& call) {
  std::map<std::string, std::vector<PublishedPort>> runs;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    POUCH_ASSIGN_OR_RETURN(const auto rows, live_ports(snapshot, context_.boot_id, true));
    for (const PortRow& row : rows) {
      runs[sandbox_key(row.container_id, row.generation)].push_back(row.port);
    }
  }
  for (const auto& [key, ports] : runs) {
    Status why;
    POUCH_ASSIGN_OR_RETURN(const auto taken, hold(key, ports, why, call));
    if (!taken) continue;
    const PublishedPort& port = ports[*taken];
    log_warning("network", "published port " + before_port(port.host_address) + ":" +
                               std::to_string(port.host_port) + "/" + port.protocol + " of " + key +
                               " still leads to its container, but: " + why.message());
  }
  return {};
}

}  // namespace pouch::network
