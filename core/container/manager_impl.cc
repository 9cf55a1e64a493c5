#include "core/container/manager_impl.h"

#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/container/exit_watch.h"
#include "core/container/host_facts.h"

namespace pouch {

using container::Attributes;
using container::ContainerRow;
using container::SeenContainer;
namespace state = container::state;

namespace {

constexpr size_t kMaxWaiters = 512;
constexpr size_t kMaxStreams = 4096;

}  // namespace

ContainerManager::Impl::Impl(EngineContext& engine, ImageLookup& lookup, ContainerNetworks& its_networks,
                             ContainerVolumes& its_volumes)
    : context(engine),
      images(lookup),
      networks(its_networks),
      volumes(its_volumes),
      waiters(std::make_unique<Executor>(kMaxWaiters)),
      streams(std::make_unique<Executor>(kMaxStreams)) {}

ContainerManager::Impl::~Impl() {
  exit_watch.reset();
  closing->fire();
  std::map<container::ProcessKey, ctrd::WaitHandle> handles;
  {
    const std::lock_guard lock(mutex);
    closed = true;
    handles.swap(waits);
  }
  handles.clear();  // outside the lock, which the callbacks take
  closers->close_all();
  inflight.wait_idle();
  task_remover.close();
  streams.reset();
  waiters.reset();
}

Result<SeenContainer> ContainerManager::Impl::see(const std::string& reference) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
  SeenContainer seen;
  POUCH_ASSIGN_OR_RETURN(seen.row, container::find_container(snapshot, reference));
  if (seen.row.state == state::kCreating) return not_found("No such container: " + reference);
  POUCH_ASSIGN_OR_RETURN(seen.seq, events::EventLog::last_seq(snapshot));
  return seen;
}

Result<std::optional<ContainerRow>> ContainerManager::Impl::load(const ContainerId& id) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
  return container::load_container(snapshot, id);
}

Status ContainerManager::Impl::append_event(store::Transaction& transaction, const ContainerRow& row,
                                            const api::ContainerConfig& config, const std::string& action,
                                            const Attributes& extra) {
  events::Event event;
  event.type = "container";
  event.action = action;
  event.actor_id = row.id.str();
  event.attributes = config.labels.value_or(Attributes{});
  event.attributes["image"] = row.image_ref;
  event.attributes["name"] = row.name;
  for (const auto& [key, value] : extra) event.attributes[key] = value;
  return context.events->append(transaction, std::move(event)).status();
}

void ContainerManager::Impl::tell(const ContainerRow& row, const std::string& action,
                                  const Attributes& extra) {
  const auto write = [&]() -> Status {
    POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, row.config());
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context.db->begin(store::Durability::kBootScoped, own_call(10'000)));
    POUCH_RETURN_IF_ERROR(append_event(transaction, row, config, action, extra));
    return transaction.commit();
  };
  if (const Status status = write(); !status.is_ok()) {
    log_warning("container", "event " + action + ": " + status.message(), row.id.str());
  }
}

Status ContainerManager::Impl::await_settled(const ContainerId& id, Deadline deadline) {
  constexpr int64_t kLookMs = 200;  // a failed start tells no event
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const int64_t seq, context.events->last_seq());
    POUCH_ASSIGN_OR_RETURN(const std::optional<ContainerRow> row, load(id));
    if (!row || (row->state != state::kStarting && row->state != state::kExiting)) return {};
    if (is_orphan(row->owner)) {
      recover_container(id);
      continue;
    }
    if (deadline.has_passed()) {
      return {Code::kDeadlineExceeded, "container " + id.str() + " is still being started or stopped"};
    }
    Call call;
    call.deadline = deadline.earlier(Deadline::after_ms(kLookMs));
    call.cancel = closing;
    if (context.events->wait_for_change(seq, call).code() == Code::kCancelled) {
      return {Code::kClosed, "the engine is being closed"};
    }
  }
}

bool ContainerManager::Impl::is_orphan(const std::string& owner) const {
  return !is_mine(owner) && (owner.empty() || !context.is_owner_alive(owner));
}

Call ContainerManager::Impl::own_call(int64_t ms) const {
  Call call;
  call.deadline = Deadline::after_ms(ms);
  return call;
}

void ContainerManager::Impl::submit(std::function<void()> work) {
  context.executor->submit([held = inflight.enter(), work = std::move(work)] { work(); });
}

void ContainerManager::Impl::submit_wait(std::function<void()> work) {
  waiters->submit([held = inflight.enter(), work = std::move(work)] { work(); });
}

const spec::HostFacts& ContainerManager::Impl::facts() {
  const std::lock_guard lock(mutex);
  if (!host_facts) host_facts = container::read_spec_facts();
  return *host_facts;
}

Status foreign_reason(const Status& status) {
  std::string text = status.message();
  if (text.starts_with("containerd: ")) {
    if (const size_t end = text.find("\": "); end != std::string::npos) text.erase(0, end + 3);
  }
  return {status.code(), std::move(text), status.details_json()};
}

}  // namespace pouch
