// Published ports: only who has which is played, no packet goes anywhere.

#include <algorithm>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/mock/mock_state.h"

namespace pouch::mock {
namespace {

constexpr int kFirstFree = 49153;
constexpr int kLast = 65535;

Status invalid_port(const std::string& text) {
  return invalid_argument("invalid port specification: " + quote(text));
}

// "8080" or "8000-8010"; "" is any.
Result<std::pair<int, int>> range_of(const std::string& text) {
  if (text.empty() || text == "0") return std::pair(kFirstFree, kLast);
  const std::vector<std::string> parts = split(text, '-');
  std::vector<int> numbers;
  for (const std::string& part : parts) {
    const int number = whole_number<int>(part).value_or(0);
    if (number <= 0 || number > kLast) return invalid_port(text);
    numbers.push_back(number);
  }
  if (numbers.size() > 2 || numbers.front() > numbers.back()) return invalid_port(text);
  return std::pair(numbers.front(), numbers.back());
}

bool is_taken(const State& state, const std::string& protocol, const std::string& number) {
  return std::any_of(state.containers.begin(), state.containers.end(), [&](const auto& entry) {
    const Container& container = *entry.second;
    if (!container.main.running) return false;
    return std::any_of(container.ports.begin(), container.ports.end(), [&](const auto& port) {
      if (!port.first.ends_with("/" + protocol)) return false;
      return std::any_of(port.second.begin(), port.second.end(),
                         [&](const api::PortBinding& binding) { return binding.host_port == number; });
    });
  });
}

Status bind_one(const State& state, Container& container, const std::string& port,
                const api::PortBinding& asked) {
  const std::string wanted = asked.host_port.value_or("");
  POUCH_ASSIGN_OR_RETURN(const auto range, range_of(wanted));
  const std::string protocol = port.substr(port.find('/') + 1);
  const auto& mine = container.ports;
  for (int number = range.first; number <= range.second; ++number) {
    const std::string text = std::to_string(number);
    const bool is_own = std::any_of(mine.begin(), mine.end(), [&](const auto& other) {
      return other.first.ends_with("/" + protocol) && !other.second.empty() &&
             other.second.front().host_port == text;
    });
    if (is_own || is_taken(state, protocol, text)) continue;
    const std::string address = asked.host_ip.value_or("");
    for (const char* any : {"0.0.0.0", "::"}) {
      api::PortBinding bound;
      bound.host_ip = address.empty() ? any : address;
      bound.host_port = text;
      container.ports[port].push_back(std::move(bound));
      if (!address.empty()) break;
    }
    return {};
  }
  return conflict("driver failed programming external connectivity on endpoint " + container.name +
                  ": Bind for 0.0.0.0:" + wanted + " failed: port is already allocated");
}

}  // namespace

Status check_ports(const api::HostConfig& host) {
  for (const auto& [port, bindings] : host.port_bindings.value_or(PortMap{})) {
    POUCH_RETURN_IF_ERROR(range_of(port.substr(0, port.find('/'))).status());
    for (const api::PortBinding& binding : bindings.value.value_or(std::vector<api::PortBinding>{})) {
      POUCH_RETURN_IF_ERROR(range_of(binding.host_port.value_or("")).status());
    }
  }
  return {};
}

Status publish_ports(const State& state, Container& container) {
  container.ports.clear();
  if (!has_own_links(network_mode(container.host))) return {};
  std::map<std::string, std::vector<api::PortBinding>> wanted;
  for (const auto& [port, bindings] : container.host.port_bindings.value_or(PortMap{})) {
    auto& list = wanted[port.find('/') == std::string::npos ? port + "/tcp" : port];
    for (const api::PortBinding& binding : bindings.value.value_or(std::vector<api::PortBinding>{})) {
      list.push_back(binding);
    }
    if (list.empty()) list.emplace_back();
  }
  for (const auto& [port, nothing] :
       container.config.exposed_ports.value_or(std::map<std::string, api::Empty>{})) {
    if (container.host.publish_all_ports.value_or(false) && !wanted.contains(port))
      wanted[port].emplace_back();
  }
  for (const auto& [port, bindings] : wanted) {
    for (const api::PortBinding& binding : bindings) {
      POUCH_RETURN_IF_ERROR(bind_one(state, container, port, binding));
    }
  }
  return {};
}

PortMap shown_ports(const Container& container) {
  PortMap out;
  if (!container.main.running) return out;
  for (const auto& [port, nothing] :
       container.config.exposed_ports.value_or(std::map<std::string, api::Empty>{})) {
    out[port];
  }
  for (const auto& [port, bindings] : container.ports) out[port].value = bindings;
  return out;
}

std::vector<api::PortSummary> summarised_ports(const Container& container) {
  std::vector<api::PortSummary> out;
  for (const auto& [port, bindings] : shown_ports(container)) {
    api::PortSummary summary;
    summary.private_port = std::atoi(port.c_str());
    summary.type = port.substr(port.find('/') + 1);
    if (!bindings.value) out.push_back(summary);
    for (const api::PortBinding& binding : bindings.value.value_or(std::vector<api::PortBinding>{})) {
      summary.ip = binding.host_ip;
      summary.public_port = std::atoi(binding.host_port.value_or("").c_str());
      out.push_back(summary);
    }
  }
  return out;
}

}  // namespace pouch::mock
