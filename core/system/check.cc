#include "core/system/check.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/registry/settings_file.h"
#include "core/store/file_system.h"
#include "core/sys/file.h"
#include "core/sys/launcher.h"
#include "core/sys/secure_dir.h"

namespace pouch {
namespace checks {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kTooFewBytes = 64 * kMiB;  // less than a small image and its log
constexpr uint64_t kFewBytes = 1024 * kMiB;
constexpr uint64_t kTooFewInodes = 1'000;
constexpr uint64_t kFewInodes = 20'000;  // of the order of one distribution's image
constexpr uint64_t kFewDescriptors = 1'024;
constexpr unsigned kResourceBit = 24;  // CAP_SYS_RESOURCE

FindingLevel level_of(uint64_t left, uint64_t error_below, uint64_t warn_below) {
  if (left < error_below) return FindingLevel::kError;
  return left < warn_below ? FindingLevel::kWarning : FindingLevel::kOk;
}

void space(const sys::NearestDir& at, Findings& out) {
  struct statvfs facts {};
  if (::fstatvfs(at.fd.get(), &facts) != 0) return;
  const uint64_t bytes = static_cast<uint64_t>(facts.f_bavail) * facts.f_frsize;
  const std::string megabytes = std::to_string(bytes / kMiB) + " MiB";
  // Some file systems (btrfs) do not count inodes.
  const bool counts_inodes = facts.f_files > 0;
  const std::string inodes = std::to_string(facts.f_favail) + " inodes";
  const FindingLevel of_bytes = level_of(bytes, kTooFewBytes, kFewBytes);
  const FindingLevel of_inodes =
      counts_inodes ? level_of(facts.f_favail, kTooFewInodes, kFewInodes) : FindingLevel::kOk;
  if (of_bytes != FindingLevel::kOk) out.push_back(findings::low_space(at.path, megabytes, of_bytes));
  if (of_inodes != FindingLevel::kOk) out.push_back(findings::low_space(at.path, inodes, of_inodes));
  if (of_bytes != FindingLevel::kOk || of_inodes != FindingLevel::kOk) return;
  out.push_back(findings::fine(
      findings::kSpace, megabytes + (counts_inodes ? " and " + inodes : "") + " free at " + quote(at.path)));
}

bool has_resource_capability() {
  const Result<std::string> status = sys::read_file("/proc/thread-self/status");
  if (!status.is_ok()) return true;  // not able to tell
  constexpr std::string_view kKey = "CapEff:";
  for (const std::string& line : split(*status, '\n')) {
    if (!line.starts_with(kKey)) continue;
    const std::string_view digits = trim(std::string_view(line).substr(kKey.size()));
    return (leading_number<uint64_t>(digits, 0, 16) >> kResourceBit & 1) != 0;
  }
  return true;
}

}  // namespace

bool is_root() {
  return ::geteuid() == 0;
}

void user(Findings& out) {
  out.push_back(is_root() ? findings::fine(findings::kUser, "root") : findings::not_root(::geteuid()));
}

void place(const EngineOptions& options, Findings& out) {
  if (!is_root()) {
    out.push_back(findings::needs_root(findings::kRoot));
    return;
  }
  const Result<sys::NearestDir> root = sys::secure_look(options.root_dir);
  Status status = root.status();
  if (status.is_ok()) status = store::check_file_system(root->fd.get(), options.root_dir);
  if (status.is_ok() && !options.run_dir.empty()) status = sys::secure_look(options.run_dir).status();
  if (!status.is_ok()) {
    out.push_back(finding_of(status, findings::kRoot));
  } else {
    out.push_back(findings::fine(
        findings::kRoot, quote(options.root_dir) + (root->is_complete ? "" : ", to be made at first use")));
  }
  if (root.is_ok()) space(*root, out);
}

void privileges(Findings& out) {
  const Status status = sys::check_privileges();
  out.push_back(status.is_ok() ? findings::fine("privileges", "no_new_privs is not set")
                               : finding_of(status, "privileges"));
}

void limits(Findings& out) {
  if (!is_root()) {
    out.push_back(findings::needs_root("limits"));
    return;
  }
  rlimit files{};
  const bool is_low = ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kFewDescriptors;
  if (is_low) out.push_back(findings::few_descriptors(files.rlim_cur));
  const bool may_raise = has_resource_capability();
  if (!may_raise) out.push_back(findings::no_resource_capability());
  if (!is_low && may_raise) {
    out.push_back(findings::fine("limits", "CAP_SYS_RESOURCE is there; up to " +
                                               std::to_string(files.rlim_cur) + " files may be open"));
  }
}

void registries(const EngineOptions& options, Findings& out) {
  const std::string& path = options.registries_file;
  const Status read = registry::load_settings(path).status();
  out.push_back(read.is_ok() ? findings::fine("registries", quote(path) + " holds, where it is there")
                             : findings::bad_registries(read.message()));
}

}  // namespace checks

std::vector<Finding> check_host(const EngineOptions& options, const Call& call) {
  std::vector<Finding> out;
  checks::user(out);
  checks::privileges(out);
  checks::place(options, out);
  checks::containerd(options, call, out);
  checks::runtimes(options, out);
  checks::keeper(options, out);
  checks::overlay(options, out);
  checks::control_groups(out);
  checks::packet_filter(out);
  checks::limits(out);
  checks::registries(options, out);
  return out;
}

}  // namespace pouch
