#pragma once

#include <string>
#include <string_view>

#include "core/base/unique_fd.h"
#include "core/net/curl_handle.h"
#include "core/remote/address.h"

namespace pouch::remote {

/// A connection that libcurl dialled and that we speak on ourselves (after a 101 libcurl would frame what we
/// send). Used by one thread at a time; wake() from any thread.
class Socket {
 public:
  explicit Socket(Address address, std::string op);

  Status connect(const Call& call);
  /// Sends all of it. Unavailable when the connection broke.
  Status send_all(std::string_view data, const Call& call);
  /// What has come, at least a byte; empty when the peer has ended. Waits as long as the call does.
  Result<std::string> receive(const Call& call);
  /// Half-close: nothing more will be sent.
  void shut_down_write();
  void wake() const;

  /// Without waiting: how much was sent, or received (0 = nothing now). `ended` tells the peer's end.
  Result<size_t> try_send(std::string_view data);
  Result<std::string> try_receive(bool* ended);
  /// Waits for what is wanted, another descriptor, or wake(). -1 for none.
  void wait(bool want_write, bool want_read, int other_fd, int timeout_ms) const;

 private:
  Status broken(CURLcode code) const;

  const Address address_;
  const std::string op_;
  net::CurlHandle handle_;
  curl_socket_t fd_ = CURL_SOCKET_BAD;
  UniqueFd wake_;
};

}  // namespace pouch::remote
