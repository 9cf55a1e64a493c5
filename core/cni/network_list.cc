#include "core/cni/network_list.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/text.h"
#include "core/cni/attachment.h"
#include "core/cni/version.h"
#include "core/sys/file.h"

namespace pouch::cni {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20U;
constexpr const char* kOnlyInlined = "loadOnlyInlinedPlugins";

// A flag. Before 1.0 the specification had disableCheck as a string.
Result<bool> flag_of(const Json& document, const char* key) {
  const Json& value = document[key];
  if (value.isNull()) return false;
  if (value.isBool()) return value.asBool();
  if (value.isString() && (value.asString() == "true" || value.asString() == "false")) {
    return value.asString() == "true";
  }
  return invalid_argument(quote(key) + " is neither true nor false");
}

Result<std::vector<std::string>> versions_of(const Json& document) {
  std::vector<std::string> versions;
  const Json& one = document["cniVersion"];
  const Json& several = document["cniVersions"];
  if (!one.isNull() && !one.isString()) return invalid_argument("\"cniVersion\" is no string");
  if (!several.isNull() && !several.isArray()) return invalid_argument("\"cniVersions\" is no array");
  if (one.isString() && !one.asString().empty()) versions.push_back(one.asString());
  for (const Json& version : several) {
    if (!version.isString()) return invalid_argument("\"cniVersions\" holds something that is no string");
    versions.push_back(version.asString());
  }
  // Whatever came before there were versions.
  if (versions.empty()) versions.emplace_back(kVersions.front());
  return versions;
}

Status check_plugin(const Json& plugin) {
  if (!plugin.isObject()) return invalid_argument("a plugin that is no object");
  const Json& type = plugin["type"];
  if (!type.isString() || type.asString().empty()) return invalid_argument("a plugin without a \"type\"");
  const std::string name = type.asString();
  if (name.find_first_of(std::string("/\\\0", 3)) != std::string::npos || name == "." || name == "..") {
    return invalid_argument("the type " + quote(name) + " cannot be the name of a plugin's file");
  }
  const Json& capabilities = plugin["capabilities"];
  if (!capabilities.isNull() && !capabilities.isObject()) {
    return invalid_argument(quote(name) + ": \"capabilities\" is no object");
  }
  return {};
}

// Names of the files with one of the endings, sorted. None where there is no such folder.
std::vector<std::string> files_in(const std::string& folder, const std::set<std::string>& endings) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path& path = entry->path();
    if (endings.contains(path.extension().string())) names.push_back(path.filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

const std::set<std::string>& list_endings() {
  static const std::set<std::string> endings = {".conflist", ".conf", ".json"};
  return endings;
}

Status add_from_folder(const std::string& folder, std::vector<Json>& plugins) {
  for (const std::string& name : files_in(folder, {".conf"})) {
    const std::string path = folder + "/" + name;
    POUCH_ASSIGN_OR_RETURN(const std::string text, sys::read_file(path, kMaxFile));
    Result<Json> plugin = parse_json(text);
    Status status = plugin.is_ok() ? check_plugin(*plugin) : plugin.status();
    if (!status.is_ok()) return status.prefix("CNI plugin " + quote(path));
    plugins.push_back(std::move(*plugin));
  }
  return {};
}

// A single plugin is a list of one.
Json as_list(Json document) {
  if (document.isMember("plugins") || !document.isMember("type")) return document;
  Json list = json_object();
  for (const char* key : {"name", "cniVersion", "cniVersions", "disableCheck", "disableGC"}) {
    if (document.isMember(key)) list[key] = document[key];
  }
  list["plugins"] = json_array();
  list["plugins"].append(std::move(document));
  list[kOnlyInlined] = true;
  return list;
}

Status read_plugins(const Json& document, NetworkList& list) {
  const Json& plugins = document["plugins"];
  if (!plugins.isNull() && !plugins.isArray()) return invalid_argument("\"plugins\" is no array");
  for (const Json& plugin : plugins) {
    POUCH_RETURN_IF_ERROR(check_plugin(plugin));
    list.plugins.push_back(plugin);
  }
  return {};
}

Status read_head(const Json& document, NetworkList& list) {
  const Json& name = document["name"];
  if (!name.isString() || !is_valid_name(name.asString())) {
    return invalid_argument(name.isString() ? quote(name.asString()) + " cannot be a network's name"
                                            : std::string("it has no \"name\""));
  }
  list.name = name.asString();
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> versions, versions_of(document));
  list.cni_version = newest_version(versions, kVersions.back());
  if (list.cni_version.empty()) {
    return not_implemented("cniVersion " + join(versions, ", ") + " (known are " +
                           std::string(kVersions.front()) + " to " + std::string(kVersions.back()) + ")");
  }
  POUCH_ASSIGN_OR_RETURN(list.disable_check, flag_of(document, "disableCheck"));
  POUCH_ASSIGN_OR_RETURN(list.disable_gc, flag_of(document, "disableGC"));
  POUCH_ASSIGN_OR_RETURN(list.load_only_inlined, flag_of(document, kOnlyInlined));
  return {};
}

Result<NetworkList> read_list(const std::string& text, const std::string& folder) {
  POUCH_ASSIGN_OR_RETURN(Json document, parse_json(text));
  if (!document.isObject()) return invalid_argument("it is no JSON object");
  const bool is_whole = document.isMember("plugins");
  document = as_list(std::move(document));
  NetworkList list;
  POUCH_RETURN_IF_ERROR(read_head(document, list));
  POUCH_RETURN_IF_ERROR(read_plugins(document, list));
  const size_t inlined = list.plugins.size();
  if (!list.load_only_inlined && !folder.empty()) {
    POUCH_RETURN_IF_ERROR(add_from_folder(folder + "/" + list.name, list.plugins));
  }
  if (list.plugins.empty()) return invalid_argument("it has no plugins");
  list.text = text;
  if (is_whole && list.plugins.size() == inlined) return list;
  document["plugins"] = json_array();
  for (const Json& plugin : list.plugins) document["plugins"].append(plugin);
  document[kOnlyInlined] = true;
  list.text = write_json(document);
  return list;
}

}  // namespace

