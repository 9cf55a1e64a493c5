#include "core/container/name_server.h"

#include "core/base/log.h"
#include "core/io/keeper_client.h"

namespace pouch::container {

Result<bool> serve_names(EngineContext& context, const NetworkPlan& network, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(call));
  const std::string sandbox = network.netns_path.substr(network.netns_path.rfind('/') + 1);
  const Status served = keeper->serve_names(sandbox, call.deadline);
  if (served.code() != Code::kNotImplemented) return served.is_ok() ? Result<bool>(true) : served;
  log_warning("container",
              "the root's keeper is an older one, which has no name server: the container does not know the "
              "names of others; the keeper ends by itself when no container runs");
  return false;
}

}  // namespace pouch::container
