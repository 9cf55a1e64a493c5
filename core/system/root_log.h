#pragma once

#include <string>
#include <vector>

namespace pouch {

/// Writes errors and warnings about a root to <root>/log/pouch.log, in every process that has it open: a line
/// each, appended at once. At 1 MiB the file becomes pouch.log.1 and a new one begins, so both together stay
/// below 2 MiB. What cannot be written is dropped.
class RootLog {
 public:
  RootLog(const std::string& root_dir, const std::string& root_id);
  ~RootLog();
  RootLog(const RootLog&) = delete;
  RootLog& operator=(const RootLog&) = delete;

  /// The newest lines of a root's log, oldest first.
  static std::vector<std::string> tail(const std::string& root_dir, size_t lines);

 private:
  const int sink_;
};

}  // namespace pouch
