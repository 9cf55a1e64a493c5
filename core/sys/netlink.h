#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

struct mnl_socket;
struct nlattr;
struct nlmsghdr;

namespace pouch::sys {

/// One netlink message under construction; as large as what is sent by this folder needs.
class NetlinkMessage {
 public:
  /// `flags` beside NLM_F_REQUEST.
  NetlinkMessage(uint16_t type, uint16_t flags);
  /// The family's own header after nlmsghdr, zeroed; once, before the attributes.
  template <class Header>
  Header* header() {
    return static_cast<Header*>(extra_header(sizeof(Header)));
  }
  NetlinkMessage& put(uint16_t type, uint32_t value);
  NetlinkMessage& put(uint16_t type, const char* text) { return put(type, std::string_view(text)); }
  NetlinkMessage& put(uint16_t type, std::string_view text);  ///< NUL added
  NetlinkMessage& put_bytes(uint16_t type, const void* data, size_t size);
  /// Attributes inside another one, written by `inside`.
  NetlinkMessage& nest(uint16_t type, const std::function<void()>& inside);
  /// A family header in the midst of nested attributes (VETH_INFO_PEER).
  void* raw(size_t size);
  nlmsghdr* get() { return head_; }

 private:
  void* extra_header(size_t size);
  static constexpr size_t kSize = 2048;
  std::unique_ptr<uint64_t[]> buffer_;
  nlmsghdr* head_;
};

/// The attributes after the family's header of `header` bytes, or inside of another one.
void each_attribute(const nlmsghdr* message, size_t header, const std::function<void(const nlattr*)>& each);
void each_nested(const nlattr* outer, const std::function<void(const nlattr*)>& each);

/// A netlink socket of the network namespace that its thread was in when it was opened; usable from any one
/// thread at a time. Errors carry the kernel's own words (extended acks) where it gives some.
class NetlinkSocket {
 public:
  enum class Bus { kRoute, kNetfilter };
  static Result<NetlinkSocket> open(Bus bus);

  /// Sends the message and waits for the kernel's acknowledgement. `what` begins the error; `step` names the
  /// fault points around it.
  Status request(NetlinkMessage& message, std::string_view step, std::string_view what);
  /// For a dump, or a request with an answer: calls `each` per message.
  Status query(NetlinkMessage& message, std::string_view what,
               const std::function<void(const nlmsghdr*)>& each);
  /// Messages already in wire form, numbered by next_sequence() from `first` on; that of number `acked` asks
  /// for an acknowledgement. The first error counts.
  Status batch(const void* data, size_t size, uint32_t first, uint32_t acked, std::string_view what);
  uint32_t next_sequence() { return ++sequence_; }

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}
  Status send(const void* data, size_t size, std::string_view what);
  std::unique_ptr<mnl_socket, Close> socket_;
  uint32_t sequence_ = 0;
};

}  // namespace pouch::sys
