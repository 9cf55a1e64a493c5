#include "core/cni/runtime.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/cni/cache.h"
#include "core/cni/order.h"
#include "core/cni/plugins.h"
#include "core/cni/version.h"

namespace pouch::cni {
namespace {

constexpr int64_t kUndoPatienceMs = 30'000;
// The versions that brought what is not said or asked before.
constexpr const char* kKeptResults = "0.4.0";  // CHECK, and DEL with the result
constexpr const char* kGcAndStatus = "1.1.0";

AttachmentKey key_of(const Attachment& attachment) {
  return {attachment.container_id, attachment.ifname};
}

Status check_names(const std::string& network, const Attachment& attachment) {
  if (!is_valid_name(network))
    return invalid_argument("CNI: " + quote(network) + " cannot be a network's name");
  return check_attachment(attachment);
}

Status check_living(const std::string& network, const Attachment& attachment) {
  POUCH_RETURN_IF_ERROR(check_names(network, attachment));
  if (attachment.netns.empty()) return invalid_argument("CNI: an attachment without a network namespace");
  return {};
}

Result<Outcome> parse_answer(const std::string& type, const std::string& answer, const std::string& version) {
  const Result<Json> document = parse_json(answer);
  Result<Outcome> outcome = document.is_ok() ? parse_outcome(*document, version) : document.status();
  // Whatever the plugin wrote, it is not the caller's mistake.
  if (!outcome.is_ok()) return internal_error(type + ": ADD: " + outcome.status().message());
  return outcome;
}

// All in reverse; with `goes_on` also after errors, of which the first is told.
Status del_each(const Order& order, const Outcome* outcome, bool goes_on) {
  Status first;
  for (size_t i = order.size(); i-- > 0;) {
    const bool can_know = is_at_least(order.version(i), kKeptResults);
    const Status status =
        with_faults("cni.del", [&] { return order.run(i, "DEL", can_know ? outcome : nullptr).status(); });
    if (status.is_ok()) continue;
    if (!goes_on) return status;
    if (first.is_ok()) first = status;
  }
  return first;
}

// The list as it was when the container was attached, else as it is now.
Result<NetworkList> list_of(const CachedAttachment* cached, const NetworkList* given) {
  if (cached == nullptr) return *given;
  Result<NetworkList> kept = parse_list(cached->list_text, "");
  if (kept.is_ok()) return kept;
  return given != nullptr ? Result<NetworkList>(*given) : kept.status().prefix("CNI cache");
}

// What the call leaves out the cache knows.
Attachment completed(Attachment attachment, const CachedAttachment& cached) {
  if (attachment.args.empty()) attachment.args = cached.attachment.args;
  if (attachment.capabilities.empty()) attachment.capabilities = cached.attachment.capabilities;
  return attachment;
}

Json valid_attachments(const std::vector<AttachmentKey>& valid) {
  Json list = json_array();
  for (const AttachmentKey& key : valid) {
    Json item = json_object();
    item["containerID"] = key.first;
    item["ifname"] = key.second;
    list.append(std::move(item));
  }
  Json more = json_object();
  more["cni.dev/valid-attachments"] = list;
  more["cni.dev/attachments"] =
      std::move(list);  // as the specification had it at first, and plugins still do
  return more;
}

}  // namespace

Runtime::Runtime(std::vector<std::string> plugin_folders, std::string cache_folder)
    : plugins_(std::make_unique<Plugins>(std::move(plugin_folders))),
      cache_(std::make_unique<Cache>(std::move(cache_folder))) {}

Runtime::~Runtime() = default;

Result<Outcome> Runtime::add(const NetworkList& list, const Attachment& attachment, const Call& call) {
  POUCH_RETURN_IF_ERROR(check_living(list.name, attachment));
  Outcome outcome;
  bool has_begun = false;
  const Status status = add_each(list, attachment, call, outcome, has_begun);
  if (status.is_ok()) return outcome;
  if (has_begun) undo(list, attachment, outcome);
  return status;
}

Status Runtime::add_each(const NetworkList& list, const Attachment& attachment, const Call& call,
                         Outcome& outcome, bool& has_begun) const {
  POUCH_ASSIGN_OR_RETURN(const auto before, cache_->read(list.name, key_of(attachment)));
  if (before) {
    return Status(Code::kAlreadyExists, "CNI: " + quote(attachment.container_id) + " has not left " +
                                            quote(list.name) + " with " + quote(attachment.ifname));
  }
  POUCH_ASSIGN_OR_RETURN(const Order order, Order::prepare(*plugins_, list, &attachment, call));
  POUCH_RETURN_IF_ERROR(cache_->write(list, attachment, nullptr));
  has_begun = true;
  for (size_t i = 0; i < order.size(); ++i) {
    POUCH_RETURN_IF_ERROR(with_faults("cni.add", [&]() -> Status {
      POUCH_ASSIGN_OR_RETURN(const std::string answer, order.run(i, "ADD", i == 0 ? nullptr : &outcome));
      POUCH_ASSIGN_OR_RETURN(outcome, parse_answer(order.type(i), answer, order.version(i)));
      return {};
    }));
  }
  return cache_->write(list, attachment, &outcome);
}

void Runtime::undo(const NetworkList& list, const Attachment& attachment, const Outcome& outcome) const {
  const Call call = {.deadline = Deadline::after_ms(kUndoPatienceMs), .cancel = nullptr, .request_id = {}};
  const bool has_result = !outcome.document.empty();
  const auto undo_all = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const Order order, Order::prepare(*plugins_, list, &attachment, call));
    POUCH_RETURN_IF_ERROR(del_each(order, has_result ? &outcome : nullptr, true));
    return cache_->remove(list.name, key_of(attachment));
  };
  const Status status = undo_all();
  if (status.is_ok()) return;
  // The entry is still there: a later DEL or GC tries again.
  log_warning("cni", "undo the attachment to " + quote(list.name) + ": " + status.message(),
              attachment.container_id);
}

