#include "daemon/keeper/hooks.h"

namespace pouch::keeper {

Result<std::unique_ptr<io::KeeperHooks>> make_keeper_hooks(const KeeperConfig&) {
  return std::unique_ptr<io::KeeperHooks>();
}

Status mind(const KeeperConfig&) {
  return not_implemented("this pouch-keeper was built without the local engine");
}

}  // namespace pouch::keeper
