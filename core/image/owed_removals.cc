#include "core/image/owed_removals.h"

#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace pouch::image {
namespace {

struct Owed {
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> records;  // by the engine's owner token
};

// Never destroyed: a host may exit with imports under way.
Owed& owed() {
  static Owed* const all = std::make_unique<Owed>().release();
  return *all;
}

}  // namespace

void owe_removal(const EngineContext& context, const std::string& record) {
  const std::lock_guard lock(owed().mutex);
  owed().records[context.owner_token].insert(record);
}

void settle_removal(const EngineContext& context, const std::string& record) {
  const std::lock_guard lock(owed().mutex);
  const auto mine = owed().records.find(context.owner_token);
  if (mine == owed().records.end()) return;
  mine->second.erase(record);
  if (mine->second.empty()) owed().records.erase(mine);
}

bool is_removal_owed(const EngineContext& context, const std::string& record) {
  const std::lock_guard lock(owed().mutex);
  const auto mine = owed().records.find(context.owner_token);
  return mine != owed().records.end() && mine->second.contains(record);
}

bool owes_removals(const EngineContext& context) {
  const std::lock_guard lock(owed().mutex);
  return owed().records.contains(context.owner_token);
}

}  // namespace pouch::image
