#include "core/system/components.h"

#include <utility>

#include "core/base/text.h"
#include "core/ctrd/client.h"
#include "core/ctrd/version.h"
#include "core/sys/child.h"
#include "core/sys/find_program.h"

namespace pouch {
namespace {

constexpr int64_t kPatienceMs = 1'000;
constexpr size_t kOutputLimit = 4096;  // bytes

}  // namespace

std::optional<Component> containerd_component(const EngineContext& context, const Call& call) {
  Call soon = call;
  soon.deadline = call.deadline.earlier(Deadline::after_ms(kPatienceMs));
  const auto client = context.ctrd(soon);
  if (!client.is_ok()) return std::nullopt;
  auto version = (*client)->version().get(soon);
  if (!version.is_ok()) return std::nullopt;
  return Component{std::move(version->version), std::move(version->revision)};
}

std::optional<Component> parse_runtime_version(std::string_view text) {
  constexpr std::string_view kVersion = " version ";
  constexpr std::string_view kCommit = "commit: ";
  Component component;
  for (const std::string& line : split(text, '\n')) {
    const size_t at = line.find(kVersion);
    if (component.version.empty() && at != std::string::npos) {
      component.version = trim(std::string_view(line).substr(at + kVersion.size()));
    } else if (line.starts_with(kCommit)) {
      component.commit = trim(std::string_view(line).substr(kCommit.size()));
    }
  }
  if (component.version.empty()) return std::nullopt;
  return component;
}

std::optional<Component> runtime_component(const RuntimeOptions& runtime) {
  const bool is_path = runtime.binary_name.starts_with("/");
  const auto program =
      is_path ? Result<std::string>(runtime.binary_name) : sys::find_program(runtime.binary_name, {});
  if (!program.is_ok()) return std::nullopt;
  sys::SpawnSpec spec;
  spec.program = *program;
  spec.args = {"--version"};
  const auto output = sys::run_program(std::move(spec), Deadline::after_ms(kPatienceMs), kOutputLimit);
  if (!output.is_ok() || output->exit.code != 0) return std::nullopt;
  return parse_runtime_version(output->stdout_text);
}

}  // namespace pouch