Status Runtime::del(const std::string& network, const Attachment& attachment, const Call& call) {
  return del_known(network, nullptr, attachment, call);
}

Status Runtime::del(const NetworkList& list, const Attachment& attachment, const Call& call) {
  return del_known(list.name, &list, attachment, call);
}

Status Runtime::del_known(const std::string& network, const NetworkList* given, const Attachment& attachment,
                          const Call& call) const {
  POUCH_RETURN_IF_ERROR(check_names(network, attachment));
  Result<std::optional<CachedAttachment>> entry = cache_->read(network, key_of(attachment));
  // With a list at hand a damaged entry is as good as none.
  if (!entry.is_ok() && given == nullptr) return entry.status();
  const CachedAttachment* const cached = entry.is_ok() && *entry ? &**entry : nullptr;
  if (cached == nullptr && given == nullptr) return {};
  POUCH_ASSIGN_OR_RETURN(const NetworkList list, list_of(cached, given));
  const Attachment whole = cached != nullptr ? completed(attachment, *cached) : attachment;
  POUCH_ASSIGN_OR_RETURN(const Order order, Order::prepare(*plugins_, list, &whole, call));
  const bool has_result = cached != nullptr && cached->is_complete;
  POUCH_RETURN_IF_ERROR(del_each(order, has_result ? &cached->outcome : nullptr, false));
  return cache_->remove(network, key_of(attachment));
}

Status Runtime::check(const NetworkList& list, const Attachment& attachment, const Call& call) {
  POUCH_RETURN_IF_ERROR(check_living(list.name, attachment));
  if (list.disable_check || !is_at_least(list.cni_version, kKeptResults)) return {};
  POUCH_ASSIGN_OR_RETURN(const auto cached, cache_->read(list.name, key_of(attachment)));
  if (!cached || !cached->is_complete) {
    return not_found("CNI: no result of an attachment of " + quote(attachment.container_id) + " to " +
                     quote(list.name));
  }
  const Attachment whole = completed(attachment, *cached);
  POUCH_ASSIGN_OR_RETURN(const Order order, Order::prepare(*plugins_, list, &whole, call));
  for (size_t i = 0; i < order.size(); ++i) {
    if (!is_at_least(order.version(i), kKeptResults)) continue;
    POUCH_RETURN_IF_ERROR(
        with_faults("cni.check", [&] { return order.run(i, "CHECK", &cached->outcome).status(); }));
  }
  return {};
}

Status Runtime::end_invalid(const std::string& network, const std::vector<AttachmentKey>& valid,
                            const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const std::vector<CachedAttachment> known, cache_->list(network));
  Status first;
  for (const CachedAttachment& cached : known) {
    if (std::find(valid.begin(), valid.end(), key_of(cached.attachment)) != valid.end()) continue;
    const Status status = del(network, cached.attachment, call);
    if (first.is_ok()) first = status;
  }
  return first;
}

Status Runtime::gc(const NetworkList& list, const std::vector<AttachmentKey>& valid, const Call& call) {
  if (list.disable_gc) return {};
  Status first = end_invalid(list.name, valid, call);
  if (!is_at_least(list.cni_version, kGcAndStatus)) return first;
  const Result<Order> order = Order::prepare(*plugins_, list, nullptr, call);
  if (!order.is_ok()) return first.is_ok() ? order.status() : first;
  const Json more = valid_attachments(valid);
  for (size_t i = 0; i < order->size(); ++i) {
    if (!is_at_least(order->version(i), kGcAndStatus)) continue;
    const Status status = with_faults("cni.gc", [&] { return order->run(i, "GC", nullptr, more).status(); });
    if (first.is_ok()) first = status;
  }
  return first;
}

Status Runtime::status(const NetworkList& list, const Call& call) {
  if (!is_at_least(list.cni_version, kGcAndStatus)) {
    for (const Json& plugin : list.plugins) {
      POUCH_RETURN_IF_ERROR(plugins_->find(plugin["type"].asString()).status());
    }
    return {};
  }
  POUCH_ASSIGN_OR_RETURN(const Order order, Order::prepare(*plugins_, list, nullptr, call));
  for (size_t i = 0; i < order.size(); ++i) {
    if (!is_at_least(order.version(i), kGcAndStatus)) continue;
    POUCH_RETURN_IF_ERROR(
        with_faults("cni.status", [&] { return order.run(i, "STATUS", nullptr).status(); }));
  }
  return {};
}

Result<std::vector<CachedAttachment>> Runtime::cached(const std::string& network) const {
  return cache_->list(network);
}

}  // namespace pouch::cni
