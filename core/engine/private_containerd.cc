#include "core/engine/private_containerd.h"

#include <poll.h>

#include "core/base/text.h"
#include "core/io/keeper_client.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"
#include "core/sys/launcher.h"
#include "core/sys/peer.h"
#include "core/sys/place.h"
#include "core/sys/secure_dir.h"
#include "core/sys/systemd_scope.h"

namespace pouch::private_containerd {
namespace {

constexpr int kMaxLaunches = 3;

// A basic string of TOML.
std::string toml_quote(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::string last_words(const std::string& run_dir) {
  const auto text = sys::read_file(log_path(run_dir));
  const std::string_view trimmed = text.is_ok() ? trim(*text) : std::string_view();
  if (trimmed.empty()) return "it left no message";
  const size_t newline = trimmed.rfind('\n');
  return "its last words: " + quote(trimmed.substr(newline == std::string_view::npos ? 0 : newline + 1), 500);
}

Result<UniqueFd> launch(const EngineContext& context, Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(const std::string program, sys::find_containerd());
  POUCH_ASSIGN_OR_RETURN(const std::string minder,
                         io::keeper_copy(context.root_dir(), context.options.keeper_program));
  const std::string& run_dir = context.run_dir();
  const std::string config = config_text(context.root_dir(), run_dir, context.options.snapshotter);
  POUCH_RETURN_IF_ERROR(sys::write_file_atomic(config_path(run_dir), config, 0600, false));
  const std::string cgroup = sys::root_cgroup(context.ns);
  sys::LaunchSpec spec;
  spec.program = minder;
  spec.args = {"--mind-containerd", program, "--root",   context.root_dir(),
               "--run-dir",         run_dir, "--cgroup", cgroup};
  // Shims and runtimes are looked for beside it first.
  spec.env = {"PATH=" + folder_of(program) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  spec.stdout_path = spec.stderr_path = log_path(run_dir);
  spec.refuse_no_new_privs = true;
  POUCH_ASSIGN_OR_RETURN(const int pid,
                         sys::launch_in_cgroup(spec, cgroup, run_dir + "/" + sys::kScopeLock, deadline));
  Result<UniqueFd> pidfd = sys::open_pidfd(pid);
  if (pidfd.code() == Code::kNotFound) return UniqueFd();  // gone already
  return pidfd;
}

// Under the start lock: who waited for that finds the one that another started.
Status start(const EngineContext& context, Deadline deadline) {
  const std::string& run_dir = context.run_dir();
  UniqueFd launched;
  int launches = 0;
  while (true) {
    // The look at the processes comes first: if they had ended, this try is the last before a launch.
    const bool is_minded = (launched.is_valid() && !sys::wait_pidfd(launched.get(), Deadline::after_ms(0))) ||
                           sys::FileLock::is_held(lock_path(run_dir));
    const Status probed = sys::probe_socket(socket_path(run_dir));
    if (probed.is_ok()) return {};
    if (deadline.has_passed()) {
      return {Code::kUnavailable, "it does not answer: " + probed.message() + "; " + last_words(run_dir)};
    }
    if (!is_minded) {
      if (launches++ == kMaxLaunches) return unavailable("it ends at once; " + last_words(run_dir));
      POUCH_ASSIGN_OR_RETURN(launched, launch(context, deadline));
    }
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace

std::string socket_path(const std::string& run_dir) {
  return run_dir + "/containerd.sock";
}

std::string config_path(const std::string& run_dir) {
  return run_dir + "/containerd.toml";
}

std::string log_path(const std::string& run_dir) {
  return run_dir + "/containerd.log";
}

std::string temporary_path(const std::string& run_dir) {
  return run_dir + "/containerd.tmp";
}

std::string lock_path(const std::string& run_dir) {
  return run_dir + "/containerd.pid";
}

std::string start_lock_path(const std::string& run_dir) {
  return run_dir + "/containerd.start";
}

Status ensure(const EngineContext& context, Deadline deadline) {
  const std::string& run_dir = context.run_dir();
  POUCH_RETURN_IF_ERROR(sys::check_same_place(lock_path(run_dir), "its private containerd"));
  if (sys::probe_socket(socket_path(run_dir)).is_ok()) return {};
  const std::string what = "start the root's private containerd";
  Result<sys::FileLock> lock = sys::FileLock::acquire(start_lock_path(run_dir), deadline);
  if (!lock.is_ok()) return Status(Code::kUnavailable, lock.status().message()).prefix(what);
  return start(context, deadline).prefix(what);
}

std::string config_text(const std::string& root_dir, const std::string& run_dir,
                        const std::string& snapshotter) {
  // Whatever we never use costs time and memory at each start; a name that a version does not know is none.
  std::string off =
      R"("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", )"
      R"("io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart", )"
      R"("io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp")";
  for (const char* kind :
       {"aufs", "blockfile", "btrfs", "devmapper", "erofs", "native", "overlayfs", "zfs"}) {
    if (kind != snapshotter) off += ", \"io.containerd.snapshotter.v1." + std::string(kind) + "\"";
  }
  return "# Written by Pouch at each start.\nversion = 2\nroot = " + toml_quote(root_dir + "/containerd") +
         "\nstate = " + toml_quote(run_dir + "/containerd") + "\ndisabled_plugins = [" + off +
         "]\n[grpc]\n  address = " + toml_quote(socket_path(run_dir)) + "\n[debug]\n  level = \"warn\"\n";
}

}  // namespace pouch::private_containerd
