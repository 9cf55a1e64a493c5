#include "core/mock/mock_engine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/api/check.h"
#include "core/api/usage_kinds.h"
#include "core/base/text.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace {

constexpr std::array<std::string_view, 4> kWrong = {"exit-code", "lost-stderr", "remove-running",
                                                    "name-reuse"};

bool is_running(const mock::Container& container) {
  return container.main.running;
}

}  // namespace

Result<std::unique_ptr<MockEngine>> MockEngine::open(const std::string& uri) {
  constexpr std::string_view kScheme = "mock://";
  std::string rest = uri.starts_with(kScheme) ? uri.substr(kScheme.size()) : uri;
  std::set<std::string> wrong;
  if (rest.starts_with("?")) {
    for (const std::string& option : split(rest.substr(1), '&')) {
      const std::string value = option.starts_with("wrong=") ? option.substr(6) : "";
      if (std::find(kWrong.begin(), kWrong.end(), value) == kWrong.end()) {
        return invalid_argument("open " + quote(uri) + ": unknown option " + quote(option));
      }
      wrong.insert(value);
    }
  } else if (!rest.empty()) {
    return invalid_argument("open " + quote(uri) + ": mock:// takes no path");
  }
  return std::unique_ptr<MockEngine>(std::make_unique<MockEngine>(Private{}, std::move(wrong)));
}

MockEngine::MockEngine(Private /*only open() makes one*/, std::set<std::string> wrong)
    : state_(std::make_shared<mock::State>()) {
  state_->wrong = std::move(wrong);
}

MockEngine::~MockEngine() {
  std::map<std::string, std::shared_ptr<mock::Container>> containers;
  std::map<std::string, std::shared_ptr<mock::Exec>> execs;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
    containers = state_->containers;
    execs = state_->execs;
    state_->changed.notify_all();
  }
  // Outside the lock: the processes' threads report their end before they can be joined.
  for (auto& [id, exec] : execs) exec->main.process.reset();
  for (auto& [id, container] : containers) {
    container->host.auto_remove = false;
    container->main.process.reset();
  }
}

Result<api::SystemInfo> MockEngine::system_info(const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  api::SystemInfo out;
  out.id = "mock";
  out.name = "mock";
  out.driver = "mock";
  out.os_type = "linux";
  out.operating_system = "mock";
  out.server_version = POUCH_VERSION;
  out.system_time = Timestamp::now();
  out.containers = static_cast<int64_t>(state_->containers.size());
  for (const auto& [id, container] : state_->containers) {
    (is_running(*container) ? out.containers_running : out.containers_stopped) += 1;
  }
  out.images = static_cast<int64_t>(state_->images.size());
  out.swarm.local_node_state = "inactive";
  return out;
}

Result<api::CheckReport> MockEngine::system_check(const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  std::vector<Finding> findings;
  for (const std::string_view name : {findings::kUser, findings::kRoot, findings::kContainerd,
                                      findings::kShim, findings::kRuntime, findings::kKeeper}) {
    findings.push_back(findings::fine(name, "not needed: this engine is in memory"));
  }
  return api::make_report(findings);
}

Result<api::DiskUsage> MockEngine::system_df(const api::SystemDfOptions& options, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const api::UsageKinds kinds, api::parse_usage_kinds(options.type));
  api::DiskUsage out;
  if (kinds.images) {
    api::ImageListOptions wanted;
    wanted.shared_size = true;
    POUCH_ASSIGN_OR_RETURN(out.images, image_list(wanted, call));
    const std::lock_guard lock(state_->mutex);
    for (api::ImageSummary& image : *out.images) {
      image.containers = std::count_if(state_->containers.begin(), state_->containers.end(),
                                       [&](const auto& at) { return at.second->image_id == image.id; });
    }
  }
  if (kinds.containers) {
    api::ContainerListOptions wanted;
    wanted.all = wanted.size = true;
    POUCH_ASSIGN_OR_RETURN(out.containers, container_list(wanted, call));
  }
  if (kinds.volumes) {
    const std::lock_guard lock(state_->mutex);
    std::vector<api::Volume> volumes;
    for (const auto& [name, volume] : state_->volumes) {
      volumes.push_back(volume);
      volumes.back().usage_data =
          api::VolumeUsageData{0, static_cast<int64_t>(state_->users_of_volume(name).size())};
    }
    out.volumes = std::move(volumes);
  }
  if (kinds.build_cache) out.build_cache = std::vector<api::BuildCacheRecord>();
  return out;
}

Result<api::Diagnosis> MockEngine::system_diagnose(const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const api::SystemInfo info, system_info(call));
  api::Diagnosis out;
  POUCH_ASSIGN_OR_RETURN(out.version, system_version(call));
  POUCH_ASSIGN_OR_RETURN(out.check, system_check(call));
  out.time = Timestamp::now();
  out.pid = ::getpid();
  out.pouch.root_id = "mock";
  out.counts = {{"Containers", info.containers},
                {"Running", info.containers_running},
                {"Paused", info.containers_paused},
                {"Stopped", info.containers_stopped},
                {"Images", info.images}};
  return out;
}

Result<api::PingInfo> MockEngine::system_ping(const Call& /*call*/) {
  api::PingInfo out;
  out.api_version = "1.50";
  out.os_type = "linux";
  return out;
}

Result<api::VersionInfo> MockEngine::system_version(const Call& /*call*/) {
  api::VersionInfo out;
  out.version = POUCH_VERSION;
  out.api_version = "1.50";
  out.min_api_version = "1.24";
  out.os = "linux";
  out.arch = "amd64";
  return out;
}

}  // namespace pouch
