#include "cli/format/ports.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace pouch::cli {
namespace {

struct Port {
  int inner = 0;
  int outer = 0;
  std::string address;
  std::string protocol;

  auto order() const { return std::tie(inner, address, outer, protocol); }
};

/// Ports one after the other, under the same numbers on the host if there is an address.
struct Range {
  int first = 0;
  int last = 0;
};

std::string with_port(const std::string& address, const std::string& port) {
  return (address.find(':') == std::string::npos ? address : "[" + address + "]") + ":" + port;
}

std::vector<Port> sorted(const Json::Value& ports) {
  std::vector<Port> out;
  for (const Json::Value& port : ports) {
    out.push_back({port["PrivatePort"].asInt(), port["PublicPort"].asInt(), port["IP"].asString(),
                   port["Type"].asString()});
  }
  std::sort(out.begin(), out.end(), [](const Port& a, const Port& b) { return a.order() < b.order(); });
  return out;
}

using Group = std::pair<std::string, std::string>;  // address and protocol

std::string text_of(const Group& group, const Range& range) {
  std::string numbers = std::to_string(range.first);
  if (range.last != range.first) numbers += "-" + std::to_string(range.last);
  if (!group.first.empty()) numbers = with_port(group.first, numbers) + "->" + numbers;
  return numbers + "/" + group.second;
}

}  // namespace

std::string shown_ports(const Json::Value& ports) {
  std::vector<std::string> texts;
  std::vector<std::string> moved;
  std::vector<std::pair<Group, Range>> ranges;  // in the order in which the groups begin
  for (const Port& port : sorted(ports)) {
    if (!port.address.empty() && port.outer != port.inner) {
      moved.push_back(with_port(port.address, std::to_string(port.outer)) + "->" +
                      std::to_string(port.inner) + "/" + port.protocol);
      continue;
    }
    const Group group{port.address, port.protocol};
    const auto at =
        std::find_if(ranges.begin(), ranges.end(), [&](const auto& range) { return range.first == group; });
    if (at == ranges.end()) {
      ranges.push_back({group, {port.inner, port.inner}});
    } else if (port.inner == at->second.last + 1) {
      at->second.last = port.inner;
    } else {
      texts.push_back(text_of(group, at->second));
      at->second = {port.inner, port.inner};
    }
  }
  for (const auto& [group, range] : ranges) texts.push_back(text_of(group, range));
  texts.insert(texts.end(), moved.begin(), moved.end());
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

}  // namespace pouch::cli
