#include "core/engine/root_settings.h"

#include <map>
#include <utility>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/engine/private_containerd.h"
#include "core/registry/settings_file.h"

namespace pouch {
namespace {

constexpr const char* kDefaultRoot = "/var/lib/pouch";
constexpr const char* kDefaultRunParent = "/run/pouch/";
constexpr const char* kDefaultSnapshotter = "overlayfs";
constexpr const char* kDefaultRuntime = "runc";
constexpr const char* kDefaultRegistriesFile = "/etc/pouch/registries.json";
constexpr size_t kRootIdBytes = 6;
// sockaddr_un has 108 bytes, of which the names of sockets and FIFOs in the folder need some.
constexpr size_t kMaxRunDir = 72;

Status check_path(const std::string& path, const char* what) {
  if (path.empty() || path.front() == '/') return {};
  return invalid_argument(std::string(what) + " " + quote(path) + " is not an absolute path");
}

Status check_runtime(EngineOptions& options) {
  const std::string& name = options.default_runtime;
  if (options.runtimes.contains(name)) return {};
  if (name.front() == '/') {
    options.runtimes[name] = {.binary_name = name};
    return {};
  }
  std::vector<std::string> known;
  for (const auto& [key, runtime] : options.runtimes) known.push_back(key);
  return invalid_argument("unknown runtime " + quote(name) + "; known are " + join(known, ", "));
}

Result<std::map<std::string, std::string>> read_settings(store::Session& session) {
  POUCH_ASSIGN_OR_RETURN(store::Statement select, session.prepare("SELECT key,value FROM root"));
  std::map<std::string, std::string> values;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool has_row, select.step());
    if (!has_row) return values;
    values[select.text(0)] = select.text(1);
  }
}

Status decide_settings(store::Database& database, const EngineOptions& options) {
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction, database.begin(store::Durability::kKept, {}));
  POUCH_ASSIGN_OR_RETURN(const auto present, read_settings(transaction));
  if (present.contains("id")) return {};  // another process was first
  const std::string id = random_hex(kRootIdBytes);
  const auto or_default = [](const std::string& given, const std::string& fallback) {
    return given.empty() ? fallback : given;
  };
  const std::pair<const char*, std::string> decided[] = {
      {"id", id},
      {"containerd", or_default(options.containerd_address, kPrivateContainerd)},
      {"snapshotter", or_default(options.snapshotter, kDefaultSnapshotter)},
      {"run_dir", or_default(options.run_dir, kDefaultRunParent + id)}};
  for (const auto& [key, value] : decided) {
    POUCH_RETURN_IF_ERROR(transaction.run("INSERT INTO root(key,value) VALUES(?,?)", key, value).status());
  }
  return transaction.commit();
}

Status check_same(const std::string& asked, const std::string& decided, const char* what) {
  if (asked.empty() || asked == decided) return {};
  return conflict(std::string("it was made with ") + what + " " + quote(decided) + ", not " + quote(asked) +
                  "; leave it out, or open another root");
}

Result<RootSettings> checked_settings(std::map<std::string, std::string>& values,
                                      const EngineOptions& options) {
  RootSettings settings{values["id"], values["containerd"], false, values["snapshotter"], values["run_dir"]};
  POUCH_RETURN_IF_ERROR(check_same(options.containerd_address, settings.containerd_address, "containerd"));
  POUCH_RETURN_IF_ERROR(check_same(options.snapshotter, settings.snapshotter, "snapshotter"));
  POUCH_RETURN_IF_ERROR(check_same(options.run_dir, settings.run_dir, "run folder"));
  settings.has_private_containerd = settings.containerd_address == kPrivateContainerd;
  if (settings.has_private_containerd) {
    settings.containerd_address = private_containerd::socket_path(settings.run_dir);
  }
  return settings;
}

}  // namespace

Status complete_options(EngineOptions& options) {
  if (options.root_dir.empty()) options.root_dir = kDefaultRoot;
  if (options.default_runtime.empty()) options.default_runtime = kDefaultRuntime;
  if (options.registries_file.empty()) options.registries_file = kDefaultRegistriesFile;
  options.runtimes.try_emplace("runc", RuntimeOptions{.binary_name = "runc"});
  options.runtimes.try_emplace("crun", RuntimeOptions{.binary_name = "crun"});
  for (std::string* path : {&options.root_dir, &options.run_dir}) {
    while (path->size() > 1 && path->back() == '/') path->pop_back();
  }
  POUCH_RETURN_IF_ERROR(check_path(options.root_dir, "root folder"));
  POUCH_RETURN_IF_ERROR(check_path(options.run_dir, "run folder"));
  if (options.containerd_address != kPrivateContainerd) {
    POUCH_RETURN_IF_ERROR(check_path(options.containerd_address, "containerd's socket"));
  }
  POUCH_RETURN_IF_ERROR(check_path(options.keeper_program, "keeper program"));
  POUCH_RETURN_IF_ERROR(check_path(options.registries_file, "registries file"));
  registry::Settings registries;
  POUCH_RETURN_IF_ERROR(
      registry::add_settings(registries, options.registry_mirrors, options.insecure_registries));
  if (options.run_dir.size() > kMaxRunDir) {
    return invalid_argument("run folder " + quote(options.run_dir) + " is longer than " +
                            std::to_string(kMaxRunDir) + " bytes, too long for the sockets in it");
  }
  return check_runtime(options);
}

void assume_settings(EngineOptions& options) {
  if (options.containerd_address.empty()) options.containerd_address = kPrivateContainerd;
  if (options.snapshotter.empty()) options.snapshotter = kDefaultSnapshotter;
}

Result<RootSettings> peek_settings(store::Database& database, const EngineOptions& options) {
  POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, database.read());
  POUCH_ASSIGN_OR_RETURN(auto values, read_settings(snapshot));
  if (!values.contains("id")) {
    EngineOptions assumed = options;
    assume_settings(assumed);
    const bool is_private = assumed.containerd_address == kPrivateContainerd;
    return RootSettings{"", assumed.containerd_address, is_private, assumed.snapshotter, assumed.run_dir};
  }
  return checked_settings(values, options);
}

Result<RootSettings> load_settings(store::Database& database, const EngineOptions& options) {
  const auto read = [&database]() -> Result<std::map<std::string, std::string>> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, database.read());
    return read_settings(snapshot);
  };
  POUCH_ASSIGN_OR_RETURN(auto values, read());
  if (!values.contains("id")) {
    POUCH_RETURN_IF_ERROR(decide_settings(database, options));
    POUCH_ASSIGN_OR_RETURN(values, read());
  }
  return checked_settings(values, options);
}

}  // namespace pouch
