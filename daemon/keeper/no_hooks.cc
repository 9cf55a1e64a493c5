#include "daemon/keeper/hooks.h"

namespace pouch::keeper {

Result<std::unique_ptr<io::KeeperHooks>> make_keeper_hooks(const KeeperConfig&) {
  return std::unique_ptr<io::KeeperHooks>();
}

}  // namespace pouch::keeper