bool declares(const Json& plugin, const std::string& capability) {
  const Json& declared = plugin["capabilities"];
  return declared.isObject() && declared[capability].isBool() && declared[capability].asBool();
}

bool NetworkList::has_capability(const std::string& capability) const {
  return std::any_of(plugins.begin(), plugins.end(),
                     [&](const Json& plugin) { return declares(plugin, capability); });
}

Result<NetworkList> parse_list(const std::string& text, const std::string& folder) {
  Result<NetworkList> list = read_list(text, folder);
  if (!list.is_ok()) return list.status().prefix("CNI network");
  return list;
}

Result<NetworkList> load_list(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const std::string text, sys::read_file(path, kMaxFile));
  Result<NetworkList> list = read_list(text, std::filesystem::path(path).parent_path().string());
  if (!list.is_ok()) return list.status().prefix("CNI network " + quote(path));
  return list;
}

std::vector<NetworkList> load_folder(const std::string& folder, std::vector<Status>* problems) {
  std::vector<NetworkList> lists;
  std::set<std::string> names;
  for (const std::string& file : files_in(folder, list_endings())) {
    Result<NetworkList> list = load_list(folder + "/" + file);
    if (!list.is_ok()) {
      if (problems != nullptr) problems->push_back(list.status());
    } else if (names.insert(list->name).second) {
      lists.push_back(std::move(*list));
    }
  }
  return lists;
}

Result<NetworkList> find_list(const std::string& folder, const std::string& name) {
  std::vector<Status> problems;
  for (NetworkList& list : load_folder(folder, &problems)) {
    if (list.name == name) return std::move(list);
  }
  const std::string what = "no CNI network " + quote(name) + " in " + quote(folder);
  return not_found(problems.empty() ? what : what + " (" + problems.front().message() + ")");
}

}  // namespace pouch::cni
