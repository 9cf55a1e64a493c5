#pragma once

#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/sys/token_file.h"

namespace pouch {

/// The proof that a session lives: a locked file <root>/sessions/<id> that names the process. The session has
/// ended when the file is gone, its lock free, or its process dead: a child made by a clone() that runs no
/// fork handlers has the lock, too.
class SessionFile {
 public:
  /// In the folder, which must exist.
  static Result<std::unique_ptr<SessionFile>> create(const std::string& folder);
  ~SessionFile();  ///< ends the session; nothing in a child of fork()
  SessionFile(const SessionFile&) = delete;
  SessionFile& operator=(const SessionFile&) = delete;

  const std::string& id() const { return file_.token; }

 private:
  SessionFile(std::string folder, sys::TokenFile file);

  const std::string folder_;
  const sys::TokenFile file_;
  const int pid_;
};

/// What a session's file tells.
struct SessionLife {
  bool is_alive = false;
  int pid = 0;  ///< of the living process; 0: not known, as in another PID namespace
};

SessionLife look_at_session(const std::string& folder, const std::string& id);

}  // namespace pouch
