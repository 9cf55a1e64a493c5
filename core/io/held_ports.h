#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/keeper_hooks.h"
#include "core/io/stdio.h"
#include "core/sys/event_loop.h"

namespace pouch::io {

/// The sockets that keep published ports from everybody else, by the run that has them. No connection comes
/// to them as long as the firewall's rules are there: these lead packets to the container before. A
/// connection that comes all the same is closed. Loop's thread only.
class HeldPorts {
 public:
  /// Both outlive it; the vault may be null.
  HeldPorts(sys::EventLoop& loop, FifoVault* vault) : loop_(loop), vault_(vault) {}
  ~HeldPorts();
  HeldPorts(const HeldPorts&) = delete;
  HeldPorts& operator=(const HeldPorts&) = delete;

  /// From now on `key` has exactly these; all or, when one is taken, what it had before.
  HoldAnswer hold(const std::string& key, const std::vector<HeldPort>& ports);
  void release(const std::string& key);
  /// A socket that an earlier worker gave to the vault under this name; others are not ours and left alone.
  void adopt(const std::string& name, int fd);

 private:
  struct Socket {
    UniqueFd fd;
    sys::EventLoop::WatchId watch = 0;
  };
  using Sockets = std::map<std::string, Socket>;  // by the port's text

  Status watch(Socket& socket);
  void drop(const std::string& key, const std::string& port, Socket& socket);
  std::string vault_name(const std::string& key, const std::string& port) const;

  sys::EventLoop& loop_;
  FifoVault* const vault_;
  std::map<std::string, Sockets> held_;
};

/// "tcp 0.0.0.0 80"
std::string port_text(const HeldPort& port);
/// InvalidArgument else.
Result<HeldPort> parse_port(const std::string& text);
/// Bound, and for tcp listening, so that nobody else can have it; invalid where the kernel does not know the
/// protocol, and nobody can. The error's text is the kernel's: "address already in use".
Result<UniqueFd> bind_port(const HeldPort& port);

}  // namespace pouch::io
