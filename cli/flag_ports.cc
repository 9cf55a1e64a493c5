#include <charconv>
#include <optional>

#include "cli/flag_values.h"
#include "cli/options.h"

namespace pouch::cli {
namespace {

struct Range {
  int first = 0;
  int last = 0;
  [[nodiscard]] int size() const { return last - first + 1; }
};

std::optional<int> parse_port(const std::string& text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 0 || port > 65535)
    return std::nullopt;
  return port;
}

std::optional<Range> parse_range(const std::string& text) {
  const size_t dash = text.find('-');
  const std::optional<int> first = parse_port(text.substr(0, dash));
  const std::optional<int> last = dash == std::string::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return Range{*first, *last};
}

// The protocol behind the slash, which is cut off.
std::string cut_protocol(std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return "tcp";
  std::string protocol = text.substr(slash + 1);
  text.resize(slash);
  for (char& c : protocol) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
    throw BadValue("invalid proto: " + protocol);
  }
  return protocol;
}

// Everything before the last colon, or the whole; that part is cut off.
std::string cut_last(std::string& text) {
  const size_t colon = text.rfind(':');
  std::string last = colon == std::string::npos ? text : text.substr(colon + 1);
  text.resize(colon == std::string::npos ? 0 : colon);
  return last;
}

std::string key_of(int port, const std::string& protocol) {
  return std::to_string(port) + "/" + protocol;
}

}  // namespace

void parse_publish(const std::string& text, Json::Value& exposed, Json::Value& bindings) {
  std::string rest = text;
  const std::string protocol = cut_protocol(rest);
  const std::string container_text = cut_last(rest);
  std::string address = rest;
  const std::string host_text = cut_last(address);
  if (address.starts_with("[") && address.ends_with("]")) address = address.substr(1, address.size() - 2);
  const std::optional<Range> container = parse_range(container_text);
  if (!container) throw BadValue("invalid containerPort: " + container_text);
  std::optional<Range> host;
  if (!host_text.empty()) {
    host = parse_range(host_text);
    if (!host) throw BadValue("invalid hostPort: " + host_text);
    if (host->size() != container->size() && container->size() != 1) {
      throw BadValue("invalid ranges specified for container and host Ports: " + container_text + " and " +
                     host_text);
    }
  }
  for (int i = 0; i < container->size(); ++i) {
    Json::Value binding;
    binding["HostIp"] = address;
    binding["HostPort"] = "";
    if (host) binding["HostPort"] = std::to_string(host->first + i);
    // One port of the container and several of the host: the engine takes a free one of these.
    if (host && container->size() < host->size()) binding["HostPort"] = host_text;
    const std::string key = key_of(container->first + i, protocol);
    exposed[key] = Json::Value(Json::objectValue);
    bindings[key].append(binding);
  }
}

void parse_expose(const std::string& text, Json::Value& exposed) {
  std::string rest = text;
  const std::string protocol = cut_protocol(rest);
  const std::optional<Range> range = parse_range(rest);
  if (!range) throw BadValue("invalid range format for --expose: " + text);
  for (int port = range->first; port <= range->last; ++port) {
    exposed[key_of(port, protocol)] = Json::Value(Json::objectValue);
  }
}

}  // namespace pouch::cli
