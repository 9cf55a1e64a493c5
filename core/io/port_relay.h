#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/sys/event_loop.h"

namespace pouch::io {

/// Where connections to a port are led to.
struct RelayTarget {
  std::string address;  ///< "": nowhere, they are closed
  uint16_t port = 0;
};

/// Carries what the firewall cannot lead to a container: nothing is translated from ::1, nor from IPv6 to a
/// container that has IPv4 alone. Its end of a connection comes from the host. Loop's thread only.
class PortRelay {
 public:
  explicit PortRelay(sys::EventLoop& loop);
  ~PortRelay();  ///< ends all connections
  PortRelay(const PortRelay&) = delete;
  PortRelay& operator=(const PortRelay&) = delete;

  /// Takes the connections that wait at a listening socket. What is too many, or nowhere to go, is closed.
  /// False when there are no descriptors left for them: the socket stays ready.
  bool accept_all(int listener, const RelayTarget& target);
  /// Takes the datagrams that wait at a socket; answers go out by it. It must stay open until forget().
  void take_datagrams(int socket, const RelayTarget& target);
  /// Ends the exchanges by way of a socket of datagrams, which is about to be closed or leads elsewhere now.
  void forget(int socket);

 private:
  class Connection;
  struct Exchange;
  using ExchangeKey = std::pair<int, std::string>;  // by which socket, with which client

  Exchange* exchange_with(const ExchangeKey& key, const RelayTarget& target);
  void answer(const ExchangeKey& key);
  void expire();

  sys::EventLoop& loop_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::map<ExchangeKey, std::unique_ptr<Exchange>> exchanges_;
  sys::EventLoop::TimerId timer_ = 0;
};

}  // namespace pouch::io
