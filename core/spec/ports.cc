#include "core/spec/ports.h"

#include <algorithm>
#include <optional>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::spec {
namespace {

Status bad_port(const std::string& text) {
  return invalid_argument("invalid port specification: " + quote(text));
}

Result<PortRequest> request_of(const ContainerPort& port, const api::PortBinding& binding) {
  PortRequest request;
  request.port = port;
  request.host_address = binding.host_ip.value_or("");
  const std::string text = binding.host_port.value_or("");
  if (text.empty()) return request;
  const size_t dash = text.find('-');
  const auto first = whole_number<uint16_t>(std::string_view(text).substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : whole_number<uint16_t>(std::string_view(text).substr(dash + 1));
  if (!first || !last || *last < *first || (*first == 0 && *last != 0)) return bad_port(text);
  request.first = *first;
  request.last = *last;
  return request;
}

}  // namespace

Result<ContainerPort> parse_container_port(const std::string& text) {
  const size_t slash = text.find('/');
  ContainerPort out;
  out.protocol = slash == std::string::npos ? "tcp" : to_lower(text.substr(slash + 1));
  const auto number = whole_number<uint16_t>(std::string_view(text).substr(0, slash));
  if (!number || *number == 0) return bad_port(text.substr(0, slash));
  if (out.protocol != "tcp" && out.protocol != "udp" && out.protocol != "sctp") {
    return invalid_argument("invalid proto: " + quote(out.protocol));
  }
  out.port = *number;
  return out;
}

Result<std::vector<PortRequest>> port_requests(const PortMap& bindings) {
  std::vector<PortRequest> requests;
  for (const auto& [text, list] : bindings) {
    POUCH_ASSIGN_OR_RETURN(const ContainerPort port, parse_container_port(text));
    for (const api::PortBinding& binding : list.value.value_or(std::vector<api::PortBinding>{})) {
      POUCH_ASSIGN_OR_RETURN(PortRequest request, request_of(port, binding));
      requests.push_back(std::move(request));
    }
  }
  // What may be anywhere must not take what may not; and a range is narrower than all.
  const auto freedom = [](const PortRequest& r) { return r.is_fixed() ? 0 : r.first != 0 ? 1 : 2; };
  std::stable_sort(requests.begin(), requests.end(), [&](const PortRequest& a, const PortRequest& b) {
    return std::pair(freedom(a), a.port.port) < std::pair(freedom(b), b.port.port);
  });
  return requests;
}

api::HostConfig with_all_published(const api::ContainerConfig& config, api::HostConfig host) {
  if (!host.publish_all_ports.value_or(false) || !config.exposed_ports) return host;
  if (!host.port_bindings) host.port_bindings.emplace();
  for (const auto& [port, empty] : *config.exposed_ports) {
    auto& list = (*host.port_bindings)[port];
    if (!list.value || list.value->empty()) list = std::vector<api::PortBinding>(1);
  }
  return host;
}

}  // namespace pouch::spec
