#include "core/api/config_changes.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/container/config_merge.h"
#include "core/container/freeze.h"
#include "core/container/manager_impl.h"

namespace pouch {

using container::ContainerRow;
using container::SeenContainer;
namespace state = container::state;

namespace {

Status check_is_whole(const ContainerRow& row) {
  const bool is_made = row.state != state::kCreating;
  const bool is_kept = row.state != state::kRemoving && row.state != state::kDead;
  if (is_made && is_kept) return {};
  return conflict("container " + row.id.str() + (is_made ? " is being removed" : " is being made"));
}

// The body's and then the changes' before the container's own, by the rules by which a container's come
// before its image's.
Result<api::ContainerConfig> commit_config(const api::ContainerConfig& wanted,
                                           const std::vector<std::string>& changes,
                                           const api::ContainerConfig& own) {
  // Without one in the body the container's is what the changes change.
  api::ContainerConfig config = wanted == api::ContainerConfig{} ? own : wanted;
  POUCH_RETURN_IF_ERROR(apply_config_changes(changes, config));
  // An entrypoint without a command is one.
  container::merge_image_config(config, own).ignore();
  return config;
}

}  // namespace

Result<api::CommitResult> ContainerManager::Impl::commit(const api::ContainerConfig& wanted,
                                                         const api::ContainerCommitOptions& options,
                                                         const Call& call) {
  using Answer = Result<api::CommitResult>;
  CommitRequest request;
  POUCH_ASSIGN_OR_RETURN(request.name, name_of_new_image(options.repo, options.tag));
  request.author = options.author.value_or("");
  request.comment = options.comment.value_or("");
  return detached_wait<Answer>(call, [this, wanted, options, request, call]() mutable -> Answer {
    POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see_started(options.container));
    POUCH_RETURN_IF_ERROR(check_is_whole(seen.row));
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig own, seen.row.config());
    POUCH_ASSIGN_OR_RETURN(request.config,
                           commit_config(wanted, options.changes.value_or(std::vector<std::string>()), own));
    request.image = seen.row.image_id;
    request.snapshotter = seen.row.snapshotter;
    request.snapshot_key = seen.row.snapshot_key;
    request.created_by = join(container::command_line(own), " ");
    std::optional<container::Freeze> freeze;
    if (options.pause.value_or(true) && seen.row.state == state::kRunning) {
      POUCH_ASSIGN_OR_RETURN(
          container::Freeze begun,
          container::Freeze::begin(context, call, seen.row.id,
                                   [this](const std::string& owner) { return is_orphan(owner); }));
      freeze.emplace(std::move(begun));
    }
    POUCH_ASSIGN_OR_RETURN(const Digest id, images.commit(request, call));
    freeze.reset();
    tell(seen.row, "commit",
         {{"comment", request.comment},
          {"imageID", id.str()},
          {"imageRef", request.name ? request.name->str() : ""}});
    return api::CommitResult{id.str()};
  });
}

Result<StreamPtr> ContainerManager::Impl::export_rootfs(const std::string& reference, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see(reference));
  POUCH_RETURN_IF_ERROR(check_is_whole(seen.row));
  POUCH_ASSIGN_OR_RETURN(StreamPtr stream,
                         images.export_rootfs(seen.row.snapshotter, seen.row.snapshot_key, call));
  tell(seen.row, "export");
  return stream;
}

}  // namespace pouch
