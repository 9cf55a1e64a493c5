#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/dns/message.h"
#include "core/sys/event_loop.h"
#include "core/sys/ip_net.h"

namespace pouch::dns {

/// Where a server listens.
struct ServerAddress {
  sys::IpAddress address;
  std::string zone;  ///< link of a link-local address: "eth0" or its number
  uint16_t port = 53;

  /// "192.0.2.1", "fe80::1%eth0". InvalidArgument else.
  static Result<ServerAddress> parse(std::string_view text);
};

struct ForwarderLimits {
  int64_t try_ms = 2'000;   ///< for each server that is followed by another
  int64_t last_ms = 4'000;  ///< for the last one
  size_t max_servers = 3;   ///< as in resolv.conf(5)
};

/// Asks servers in the place of others, one after the other, until one answers: from a port of its own each
/// time, with an id of its own, and takes an answer only to what it asked. Belongs to its loop's thread.
class Forwarder {
 public:
  /// The answer with the query's own id; "" when none came.
  using Done = std::function<void(std::string answer)>;

  Forwarder(sys::EventLoop& loop, const ForwarderLimits& limits);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  /// `query` is sound. `done` runs later, and not at all once cancel() was called or the forwarder is gone.
  uint64_t ask(std::string query, std::vector<ServerAddress> servers, bool over_tcp, Done done);
  void cancel(uint64_t number);

 private:
  class Exchange;
  void finish(uint64_t number, std::string answer);

  sys::EventLoop& loop_;
  const ForwarderLimits limits_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace pouch::dns
