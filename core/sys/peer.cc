#include "core/sys/peer.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

Result<UniqueFd> connect_now(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return invalid_argument("its path is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_valid()) return errno_status(errno, "make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == EAGAIN || errno == EINPROGRESS) return fd;
  const Code code = errno == EACCES || errno == EPERM ? Code::kPermissionDenied : Code::kUnavailable;
  return Status(code, std::strerror(errno));
}

}  // namespace

Status probe_socket(const std::string& path) {
  return connect_now(path).status();
}

Result<int> listener_of(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, connect_now(path));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return errno_status(errno, "ask who listens");
  }
  return peer.pid;
}

std::vector<std::string> program_dirs_of(int pid) {
  if (pid <= 0) return {};
  const std::string folder = "/proc/" + std::to_string(pid);
  const Result<std::string> environment = read_file(folder + "/environ");
  if (!environment.is_ok()) return {};
  std::vector<std::string> dirs;
  constexpr std::string_view kPath = "PATH=";
  for (const std::string& variable : split(*environment, '\0')) {
    if (!variable.starts_with(kPath)) continue;
    for (std::string& dir : split(std::string_view(variable).substr(kPath.size()), ':')) {
      if (dir.starts_with('/')) dirs.push_back(std::move(dir));
    }
  }
  std::array<char, PATH_MAX> program{};
  const ssize_t length = ::readlink((folder + "/exe").c_str(), program.data(), program.size());
  const std::string file(program.data(), length > 0 ? static_cast<size_t>(length) : 0);
  const size_t slash = file.rfind('/');
  const std::string own = slash == std::string::npos ? "" : file.substr(0, slash);
  if (!own.empty() && std::find(dirs.begin(), dirs.end(), own) == dirs.end()) dirs.push_back(own);
  return dirs;
}

}  // namespace pouch::sys
