#include "core/image/image_prune.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "core/ctrd/leases.h"
#include "core/events/event_log.h"
#include "core/image/image_config.h"
#include "core/image/image_filter.h"
#include "core/image/image_importer.h"
#include "core/image/image_remove.h"
#include "core/image/image_store.h"
#include "core/image/kept_blobs.h"
#include "core/store/database.h"

namespace pouch::image {
namespace {

struct Candidate {
  Digest id;
  std::vector<NameRow> names;
  std::vector<LayerRow> layers;
};

Result<std::vector<Candidate>> find_candidates(EngineContext& context,
                                               const api::ImagePruneOptions& options) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
  FilterMap filters = options.filters.value_or(FilterMap());
  POUCH_ASSIGN_OR_RETURN(const ImageFilter asked, ImageFilter::make(session, filters, kPruneFilters));
  // "false" is all images, not those with a tag only.
  filters.erase("dangling");
  if (asked.dangling().value_or(true)) filters["dangling"] = {"true"};
  POUCH_ASSIGN_OR_RETURN(const ImageFilter filter, ImageFilter::make(session, filters, kPruneFilters));
  POUCH_ASSIGN_OR_RETURN(const std::vector<ImageRow> rows, all_images(session));
  std::vector<Candidate> out;
  for (const ImageRow& row : rows) {
    POUCH_ASSIGN_OR_RETURN(const ImageConfigFacts facts, parse_image_config(row.config_json, {}));
    Candidate candidate{row.id, {}, {}};
    POUCH_ASSIGN_OR_RETURN(candidate.names, names_of(session, row.id));
    if (!filter.admits(row, facts, candidate.names)) continue;
    POUCH_ASSIGN_OR_RETURN(candidate.layers, layers_of(session, row.id));
    out.push_back(std::move(candidate));
  }
  return out;
}

// By name or id, as Moby does it, so that the answer tells the same.
Result<std::vector<api::ImageDeleteItem>> remove_all_names(EngineContext& context, ImageUsers* users,
                                                           const Call& call, const Candidate& candidate) {
  std::vector<std::string> names;
  for (const NameRow& name : candidate.names) names.push_back(name.reference.familiar());
  if (names.empty()) names.push_back(candidate.id.str());
  std::vector<api::ImageDeleteItem> items;
  for (const std::string& name : names) {
    auto removed = remove_by_name(context, users, call, name, /*is_forced=*/false);
    // Somebody needs it since, or it went with the name before.
    if (removed.code() == Code::kConflict || removed.code() == Code::kNotFound) continue;
    if (!removed.is_ok()) return removed.status();
    std::move(removed->begin(), removed->end(), std::back_inserter(items));
  }
  return items;
}

int64_t bytes_of(const std::vector<api::ImageDeleteItem>& items, const Candidate& candidate) {
  int64_t bytes = 0;
  for (const LayerRow& layer : candidate.layers) {
    const bool is_gone = std::any_of(items.begin(), items.end(), [&](const api::ImageDeleteItem& item) {
      return item.deleted == layer.chain_id.str();
    });
    if (is_gone) bytes += layer.size;
  }
  return bytes;
}

// What pulls that failed have left for the next.
Status drop_kept(const EngineContext& context, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(call));
  POUCH_ASSIGN_OR_RETURN(const int count, release_kept(*client, call, /*all=*/true));
  if (count == 0) return {};
  // The end of a lease is how one waits for the collector.
  POUCH_ASSIGN_OR_RETURN(ctrd::HeldLease lease, hold_import_lease(context, client, call));
  return lease.end(call, /*sync=*/true);
}

Status append_prune_event(EngineContext& context, const Call& call, uint64_t reclaimed) {
  if (context.events == nullptr) return {};
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
  events::Event event;
  event.type = "image";
  event.action = "prune";
  event.attributes["reclaimed"] = std::to_string(reclaimed);
  POUCH_RETURN_IF_ERROR(context.events->append(transaction, std::move(event)).status());
  return transaction.commit();
}

}  // namespace

Result<api::ImagePruneResult> prune_images(EngineContext& context, ImageUsers* users, const Call& call,
                                           const api::ImagePruneOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, find_candidates(context, options));
  POUCH_RETURN_IF_ERROR(drop_kept(context, call));
  api::ImagePruneResult result;
  std::vector<api::ImageDeleteItem> deleted;
  for (const Candidate& candidate : candidates) {
    POUCH_RETURN_IF_ERROR(call.check());
    if (users != nullptr) {
      POUCH_ASSIGN_OR_RETURN(const std::vector<ImageUse> uses, users->uses_of_image(candidate.id));
      if (!uses.empty()) continue;
    }
    POUCH_ASSIGN_OR_RETURN(std::vector<api::ImageDeleteItem> items,
                           remove_all_names(context, users, call, candidate));
    result.space_reclaimed += static_cast<uint64_t>(bytes_of(items, candidate));
    std::move(items.begin(), items.end(), std::back_inserter(deleted));
  }
  if (!deleted.empty()) result.images_deleted = std::move(deleted);
  POUCH_RETURN_IF_ERROR(append_prune_event(context, call, result.space_reclaimed));
  return result;
}

}  // namespace pouch::image
