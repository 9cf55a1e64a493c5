#include <array>

#include "core/api/json.h"
#include "core/base/text.h"
#include "daemon/pouchd/options.h"

namespace pouch::pouchd {
namespace {

// How a key's value stands in the file.
enum class Kind { kText, kFlag, kList, kRuntimes };

struct Key {
  std::string_view name;
  Kind kind;
};

constexpr std::array kKeys = {
    Key{"add-runtime", Kind::kRuntimes},
    Key{"containerd", Kind::kText},
    Key{"debug", Kind::kFlag},
    Key{"default-runtime", Kind::kText},
    Key{"exec-root-dir", Kind::kText},
    Key{"group", Kind::kText},
    Key{"home-dir", Kind::kText},
    Key{"insecure-registries", Kind::kList},
    Key{"listen", Kind::kList},
    Key{"mock", Kind::kFlag},
    Key{"pidfile", Kind::kText},
    Key{"registries-file", Kind::kText},
    Key{"registry-mirrors", Kind::kList},
    Key{"snapshotter", Kind::kText},
};

Status wrong(const std::string& key, std::string_view expected) {
  return invalid_argument("config file: " + key + ": expected " + std::string(expected));
}

Result<std::vector<std::string>> list_values(const std::string& key, const Json& value) {
  std::vector<std::string> values;
  if (!value.isArray()) return wrong(key, "a list of strings");
  for (const Json& element : value) {
    if (!element.isString()) return wrong(key, "a list of strings");
    values.push_back(element.asString());
  }
  return values;
}

// {"name": "path"} or {"name": {"path": "path"}} to name=path.
Result<std::vector<std::string>> runtime_values(const std::string& key, const Json& value) {
  std::vector<std::string> values;
  if (!value.isObject()) return wrong(key, "an object");
  for (auto member = value.begin(); member != value.end(); ++member) {
    const std::string where = key + "." + member.name();
    const Json& path = member->isObject() && member->size() == 1 ? (*member)["path"] : *member;
    if (!path.isString()) return wrong(where, "a path, or an object with a path only");
    values.push_back(member.name() + "=" + path.asString());
  }
  return values;
}

Result<std::vector<std::string>> key_values(Kind kind, const std::string& key, const Json& value) {
  switch (kind) {
    case Kind::kList:
      return list_values(key, value);
    case Kind::kRuntimes:
      return runtime_values(key, value);
    case Kind::kFlag:
      if (!value.isBool()) return wrong(key, "true or false");
      return std::vector<std::string>{value.asBool() ? "true" : "false"};
    case Kind::kText:
      break;
  }
  if (!value.isString()) return wrong(key, "a string");
  return std::vector<std::string>{value.asString()};
}

const Key* find_key(const std::string& name) {
  for (const Key& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace

Result<OptionValues> parse_config(const std::string& json_text) {
  const Result<Json> document = parse_json(json_text);
  if (!document.is_ok()) return document.status().prefix("config file");
  if (!document->isObject()) return invalid_argument("config file: expected an object");
  OptionValues values;
  for (auto member = document->begin(); member != document->end(); ++member) {
    const std::string name = member.name();
    const Key* key = find_key(name);
    if (key == nullptr) return invalid_argument("config file: unknown key " + quote(name));
    POUCH_ASSIGN_OR_RETURN(values[name], key_values(key->kind, name, *member));
  }
  return values;
}

Status apply_values(const OptionValues& values, Options& options) {
  const std::map<std::string, std::string*> texts = {
      {"containerd", &options.containerd},
      {"default-runtime", &options.default_runtime},
      {"exec-root-dir", &options.exec_root_dir},
      {"group", &options.group},
      {"home-dir", &options.home_dir},
      {"pidfile", &options.pidfile},
      {"registries-file", &options.registries_file},
      {"snapshotter", &options.snapshotter},
  };
  for (const auto& [key, list] : values) {
    if (const auto text = texts.find(key); text != texts.end() && !list.empty()) *text->second = list.back();
    if (key == "debug") options.debug = list.back() == "true";
    if (key == "mock") options.mock = list.back() == "true";
    if (key == "listen") options.listen = list;
    if (key == "insecure-registries") options.insecure_registries = list;
    if (key == "registry-mirrors") options.registry_mirrors = list;
    if (key != "add-runtime") continue;
    for (const std::string& runtime : list) {
      const size_t equals = runtime.find('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == runtime.size()) {
        return invalid_argument("add-runtime: expected name=path, got " + quote(runtime));
      }
      options.runtimes[runtime.substr(0, equals)] = runtime.substr(equals + 1);
    }
  }
  return {};
}

}  // namespace pouch::pouchd
