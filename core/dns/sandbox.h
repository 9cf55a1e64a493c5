#pragma once

#include <netinet/in.h>

#include <map>
#include <memory>
#include <string>

#include "core/base/unique_fd.h"
#include "core/dns/message.h"
#include "core/dns/server.h"
#include "core/sys/event_loop.h"

namespace pouch::dns {

/// The sockets in one sandbox, and its clients.
class Server::Sandbox {
 public:
  Sandbox(Server& server, std::string name, UniqueFd udp, UniqueFd tcp);
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  Status start();
  const std::string& name() const { return name_; }

  size_t waiting = 0;  ///< its queries

 private:
  class TcpClient;
  friend class TcpClient;
  void read_udp();
  void send_udp(const sockaddr_in& to, const std::string& answer);
  void accept_tcp();
  void pause_accepting();
  void answer_tcp(uint64_t client, const std::string& answer);
  void drop(uint64_t client);

  Server& server_;
  const std::string name_;
  const UniqueFd udp_;
  const UniqueFd tcp_;
  sys::EventLoop::WatchId udp_watch_ = 0;
  sys::EventLoop::WatchId tcp_watch_ = 0;
  sys::EventLoop::TimerId accept_timer_ = 0;
  uint64_t next_client_ = 1;
  std::map<uint64_t, std::unique_ptr<TcpClient>> clients_;
};

}  // namespace pouch::dns
