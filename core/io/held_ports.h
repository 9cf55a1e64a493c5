#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/keeper_hooks.h"
#include "core/io/port_relay.h"
#include "core/io/stdio.h"
#include "core/sys/event_loop.h"

namespace pouch::io {

/// The sockets that keep published ports from everybody else, by the run that has them. Where the firewall's
/// rules lead packets to the container nothing comes to them; what comes all the same is relayed. Loop's
/// thread only.
class HeldPorts {
 public:
  /// Both outlive it; the vault may be null.
  HeldPorts(sys::EventLoop& loop, FifoVault* vault) : loop_(loop), vault_(vault), relay_(loop) {}
  ~HeldPorts();
  HeldPorts(const HeldPorts&) = delete;
  HeldPorts& operator=(const HeldPorts&) = delete;

  /// From now on `key` has exactly these; all or, when one is taken, what it had before.
  HoldAnswer hold(const std::string& key, const std::vector<HeldPort>& ports);
  void release(const std::string& key);
  /// A socket that an earlier worker gave to the vault under this name; what is not ours is closed.
  void adopt(const std::string& name, UniqueFd fd);

 private:
  struct Socket {
    UniqueFd fd;
    sys::EventLoop::WatchId watch = 0;
    /// Unknown for one that was adopted, until it is asked for again.
    std::shared_ptr<RelayTarget> target = std::make_shared<RelayTarget>();
  };
  using Sockets = std::map<std::string, Socket>;  // by the port's text

  Status watch(Socket& socket);
  void lead_to(Socket& socket, const HeldPort& port);
  void drop(const std::string& key, const std::string& port, Socket& socket);
  std::string vault_name(const std::string& key, const std::string& port) const;

  sys::EventLoop& loop_;
  FifoVault* const vault_;
  PortRelay relay_;
  std::map<std::string, Sockets> held_;
};

/// "tcp 0.0.0.0 80": which one it is, wherever it leads to.
std::string port_text(const HeldPort& port);
/// With its target, if it has one: "tcp 0.0.0.0 80 10.1.2.3 8080".
std::string full_port_text(const HeldPort& port);
/// Of either text. InvalidArgument else.
Result<HeldPort> parse_port(const std::string& text);
/// Bound, and for tcp listening, so that nobody else can have it; invalid where the kernel does not know the
/// protocol, and nobody can. The error's text is the kernel's: "address already in use".
Result<UniqueFd> bind_port(const HeldPort& port);

}  // namespace pouch::io
