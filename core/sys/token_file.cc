#include "core/sys/token_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/id.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"

namespace pouch::sys {
namespace {

constexpr size_t kTokenBytes = 8;

}  // namespace

bool is_token(const std::string& name) {
  return name.size() == 2 * kTokenBytes && is_hex(name);
}

Result<TokenFile> make_token_file(const std::string& folder) {
  while (true) {
    std::string token = random_hex(kTokenBytes);
    const std::string path = folder + "/" + token;
    auto lock = FileLock::try_acquire(path);
    if (lock.code() == Code::kConflict) continue;
    if (!lock.is_ok()) return lock.status();
    // A cleaner may have removed it between its creation and the lock.
    if (is_named(lock->fd(), path)) return TokenFile{std::move(token), std::move(*lock)};
  }
}

std::vector<std::string> tokens_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* listing = ::opendir(folder.c_str());
  if (listing == nullptr) return names;
  while (const dirent* entry = ::readdir(listing)) {
    if (is_token(entry->d_name)) names.emplace_back(entry->d_name);
  }
  ::closedir(listing);
  return names;
}

std::vector<TokenFacts> read_tokens(const std::string& folder) {
  std::vector<TokenFacts> found;
  for (std::string& token : tokens_in(folder)) {
    const std::string path = folder + "/" + token;
    TokenFacts facts;
    facts.is_held = FileLock::is_held(path);
    if (auto text = read_file(path); text.is_ok()) facts.text = std::move(*text);
    facts.pid = leading_number(facts.text, facts.pid);
    facts.token = std::move(token);
    found.push_back(std::move(facts));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.token < b.token; });
  return found;
}

void remove_if_unlocked(const std::string& folder, const std::string& token) {
  const std::string path = folder + "/" + token;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_valid()) return;
  // Removed only under its lock, so never from under a living owner. A lock for reading: one that shuts
  // others out would be taken for the owner's by who looks at that moment.
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) ::unlink(path.c_str());
}

}  // namespace pouch::sys
