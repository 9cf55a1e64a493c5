#include "core/engine/reset.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/engine/local_engine.h"
#include "core/engine/owner.h"
#include "core/engine/private_containerd.h"
#include "core/engine/reset_containerd.h"
#include "core/engine/root.h"
#include "core/engine/root_settings.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/network/network_manager.h"
#include "core/network/plugged.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"
#include "core/sys/own_cgroup.h"
#include "core/sys/place.h"
#include "core/volume/local_driver.h"

namespace pouch {
namespace {

constexpr int64_t kStepMs = 30'000;
constexpr int64_t kEndMs = 10'000;
// All that an engine makes in its root folder, the database last: while it is there, the reset can be
// repeated.
constexpr std::array kOwnNames = {
    "containers", "volumes",        "cni",          "containerd",   "bin",      "owners",        "sessions",
    "log",        "pouch.db-users", "pouch.db-wal", "pouch.db-shm", "pouch.db", Root::kResetMark};

Call step(const Call& call) {
  Call bounded = call;
  bounded.deadline = call.deadline.earlier(Deadline::after_ms(kStepMs));
  return bounded;
}

/// What is known of the root that goes, from before its engine is closed.
struct Doomed {
  std::string root_dir;
  std::string run_dir;
  std::string ns;
};

class Reset {
 public:
  Reset(EngineOptions options, const ResetOptions& reset, const Call& call)
      : options_(std::move(options)), reset_(reset), call_(call) {}
  Result<ResetReport> run();

 private:
  Status check_unused();
  Status empty();
  Status remove_containers(LocalEngine& engine);
  Status remove_plugin_networks(LocalEngine& engine);
  Status tolerated(Status status) const;
  Status remove_rest();

  EngineOptions options_;
  const ResetOptions reset_;
  const Call call_;
  Doomed doomed_;
  ResetReport report_;
};

// An error that is only told where all shall go.
Status Reset::tolerated(Status status) const {
  if (status.is_ok() || !reset_.force) return status;
  log_warning("reset", status.message());
  return {};
}

Status Reset::check_unused() {
  std::vector<std::string> pids;
  for (const OwnerFacts& owner : Owner::living(options_.root_dir + "/owners")) {
    if (!owner.is_keeper) pids.push_back(std::to_string(owner.pid));
  }
  if (pids.empty() || reset_.in_use) return {};
  const bool one = pids.size() == 1;
  return conflict("it is open in process" + std::string(one ? " " : "es ") + join(pids, ", ") + "; end " +
                  (one ? "it" : "them") + " first, or reset it although it is in use");
}

Status Reset::remove_containers(LocalEngine& engine) {
  api::ContainerListOptions all;
  all.all = true;
  POUCH_ASSIGN_OR_RETURN(const auto containers, engine.container_list(all, step(call_)));
  api::ContainerRemoveOptions options;
  options.force = true;
  for (const api::ContainerSummary& container : containers) {
    POUCH_RETURN_IF_ERROR(call_.check());
    const Status removed = engine.container_remove(container.id, options, step(call_));
    if (removed.code() != Code::kNotFound) POUCH_RETURN_IF_ERROR(tolerated(removed));
    ++report_.containers;
  }
  return {};
}

// What plugins have made of networks only they can take away; the rest goes all at once (remove_rest()).
Status Reset::remove_plugin_networks(LocalEngine& engine) {
  api::NetworkListOptions users;
  users.filters.emplace()["type"] = {"custom"};
  POUCH_ASSIGN_OR_RETURN(const auto networks, engine.network_list(users, step(call_)));
  for (const api::Network& network : networks) {
    const bool has_plugin = network.ipam.driver != "default" || network::is_plugin_driver(network.driver);
    if (!has_plugin) continue;
    POUCH_RETURN_IF_ERROR(call_.check());
    const Status removed = engine.network_remove(network.id, step(call_));
    if (removed.code() != Code::kNotFound) POUCH_RETURN_IF_ERROR(tolerated(removed));
  }
  return {};
}

// Through an engine, as long as there is one: containers, and what containerd holds.
Status Reset::empty() {
  options_.role = EngineRole::kReset;
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> engine, LocalEngine::open(options_));
  EngineContext& context = engine->context();
  doomed_ = {context.root_dir(), context.run_dir(), context.ns};
  report_.root_id = context.root_id;
  report_.root_dir = context.root_dir();
  POUCH_RETURN_IF_ERROR(remove_containers(*engine));
  POUCH_RETURN_IF_ERROR(remove_plugin_networks(*engine));
  POUCH_ASSIGN_OR_RETURN(const auto images, engine->image_list({}, step(call_)));
  report_.images = static_cast<int64_t>(images.size());
  // A private containerd goes with its folder.
  if (context.has_private_containerd) return {};
  const auto client = context.ctrd(step(call_));
  if (!client.is_ok()) return tolerated(client.status());
  return tolerated(empty_namespace(**client, context.options.snapshotter, step(call_)));
}

// Ends who holds the lock, with what is its child; it may be told already.
Status end_holder(const std::string& lock_file) {
  const int pid = sys::locked_by(lock_file);
  if (pid <= 0) return {};
  const auto pidfd = sys::open_pidfd(pid);
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (pidfd.is_ok()) sys::signal_pidfd(pidfd->get(), signal).ignore();
    const Deadline deadline = Deadline::after_ms(kEndMs);
    // A worker has the lock too and may outlive its supervisor by a moment.
    if (sys::FileLock::acquire(lock_file, deadline).is_ok()) return {};
  }
  return conflict("end process " + std::to_string(pid) + ": it does not end");
}

