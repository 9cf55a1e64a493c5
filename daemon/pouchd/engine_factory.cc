#include "daemon/pouchd/engine_factory.h"

#include <utility>

#if POUCH_HAVE_LOCAL_ENGINE
#include "core/engine/local_engine.h"
#endif
#include "core/mock/mock_engine.h"

namespace pouch::pouchd {
namespace {

#if POUCH_HAVE_LOCAL_ENGINE
Result<std::unique_ptr<Engine>> make_local(const Options& options) {
  EngineOptions engine;
  engine.root_dir = options.home_dir;
  engine.run_dir = options.exec_root_dir;
  engine.containerd_address = options.containerd;
  engine.snapshotter = options.snapshotter;
  engine.default_runtime = options.default_runtime;
  engine.registries_file = options.registries_file;
  engine.registry_mirrors = options.registry_mirrors;
  engine.insecure_registries = options.insecure_registries;
  for (const auto& [name, path] : options.runtimes) engine.runtimes[name].binary_name = path;
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<LocalEngine> local, LocalEngine::open(std::move(engine)));
  return std::unique_ptr<Engine>(std::move(local));
}
#else
Result<std::unique_ptr<Engine>> make_local(const Options& /*options*/) {
  return not_implemented("this pouchd was built without the local engine; --mock works");
}
#endif

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const Options& options) {
  if (!options.mock) return make_local(options);
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<MockEngine> mock, MockEngine::open("mock://"));
  return std::unique_ptr<Engine>(std::move(mock));
}

}  // namespace pouch::pouchd
