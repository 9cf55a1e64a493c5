#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "daemon/bridge/bridge.h"

namespace pouch::bridge {
namespace {

// Moby's routes that may have no operation here. A route is told by the first and the last segment of its
// path,
// "" is an id or nothing.
struct Known {
  std::string_view method;
  std::string_view first;
  std::string_view last;
};

constexpr std::array kKnown = {
    Known{"POST", "build", ""},
    Known{"POST", "build", "prune"},
    Known{"POST", "build", "cancel"},
    Known{"POST", "containers", "pause"},
    Known{"POST", "containers", "prune"},
    Known{"POST", "containers", "restart"},
    Known{"POST", "containers", "unpause"},
    Known{"POST", "containers", "update"},
    Known{"GET", "containers", "archive"},
    Known{"HEAD", "containers", "archive"},
    Known{"PUT", "containers", "archive"},
    Known{"GET", "containers", "changes"},
    Known{"GET", "containers", "checkpoints"},
    Known{"POST", "containers", "checkpoints"},
    Known{"GET", "containers", "stats"},
    Known{"GET", "containers", "top"},
    Known{"GET", "containers", "ws"},
    Known{"POST", "grpc", ""},
    Known{"GET", "images", "search"},
    Known{"GET", "plugins", ""},
    Known{"POST", "session", ""},
    Known{"GET", "system", "df"},
};

constexpr std::array<std::string_view, 6> kSwarm = {"configs",  "nodes", "secrets",
                                                    "services", "swarm", "tasks"};

// Objects that cannot be there. `docker inspect x` asks for one kind after the other and goes on only at 404.
Status no_such_object(std::string_view method, std::string_view first, const std::string& id) {
  if ((method != "GET" && method != "DELETE") || id.empty()) return {};
  if (first == "plugins") return not_found("plugin " + quote(id) + " not found");
  return {};
}

}  // namespace

Status unserved(std::string_view method, std::string_view path) {
  const std::vector<std::string> segments = split(path, '/');
  const std::string& first = segments.size() > 1 ? segments[1] : segments[0];
  const bool is_cluster_volume = method == "PUT" && first == "volumes" && segments.size() == 3;
  if (is_cluster_volume || std::find(kSwarm.begin(), kSwarm.end(), first) != kSwarm.end()) {
    return unavailable("This node is not a swarm manager");
  }
  const std::string last = segments.size() > 2 ? segments.back() : "";
  for (const Known& known : kKnown) {
    if (known.method != method || known.first != first || known.last != last) continue;
    const std::string path_text =
        "/" + first + (segments.size() > 3 ? "/…" : "") + (last.empty() ? "" : "/" + last);
    return not_implemented(std::string(method) + " " + path_text + " is not supported");
  }
  if (segments.size() == 3 || (segments.size() == 4 && first == "plugins")) {
    POUCH_RETURN_IF_ERROR(no_such_object(method, first, segments[2]));
  }
  return not_found("page not found");
}

}  // namespace pouch::bridge
