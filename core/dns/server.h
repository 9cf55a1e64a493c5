#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/unique_fd.h"
#include "core/dns/forwarder.h"
#include "core/dns/link.h"
#include "core/dns/message.h"
#include "core/sys/event_loop.h"

namespace pouch::dns {

struct ServerLimits {
  size_t max_queries = 256;      ///< of one sandbox that wait for their answer; others are refused
  size_t max_tcp_clients = 32;   ///< of one sandbox
  int64_t tcp_idle_ms = 10'000;  ///< such a client is dropped when it has nothing to say for so long
  int64_t lookup_ms = 5'000;     ///< for an answer of who knows the names
  ForwarderLimits forwarder;
};

/// Who knows what names mean. Answers by Server::on_answer.
using AskDirectory = std::function<Status(uint64_t number, const Lookup& lookup)>;

/// The name server of all sandboxes. Everything belongs to the loop's thread.
class Server {
 public:
  Server(sys::EventLoop& loop, AskDirectory ask, const ServerLimits& limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves on a bound UDP socket and a listening TCP socket, in place of those that it had.
  Status add_sandbox(const std::string& sandbox, UniqueFd udp, UniqueFd tcp);
  void remove_sandbox(const std::string& sandbox);
  void on_answer(uint64_t number, const LookupAnswer& answer);

 private:
  class Sandbox;
  friend class Sandbox;
  /// Once, with the answer; "" for none.
  using Reply = std::function<void(std::string answer)>;
  struct Query;

  void handle(Sandbox& sandbox, std::string bytes, bool over_tcp, Reply reply);
  void finish(uint64_t number, std::string answer);
  void forward(uint64_t number, const std::vector<std::string>& servers);
  void drop_queries(const std::string& sandbox);

  sys::EventLoop& loop_;
  const AskDirectory ask_;
  const ServerLimits limits_;
  Forwarder forwarder_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Query>> queries_;
  std::map<std::string, std::unique_ptr<Sandbox>> sandboxes_;
};

}  // namespace pouch::dns
