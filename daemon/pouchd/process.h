#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

// What pouchd does as a process of the system.

namespace pouch::pouchd {

/// Tells the service manager (NOTIFY_SOCKET) something like "READY=1"; nothing without one.
void notify_service_manager(const std::string& state);

/// A group by name or number.
Result<gid_t> find_group(const std::string& group);

/// A file with our process id, locked while we live. Conflict when another process holds it.
class PidFile {
 public:
  static Result<std::unique_ptr<PidFile>> create(const std::string& path);
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

 private:
  PidFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

/// Blocks the signals that end pouchd on this thread and all it starts; for wait_for_stop. Broken pipes are
/// errors, not signals.
void block_stop_signals();
/// Waits for SIGTERM or SIGINT. After it a second one ends the process at once.
void wait_for_stop();

}  // namespace pouch::pouchd
