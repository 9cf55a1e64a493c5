#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "core/base/status.h"
#include "daemon/http/exchange.h"
#include "daemon/http/limits.h"

namespace pouch::http {

/// Answers one request; runs on a thread of its own and may block. It must answer.
using Handler = std::function<void(Exchange&)>;

struct ServerOptions {
  std::vector<std::string> listen;  ///< unix:///path, tcp://host:port
  std::optional<gid_t> group;       ///< of the unix sockets
  Limits limits;
  std::function<void()> on_stop_timeout;  ///< calls still run when limits.stop_ms is over: cancel them
};

/// An HTTP/1.1 server: one thread waits for connections and request heads, each request in work has one.
class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler handler);
  /// Stops if it has not been stopped.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// What it listens on, with the ports that were picked.
  std::vector<std::string> addresses() const;
  /// Takes no more requests, ends streams, waits for the calls in work. Once.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pouch::http
