#pragma once

#include <string>
#include <vector>

#include "core/api/json.h"
#include "core/base/status.h"

namespace pouch::cni {

/// A network as its administrator describes it: a file of /etc/cni/net.d. The plugins are called in order.
struct NetworkList {
  std::string name;
  std::string cni_version;  ///< the newest that the list says it can and this library knows; "0.1.0" unsaid
  bool disable_check = false;
  bool disable_gc = false;
  bool load_only_inlined = false;  ///< "loadOnlyInlinedPlugins": the folder NAME/ was not looked at
  std::vector<Json> plugins;       ///< objects with a valid "type", at least one
  /// The list as one JSON document that needs no other file: what the cache keeps.
  std::string text;

  /// True when a plugin declares that it takes this capability ("portMappings", "ips", "mac", …).
  bool has_capability(const std::string& capability) const;
};

/// From the text of a .conflist, or of a .conf or .json with a single plugin. `folder` is where the file
/// lies; plugins are added from the files NAME/*.conf in it, unless the list forbids it; "" looks for none.
/// InvalidArgument says what is wrong with it, NotImplemented that its versions are all unknown.
Result<NetworkList> parse_list(const std::string& text, const std::string& folder);

/// From a file. NotFound when it is not there.
Result<NetworkList> load_list(const std::string& path);

/// The lexically first of a folder's .conflist, .conf and .json files that has the name. NotFound "no CNI
/// network NAME in FOLDER", with what is wrong with the first bad file, if there is one: it may be the
/// network.
Result<NetworkList> find_list(const std::string& folder, const std::string& name);

/// All of a folder, in order of the files' names; of equal names the first. Bad files are left out, and each
/// told in `problems` when it is not null. A folder that is not there has none.
std::vector<NetworkList> load_folder(const std::string& folder, std::vector<Status>* problems = nullptr);

/// Whether a plugin's object says that it takes this capability.
bool declares(const Json& plugin, const std::string& capability);

}  // namespace pouch::cni
