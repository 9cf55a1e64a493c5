#pragma once

#include <map>
#include <string>
#include <utility>

#include "core/api/json.h"
#include "core/base/status.h"
#include "core/cni/outcome.h"

namespace pouch::cni {

/// A container's link into a network.
struct Attachment {
  std::string container_id;  ///< letters, digits, "_", ".", "-"; begins with a letter or digit
  std::string netns;         ///< path of its network namespace; "" in a DEL when that is gone
  std::string ifname;        ///< of the link within: "eth0"
  std::map<std::string, std::string> args =
      {};  ///< CNI_ARGS: {"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web-1"}
  /// One member for each capability: {"portMappings": [...], "ips": [...], "mac": "…"}. A plugin is told of
  /// those that it declares; whether any does, tells NetworkList::has_capability.
  Json capabilities = json_object();
};

/// A container's id and the name of its link.
using AttachmentKey = std::pair<std::string, std::string>;

/// An attachment that the cache knows of.
struct CachedAttachment {
  std::string network;
  Attachment attachment;
  std::string list_text;     ///< NetworkList::text when it was made
  bool is_complete = false;  ///< false: the ADD has not ended yet, or was killed
  Outcome outcome;           ///< empty unless complete
};

/// "[a-zA-Z0-9][a-zA-Z0-9_.-]*": what names of networks and ids of containers are.
bool is_valid_name(const std::string& text);

/// InvalidArgument tells what cannot be handed to a plugin: it would be taken for something else there.
Status check_attachment(const Attachment& attachment);

}  // namespace pouch::cni
