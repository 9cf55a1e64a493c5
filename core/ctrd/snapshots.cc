#include "core/ctrd/snapshots.h"

#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "snapshots.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::snapshots::v1;

// Removing a large layer with gc in between, or committing on a slow disk.
constexpr int64_t kSlowMs = 60'000;

SnapshotInfo info_from(const pb::Info& message) {
  const int kind = message.kind();
  return {.name = message.name(),
          .parent = message.parent(),
          .kind = kind >= 0 && kind <= 3 ? static_cast<SnapshotKind>(kind) : SnapshotKind::kUnknown,
          .created_at = timestamp_from(message.created_at()),
          .updated_at = timestamp_from(message.updated_at()),
          .labels = labels_from(message.labels())};
}

template <class Request>
Request keyed(const std::string& snapshotter, const std::string& key) {
  Request request;
  request.set_snapshotter(snapshotter);
  request.set_key(key);
  return request;
}

}  // namespace

Result<std::vector<Mount>> Snapshots::prepare(const Call& call, const std::string& snapshotter,
                                              const std::string& key, const std::string& parent,
                                              const Labels& labels) const {
  auto request = keyed<pb::PrepareSnapshotRequest>(snapshotter, key);
  request.set_parent(parent);
  fill_labels(labels, *request.mutable_labels());
  pb::PrepareSnapshotResponse response;
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Prepare",
                .name = "snapshots.prepare",
                .object = key};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return mounts_from(response.mounts());
}

Result<std::vector<Mount>> Snapshots::view(const Call& call, const std::string& snapshotter,
                                           const std::string& key, const std::string& parent,
                                           const Labels& labels) const {
  auto request = keyed<pb::ViewSnapshotRequest>(snapshotter, key);
  request.set_parent(parent);
  fill_labels(labels, *request.mutable_labels());
  pb::ViewSnapshotResponse response;
  const Rpc rpc{
      .path = "/containerd.services.snapshots.v1.Snapshots/View", .name = "snapshots.view", .object = key};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return mounts_from(response.mounts());
}

Result<std::vector<Mount>> Snapshots::mounts(const Call& call, const std::string& snapshotter,
                                             const std::string& key) const {
  const auto request = keyed<pb::MountsRequest>(snapshotter, key);
  pb::MountsResponse response;
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Mounts",
                .name = "snapshots.mounts",
                .object = key};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return mounts_from(response.mounts());
}

Status Snapshots::commit(const Call& call, const std::string& snapshotter, const std::string& name,
                         const std::string& key, const Labels& labels) const {
  auto request = keyed<pb::CommitSnapshotRequest>(snapshotter, key);
  request.set_name(name);
  fill_labels(labels, *request.mutable_labels());
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Commit",
                .name = "snapshots.commit",
                .object = name,
                .default_ms = kSlowMs};
  return transport().unary(call, rpc, request);
}

Status Snapshots::remove(const Call& call, const std::string& snapshotter, const std::string& key) const {
  const auto request = keyed<pb::RemoveSnapshotRequest>(snapshotter, key);
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Remove",
                .name = "snapshots.remove",
                .object = key,
                .default_ms = kSlowMs};
  return transport().unary(call, rpc, request);
}

Result<SnapshotInfo> Snapshots::stat(const Call& call, const std::string& snapshotter,
                                     const std::string& key) const {
  const auto request = keyed<pb::StatSnapshotRequest>(snapshotter, key);
  pb::StatSnapshotResponse response;
  const Rpc rpc{
      .path = "/containerd.services.snapshots.v1.Snapshots/Stat", .name = "snapshots.stat", .object = key};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return info_from(response.info());
}

Result<std::vector<SnapshotInfo>> Snapshots::list(const Call& call, const std::string& snapshotter,
                                                  const Filters& filters) const {
  pb::ListSnapshotsRequest request;
  request.set_snapshotter(snapshotter);
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListSnapshotsResponse response;
  std::vector<SnapshotInfo> infos;
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/List",
                .name = "snapshots.list",
                .object = snapshotter};
  POUCH_RETURN_IF_ERROR(transport().server_stream(call, rpc, request, response, [&] {
    for (const pb::Info& message : response.info()) infos.push_back(info_from(message));
    return Status();
  }));
  return infos;
}

Result<SnapshotUsage> Snapshots::usage(const Call& call, const std::string& snapshotter,
                                       const std::string& key) const {
  const auto request = keyed<pb::UsageRequest>(snapshotter, key);
  pb::UsageResponse response;
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Usage",
                .name = "snapshots.usage",
                .object = key,
                .default_ms = kSlowMs};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return SnapshotUsage{.size = response.size(), .inodes = response.inodes()};
}

Result<SnapshotInfo> Snapshots::update_labels(const Call& call, const std::string& snapshotter,
                                              const std::string& key, const Labels& labels) const {
  if (labels.empty()) return stat(call, snapshotter, key);  // an empty mask would replace all labels
  pb::UpdateSnapshotRequest request;
  request.set_snapshotter(snapshotter);
  request.mutable_info()->set_name(key);
  fill_labels(labels, *request.mutable_info()->mutable_labels());
  mask_labels(labels, *request.mutable_update_mask());
  pb::UpdateSnapshotResponse response;
  const Rpc rpc{.path = "/containerd.services.snapshots.v1.Snapshots/Update",
                .name = "snapshots.update",
                .object = key};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return info_from(response.info());
}

}  // namespace pouch::ctrd
