#include "core/base/text.h"
#include "core/ctrd/client.h"
#include "core/ctrd/version.h"
#include "core/io/keeper_client.h"
#include "core/io/keeper_server.h"
#include "core/sys/find_program.h"
#include "core/sys/host_facts.h"
#include "core/sys/peer.h"
#include "core/sys/place.h"
#include "core/system/check.h"

// What of the checks is about programs: containerd, what it starts, and the keeper.

namespace pouch::checks {
namespace {

constexpr int64_t kPatienceMs = 500;
constexpr int64_t kKeeperPatienceMs = 200;

Call hurried(const Call& call) {
  Call out = call;
  out.deadline = call.deadline.earlier(Deadline::after_ms(kPatienceMs));
  return out;
}

// Where containerd looks for the shim, and so where the shim looks for the runtime. Empty: not known.
std::vector<std::string> containerd_dirs(const EngineOptions& options) {
  if (options.containerd_address == kPrivateContainerd) {
    // As it will be started: with a default PATH and what lies beside it.
    const Result<std::string> program = sys::find_containerd();
    std::vector<std::string> dirs = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                     "/usr/bin",        "/sbin",          "/bin"};
    if (program.is_ok()) dirs.insert(dirs.begin(), program->substr(0, program->rfind('/')));
    return dirs;
  }
  const Result<int> pid = sys::listener_of(options.containerd_address);
  return pid.is_ok() ? sys::program_dirs_of(*pid) : std::vector<std::string>();
}

Result<std::string> locate(const std::string& name, const std::vector<std::string>& dirs) {
  if (dirs.empty() && !name.starts_with('/')) return sys::find_program(name, {});
  return sys::find_program_in(name, dirs);
}

void one_runtime(const std::string& name, const RuntimeOptions& runtime, const std::vector<std::string>& dirs,
                 bool is_default, Findings& out) {
  const std::string program = runtime.binary_name.empty() ? name : runtime.binary_name;
  const Result<std::string> found = locate(program, dirs);
  const std::string what = name + (is_default ? " (the default)" : "");
  if (!found.is_ok()) {
    Finding missing = findings::missing_runtime(name, found.status().message());
    if (!is_default) missing.level = FindingLevel::kWarning;
    out.push_back(std::move(missing));
    return;
  }
  if (name == "crun" && sys::lacks_hugetlb_hierarchy()) {
    out.push_back(findings::no_hugetlb_hierarchy(is_default ? FindingLevel::kError : FindingLevel::kWarning));
    return;
  }
  out.push_back(findings::fine(findings::kRuntime, what + " at " + quote(*found)));
}

}  // namespace

void containerd(const EngineOptions& options, const Call& call, Findings& out) {
  const std::string& socket = options.containerd_address;
  if (socket == kPrivateContainerd) {
    const Result<std::string> program = sys::find_containerd();
    out.push_back(program.is_ok()
                      ? findings::fine(findings::kContainerd, "one of the root's own: " + quote(*program))
                      : finding_of(program.status(), findings::kContainerd));
    return;
  }
  if (const Status probed = sys::probe_socket(socket); !probed.is_ok()) {
    out.push_back(findings::unreachable_containerd(socket, probed));
    return;
  }
  const Call soon = hurried(call);
  const auto client = ctrd::Client::connect(socket, "pouch", soon.deadline);
  auto version = client.is_ok() ? (*client)->version().get(soon) : client.status();
  if (!version.is_ok()) {
    out.push_back(findings::unreachable_containerd(socket, version.status()));
    return;
  }
  out.push_back(findings::fine(findings::kContainerd, version->version + " at " + quote(socket)));
}

void runtimes(const EngineOptions& options, Findings& out) {
  const std::vector<std::string> dirs = containerd_dirs(options);
  const auto chosen = options.runtimes.find(options.default_runtime);
  if (chosen == options.runtimes.end()) return;  // complete_options has refused that
  const Result<std::string> shim = locate(sys::shim_program(chosen->second.shim), dirs);
  out.push_back(shim.is_ok() ? findings::fine(findings::kShim, chosen->second.shim + " at " + quote(*shim))
                             : findings::missing_shim(chosen->second.shim, shim.status().message()));
  one_runtime(chosen->first, chosen->second, dirs, true, out);
  for (const auto& [name, runtime] : options.runtimes) {
    const bool is_optional = name == "runc" || name == "crun";
    if (name == options.default_runtime) continue;
    if (is_optional && !locate(runtime.binary_name, dirs).is_ok()) continue;  // nobody has asked for it
    one_runtime(name, runtime, dirs, false, out);
  }
}

void keeper(const EngineOptions& options, Findings& out) {
  const Result<std::string> program = io::find_keeper_program(options.keeper_program);
  if (!program.is_ok()) {
    out.push_back(finding_of(program.status(), findings::kKeeper));
    return;
  }
  std::string text = quote(*program);
  if (is_root() && !options.run_dir.empty()) {
    const Deadline deadline = Deadline::after_ms(kKeeperPatienceMs);
    const auto client = io::KeeperClient::connect(options.run_dir, deadline);
    const auto status = client.is_ok() ? (*client)->status(deadline) : client.status();
    if (status.is_ok()) {
      text += "; one runs, version " + status->version + ", pid " + std::to_string(status->keeper_pid);
      const Status place =
          sys::check_same_place(options.run_dir + "/" + io::kKeeperLock, "the root's keeper");
      if (!place.is_ok()) {
        out.push_back(finding_of(place, findings::kKeeper));
        return;
      }
    }
  }
  out.push_back(findings::fine(findings::kKeeper, text));
}

}  // namespace pouch::checks
