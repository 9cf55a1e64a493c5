#include "core/engine/check.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/api/check.h"
#include "core/engine/root_settings.h"
#include "core/store/database.h"
#include "core/system/check.h"

namespace pouch {
namespace {

constexpr int64_t kPatienceMs = 500;

// What the root has decided, if it is there; else what it would decide.
Status adopt_settings(EngineOptions& options) {
  const std::string path = options.root_dir + "/pouch.db";
  if (::geteuid() != 0 || ::access(path.c_str(), F_OK) != 0) {
    assume_settings(options);
    return {};
  }
  const auto settings = [&]() -> Result<RootSettings> {
    POUCH_ASSIGN_OR_RETURN(const auto database, store::Database::open(path, Deadline::after_ms(kPatienceMs)));
    return peek_settings(*database, options);
  }();
  assume_settings(options);
  if (!settings.is_ok()) return settings.status();
  options.containerd_address =
      settings->has_private_containerd ? kPrivateContainerd : settings->containerd_address;
  options.snapshotter = settings->snapshotter;
  options.run_dir = settings->run_dir;
  return {};
}

}  // namespace

Result<api::CheckReport> check_engine(EngineOptions options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(complete_options(options).prefix("check the local engine"));
  const Status root = adopt_settings(options);
  std::vector<Finding> findings = check_host(options, call);
  if (!root.is_ok()) {
    const auto at = std::find_if(findings.begin(), findings.end(),
                                 [](const Finding& finding) { return finding.name == findings::kRoot; });
    // What is wrong with the folder itself is also why its database cannot be read.
    if (at != findings.end() && at->level != FindingLevel::kError) {
      *at = finding_of(root.prefix("open engine root " + options.root_dir), findings::kRoot);
    }
  }
  return api::make_report(findings);
}

}  // namespace pouch
