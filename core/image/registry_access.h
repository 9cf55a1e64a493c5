#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <tuple>

#include "core/api/system.gen.h"
#include "core/base/status.h"
#include "core/registry/client.h"
#include "core/registry/settings.h"
#include "core/store/engine_options.h"

namespace pouch::image {

/// What the engine goes by when it talks to registries: its options, on top of the registries file. Errors
/// name the file and the key.
Result<registry::Settings> registry_settings(const EngineOptions& options);

/// The part of system.info that tells of registries and proxies.
void describe_registries(const registry::Settings& settings, api::SystemInfo& out);

/// One client for all operations, so that they share tokens and connections; made anew when the registries
/// file has changed. Thread-safe.
class RegistryAccess {
 public:
  /// The options must outlive it.
  explicit RegistryAccess(const EngineOptions& options) : options_(options) {}

  /// What is under way goes on with the client that it has.
  Result<std::shared_ptr<registry::Client>> client();

 private:
  /// What tells one state of a file from another: inode, size, and when it was changed (seconds,
  /// nanoseconds). Zeros: there is none.
  using FileState = std::tuple<uint64_t, int64_t, int64_t, int64_t>;
  FileState look() const;

  const EngineOptions& options_;
  std::mutex mutex_;
  std::shared_ptr<registry::Client> client_;  ///< protected by mutex_; null before the first use
  FileState seen_;                            ///< protected by mutex_
};

}  // namespace pouch::image
