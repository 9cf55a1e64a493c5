#include "core/engine/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/token_file.h"

namespace pouch {
namespace {

constexpr const char* kKeeperWord = " keeper";

}  // namespace

Owner::Owner(std::string folder, std::string token, sys::FileLock lock)
    : folder_(std::move(folder)), token_(std::move(token)), lock_(std::move(lock)), pid_(::getpid()) {}

Owner::~Owner() {
  // In a child of fork() it is the parent's.
  if (::getpid() == pid_ && !leaves_file_) ::unlink((folder_ + "/" + token_).c_str());
}

std::vector<OwnerFacts> Owner::living(const std::string& folder) {
  std::vector<OwnerFacts> owners;
  for (const sys::TokenFacts& facts : sys::read_tokens(folder)) {
    if (facts.is_held) owners.push_back({facts.pid, facts.text.find(kKeeperWord) != std::string::npos});
  }
  return owners;
}

Result<std::unique_ptr<Owner>> Owner::create(const std::string& folder, bool is_keeper) {
  POUCH_ASSIGN_OR_RETURN(sys::TokenFile file, sys::make_token_file(folder));
  // For people and system.diagnose; whether it lives is told by the lock alone.
  const std::string facts = std::to_string(::getpid()) + (is_keeper ? kKeeperWord : "") + "\n";
  POUCH_RETURN_IF_ERROR(sys::write_all(file.lock.fd(), facts).prefix(quote(folder + "/" + file.token)));
  return std::unique_ptr<Owner>(new Owner(folder, std::move(file.token), std::move(file.lock)));
}

bool Owner::has_dead() const {
  const std::vector<std::string> tokens = sys::tokens_in(folder_);
  return std::any_of(tokens.begin(), tokens.end(),
                     [this](const std::string& token) { return !is_alive(token); });
}

void Owner::remove_dead() const {
  for (const std::string& name : sys::tokens_in(folder_)) {
    if (!is_alive(name)) sys::remove_if_unlocked(folder_, name);
  }
}

bool Owner::is_alive(const std::string& token) const {
  if (token == token_) return true;
  if (!sys::is_token(token)) return false;
  const UniqueFd fd(::open((folder_ + "/" + token).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_valid()) return errno != ENOENT;  // not able to tell: leave its work alone
  struct flock probe {};
  probe.l_type = F_RDLCK;  // an owner's is for writing, that of who takes a dead one's file away is not
  probe.l_whence = SEEK_SET;
  probe.l_len = 1;
  if (::fcntl(fd.get(), F_OFD_GETLK, &probe) != 0) return true;
  return probe.l_type != F_UNLCK;
}

}  // namespace pouch
