#include "core/image/image_records.h"

#include <map>
#include <optional>
#include <string>

#include "core/base/log.h"
#include "core/ctrd/images.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/owed_removals.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

using Targets = std::map<std::string, std::optional<ctrd::Descriptor>>;

// By the names of the records; none: there should be no record.
Result<Targets> targets_of(const EngineContext& context, const Digest& id,
                           const std::vector<Reference>& names) {
  Targets targets;
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  const auto look_up = [&](const std::string& record, const std::optional<Digest>& owner) -> Status {
    std::optional<ctrd::Descriptor>& target = targets[record];
    if (!owner) return {};
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(session, *owner));
    if (row) target = row->manifest;
    return {};
  };
  POUCH_RETURN_IF_ERROR(look_up(id.str(), id));
  for (const Reference& name : names) {
    POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> owner, find_name(session, name.str()));
    POUCH_RETURN_IF_ERROR(look_up(name.str(), owner));
  }
  return targets;
}

}  // namespace

void match_records(const EngineContext& context, const ctrd::Client& client, const Call& call,
                   const Digest& id, const std::vector<Reference>& names) {
  const auto targets = targets_of(context, id, names);
  if (!targets.is_ok()) {
    log_warning("image", "match containerd's records: " + targets.status().message());
    return;
  }
  for (const auto& [name, target] : *targets) {
    if (target) {
      const Status put = client.images().put(call, image_record(context, name, *target)).status();
      if (!put.is_ok()) log_warning("image", "match a record of containerd: " + put.message(), name);
    } else {
      const Status removed = client.images().remove(call, name, false);
      if (!removed.is_ok() && removed.code() != Code::kNotFound) owe_removal(context, name);
    }
  }
}

}  // namespace pouch::image
