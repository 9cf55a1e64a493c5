#include "core/image/image_remove.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/base/log.h"
#include "core/ctrd/client.h"
#include "core/ctrd/images.h"
#include "core/image/image_config.h"
#include "core/image/image_importer.h"
#include "core/image/image_store.h"
#include "core/image/owed_removals.h"
#include "core/image/progress.h"

namespace pouch::image {
namespace {

constexpr size_t kShortIdChars = 12;

std::string short_container(const ContainerId& id) {
  return id.str().substr(0, kShortIdChars);
}

// Moby counts names as one when there is one tag, and digests only of that tag's repository.
bool is_single_name(const std::vector<NameRow>& names) {
  if (names.size() <= 1) return names.size() == 1;
  const NameRow* tagged = nullptr;
  std::set<std::string> with_digest;
  for (const NameRow& name : names) {
    if (!name.reference.digest().empty()) {
      with_digest.insert(name.reference.repository());
    } else if (tagged == nullptr) {
      tagged = &name;
    } else {
      return false;
    }
  }
  const NameRow& one = tagged == nullptr ? names.front() : *tagged;
  return with_digest.size() == 1 && with_digest.contains(one.reference.repository());
}

/// One removal inside its transaction: decides by Moby's rules, and remembers what containerd must forget.
class Removal {
 public:
  Removal(const EngineContext& context, ImageUsers* users, store::Transaction& transaction, bool is_forced)
      : context_(context), users_(users), transaction_(transaction), is_forced_(is_forced) {}

  Status run(const std::string& name) {
    POUCH_ASSIGN_OR_RETURN(id_, resolve_image(transaction_, name));
    POUCH_RETURN_IF_ERROR(read_facts());
    if (!is_id_prefix(name, id_) && has_row(name)) return by_name(name);
    if (is_single_name(names_)) {
      POUCH_RETURN_IF_ERROR(check_uses());
      POUCH_RETURN_IF_ERROR(untag_all());
    }
    return remove_rest(/*after_untag=*/false);
  }

  Status run_on_name(const Reference& reference) {
    POUCH_ASSIGN_OR_RETURN(const std::optional<Digest> id, find_name(transaction_, reference.str()));
    if (!id) return {};
    id_ = *id;
    POUCH_RETURN_IF_ERROR(read_facts());
    return untag(reference);
  }

  std::vector<api::ImageDeleteItem> items;
  std::vector<std::string> records;  ///< names of containerd's image records that are to go

 private:
  Status read_facts() {
    POUCH_ASSIGN_OR_RETURN(names_, names_of(transaction_, id_));
    if (users_ != nullptr) {
      POUCH_ASSIGN_OR_RETURN(uses_, users_->uses_of_image(id_));
    }
    POUCH_ASSIGN_OR_RETURN(const std::optional<ImageRow> row, find_image(transaction_, id_));
    if (!row) return {};
    const auto facts = parse_image_config(row->config_json, {});
    if (facts.is_ok() && facts->config && facts->config->labels) labels_ = *facts->config->labels;
    return {};
  }

  // What `name` takes away: a digest counts more than a tag beside it.
  static Result<Reference> own_reference(const std::string& name) {
    POUCH_ASSIGN_OR_RETURN(const Reference parsed, Reference::parse(name));
    if (!parsed.digest().empty()) return parsed.with_digest(parsed.digest());
    return parsed.with_default_tag();
  }

  // False for name@digest that stands for the image without a row of its own: like its id then.
  bool has_row(const std::string& name) const {
    const auto reference = own_reference(name);
    return reference.is_ok() &&
           std::ranges::any_of(names_, [&](const NameRow& row) { return row.reference == *reference; });
  }

  Status by_name(const std::string& name) {
    POUCH_ASSIGN_OR_RETURN(const Reference reference, own_reference(name));
    if (!is_forced_ && is_single_name(names_) && !uses_.empty()) {
      return conflict("conflict: unable to remove repository reference \"" + name +
                      "\" (must force) - container " + short_container(uses_.front().container) +
                      " is using its referenced image " + short_id(id_.str()));
    }
    POUCH_RETURN_IF_ERROR(untag(reference));
    if (reference.digest().empty()) POUCH_RETURN_IF_ERROR(untag_lone_digests(reference.repository()));
    if (!names_.empty()) return {};
    return remove_rest(/*after_untag=*/true);
  }

  Status untag(const Reference& reference) {
    POUCH_RETURN_IF_ERROR(remove_name(transaction_, reference));
    std::erase_if(names_, [&](const NameRow& row) { return row.reference == reference; });
    records.push_back(reference.str());
    api::ImageDeleteItem& item = items.emplace_back();
    item.untagged = reference.familiar();
    return append_image_event(context_, transaction_, "untag", id_, id_.str(), labels_);
  }

