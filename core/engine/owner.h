#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/sys/file.h"

namespace pouch {

/// What a living owner tells of itself.
struct OwnerFacts {
  int pid = 0;  ///< as its process sees it
  bool is_keeper = false;
};

/// The proof that an open engine lives: a locked file <root>/owners/<token>. The lock goes with the process,
/// however it ends; a child made by fork() does not share it.
class Owner {
 public:
  /// A new token in the folder, which must exist.
  static Result<std::unique_ptr<Owner>> create(const std::string& folder, bool is_keeper = false);
  /// All that live in the folder, of this process too.
  static std::vector<OwnerFacts> living(const std::string& folder);
  ~Owner();
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  /// Whether engines died here whose files are still there, and takes those away.
  bool has_dead() const;
  void remove_dead() const;

  /// The file stays: whoever opens the root next has to put something in order, as after a death.
  void leave_file() { leaves_file_ = true; }

  const std::string& token() const { return token_; }
  /// Whether the owner of a token, ours or another's, is alive. Thread-safe.
  bool is_alive(const std::string& token) const;

 private:
  Owner(std::string folder, std::string token, sys::FileLock lock);

  const std::string folder_;
  const std::string token_;
  const sys::FileLock lock_;
  const int pid_;
  bool leaves_file_ = false;
};

}  // namespace pouch
