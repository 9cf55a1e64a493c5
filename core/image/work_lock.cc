#include "core/image/work_lock.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/executor.h"

namespace pouch::image {
namespace {

constexpr int64_t kPollMs = 20;

}  // namespace

Result<WorkLock> WorkLock::acquire(const EngineContext& context, const std::string& what, const Call& call) {
  const std::string folder = context.run_dir() + "/pull";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_status(errno, "make the folder " + folder);
  const std::string path = folder + "/" + what.substr(what.find(':') + 1);
  while (true) {
    auto lock = sys::FileLock::try_acquire(path);
    // One whose name the holder before has taken away locks nobody out.
    if (lock.is_ok() && sys::is_named(lock->fd(), path)) return WorkLock(path, std::move(*lock));
    if (!lock.is_ok() && lock.code() != Code::kConflict) return lock.status();
    if (lock.is_ok()) continue;
    POUCH_RETURN_IF_ERROR(pause(call, kPollMs));
  }
}

WorkLock::~WorkLock() {
  // Still locked: nobody has begun to wait for another file of this name.
  if (lock_.fd() >= 0) ::unlink(path_.c_str());
}

}  // namespace pouch::image
