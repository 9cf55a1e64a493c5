#pragma once

#include <string>

#include "core/base/status.h"
#include "core/store/database.h"
#include "core/store/engine_options.h"

namespace pouch {

/// Fills in the defaults that do not depend on the root and checks what was given: absolute paths, short
/// enough for sockets, a runtime that is known.
Status complete_options(EngineOptions& options);

/// What the root's database says of itself, made with the first opening.
struct RootSettings {
  std::string id;                  ///< 12 hex digits
  std::string containerd_address;  ///< path of its socket
  bool has_private_containerd = false;
  std::string snapshotter;
  std::string run_dir;
};

/// Reads the settings; where there are none yet, writes those that `options` and the defaults give. Conflict
/// when `options` asks for something else than was decided.
Result<RootSettings> load_settings(store::Database& database, const EngineOptions& options);
/// The same without writing: where nothing is decided yet, what would be.
Result<RootSettings> peek_settings(store::Database& database, const EngineOptions& options);
/// Fills in what a new root would decide, the run folder excepted.
void assume_settings(EngineOptions& options);

}  // namespace pouch
