#include "core/engine/root.h"

#include <unistd.h>

#include <utility>

#include "core/base/finding.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/ctrd/transport.h"
#include "core/engine/private_containerd.h"
#include "core/engine/root_settings.h"
#include "core/io/keeper_server.h"
#include "core/store/file_system.h"
#include "core/sys/file.h"
#include "core/sys/mount_sharing.h"
#include "core/sys/peer.h"
#include "core/sys/place.h"
#include "core/sys/secure_dir.h"
#include "core/sys/systemd_scope.h"

namespace pouch {
namespace {

constexpr int64_t kOpenPatienceMs = 10'000;
constexpr int64_t kContainerdPatienceMs = 5'000;
constexpr int64_t kPrivatePatienceMs = 30'000;  // its start included, on a busy machine
constexpr int64_t kServingPatienceMs = 5'000;
constexpr int64_t kKeeperPatienceMs = 30'000;  // likewise
constexpr int64_t kPingPatienceMs = 1'000;
constexpr const char* kSystemRoot = "/var/lib/pouch";

Deadline at_most(const Call& call, int64_t ms) {
  return call.deadline.earlier(Deadline::after_ms(ms));
}

Status explain_containerd(const std::string& path, const Status& why) {
  const Code code = why.code() == Code::kPermissionDenied ? why.code() : Code::kUnavailable;
  return findings::unreachable_containerd(path, why).status(code);
}

// As talkative as the program that launches it.
std::string keeper_log_level() {
  const bool is_debug = is_log_enabled(LogLevel::kDebug);
  return std::string(log_level_name(is_debug ? LogLevel::kDebug : LogLevel::kInfo));
}

// For what we launch, and the runtime of a private containerd.
void show_cgroups() {
  const Status shown = sys::mount_hidden_cgroups();
  if (!shown.is_ok()) log_warning("engine", "mount the control groups that /sys hides: " + shown.message());
}

Status check_place(const EngineOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const sys::NearestDir root, sys::secure_look(options.root_dir));
  POUCH_RETURN_IF_ERROR(store::check_file_system(root.fd.get(), options.root_dir));
  if (options.run_dir.empty()) return {};
  return sys::secure_look(options.run_dir).status();
}

Result<std::string> read_boot_id() {
  POUCH_ASSIGN_OR_RETURN(const std::string text, sys::read_file("/proc/sys/kernel/random/boot_id"));
  return std::string(trim(text));
}

}  // namespace

Root::Root(EngineOptions options) {
  context_.options = std::move(options);
}

Result<std::unique_ptr<Root>> Root::open(EngineOptions options) {
  POUCH_RETURN_IF_ERROR(complete_options(options).prefix("open the local engine"));
  const std::string what = "open engine root " + quote(options.root_dir);
  if (const uid_t user = ::geteuid(); user != 0) {
    return findings::not_root(user).status(Code::kPermissionDenied, what);
  }
  std::unique_ptr<Root> root(new Root(std::move(options)));
  POUCH_RETURN_IF_ERROR(root->open_folders().prefix(what));
  POUCH_RETURN_IF_ERROR(root->open_database().prefix(what));
  POUCH_RETURN_IF_ERROR(root->adopt_settings().prefix(what));
  POUCH_RETURN_IF_ERROR(root->open_run_dir().prefix(what));
  root->fill_context();
  POUCH_ASSIGN_OR_RETURN(root->keeper_watch_, KeeperWatch::create(root->context_));
  return root;
}

Status Root::open_folders() {
  // Looked at before anything is made, so that a refusal leaves nothing.
  POUCH_RETURN_IF_ERROR(check_place(context_.options));
  for (const char* sub : {"", "/owners"}) {
    POUCH_RETURN_IF_ERROR(sys::secure_mkdir(context_.root_dir() + sub).status());
  }
  const EngineRole role = context_.options.role;
  POUCH_ASSIGN_OR_RETURN(owner_, Owner::create(context_.root_dir() + "/owners", role == EngineRole::kKeeper));
  // After the token is there: one of us and the reset sees the other.
  if (role != EngineRole::kReset && ::access((context_.root_dir() + "/" + kResetMark).c_str(), F_OK) == 0) {
    return conflict("it is being reset; where that was broken off, reset it again (pouch system reset)");
  }
  POUCH_ASSIGN_OR_RETURN(context_.boot_id, read_boot_id());
  return {};
}

Status Root::open_database() {
  POUCH_ASSIGN_OR_RETURN(database_, store::Database::open(context_.root_dir() + "/pouch.db",
                                                          Deadline::after_ms(kOpenPatienceMs)));
  return {};
}

