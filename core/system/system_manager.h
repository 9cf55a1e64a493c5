#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/api/stream.h"
#include "core/api/system.gen.h"
#include "core/base/cancel.h"
#include "core/base/finding.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"

namespace pouch {

/// How many objects the root has, from the managers that have them.
struct ObjectCounts {
  int64_t containers = 0;
  int64_t running = 0;
  int64_t paused = 0;
  int64_t stopped = 0;
  int64_t images = 0;
};

/// What system.info tells of other managers' matters, from those who know.
struct SystemSources {
  std::function<Result<ObjectCounts>()> count;
  std::function<Result<std::vector<api::ImageSummary>>(const Call& call, int64_t& layers_size)>
      measure_images;
  std::function<Result<std::vector<api::ContainerSummary>>(const Call& call)> measure_containers;
  std::function<Result<std::vector<api::Volume>>(const Call& call)> measure_volumes;
  std::function<Status(api::SystemInfo& out)> describe_registries;
  std::function<Result<std::vector<Finding>>(const Call& call)> look_at_networks;
};

/// All of system.* (core/api/engine.gen.h has the contract of each). Thread-safe.
class SystemManager {
 public:
  /// The context must outlive the manager.
  SystemManager(EngineContext& context, SystemSources sources)
      : context_(context), sources_(std::move(sources)) {}

  Result<api::PingInfo> ping(const Call& call);
  Result<api::VersionInfo> version(const Call& call);
  Result<api::SystemInfo> info(const Call& call);
  Result<api::CheckReport> check(const Call& call);
  Result<api::Diagnosis> diagnose(const Call& call);
  Result<api::DiskUsage> df(const api::SystemDfOptions& options, const Call& call);
  Result<StreamPtr> events(const api::SystemEventsOptions& options, const Call& call);

 private:
  EngineContext& context_;
  const SystemSources sources_;
};

}  // namespace pouch
