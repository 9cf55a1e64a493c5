#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/store/engine_context.h"
#include "core/sys/file.h"

namespace pouch::image {

/// Held while one blob is fetched or one layer is unpacked: whoever else on the root wants the same waits and
/// then finds it. Ends with its process.
class WorkLock {
 public:
  /// `what` is a digest, or another name of a file. Waits as long as the call does.
  static Result<WorkLock> acquire(const EngineContext& context, const std::string& what, const Call& call);
  ~WorkLock();
  WorkLock(WorkLock&&) noexcept = default;
  WorkLock& operator=(WorkLock&&) = delete;

 private:
  WorkLock(std::string path, sys::FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  sys::FileLock lock_;
};

}  // namespace pouch::image
