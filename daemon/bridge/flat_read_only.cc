#include "daemon/bridge/flat_read_only.h"

#include <string>
#include <string_view>
#include <vector>

#include "core/base/text.h"

namespace pouch::bridge {
namespace {

constexpr const char* kOption = "ReadOnlyNonRecursive";
constexpr std::string_view kOldWord = "ro";
constexpr std::string_view kNewWord = "ro-non-recursive";

std::string replaced(const std::string& mode, std::string_view from, std::string_view to) {
  std::vector<std::string> words = split(mode, ',');
  for (std::string& word : words) {
    if (word == from) word = to;
  }
  return join(words, ",");
}

// In the mode of "/source:/destination:mode"; volumes are folders without anything below.
void replace_in_bind(Json& bind, std::string_view from, std::string_view to) {
  if (!bind.isString()) return;
  std::vector<std::string> parts = split(bind.asString(), ':');
  if (parts.size() != 3 || !parts[0].starts_with('/')) return;
  parts[2] = replaced(parts[2], from, to);
  bind = join(parts, ":");
}

Json* list_of(Json& object, const char* name) {
  return object.isObject() && object.isMember(name) && object[name].isArray() ? &object[name] : nullptr;
}

bool is_read_only_bind(const Json& mount) {
  if (!mount.isObject() || mount["Type"] != "bind" || mount["ReadOnly"] != true) return false;
  return mount["BindOptions"].isNull() || mount["BindOptions"].isObject();  // else the decoder refuses it
}

}  // namespace

void ask_for_flat_read_only(Json& host) {
  if (Json* const binds = list_of(host, "Binds")) {
    for (Json& bind : *binds) replace_in_bind(bind, kOldWord, kNewWord);
  }
  Json* const mounts = list_of(host, "Mounts");
  if (mounts == nullptr) return;
  for (Json& mount : *mounts) {
    if (is_read_only_bind(mount)) mount["BindOptions"][kOption] = true;
  }
}

void hide_flat_read_only(Json& container) {
  if (!container.isObject()) return;
  if (Json* const points = list_of(container, "Mounts")) {
    for (Json& point : *points) {
      if (point.isObject() && point.isMember("Mode") && point["Mode"].isString())
        point["Mode"] = replaced(point["Mode"].asString(), kNewWord, kOldWord);
    }
  }
  if (!container.isMember("HostConfig")) return;
  Json& host = container["HostConfig"];
  if (Json* const binds = list_of(host, "Binds")) {
    for (Json& bind : *binds) replace_in_bind(bind, kNewWord, kOldWord);
  }
  Json* const mounts = list_of(host, "Mounts");
  if (mounts == nullptr) return;
  for (Json& mount : *mounts) {
    if (!mount.isObject() || !mount.isMember("BindOptions") || !mount["BindOptions"].isObject()) continue;
    mount["BindOptions"].removeMember(kOption);
    if (mount["BindOptions"].empty()) mount.removeMember("BindOptions");
  }
}

}  // namespace pouch::bridge
