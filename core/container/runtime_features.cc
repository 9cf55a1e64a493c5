#include "core/container/runtime_features.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/api/json.h"
#include "core/base/text.h"
#include "core/sys/child.h"
#include "core/sys/find_program.h"
#include "core/sys/peer.h"

namespace pouch::container {
namespace {

constexpr int64_t kPatienceMs = 5'000;
constexpr const char* kRuncShim = "io.containerd.runc.v2";

// An empty order, which a kernel that knows the call refuses as such.
bool has_mount_setattr() {
  return ::syscall(SYS_mount_setattr, -1, "", 0U, nullptr, size_t{0}) == 0 || errno != ENOSYS;
}

// As the shim finds it: where containerd looks.
Result<std::string> program_of(const RuntimeUse& use) {
  const std::string& name = use.runtime.binary_name.empty() ? use.name : use.runtime.binary_name;
  const Result<int> pid = sys::listener_of(use.containerd_address);
  const auto dirs = pid.is_ok() ? sys::program_dirs_of(*pid) : std::vector<std::string>();
  if (dirs.empty() && !name.starts_with('/')) return sys::find_program(name, {});
  return sys::find_program_in(name, dirs);
}

std::string key_of(const std::string& program) {
  struct stat info {};
  if (::stat(program.c_str(), &info) != 0) return program;
  return program + " " + std::to_string(info.st_ino) + " " + std::to_string(info.st_mtim.tv_sec) + "." +
         std::to_string(info.st_mtim.tv_nsec);
}

// Nothing when it cannot be asked now.
std::optional<std::set<std::string>> ask(const std::string& program) {
  sys::SpawnSpec spec;
  spec.program = program;
  spec.args = {"features"};
  const auto output = sys::run_program(std::move(spec), Deadline::after_ms(kPatienceMs));
  if (!output.is_ok()) return std::nullopt;
  return output->exit.code == 0 ? parse_mount_options(output->stdout_text) : std::set<std::string>();
}

}  // namespace

std::set<std::string> parse_mount_options(const std::string& text) {
  std::set<std::string> options;
  const auto document = parse_json(text);
  if (!document.is_ok() || !document->isObject()) return options;
  const Json& listed = (*document)["mountOptions"];
  if (!listed.isArray()) return options;
  for (const Json& option : listed) {
    if (option.isString()) options.insert(option.asString());
  }
  return options;
}

Status RuntimeFeatures::has_recursive_read_only(const RuntimeUse& use) {
  if (!has_mount_setattr())
    return not_implemented("rro is not supported: the kernel has no mount_setattr (Linux 5.12)");
  const std::string what = "rro is not supported by runtime " + quote(use.name) + ": ";
  const auto program = program_of(use);
  if (use.runtime.shim != kRuncShim || !program.is_ok())
    return not_implemented(what + "OCI features struct is not available");
  const std::string key = key_of(*program);
  std::optional<std::set<std::string>> options;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = mount_options_.find(key); at != mount_options_.end()) options = at->second;
  }
  if (!options) {
    options = ask(*program);
    const std::lock_guard lock(mutex_);
    if (options) mount_options_[key] = *options;
  }
  if (!options || options->empty()) return not_implemented(what + "OCI features struct is not available");
  if (!options->contains("rro")) return not_implemented(what + "\"rro\" mount option is not available");
  return {};
}

Status settle_read_only(spec::MountPlan& plan, RuntimeFeatures& features, const RuntimeUse& use) {
  using spec::ReadOnlyReach;
  const auto is_asked = [](const spec::BindMount& bind) {
    return bind.read_only && bind.reach != ReadOnlyReach::kTop;
  };
  if (std::none_of(plan.binds.begin(), plan.binds.end(), is_asked)) return {};
  const Status possible = features.has_recursive_read_only(use);
  for (spec::BindMount& bind : plan.binds) {
    if (!is_asked(bind)) continue;
    if (!possible.is_ok() && bind.reach == ReadOnlyReach::kAllOrFail) return possible;
    bind.recursive_read_only = possible.is_ok();
  }
  return {};
}

}  // namespace pouch::container
