#include "core/sys/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "core/base/text.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

constexpr size_t kMapBytes = 4096;

// Not the _PRIVATE operations: the waiters are in other processes.
long futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout) {
  return ::syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

}  // namespace

Result<Bell> Bell::open(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  struct stat facts = {};
  if (::fstat(fd.get(), &facts) != 0) return errno_status(errno, "stat " + quote(path));
  // Growing to the same size twice, by two processes, is harmless.
  if (facts.st_size < static_cast<off_t>(kMapBytes) && ::ftruncate(fd.get(), kMapBytes) != 0) {
    return errno_status(errno, "size " + quote(path));
  }
  void* map = ::mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (map == MAP_FAILED) return errno_status(errno, "map " + quote(path));
  return Bell(static_cast<uint32_t*>(map));
}

Bell::~Bell() {
  if (counter_ != nullptr) ::munmap(counter_, kMapBytes);
}

Bell::Bell(Bell&& other) noexcept : counter_(std::exchange(other.counter_, nullptr)) {}

Bell& Bell::operator=(Bell&& other) noexcept {
  std::swap(counter_, other.counter_);
  return *this;
}

uint32_t Bell::value() const {
  return std::atomic_ref(*counter_).load(std::memory_order_acquire);
}

void Bell::ring() {
  std::atomic_ref(*counter_).fetch_add(1, std::memory_order_acq_rel);
  futex(counter_, FUTEX_WAKE, INT_MAX, nullptr);
}

bool Bell::wait(uint32_t seen, Deadline deadline) const {
  while (value() == seen) {
    const int64_t left = deadline.remaining_ns();
    if (left <= 0) return false;
    const timespec timeout = {static_cast<time_t>(left / 1'000'000'000),
                              static_cast<long>(left % 1'000'000'000)};
    futex(counter_, FUTEX_WAIT, seen, deadline.is_never() ? nullptr : &timeout);
  }
  return true;
}

}  // namespace pouch::sys
