#include "core/container/freeze.h"

#include <string>
#include <utility>
#include <vector>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/ctrd/client.h"
#include "core/ctrd/tasks.h"
#include "core/store/database.h"

namespace pouch::container {
namespace {

constexpr const char* kKind = "container.frozen";
constexpr int64_t kStepMs = 30'000;
constexpr int64_t kLookMs = 20;
constexpr int64_t kThawMs = 10'000;  // in which a containerd that is started again is back

struct Frozen {
  std::string key;
  std::string owner;
};

Call own_call() {
  Call call;
  call.deadline = Deadline::after_ms(kStepMs);
  return call;
}

// False: another one stands on it.
Result<bool> note(EngineContext& context, const Call& call, const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, call));
  POUCH_ASSIGN_OR_RETURN(store::Statement row,
                         transaction.prepare("SELECT 1 FROM intents WHERE kind = ? AND key = ?"));
  row.bind(kKind, id);
  POUCH_ASSIGN_OR_RETURN(const bool is_taken, row.step());
  if (is_taken) return false;
  POUCH_RETURN_IF_ERROR(
      transaction
          .run("INSERT INTO intents (kind, key, owner_token, created_ns) VALUES (?, ?, ?, ?)", kKind, id,
               context.owner_token, Timestamp::now())
          .status());
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return true;
}

Status forget(EngineContext& context, const std::string& key) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call()));
  POUCH_RETURN_IF_ERROR(
      transaction.run("DELETE FROM intents WHERE kind = ? AND key = ?", kKind, key).status());
  return transaction.commit();
}

// What has ended, or goes on already, is as it should be.
Status thaw(EngineContext& context, const ctrd::Client& client, const std::string& key) {
  const Call call = own_call();
  const Status resumed = client.tasks().resume(call, ContainerId(key));
  if (resumed.is_ok()) return forget(context, key);
  const auto info = client.tasks().get(call, ContainerId(key));
  if (info.is_ok() && info->status == ctrd::TaskStatus::kPaused) return resumed;
  if (!info.is_ok() && info.code() != Code::kNotFound) return info.status();
  return forget(context, key);
}

}  // namespace

Result<Freeze> Freeze::begin(EngineContext& context, const Call& call, const ContainerId& id,
                             const IsOrphan& is_orphan) {
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool is_ours, note(context, call, id));
    if (is_ours) break;
    POUCH_RETURN_IF_ERROR(thaw_left(context, call, is_orphan));
    POUCH_RETURN_IF_ERROR(pause(call, kLookMs));
  }
  const Call step = own_call();
  const auto client = context.ctrd(step);
  if (!client.is_ok()) {
    forget(context, id.str()).ignore();  // else whoever comes next does it
    return client.status();
  }
  Freeze freeze(context, *client, id);
  const Status paused = (*client)->tasks().pause(step, id);
  if (paused.code() == Code::kNotFound) return conflict("container " + id.str() + " has ended");
  if (!paused.is_ok()) return paused.prefix("pause container " + id.str());
  return freeze;
}

Freeze::Freeze(Freeze&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)),
      client_(std::move(other.client_)),
      id_(std::move(other.id_)) {}

namespace {

// It is nobody's now, and so everybody's to thaw.
Status disown(EngineContext& context, const std::string& key) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context.db->begin(store::Durability::kBootScoped, own_call()));
  POUCH_RETURN_IF_ERROR(
      transaction.run("UPDATE intents SET owner_token = '' WHERE kind = ? AND key = ?", kKind, key).status());
  return transaction.commit();
}

}  // namespace

// The one exception that clang-tidy sees is that of a Result which has no value; it is looked at before.
Freeze::~Freeze() {  // NOLINT(bugprone-exception-escape)
  if (context_ == nullptr) return;
  Call patient = own_call();
  patient.deadline = Deadline::after_ms(kThawMs);
  Status thawed = thaw(*context_, *client_, id_.str());
  while (!thawed.is_ok() && pause(patient, kLookMs).is_ok()) {
    const auto client = context_->ctrd(patient);
    if (client.is_ok()) thawed = thaw(*context_, **client, id_.str());
  }
  if (thawed.is_ok()) return;
  log_error("container", "let it go on after a commit: " + thawed.message(), id_.str());
  disown(*context_, id_.str()).ignore();  // whoever comes next tries again
}

Status thaw_left(EngineContext& context, const Call& call, const IsOrphan& is_orphan) {
  std::vector<std::string> left;
  {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot session, context.db->read());
    POUCH_ASSIGN_OR_RETURN(store::Statement rows,
                           session.prepare("SELECT key, owner_token FROM intents WHERE kind = ?"));
    rows.bind(kKind);
    while (true) {
      POUCH_ASSIGN_OR_RETURN(const bool found, rows.step());
      if (!found) break;
      if (is_orphan(rows.text(1))) left.push_back(rows.text(0));
    }
  }
  if (left.empty()) return {};
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> client, context.ctrd(own_call()));
  for (const std::string& key : left) {
    POUCH_RETURN_IF_ERROR(call.check());
    POUCH_RETURN_IF_ERROR(thaw(context, *client, key));
  }
  return {};
}

}  // namespace pouch::container