  // With the last tag of a repository its digests go too.
  Status untag_lone_digests(const std::string& repository) {
    const auto is_of = [&](const NameRow& row) { return row.reference.repository() == repository; };
    const bool has_tag = std::ranges::any_of(
        names_, [&](const NameRow& row) { return is_of(row) && row.reference.digest().empty(); });
    if (has_tag) return {};
    const std::vector<NameRow> before = names_;
    for (const NameRow& row : before) {
      if (is_of(row)) POUCH_RETURN_IF_ERROR(untag(row.reference));
    }
    return {};
  }

  Status untag_all() {
    const std::vector<NameRow> before = names_;
    for (const NameRow& row : before) POUCH_RETURN_IF_ERROR(untag(row.reference));
    return {};
  }

  // The image itself. After its last name went, an image in use stays without a name.
  Status remove_rest(bool after_untag) {
    if (after_untag && !check_uses().is_ok()) return {};
    POUCH_RETURN_IF_ERROR(check_uses());
    if (!is_forced_ && !names_.empty()) {
      return delete_conflict("must be forced", "image is referenced in multiple repositories");
    }
    POUCH_RETURN_IF_ERROR(untag_all());
    POUCH_ASSIGN_OR_RETURN(const std::vector<ChainId> layers, unshared_layers(transaction_, id_));
    POUCH_RETURN_IF_ERROR(remove_image(transaction_, id_));
    records.push_back(id_.str());
    items.emplace_back().deleted = id_.str();
    // A container that stands on the layers keeps them.
    if (uses_.empty()) {
      for (const ChainId& layer : layers) items.emplace_back().deleted = layer.str();
    }
    return append_image_event(context_, transaction_, "delete", id_, id_.str(), labels_);
  }

  // A running container always forbids it, a stopped one unless forced.
  Status check_uses() const {
    for (const ImageUse& use : uses_) {
      if (use.running) {
        return delete_conflict("cannot be forced",
                               "image is being used by running container " + short_container(use.container));
      }
    }
    if (is_forced_ || uses_.empty()) return {};
    return delete_conflict("must be forced", "image is being used by stopped container " +
                                                 short_container(uses_.front().container));
  }

  Status delete_conflict(const std::string& force, const std::string& why) const {
    return conflict("conflict: unable to delete " + short_id(id_.str()) + " (" + force + ") - " + why);
  }

  const EngineContext& context_;
  ImageUsers* users_;
  store::Transaction& transaction_;
  bool is_forced_;
  Digest id_;
  std::vector<NameRow> names_;
  std::vector<ImageUse> uses_;
  ctrd::Labels labels_;
};

}  // namespace

// What the database has forgotten, containerd forgets too; with an image it waits for the garbage collector.
// A name that came back meanwhile keeps its record.
void forget_records(EngineContext& context, const Call& call, const std::vector<std::string>& records) {
  auto client = context.ctrd(call);
  if (!client.is_ok()) {
    log_warning("image", "containerd keeps removed images for now: " + client.status().message());
    for (const std::string& record : records) owe_removal(context, record);
    return;
  }
  for (const std::string& record : records) {
    const bool is_back = [&] {
      auto session = context.db->read();
      if (!session.is_ok()) return false;
      if (is_digest(record)) {
        auto row = find_image(*session, Digest(record));
        return row.is_ok() && row->has_value();
      }
      auto owner = find_name(*session, record);
      return owner.is_ok() && owner->has_value();
    }();
    if (is_back) continue;
    // Only with the image itself, which comes last, does space become free.
    const bool is_image = is_digest(record);
    const Status removed = (*client)->images().remove(call, record, /*sync=*/is_image);
    if (!removed.is_ok() && removed.code() != Code::kNotFound) {
      log_warning("image", "containerd keeps a removed image for now: " + removed.message(), record);
      owe_removal(context, record);
    }
  }
}

Result<std::vector<std::string>> remove_name_alone(EngineContext& context, store::Transaction& transaction,
                                                   const Reference& reference) {
  Removal removal(context, nullptr, transaction, false);
  POUCH_RETURN_IF_ERROR(removal.run_on_name(reference));
  return std::move(removal.records);
}

Result<std::vector<std::string>> remove_unused_image(EngineContext& context, ImageUsers* users,
                                                     store::Transaction& transaction, const Digest& id) {
  Removal removal(context, users, transaction, false);
  POUCH_RETURN_IF_ERROR(removal.run(id.str()));
  return std::move(removal.records);
}

Result<std::vector<api::ImageDeleteItem>> remove_by_name(EngineContext& context, ImageUsers* users,
                                                         const Call& call, const std::string& name,
                                                         bool is_forced) {
  std::vector<api::ImageDeleteItem> items;
  std::vector<std::string> records;
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, context.db->begin(store::Durability::kKept, call));
    Removal removal(context, users, transaction, is_forced);
    POUCH_RETURN_IF_ERROR(removal.run(name));
    POUCH_RETURN_IF_ERROR(transaction.commit());
    items = std::move(removal.items);
    records = std::move(removal.records);
  }
  forget_records(context, settled(call), records);
  return items;
}

}  // namespace pouch::image
