#include "core/engine/root.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/engine/root_settings.h"
#include "core/sys/file.h"
#include "core/sys/secure_dir.h"

namespace pouch {
namespace {

constexpr int64_t kOpenPatienceMs = 10'000;
constexpr int64_t kContainerdPatienceMs = 5'000;
constexpr int64_t kKeeperPatienceMs = 10'000;
constexpr int64_t kPingPatienceMs = 1'000;
constexpr const char* kSystemRoot = "/var/lib/pouch";

Deadline at_most(const Call& call, int64_t ms) {
  return call.deadline.earlier(Deadline::after_ms(ms));
}

// Whether somebody listens there: a socket that is absent or refuses is told at once, without the patience
// that a containerd which is just starting deserves.
Status probe_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return invalid_argument("its path is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_valid()) return errno_status(errno, "make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
  if (errno == EAGAIN || errno == EINPROGRESS) return {};
  return unavailable(std::strerror(errno));
}

Status explain_containerd(const std::string& path, const Status& why) {
  return {why.code() == Code::kPermissionDenied ? why.code() : Code::kUnavailable,
          "reach containerd at " + quote(path) + ": " + why.message() +
              "; start containerd, or name its socket when the root is made (containerd=…)"};
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
    return Status(Code::kPermissionDenied, what + ": the local engine needs to be root, this is user " +
                                               std::to_string(user) +
                                               "; use unix:///run/pouchd.sock for a running pouchd, or "
                                               "mock:// for tests");
  }
  std::unique_ptr<Root> root(new Root(std::move(options)));
  POUCH_RETURN_IF_ERROR(root->open_folders().prefix(what));
  POUCH_RETURN_IF_ERROR(root->open_database().prefix(what));
  POUCH_RETURN_IF_ERROR(root->adopt_settings().prefix(what));
  POUCH_RETURN_IF_ERROR(root->open_run_dir().prefix(what));
  root->fill_context();
  return root;
}

Status Root::open_folders() {
  for (const char* sub : {"", "/owners"}) {
    POUCH_RETURN_IF_ERROR(sys::secure_mkdir(context_.root_dir() + sub).status());
  }
  POUCH_ASSIGN_OR_RETURN(owner_, Owner::create(context_.root_dir() + "/owners"));
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
  context_.options.snapshotter = std::move(settings.snapshotter);
  context_.options.run_dir = std::move(settings.run_dir);
  context_.ns = context_.root_dir() == kSystemRoot ? "pouch" : "pouch-" + context_.root_id;
  return {};
}

Status Root::open_run_dir() {
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(context_.run_dir()).status());
  POUCH_ASSIGN_OR_RETURN(events_, events::EventLog::open(*database_, context_.run_dir() + "/bell"));
  return {};
}

void Root::fill_context() {
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
  if (ctrd_) return ctrd_;
  const std::string& path = context_.options.containerd_address;
  if (Status probed = probe_socket(path); !probed.is_ok()) return explain_containerd(path, probed);
  auto client = ctrd::Client::connect(path, context_.ns, at_most(call, kContainerdPatienceMs));
  if (!client.is_ok()) return explain_containerd(path, client.status());
  ctrd_ = std::move(*client);
  return ctrd_;
}

Result<std::shared_ptr<io::KeeperClient>> Root::connect_keeper(const Call& call) {
  const Deadline deadline = at_most(call, kKeeperPatienceMs);
  if (context_.options.role == EngineRole::kKeeper) {
    // A connection of its own that is kept would keep the keeper from ending when idle.
    POUCH_ASSIGN_OR_RETURN(auto own, io::KeeperClient::connect(context_.run_dir(), deadline));
    return std::shared_ptr<io::KeeperClient>(std::move(own));
  }
  const std::lock_guard lock(keeper_mutex_);
  if (keeper_ && keeper_->ping(at_most(call, kPingPatienceMs)).is_ok()) return keeper_;
  POUCH_ASSIGN_OR_RETURN(auto keeper, io::ensure_keeper({.root_dir = context_.root_dir(),
                                                         .run_dir = context_.run_dir(),
                                                         .program = context_.options.keeper_program},
                                                        deadline));
  keeper_ = std::move(keeper);
  return keeper_;
}

}  // namespace pouch
