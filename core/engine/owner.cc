#include "core/engine/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/engine/token_file.h"

namespace pouch {

Owner::Owner(std::string folder, std::string token, sys::FileLock lock)
    : folder_(std::move(folder)), token_(std::move(token)), lock_(std::move(lock)), pid_(::getpid()) {}

Owner::~Owner() {
  // In a child of fork() it is the parent's.
  if (::getpid() == pid_) ::unlink((folder_ + "/" + token_).c_str());
}

Result<std::unique_ptr<Owner>> Owner::create(const std::string& folder) {
  for (const std::string& token : tokens_in(folder)) remove_if_unlocked(folder, token);
  POUCH_ASSIGN_OR_RETURN(TokenFile file, make_token_file(folder));
  // For people and system.diagnose; whether it lives is told by the lock alone.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::write(file.lock.fd(), pid.data(), pid.size()) < 0) {
    return errno_status(errno, "write " + quote(folder + "/" + file.token));
  }
  return std::unique_ptr<Owner>(new Owner(folder, std::move(file.token), std::move(file.lock)));
}

bool Owner::is_alive(const std::string& token) const {
  if (token == token_) return true;
  if (!is_token(token)) return false;
  const UniqueFd fd(::open((folder_ + "/" + token).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_valid()) return errno != ENOENT;  // not able to tell: leave its work alone
  struct flock probe {};
  probe.l_type = F_WRLCK;
  probe.l_whence = SEEK_SET;
  probe.l_len = 1;
  if (::fcntl(fd.get(), F_OFD_GETLK, &probe) != 0) return true;
  return probe.l_type != F_UNLCK;
}

}  // namespace pouch
