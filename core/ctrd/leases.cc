#include "core/ctrd/leases.h"

#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "leases.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::leases::v1;

constexpr int64_t kCreateMs = 10'000;
constexpr int kEndTries = 3;
constexpr int64_t kPauseMs = 100;
constexpr int64_t kLastEndMs = 5'000;  // containerd may be about to come back

struct HeldIds {
  std::mutex mutex;
  std::set<std::string> ids;
  bool has_lost = false;
};

// Never destroyed: a host may exit with imports under way.
HeldIds& held_ids() {
  static HeldIds* const held = std::make_unique<HeldIds>().release();
  return *held;
}

Lease lease_from(const pb::Lease& message) {
  return {.id = message.id(),
          .created_at = timestamp_from(message.created_at()),
          .labels = labels_from(message.labels())};
}

}  // namespace

Result<Lease> Leases::create(const Call& call, const std::string& id, Duration life,
                             const Labels& labels) const {
  pb::CreateRequest request;
  request.set_id(id.empty() ? "pouch-" + random_hex(16) : id);
  fill_labels(labels, *request.mutable_labels());
  if (life.ns > 0) {
    const Timestamp expiry{.ns = Timestamp::now().ns + life.ns};
    (*request.mutable_labels())["containerd.io/gc.expire"] = expiry.to_rfc3339();
  }
  pb::CreateResponse response;
  const Rpc rpc{.path = "/containerd.services.leases.v1.Leases/Create",
                .name = "leases.create",
                .object = request.id()};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return lease_from(response.lease());
}

Status Leases::remove(const Call& call, const std::string& id, bool sync) const {
  pb::DeleteRequest request;
  request.set_id(id);
  request.set_sync(sync);
  const Rpc rpc{.path = "/containerd.services.leases.v1.Leases/Delete",
                .name = "leases.delete",
                .object = id,
                .default_ms = sync ? 60'000 : 10'000};
  return transport().unary(call, rpc, request);
}

Result<std::vector<Lease>> Leases::list(const Call& call, const Filters& filters) const {
  pb::ListRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListResponse response;
  const Rpc rpc{.path = "/containerd.services.leases.v1.Leases/List", .name = "leases.list"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<Lease> leases;
  for (const pb::Lease& message : response.leases()) leases.push_back(lease_from(message));
  return leases;
}

Result<HeldLease> HeldLease::create(const Call& call, const std::shared_ptr<Client>& client, Duration life,
                                    const Labels& labels) {
  // The id is ours and nothing interrupts the call: a lease that nobody knows of would stay for its life.
  Call whole;
  whole.deadline = Deadline::after_ms(kCreateMs);
  whole.request_id = call.request_id;
  POUCH_RETURN_IF_ERROR(call.check());
  const std::string id = "pouch-" + random_hex(16);
  {
    HeldIds& held = held_ids();
    const std::lock_guard lock(held.mutex);
    held.ids.insert(id);
  }
  const Status created = client->leases().create(whole, id, life, labels).status();
  HeldLease lease(client->with_lease(id));  // ended below if the answer was lost
  POUCH_RETURN_IF_ERROR(created);
  POUCH_RETURN_IF_ERROR(call.check());
  return lease;
}

HeldLease::~HeldLease() {
  if (!client_) return;
  const Call call{.deadline = Deadline::after_ms(kLastEndMs), .cancel = nullptr, .request_id = {}};
  const Status status = end(call, false, kLastEndMs / kPauseMs);
  if (!status.is_ok() && status.code() != Code::kForked) {
    log_warning("ctrd", "lease left to its expiry: " + status.message());
  }
}

bool HeldLease::is_held(const std::string& id) {
  HeldIds& held = held_ids();
  const std::lock_guard lock(held.mutex);
  return held.ids.contains(id);
}

bool HeldLease::has_lost() {
  HeldIds& held = held_ids();
  const std::lock_guard lock(held.mutex);
  return held.has_lost;
}

Status HeldLease::end(const Call& call, bool sync) {
  return end(call, sync, kEndTries);
}

Status HeldLease::end(const Call& call, bool sync, int64_t tries) {
  const std::shared_ptr<Client> client = std::exchange(client_, nullptr);
  if (!client) return {};
  Status status = unavailable("not tried");
  const ScopeGuard forget([id = client->lease_id(), &status] {
    HeldIds& held = held_ids();
    const std::lock_guard lock(held.mutex);
    held.ids.erase(id);
    held.has_lost = held.has_lost ||
                    (!status.is_ok() && status.code() != Code::kNotFound && status.code() != Code::kForked);
  });
  const std::shared_ptr<Client> plain = client->with_namespace(client->ns());
  status = plain->leases().remove(call, client->lease_id(), sync);
  const auto is_over = [&] {
    return status.is_ok() || status.code() == Code::kNotFound || status.code() == Code::kForked;
  };
  for (int64_t i = 1; i < tries && !is_over() && pause(call, kPauseMs).is_ok(); ++i) {
    status = plain->leases().remove(call, client->lease_id(), sync);
  }
  return status.code() == Code::kNotFound ? Status() : status;  // expired meanwhile
}

}  // namespace pouch::ctrd
