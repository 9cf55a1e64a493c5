#include "core/system/diagnose.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/ctrd/client.h"
#include "core/ctrd/introspection.h"
#include "core/events/event_log.h"
#include "core/events/event_rows.h"
#include "core/io/keeper_client.h"
#include "core/sys/token_file.h"
#include "core/system/root_log.h"

namespace pouch {
namespace {

constexpr int64_t kPatienceMs = 1'000;
constexpr int64_t kEvents = 50;
constexpr size_t kLogLines = 100;

std::vector<api::DiagnosedOwner> owners_of(const EngineContext& context) {
  std::vector<api::DiagnosedOwner> out;
  for (const sys::TokenFacts& facts : sys::read_tokens(context.root_dir() + "/owners")) {
    api::DiagnosedOwner owner;
    owner.token = facts.token;
    owner.pid = facts.pid;
    owner.alive = facts.is_held;
    owner.self = facts.token == context.owner_token;
    out.push_back(std::move(owner));
  }
  return out;
}

std::optional<api::DiagnosedKeeper> keeper_of(const EngineContext& context) {
  const Deadline deadline = Deadline::after_ms(kPatienceMs);
  const auto client = io::KeeperClient::connect(context.run_dir(), deadline);
  if (!client.is_ok()) return std::nullopt;
  const auto status = (*client)->status(deadline);
  if (!status.is_ok()) return std::nullopt;
  api::DiagnosedKeeper out;
  out.version = status->version;
  out.protocol = status->protocol;
  out.pid = status->keeper_pid;
  out.worker_pid = status->worker_pid;
  out.clients = static_cast<int64_t>(status->clients);
  for (const io::StreamInfo& stream : status->streams) {
    out.streams.push_back({stream.stream_id, stream.container_id, stream.generation});
  }
  return out;
}

std::vector<api::DiagnosedPlugin> plugins_of(const EngineContext& context, const Call& call) {
  Call soon = call;
  soon.deadline = call.deadline.earlier(Deadline::after_ms(kPatienceMs));
  std::vector<api::DiagnosedPlugin> out;
  const auto client = context.ctrd(soon);
  if (!client.is_ok()) return out;
  const auto plugins = (*client)->introspection().plugins(soon);
  if (!plugins.is_ok()) return out;
  for (const ctrd::PluginInfo& plugin : *plugins) {
    api::DiagnosedPlugin& one = out.emplace_back();
    one.type = plugin.type;
    one.id = plugin.id;
    if (!plugin.is_ok()) one.error = plugin.init_error;
  }
  return out;
}

Result<std::vector<api::DiagnosedRow>> active_rows(const EngineContext& context) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context.db->read());
  POUCH_ASSIGN_OR_RETURN(
      store::Statement select,
      snapshot.prepare(
          "SELECT 'container', id, state, coalesce(owner_token,''), pid, generation FROM containers "
          "WHERE state NOT IN ('created','exited') UNION ALL "
          "SELECT 'exec', id, state, coalesce(owner_token,''), pid, generation FROM execs "
          "WHERE state NOT IN ('created','exited') ORDER BY 1, 2"));
  std::vector<api::DiagnosedRow> out;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool has_row, select.step());
    if (!has_row) return out;
    out.push_back({select.text(0), select.text(1), select.text(2), select.text(3), select.integer(4),
                   select.integer(5)});
  }
}

Result<std::vector<api::DiagnosedEvent>> newest_events(const EngineContext& context) {
  POUCH_ASSIGN_OR_RETURN(const int64_t last, context.events->last_seq());
  POUCH_ASSIGN_OR_RETURN(const auto events,
                         events::load_events(*context.db, std::max<int64_t>(0, last - kEvents), kEvents));
  std::vector<api::DiagnosedEvent> out;
  for (const events::Event& event : events) {
    // "exec_create: sh -c …": a command may hold anything.
    const std::string action = event.action.substr(0, event.action.find(':'));
    out.push_back({event.seq, event.time, event.type, action, event.actor_id});
  }
  return out;
}

std::vector<api::DiagnosedLimit> limits_of_process() {
  struct Named {
    const char* name;
    int resource;
  };
  constexpr std::array<Named, 5> kLimits = {{{"core", RLIMIT_CORE},
                                             {"fsize", RLIMIT_FSIZE},
                                             {"memlock", RLIMIT_MEMLOCK},
                                             {"nofile", RLIMIT_NOFILE},
                                             {"nproc", RLIMIT_NPROC}}};
  const auto number = [](rlim_t value) { return value == RLIM_INFINITY ? -1 : static_cast<int64_t>(value); };
  std::vector<api::DiagnosedLimit> out;
  for (const Named& limit : kLimits) {
    rlimit values{};
    if (::getrlimit(static_cast<__rlimit_resource>(limit.resource), &values) != 0) continue;
    out.push_back({limit.name, number(values.rlim_cur), number(values.rlim_max)});
  }
  return out;
}

}  // namespace

Status diagnose(const EngineContext& context, const Call& call, api::Diagnosis& out) {
  out.time = Timestamp::now();
  out.pid = ::getpid();
  out.owners = owners_of(context);
  out.keeper = keeper_of(context);
  out.plugins = plugins_of(context, call);
  POUCH_ASSIGN_OR_RETURN(out.active, active_rows(context));
  POUCH_ASSIGN_OR_RETURN(out.events, newest_events(context));
  out.log = RootLog::tail(context.root_dir(), kLogLines);
  out.limits = limits_of_process();
  return {};
}

}  // namespace pouch
