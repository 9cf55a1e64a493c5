#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::store {

/// Makes commits durable: syncs the write-ahead log, once for all who wait at the same time. Thread-safe.
/// (SQLite's own synchronous=FULL does it within the commit, with the writer's lock held.)
class WalSync {
 public:
  explicit WalSync(std::string database_path) : database_path_(std::move(database_path)) {}

  /// Returns when everything committed before the call would survive a power cut.
  Status sync();

 private:
  Status open_log();
  Status sync_log();

  const std::string database_path_;
  std::mutex mutex_;
  std::condition_variable done_;
  // Below protected by mutex_, but for log_ while is_running_: then it is the running thread's.
  uint64_t asked_ = 0;
  uint64_t synced_ = 0;
  bool is_running_ = false;
  UniqueFd log_;
};

}  // namespace pouch::store
