#include "core/base/log.h"
#include "core/base/text.h"
#include "core/container/container_files.h"
#include "core/container/manager_impl.h"
#include "core/container/names.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/snapshots.h"
#include "core/sys/file.h"

namespace pouch {

using container::Attributes;
using container::ContainerRow;
using container::SeenContainer;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 60'000;
constexpr const char* kNewName = "Error when allocating new name: ";  // Moby's words

Status ok_if_absent(const Status& status) {
  return status.code() == Code::kNotFound ? Status() : status;
}

}  // namespace

// Unavailable: it is in a transition or runs again; look anew.
Result<ContainerRow> ContainerManager::Impl::claim_remove(const std::string& reference, const Removal& how) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call(kStepMs)));
  POUCH_ASSIGN_OR_RETURN(ContainerRow row, container::find_container(transaction, reference));
  if (row.state == state::kCreating) return not_found("No such container: " + reference);
  if (row.is_running() && !how.force) {
    return conflict(row.paused ? "You cannot remove a paused container " + row.id.str() +
                                     ". Unpause and then stop the container before attempting removal or "
                                     "force remove"
                               : "You cannot remove a running container " + row.id.str() +
                                     ". Stop the container before attempting removal or force remove");
  }
  if (row.is_running() || row.state == state::kStarting) {
    return unavailable("container " + row.id.str() + " is in another transition");
  }
  if (row.state == state::kRemoving && !is_orphan(row.owner)) {
    return conflict("removal of container " + reference + " is already in progress");
  }
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("UPDATE containers SET state = 'removing', owner_token = ?2, boot_id = ?3 WHERE id = ?1",
               row.id, context.owner_token, context.boot_id)
          .status());
  // Told in the row: whoever finishes the removal knows it.
  if (how.volumes) {
    POUCH_RETURN_IF_ERROR(container::set_endings(transaction, row.id, container::Ending::kWithVolumes,
                                                 container::Ending::kGoes));
  }
  POUCH_RETURN_IF_ERROR(transaction.commit());
  row.state = state::kRemoving;
  row.owner = context.owner_token;
  return row;
}

Status ContainerManager::Impl::remove_claimed(const ContainerRow& row, const Attributes& extra) {
  const Status cleared = insist([&] { return clear_container(row); });
  const Status recorded = insist([&] { return record_removal(row, cleared, extra); });
  if (!recorded.is_ok()) {
    log_warning("container", "record a removal: " + recorded.message(), row.id.str());
    recover_later({row.id, row.generation, std::string(state::kRemoving)});
    return recorded;
  }
  return cleared.is_ok() ? cleared : cleared.prefix("remove container " + quote(row.name));
}

Status ContainerManager::Impl::clear_container(const ContainerRow& row) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const auto client, containerd(call));
  container::Beside record(*context.executor,
                           [&] { return ok_if_absent(client->containers().remove(call, row.id)); });
  container::Beside files(*context.executor, [&] {
    return sys::remove_tree(container::container_paths(context.root_dir(), row.id).dir);
  });
  POUCH_RETURN_IF_ERROR(ok_if_absent(client->snapshots().remove(call, row.snapshotter, row.snapshot_key)));
  POUCH_RETURN_IF_ERROR(remove_views(row, call));
  POUCH_RETURN_IF_ERROR(record.join());
  return files.join();
}

