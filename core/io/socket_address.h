#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "core/sys/ip_net.h"

namespace pouch::io {

/// An address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  SocketAddress() = default;
  SocketAddress(const sys::IpAddress& address, uint16_t port);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

}  // namespace pouch::io
