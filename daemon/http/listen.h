#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::http {

/// A listening socket. A unix socket's file is removed with it, if it is still the same file.
class Listener {
 public:
  /// "unix:///path" or "tcp://host:port" ([v6]:port; empty host is 127.0.0.1; port 0 picks one). The unix
  /// socket has mode 0660 and the group `group` (if given); a stale file of a dead server is replaced,
  /// Conflict when one still answers.
  static Result<std::vector<Listener>> open(const std::string& uri, std::optional<gid_t> group);

  ~Listener();
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;

  int fd() const { return fd_.get(); }
  /// With the port that was picked.
  const std::string& uri() const { return uri_; }
  bool is_tcp() const { return path_.empty(); }
  bool is_loopback() const { return loopback_; }

 private:
  Listener(UniqueFd fd, std::string uri) : fd_(std::move(fd)), uri_(std::move(uri)) {}
  static Result<Listener> open_unix(const std::string& path, std::optional<gid_t> group);
  static Result<std::vector<Listener>> open_tcp(const std::string& uri, std::string_view address);

  UniqueFd fd_;
  std::string uri_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool loopback_ = true;
};

}  // namespace pouch::http
