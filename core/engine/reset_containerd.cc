#include "core/engine/reset_containerd.h"

#include <signal.h>

#include "core/ctrd/containers.h"
#include "core/ctrd/content.h"
#include "core/ctrd/images.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/namespaces.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"

namespace pouch {
namespace {

constexpr Duration kCollectLease{60'000'000'000};  // should nobody remove it

// What another removed meanwhile, the garbage collector for one, is gone as well.
Status gone(const Status& status) {
  return status.code() == Code::kNotFound ? Status() : status;
}

// What containers that the engine knows did not cover.
Status remove_tasks(const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto tasks, client.tasks().list(call));
  for (const ctrd::TaskInfo& task : tasks) {
    client.tasks().kill(call, task.id, {}, SIGKILL, true).ignore();
    client.tasks().wait(call, task.id).status().ignore();
    POUCH_RETURN_IF_ERROR(gone(client.tasks().remove(call, task.id).status()));
  }
  POUCH_ASSIGN_OR_RETURN(const auto containers, client.containers().list(call));
  for (const auto& container : containers) {
    POUCH_RETURN_IF_ERROR(gone(client.containers().remove(call, container.id)));
  }
  return {};
}

// Has the garbage collector run: a lease that ends is its cue.
Status collect(const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const ctrd::Lease lease,
                         client.leases().create(call, {}, kCollectLease, {{"pouch.reset", "1"}}));
  return gone(client.leases().remove(call, lease.id, true));
}

Status remove_images(const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto images, client.images().list(call));
  for (const ctrd::ImageRecord& image : images) {
    POUCH_RETURN_IF_ERROR(gone(client.images().remove(call, image.name, false)));
  }
  return {};
}

// Children first; which those are is only told by their parents' refusal. A parent whose child was taken by
// the garbage collector refuses for ever (containerd 1.6 keeps the child in its list), and is the collector's
// too.
Status remove_snapshots(const ctrd::Client& client, const std::string& snapshotter, const Call& call) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const auto snapshots, client.snapshots().list(call, snapshotter));
    size_t removed = 0;
    Status last;
    for (const ctrd::SnapshotInfo& snapshot : snapshots) {
      last = gone(client.snapshots().remove(call, snapshotter, snapshot.name));
      if (last.is_ok()) ++removed;
    }
    if (removed == snapshots.size()) return {};
    if (removed > 0) continue;
    POUCH_RETURN_IF_ERROR(collect(client, call));
    POUCH_ASSIGN_OR_RETURN(const auto left, client.snapshots().list(call, snapshotter));
    if (left.size() == snapshots.size()) return last;
  }
}

Status remove_content(const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const auto ingests, client.content().list_ingests(call));
  for (const ctrd::IngestStatus& ingest : ingests) {
    POUCH_RETURN_IF_ERROR(gone(client.content().abort(call, ingest.ref)));
  }
  POUCH_ASSIGN_OR_RETURN(const auto blobs, client.content().list(call));
  for (const ctrd::ContentInfo& blob : blobs) {
    POUCH_RETURN_IF_ERROR(gone(client.content().remove(call, blob.digest)));
  }
  return {};
}

}  // namespace

Status empty_namespace(const ctrd::Client& client, const std::string& snapshotter, const Call& call) {
  POUCH_RETURN_IF_ERROR(remove_tasks(client, call));
  POUCH_ASSIGN_OR_RETURN(const auto leases, client.leases().list(call));
  for (const ctrd::Lease& lease : leases) {
    POUCH_RETURN_IF_ERROR(gone(client.leases().remove(call, lease.id, false)));
  }
  POUCH_RETURN_IF_ERROR(remove_images(client, call));
  POUCH_RETURN_IF_ERROR(remove_snapshots(client, snapshotter, call));
  POUCH_RETURN_IF_ERROR(remove_content(client, call));
  return gone(client.namespaces().remove(call, client.ns()));
}

}  // namespace pouch
