#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "core/base/status.h"

namespace pouch::ctrd::testing {

/// A containerd of the test's own: root, state and socket in a temporary folder; CRI and unused snapshotters
/// off. Its end kills the tasks that are left, stops it, unmounts all below the folder and removes it.
///
///   auto containerd = PrivateContainerd::start();
///   if (!containerd.is_ok()) GTEST_SKIP() << containerd.status().message();
class PrivateContainerd {
 public:
  /// NotImplemented with the reason when this machine cannot (not root, no containerd).
  static Result<std::unique_ptr<PrivateContainerd>> start();
  ~PrivateContainerd();  // NOLINT(bugprone-exception-escape): a test without memory may end
  PrivateContainerd(const PrivateContainerd&) = delete;
  PrivateContainerd& operator=(const PrivateContainerd&) = delete;

  const std::string& socket_path() const { return socket_path_; }
  /// The temporary folder (short path); the test may put its own files there.
  const std::string& dir() const { return dir_; }
  pid_t pid() const { return pid_; }

  Status kill_hard();  ///< SIGKILL and reap; shims and containers live on
  Status restart();    ///< starts it again on the same folders and waits until it serves

 private:
  PrivateContainerd() = default;
  Status launch();
  void end_process(int signal);
  void kill_leftovers();

  std::string dir_;
  std::string socket_path_;
  pid_t pid_ = -1;
};

}  // namespace pouch::ctrd::testing
