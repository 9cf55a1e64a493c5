#include "daemon/keeper/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/io/json_text.h"
#include "core/sys/file.h"

namespace pouch::keeper {
namespace {

constexpr char kLock[] = "lock";
constexpr char kListener[] = "listener";
constexpr char kHeldPrefix[] = "held ";

std::vector<int> all_of(const Estate& estate) {
  std::vector<int> all = {estate.lock, estate.listener};
  for (const auto& [name, fds] : estate.held) all.insert(all.end(), fds.begin(), fds.end());
  return all;
}

Status set_inherited(const std::vector<int>& fds, bool is_inherited) {
  for (const int fd : fds) {
    if (::fcntl(fd, F_SETFD, is_inherited ? 0 : FD_CLOEXEC) != 0)
      return errno_status(errno, "pass on descriptor " + std::to_string(fd));
  }
  return {};
}

Result<int> parse_fd(const std::string& text) {
  const int fd = whole_number<int>(text).value_or(-1);
  return fd >= 0 ? Result<int>(fd) : invalid_argument("descriptor " + quote(text) + ": not a number");
}

// Not in the arguments, which are limited and which others see.
Result<UniqueFd> write_estate(const Estate& estate) {
  std::map<std::string, std::string> fields = {{kLock, std::to_string(estate.lock)},
                                               {kListener, std::to_string(estate.listener)}};
  for (const auto& [name, fds] : estate.held) {
    std::string numbers;
    for (const int fd : fds) numbers += (numbers.empty() ? "" : " ") + std::to_string(fd);
    fields[kHeldPrefix + name] = numbers;
  }
  UniqueFd memory(::memfd_create("keeper-estate", MFD_CLOEXEC));
  if (!memory.is_valid()) return errno_status(errno, "create a file in memory");
  POUCH_RETURN_IF_ERROR(sys::write_all(memory.get(), io::encode_string_map(fields)));
  return memory;
}

Status read_field(const std::string& key, const std::string& value, Estate& estate) {
  std::vector<int> fds;
  for (const std::string& text : split(value, ' ')) {
    POUCH_ASSIGN_OR_RETURN(const int fd, parse_fd(text));
    fds.push_back(fd);
  }
  const std::string_view prefix = kHeldPrefix;
  if (key == kLock) estate.lock = fds.front();
  if (key == kListener) estate.listener = fds.front();
  if (key.starts_with(prefix)) estate.held[key.substr(prefix.size())] = std::move(fds);
  return {};
}

}  // namespace

sigset_t watched_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set, signal);
  return set;
}

Status become_supervisor(const Estate& estate, std::vector<std::string> arguments) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd memory, write_estate(estate));
  std::vector<int> inherited = all_of(estate);
  inherited.push_back(memory.get());
  arguments.insert(arguments.end(), {kEstateOption, std::to_string(memory.get())});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Status done = set_inherited(inherited, true);
  if (done.is_ok()) {
    // Not those of this thread, which blocks all; and none that it reads may be lost until it does.
    const sigset_t wanted = watched_signals();
    sigset_t own;
    ::pthread_sigmask(SIG_SETMASK, &wanted, &own);
    // Not by its path: the file may be gone, or another.
    ::execv("/proc/self/exe", argv.data());
    done = errno_status(errno, "execute the keeper anew");
    ::pthread_sigmask(SIG_SETMASK, &own, nullptr);
  }
  set_inherited(inherited, false).ignore();
  return done;
}

Result<Estate> take_estate(int memory_fd) {
  const UniqueFd memory(memory_fd);
  POUCH_ASSIGN_OR_RETURN(const std::string text,
                         sys::read_file("/proc/self/fd/" + std::to_string(memory.get())));
  POUCH_ASSIGN_OR_RETURN(const auto fields, io::decode_string_map(text));
  Estate estate;
  for (const auto& [key, value] : fields) POUCH_RETURN_IF_ERROR(read_field(key, value, estate));
  if (estate.lock < 0 || estate.listener < 0) return invalid_argument("estate: without lock or socket");
  POUCH_RETURN_IF_ERROR(set_inherited(all_of(estate), false));
  return estate;
}

}  // namespace pouch::keeper