Status ContainerManager::Impl::record_removal(const ContainerRow& row, const Status& cleared,
                                              const Attributes& extra) {
  const Call call = own_call(kStepMs);
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(row.durability(), call));
  if (!cleared.is_ok()) {
    POUCH_RETURN_IF_ERROR(transaction
                              .run("UPDATE containers SET state = 'dead', owner_token = NULL, error = ?3 "
                                   "WHERE id = ?1 AND owner_token = ?2 AND state = 'removing'",
                                   row.id, context.owner_token, cleared.message())
                              .status());
    // Moby has no such event; without it who waits for the removal would wait for ever.
    POUCH_RETURN_IF_ERROR(
        append_event(transaction, row, config, "remove_failed", {{"error", cleared.message()}}));
    return transaction.commit();
  }
  POUCH_ASSIGN_OR_RETURN(
      const int64_t ours,
      transaction.run(
          "UPDATE containers SET pid = 0 WHERE id = ?1 AND state = 'removing' AND owner_token = ?2", row.id,
          context.owner_token));
  if (ours != 1) return {};  // taken over; it is as good as gone
  POUCH_ASSIGN_OR_RETURN(const auto dropped, release_mounts(transaction, row.id));
  POUCH_ASSIGN_OR_RETURN(const auto execs, container::execs_of_container(transaction, row.id));
  POUCH_RETURN_IF_ERROR(transaction.run("DELETE FROM containers WHERE id = ?1", row.id).status());
  POUCH_RETURN_IF_ERROR(append_event(transaction, row, config, "destroy", extra));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  remove_volumes(dropped);
  for (const container::ExecRow& exec : execs) {  // of engines that died; with its row nobody recovers it
    if (exec.state == state::kCreated || exec.state == state::kExited) continue;
    discard_stream(exec.id.str(), "the container was removed").ignore();
  }
  return {};
}

Status ContainerManager::Impl::remove_now(const std::string& reference, const Removal& how) {
  constexpr int kRounds = 20;  // against one that is started again and again
  Result<ContainerRow> row = claim_remove(reference, how);
  std::string id;
  for (int round = 0; row.code() == Code::kUnavailable && round < kRounds; ++round) {
    POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see(id.empty() ? reference : id));
    id = seen.row.id.str();
    if (seen.row.state == state::kRunning) {
      POUCH_RETURN_IF_ERROR(kill_and_wait(seen));
    } else {
      POUCH_RETURN_IF_ERROR(await_settled(seen.row.id, Deadline::after_ms(kStepMs)));
    }
    row = claim_remove(id, how);
    // Its own AutoRemove was quicker.
    if (row.code() == Code::kNotFound && seen.row.auto_remove) return {};
    if (row.code() == Code::kConflict && seen.row.auto_remove) {
      return await_removal(seen, Deadline::after_ms(kStepMs));
    }
  }
  if (!row.is_ok()) return row.status();
  return remove_claimed(*row, how.extra);
}

Status ContainerManager::Impl::remove(const std::string& reference,
                                      const api::ContainerRemoveOptions& options, const Call& call) {
  if (options.link.value_or(false)) return not_implemented("link is not supported: there are no links");
  const Removal how{options.force.value_or(false), options.v.value_or(false), {}};
  return detached_wait<Status>(call, [this, reference, how] { return remove_now(reference, how); });
}

Status ContainerManager::Impl::rename(const std::string& reference, const std::string& name,
                                      const Call& call) {
  const std::string wanted(container::strip_slash(name));
  if (reference.empty() || wanted.empty()) {
    return invalid_argument("Neither old nor new names may be empty");
  }
  if (const Status checked = container::check_name(wanted, "/" + wanted); !checked.is_ok()) {
    return {checked.code(), kNewName + checked.message()};
  }
  return detached<Status>(call, [this, reference, wanted]() -> Status {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kKept, own_call(kStepMs)));
    POUCH_ASSIGN_OR_RETURN(ContainerRow row, container::find_container(transaction, reference));
    if (row.state == state::kCreating) return not_found("No such container: " + reference);
    if (row.name == wanted) {
      return invalid_argument("Renaming a container with the same name as its current name");
    }
    if (row.state == state::kRemoving) {
      return conflict("Container " + row.id.str() + " is marked for removal and cannot be renamed");
    }
    POUCH_ASSIGN_OR_RETURN(const auto holder, container::id_of_name(transaction, wanted));
    if (holder) {
      return conflict(kNewName + std::string("Conflict. The container name \"/") + wanted +
                      "\" is already in use by container \"" + holder->str() +
                      "\". You have to remove (or rename) that container to be able to reuse that name.");
    }
    POUCH_RETURN_IF_ERROR(
        transaction.run("UPDATE containers SET name = ?2 WHERE id = ?1", row.id, wanted).status());
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
    const std::string old = "/" + row.name;
    row.name = wanted;
    POUCH_RETURN_IF_ERROR(append_event(transaction, row, config, "rename", {{"oldName", old}}));
    return transaction.commit();
  });
}

}  // namespace pouch