Status end_keeper(const std::string& run_dir) {
  const Deadline deadline = Deadline::after_ms(kEndMs);
  if (const auto keeper = io::KeeperClient::connect(run_dir, deadline); keeper.is_ok()) {
    (*keeper)->shutdown(true, deadline).ignore();
  }
  return end_holder(run_dir + "/" + io::kKeeperLock);
}

Status Reset::remove_rest() {
  const std::string& run_dir = doomed_.run_dir;
  POUCH_RETURN_IF_ERROR(end_keeper(run_dir).prefix("end the keeper"));
  POUCH_RETURN_IF_ERROR(
      end_holder(private_containerd::lock_path(run_dir)).prefix("end the private containerd"));
  POUCH_RETURN_IF_ERROR(tolerated(network::remove_remains(report_.root_id, run_dir)));
  sys::remove_cgroup_tree("/" + doomed_.ns);
  POUCH_RETURN_IF_ERROR(tolerated(sys::unmount_tree(run_dir)));
  // Not what the root itself may be: a file system of its own, mounted there by somebody else.
  for (const char* name : kOwnNames) {
    POUCH_RETURN_IF_ERROR(tolerated(sys::unmount_tree(doomed_.root_dir + "/" + name)));
  }
  POUCH_RETURN_IF_ERROR(tolerated(volume::LocalDriver(doomed_.root_dir + "/volumes").lift_limits()));
  POUCH_RETURN_IF_ERROR(tolerated(sys::remove_tree(run_dir)));
  for (const char* name : kOwnNames) {
    POUCH_RETURN_IF_ERROR(tolerated(sys::remove_tree(doomed_.root_dir + "/" + name)));
  }
  // Refused when somebody else has put something into them.
  ::rmdir(doomed_.root_dir.c_str());
  ::rmdir("/run/pouch");
  return {};
}

Result<ResetReport> Reset::run() {
  const std::string mark = options_.root_dir + "/" + Root::kResetMark;
  if (::access((options_.root_dir + "/pouch.db").c_str(), F_OK) != 0) {
    return errno == ENOENT ? not_found("there is none") : errno_status(errno, "look into the folder");
  }
  // From here on nobody opens it any more; who has done so before is seen.
  POUCH_RETURN_IF_ERROR(sys::write_file_atomic(mark, std::to_string(::getpid()) + "\n", 0600, false));
  if (const Status unused = check_unused(); !unused.is_ok()) {
    ::unlink(mark.c_str());
    return unused;
  }
  POUCH_RETURN_IF_ERROR(empty());
  POUCH_RETURN_IF_ERROR(remove_rest());
  return report_;
}

}  // namespace

Result<ResetReport> reset_root(EngineOptions options, const ResetOptions& reset, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(complete_options(options).prefix("reset an engine root"));
  const std::string what = "reset engine root " + quote(options.root_dir);
  if (const uid_t user = ::geteuid(); user != 0) {
    return Status(Code::kPermissionDenied, what + ": only root can, this is user " + std::to_string(user));
  }
  auto report = Reset(std::move(options), reset, call).run();
  if (!report.is_ok()) return report.status().prefix(what);
  return report;
}

}  // namespace pouch
