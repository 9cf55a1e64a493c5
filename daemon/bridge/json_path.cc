#include "daemon/bridge/json_path.h"

#include <string>

namespace pouch::bridge {

void visit_path(Json& document, std::string_view path,
                const std::function<void(Json& parent, std::string_view key)>& visit) {
  if (!document.isObject()) return;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return visit(document, path);
  std::string_view step = path.substr(0, dot);
  const std::string_view rest = path.substr(dot + 1);
  const bool each = step.ends_with("[]") || step.ends_with("{}");
  if (each) step.remove_suffix(2);
  const std::string name(step);
  if (!document.isMember(name)) return;
  Json& child = document[name];
  if (!each) return visit_path(child, rest, visit);
  if (!child.isArray() && !child.isObject()) return;
  for (Json& element : child) visit_path(element, rest, visit);
}

void remove_path(Json& document, std::string_view path) {
  visit_path(document, path,
             [](Json& parent, std::string_view key) { parent.removeMember(std::string(key)); });
}

}  // namespace pouch::bridge
