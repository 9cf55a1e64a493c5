#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "core/base/text.h"
#include "core/io/keeper_server.h"
#include "core/sys/file.h"

namespace pouch::io {
namespace {

struct Address {
  UniqueFd folder;  // must stay open while the address is used
  sockaddr_un value = {};
};

// Through the folder's descriptor, so that the length of its path does not matter (a socket address holds 107
// bytes).
Result<Address> address_in(const std::string& run_dir) {
  Address address;
  POUCH_ASSIGN_OR_RETURN(address.folder, sys::open_file(run_dir, O_PATH | O_DIRECTORY));
  const std::string path = "/proc/self/fd/" + std::to_string(address.folder.get()) + "/" + kKeeperSocket;
  address.value.sun_family = AF_UNIX;
  std::memcpy(address.value.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> new_socket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd.is_valid()) return errno_status(errno, "create socket");
  return fd;
}

}  // namespace

Result<UniqueFd> listen_in(const std::string& run_dir) {
  const std::string shown = quote(run_dir + "/" + kKeeperSocket);
  POUCH_ASSIGN_OR_RETURN(Address address, address_in(run_dir));
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, new_socket(SOCK_NONBLOCK));
  if (::unlinkat(address.folder.get(), kKeeperSocket, 0) != 0 && errno != ENOENT) {
    return errno_status(errno, "replace " + shown);
  }
  // The folder is 0700; the mode of the socket is a second lock.
  if (::fchmod(fd.get(), 0600) != 0) return errno_status(errno, "chmod socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), sizeof address.value) != 0) {
    return errno_status(errno, "bind " + shown);
  }
  if (::listen(fd.get(), SOMAXCONN) != 0) return errno_status(errno, "listen on " + shown);
  return fd;
}

Result<UniqueFd> connect_to(const std::string& run_dir) {
  const std::string shown = quote(run_dir + "/" + kKeeperSocket);
  Result<Address> address = address_in(run_dir);
  if (address.code() == Code::kNotFound)
    return unavailable("connect to the keeper at " + shown + ": no such folder");
  if (!address.is_ok()) return address.status();
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, new_socket(0));
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->value), sizeof address->value) !=
         0) {
    if (errno == EINTR) continue;
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return unavailable("connect to the keeper at " + shown + ": nobody listens there");
    }
    return errno_status(errno, "connect to the keeper at " + shown);
  }
  return fd;
}

}  // namespace pouch::io
