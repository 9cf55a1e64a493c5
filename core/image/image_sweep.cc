#include "core/image/image_sweep.h"

#include <optional>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/ctrd/images.h"
#include "core/ctrd/leases.h"
#include "core/image/gzip_layers.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/owed_removals.h"

namespace pouch::image {
namespace {

bool is_left_behind(const EngineContext& context, const ctrd::Labels& labels) {
  const auto owner = labels.find(kOwnerLabel);
  return owner != labels.end() && !context.is_owner_alive(owner->second);
}

Status sweep_leases(const EngineContext& context, const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::Lease> leases, client.leases().list(call));
  for (const ctrd::Lease& lease : leases) {
    const auto purpose = lease.labels.find(kPurposeLabel);
    if (purpose == lease.labels.end() || purpose->second != kPurpose) continue;
    const auto owner = lease.labels.find(kOwnerLabel);
    // Ours that could not be deleted when its import had ended.
    const bool is_lost = owner != lease.labels.end() && owner->second == context.owner_token &&
                         !ctrd::HeldLease::is_held(lease.id);
    if (!is_lost && !is_left_behind(context, lease.labels)) continue;
    const Status removed = client.leases().remove(call, lease.id, /*sync=*/true);
    if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
  }
  return {};
}

Result<bool> is_known(const EngineContext& context, const std::string& record) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  if (is_digest(record)) {
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, Digest(record)));
    return row.has_value();
  }
  POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> owner, find_name(session, record));
  return owner.has_value();
}

// Before the leases go, which may be all that keeps the manifest that the database names.
Status sweep_changes(const EngineContext& context, const ctrd::Client& client, const Call& call,
                     const std::vector<ctrd::ImageRecord>& records) {
  for (const ctrd::ImageRecord& record : records) {
    if (!is_left_behind(context, record.labels)) continue;
    POUCH_RETURN_IF_ERROR(settle_change(context, client, call, record));
  }
  return {};
}

Status sweep_records(const EngineContext& context, const ctrd::Client& client, const Call& call,
                     const std::vector<ctrd::ImageRecord>& records) {
  for (const ctrd::ImageRecord& record : records) {
    // Records of the living may belong to an import that is not committed yet.
    const bool is_owed = is_removal_owed(context, record.name);
    if (!is_owed && !is_left_behind(context, record.labels)) continue;
    POUCH_ASSIGN_OR_RETURN(const bool known, is_known(context, record.name));
    if (!known) {
      const Status removed = client.images().remove(call, record.name, /*sync=*/false);
      if (!removed.is_ok() && removed.code() != Code::kNotFound) return removed;
    }
    if (is_owed) settle_removal(context, record.name);
  }
  return {};
}

Status sweep(const EngineContext& context, const ctrd::Client& client, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<ctrd::ImageRecord> records, client.images().list(call));
  POUCH_RETURN_IF_ERROR(sweep_changes(context, client, call, records));
  POUCH_RETURN_IF_ERROR(sweep_leases(context, client, call));
  return sweep_records(context, client, call, records);
}

}  // namespace

Status sweep_left_behind(const EngineContext& context, const std::shared_ptr<ctrd::Client>& client,
                         const Call& call) {
  if (!context.is_owner_alive) return {};
  Status swept = sweep(context, *client, call);
  if (!swept.is_ok()) log_warning("image", "sweep of what dead engines left: " + swept.message());
  return swept;
}

}  // namespace pouch::image
