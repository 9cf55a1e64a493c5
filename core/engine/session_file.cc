#include "core/engine/session_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/child.h"
#include "core/sys/file.h"

namespace pouch {
namespace {

constexpr size_t kMaxFileBytes = 256;

// Pids mean something within one namespace only.
std::string pid_namespace() {
  struct stat facts = {};
  return ::stat("/proc/self/ns/pid", &facts) == 0 ? std::to_string(facts.st_ino) : std::string();
}

/// "<pid> <start time in ticks> <pid namespace>"
Result<std::string> own_description() {
  POUCH_ASSIGN_OR_RETURN(const uint64_t ticks, sys::process_start_ticks(::getpid()));
  return std::to_string(::getpid()) + " " + std::to_string(ticks) + " " + pid_namespace();
}

bool is_locked(int fd) {
  struct flock probe = {};
  probe.l_type = F_RDLCK;
  probe.l_whence = SEEK_SET;
  probe.l_len = 1;
  if (::fcntl(fd, F_OFD_GETLK, &probe) != 0) return true;  // not able to tell: leave it alone
  return probe.l_type != F_UNLCK;
}

SessionLife look_at_process(const std::string& description) {
  const std::vector<std::string> words = split(description, ' ');
  if (words.size() != 3 || words[2] != pid_namespace()) return {true, 0};
  const int pid = leading_number<int>(words[0]);
  const auto pidfd = sys::open_pidfd(pid);
  if (pidfd.code() == Code::kNotFound) return {false, 0};
  if (!pidfd.is_ok()) return {true, 0};
  // A zombie is dead, and so is a process that got its number later.
  if (sys::wait_pidfd(pidfd->get(), Deadline::after_ms(0))) return {false, 0};
  const auto ticks = sys::process_start_ticks(pid);
  return {ticks.is_ok() && *ticks == leading_number<uint64_t>(words[1]), pid};
}

}  // namespace

SessionFile::SessionFile(std::string folder, sys::TokenFile file)
    : folder_(std::move(folder)), file_(std::move(file)), pid_(::getpid()) {}

SessionFile::~SessionFile() {
  if (::getpid() == pid_) ::unlink((folder_ + "/" + file_.token).c_str());
}

Result<std::unique_ptr<SessionFile>> SessionFile::create(const std::string& folder) {
  POUCH_ASSIGN_OR_RETURN(const std::string description, own_description());
  POUCH_ASSIGN_OR_RETURN(sys::TokenFile file, sys::make_token_file(folder));
  std::unique_ptr<SessionFile> session(new SessionFile(folder, std::move(file)));
  POUCH_RETURN_IF_ERROR(sys::write_all(session->file_.lock.fd(), description));
  return session;
}

// Opened for reading only: the keeper is told of files that somebody had open for writing.
SessionLife look_at_session(const std::string& folder, const std::string& id) {
  const UniqueFd fd(::open((folder + "/" + id).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_valid()) return {errno != ENOENT, 0};
  if (!is_locked(fd.get())) return {false, 0};
  std::string description(kMaxFileBytes, '\0');
  const ssize_t got = ::pread(fd.get(), description.data(), description.size(), 0);
  description.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return look_at_process(description);
}

}  // namespace pouch