Status Root::adopt_settings() {
  POUCH_ASSIGN_OR_RETURN(RootSettings settings, load_settings(*database_, context_.options));
  context_.root_id = std::move(settings.id);
  context_.options.containerd_address = std::move(settings.containerd_address);
  context_.has_private_containerd = settings.has_private_containerd;
  context_.options.snapshotter = std::move(settings.snapshotter);
  context_.options.run_dir = std::move(settings.run_dir);
  context_.ns = context_.root_dir() == kSystemRoot ? "pouch" : "pouch-" + context_.root_id;
  return {};
}

Status Root::open_run_dir() {
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(context_.run_dir()).status());
  // Paths, networks and pids of what runs mean what they mean where its keeper is.
  POUCH_RETURN_IF_ERROR(sys::check_same_place(context_.run_dir() + "/" + io::kKeeperLock, "its keeper"));
  POUCH_RETURN_IF_ERROR(
      sys::check_same_place(private_containerd::lock_path(context_.run_dir()), "its private containerd"));
  POUCH_ASSIGN_OR_RETURN(events_, events::EventLog::open(*database_, context_.run_dir() + "/bell"));
  return {};
}

void Root::fill_context() {
  log_.emplace(context_.root_dir(), context_.root_id);
  executor_.set_log_root(context_.root_id);
  context_.owner_token = owner_->token();
  context_.db = database_.get();
  context_.events = events_.get();
  context_.executor = &executor_;
  context_.ctrd = [this](const Call& call) { return connect_containerd(call); };
  context_.keeper = [this](const Call& call) { return connect_keeper(call); };
  context_.is_owner_alive = [this](const std::string& token) { return owner_->is_alive(token); };
}

Result<std::shared_ptr<ctrd::Client>> Root::connect_containerd(const Call& call) {
  const std::lock_guard lock(ctrd_mutex_);
  if (context_.has_private_containerd) return connect_private(call);
  if (ctrd_) return ctrd_;
  const std::string& path = context_.options.containerd_address;
  if (Status probed = sys::probe_socket(path); !probed.is_ok()) return explain_containerd(path, probed);
  auto client = ctrd::Client::connect(path, context_.ns, at_most(call, kContainerdPatienceMs));
  if (!client.is_ok()) return explain_containerd(path, client.status());
  POUCH_RETURN_IF_ERROR(share_mounts());
  ctrd_ = std::move(*client);
  return ctrd_;
}

// What we mount for containers the runtime must see, which is where containerd is.
Status Root::share_mounts() const {
  const auto pid = sys::listener_of(context_.options.containerd_address);
  if (!pid.is_ok() || !sys::has_other_mounts(*pid)) return {};  // has it gone, the next call says so
  const std::string volumes = context_.root_dir() + "/volumes";
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(volumes).status());
  return sys::share_mounts(*pid, "containerd", {volumes, context_.run_dir()});
}

// One that does not run, or has died since, is started.
Result<std::shared_ptr<ctrd::Client>> Root::connect_private(const Call& call) {
  if (ctrd_ && ctrd_->transport()->is_connected()) return ctrd_;
  const Deadline deadline = at_most(call, kPrivatePatienceMs);
  show_cgroups();
  while (true) {
    POUCH_RETURN_IF_ERROR(private_containerd::ensure(context_, deadline));
    // Not for long: it may end before it serves, and then has to be started again.
    const Deadline soon = deadline.earlier(Deadline::after_ms(kServingPatienceMs));
    auto client = ctrd::Client::connect(context_.options.containerd_address, context_.ns, soon);
    if (client.is_ok()) return ctrd_ = std::move(*client);
    if (client.code() != Code::kUnavailable || deadline.has_passed()) return client.status();
  }
}

Result<std::shared_ptr<io::KeeperClient>> Root::connect_keeper(const Call& call) {
  const Deadline deadline = at_most(call, kKeeperPatienceMs);
  if (context_.options.role == EngineRole::kKeeper) {
    // A connection of its own that is kept would keep the keeper from ending when idle.
    POUCH_ASSIGN_OR_RETURN(auto own, io::KeeperClient::connect(context_.run_dir(), deadline));
    return std::shared_ptr<io::KeeperClient>(std::move(own));
  }
  const std::lock_guard lock(keeper_mutex_);
  if (!keeper_ || !keeper_->ping(at_most(call, kPingPatienceMs)).is_ok()) {
    show_cgroups();
    POUCH_ASSIGN_OR_RETURN(auto keeper, io::ensure_keeper({.root_dir = context_.root_dir(),
                                                           .run_dir = context_.run_dir(),
                                                           .program = context_.options.keeper_program,
                                                           .cgroup = sys::root_cgroup(context_.ns),
                                                           .log_level = keeper_log_level()},
                                                          deadline));
    keeper_ = std::move(keeper);
  }
  if (context_.options.role == EngineRole::kClient) keeper_watch_->begin();
  return keeper_;
}

}  // namespace pouch
