#include <optional>
#include <set>
#include <utility>

#include "core/base/log.h"
#include "core/container/manager_impl.h"
#include "core/sys/file.h"
#include "core/sys/own_cgroup.h"
#include "core/sys/shims.h"
#include "core/sys/systemd_scope.h"

// containerd that dies while it starts a shim, or while it has one make a task, may not know that shim when
// it is back: it then belongs to nobody, and with it its process, its folders and its control group.

namespace pouch {

namespace {

constexpr int kLooks = 4;
constexpr int64_t kPauseMs = 1'500;  // a shim is judged stray by two looks, so it was not just started
constexpr int kGroupTries = 20;
constexpr int64_t kGroupPauseMs = 50;
constexpr int64_t kStepMs = 10'000;
constexpr int64_t kEndMs = 3'000;

using ShimKey = std::pair<int, uint64_t>;

}  // namespace

void ContainerManager::Impl::drop_stray_shims_soon() {
  // A loop that runs begins to count anew.
  if (shim_looks.exchange(kLooks) != 0) return;
  submit_wait([this] {
    std::set<ShimKey> suspects;
    do {
      if (!nap(kPauseMs)) return;
      std::set<ShimKey> seen;
      for (const sys::Shim& shim : sys::find_shims(context.ns, context.options.containerd_address)) {
        const ShimKey key{shim.pid, shim.start_ticks};
        const auto is_over = drop_shim_if_stray(shim, suspects.contains(key));
        if (!is_over.is_ok()) {
          log_warning("container", "end a stray shim: " + is_over.status().message(), shim.id);
        }
        if (!is_over.is_ok() || !*is_over) seen.insert(key);
      }
      suspects = std::move(seen);
    } while (!suspects.empty() || shim_looks.fetch_sub(1) > 1);
    shim_looks.store(0);
  });
}

// True when the shim is in order, or was ended.
Result<bool> ContainerManager::Impl::drop_shim_if_stray(const sys::Shim& shim, bool is_suspect) {
  const ContainerId id(shim.id);
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto before, load(id));
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  const auto task = client->tasks().get(call, id);
  if (task.is_ok()) return true;
  if (task.code() != Code::kNotFound) return task.status();
  if (!is_suspect || (before && !before->is_settled())) return false;
  // As long as this transaction lasts no start can begin. Was there none since the look at the row either,
  // then there is still no task.
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(const auto now, container::load_container(transaction, id));
  if (now && (!before || !now->is_settled() || now->generation != before->generation)) return false;
  log_warning("container", "a shim without a task is ended: process " + std::to_string(shim.pid), shim.id);
  POUCH_RETURN_IF_ERROR(sys::end_shim(shim, Deadline::after_ms(kEndMs)));
  POUCH_RETURN_IF_ERROR(sys::remove_bundle(shim));
  POUCH_RETURN_IF_ERROR(sys::remove_tree(context.run_dir() + "/runtime/" + context.ns + "/" + shim.id));
  sys::remove_cgroup_tree(sys::root_cgroup(context.ns) + "/" + shim.id);
  return true;
}

void ContainerManager::Impl::remove_cgroup(const ContainerId& id) {
  const std::string group = sys::root_cgroup(context.ns) + "/" + id.str();
  for (int i = 0; i < kGroupTries && sys::has_cgroup(group); ++i) {
    sys::remove_cgroup_tree(group);
    if (!sys::has_cgroup(group) || !nap(kGroupPauseMs)) return;
  }
}

// What a keeper left undone that died.
void ContainerManager::Impl::drop_stray_cgroups() {
  constexpr size_t kIdSize = 64;  // what is not a container's has a shorter name
  for (const std::string& name : sys::cgroups_in(sys::root_cgroup(context.ns))) {
    if (name.size() != kIdSize) continue;
    const auto row = load(ContainerId(name));
    if (row.is_ok() && (!*row || (*row)->is_settled())) drop_stray_cgroup_soon(ContainerId(name));
  }
}

void ContainerManager::Impl::drop_stray_cgroup_soon(const ContainerId& id) {
  const std::string group = sys::root_cgroup(context.ns) + "/" + id.str();
  if (!sys::has_cgroup(group)) return;
  submit_wait([this, id, group] {
    // Its processes may still be ending.
    for (int look = 0; look < kLooks && sys::has_cgroup(group) && nap(kPauseMs); ++look) {
      auto transaction = context.db->begin(store::Durability::kBootScoped, own_call(kStepMs));
      if (!transaction.is_ok()) continue;
      const auto row = container::load_container(*transaction, id);
      // No start can begin as long as the transaction lasts.
      if (row.is_ok() && (!*row || (*row)->is_settled())) sys::remove_cgroup_tree(group);
    }
  });
}

}  // namespace pouch
