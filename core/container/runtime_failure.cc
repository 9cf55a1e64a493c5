#include "core/container/runtime_failure.h"

#include <string_view>

#include "core/base/finding.h"
#include "core/base/text.h"
#include "core/sys/find_program.h"
#include "core/sys/host_facts.h"
#include "core/sys/peer.h"

namespace pouch::container {
namespace {

constexpr std::string_view kTaskFailure = "failed to create task for container: ";  // Moby's words
constexpr std::string_view kTask = "failed to create task for container";

bool has(const std::string& text, std::string_view words) {
  return text.find(words) != std::string::npos;
}

// The folders that containerd searches, for the message.
Status missing(const std::string& program, const RuntimeUse& use) {
  const Result<int> pid = sys::listener_of(use.containerd_address);
  const auto dirs = pid.is_ok() ? sys::program_dirs_of(*pid) : std::vector<std::string>();
  return sys::find_program_in(program, dirs).status();
}

}  // namespace

int exit_code_of_failure(const std::string& text) {
  if (!text.starts_with(kTaskFailure)) return 128;
  const std::string lower = to_lower(text);
  if (has(lower, "executable file not found") || has(lower, "no such file or directory")) return 127;
  if (has(lower, "permission denied") || has(lower, "is a directory") || has(lower, "not executable")) {
    return 126;
  }
  return has(lower, "not a directory") ? 127 : 128;
}

Status explain_task_failure(const Status& reason, const RuntimeUse& use) {
  const std::string& words = reason.message();
  // containerd's words for a shim that it does not find, and for a runtime that said nothing.
  if (has(words, "binary not installed")) {
    const Status why = missing(sys::shim_program(use.runtime.shim), use);
    return findings::missing_shim(use.runtime.shim, why.message()).status(Code::kInternal, kTask);
  }
  if (has(words, "unable to retrieve OCI runtime error")) {
    const Status why = missing(use.runtime.binary_name, use);
    if (!why.is_ok())
      return findings::missing_runtime(use.name, why.message()).status(Code::kInternal, kTask);
  }
  std::string text = std::string(kTaskFailure) + words;
  if (has(to_lower(words), "hugetlb") && sys::lacks_hugetlb_hierarchy()) {
    const Finding finding = findings::no_hugetlb_hierarchy(FindingLevel::kError);
    return Finding{finding.name, finding.level, std::move(text), finding.fix}.status(reason.code());
  }
  // What the runtime says of a command it cannot run is the caller's mistake; all else is not.
  const bool callers = exit_code_of_failure(text) != 128 && reason.code() == Code::kInternal;
  return {callers ? Code::kInvalidArgument : reason.code(), std::move(text)};
}

}  // namespace pouch::container
