#include "core/sys/net_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <thread>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/sys/file.h"

namespace pouch::sys {
namespace {

constexpr const char* kOwn = "/proc/thread-self/ns/net";
constexpr const char* kSettings = "/proc/sys/net/";

// Runs on the thread that is given up to it.
Result<NetNamespace> create_here(const std::string& pin, const NetSettings& settings) {
  const std::string what = "create network namespace " + quote(pin);
  POUCH_RETURN_IF_ERROR(open_file(pin, O_RDONLY | O_CREAT | O_EXCL, 0600).status().prefix(what));
  ScopeGuard guard([&] { remove_net_namespace(pin).ignore(); });
  if (::unshare(CLONE_NEWNET) != 0) return errno_status(errno, what);
  POUCH_RETURN_IF_ERROR(with_faults("sys.mount", [&]() -> Status {
    if (::mount(kOwn, pin.c_str(), nullptr, MS_BIND, nullptr) == 0) return {};
    return errno_status(errno, what + ": pin it");
  }));
  for (const auto& [name, value] : settings) {
    const Status set = set_net_setting(name, value);
    if (!set.is_ok() && set.code() != Code::kNotFound) return set.prefix(what);
  }
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(kOwn, O_RDONLY));
  POUCH_ASSIGN_OR_RETURN(Links links, Links::open());
  POUCH_RETURN_IF_ERROR(links.set_up(1).prefix(what + ": loopback"));  // always the first link
  guard.dismiss();
  return NetNamespace{std::move(fd), std::move(links)};
}

}  // namespace

Result<NetNamespace> create_net_namespace(const std::string& pin, const NetSettings& settings) {
  Result<NetNamespace> made = Status(Code::kInternal, "not run");
  std::thread maker = start_thread([&] { made = create_here(pin, settings); });
  maker.join();
  return made;
}

Result<UniqueFd> short_lived_net_namespace() {
  Result<UniqueFd> made = Status(Code::kInternal, "not run");
  std::thread maker = start_thread([&] {
    made = ::unshare(CLONE_NEWNET) == 0 ? open_file(kOwn, O_RDONLY)
                                        : Result<UniqueFd>(errno_status(errno, "create a network namespace"));
  });
  maker.join();
  return made;
}

Status in_net_namespace(int netns, const std::function<Status()>& work) {
  Status done;
  std::thread worker = start_thread([&] {
    // The thread ends here: nobody else sees where it has gone.
    done = ::setns(netns, CLONE_NEWNET) == 0 ? work() : errno_status(errno, "enter a network namespace");
  });
  worker.join();
  return done;
}

Status remove_net_namespace(const std::string& pin) {
  POUCH_RETURN_IF_ERROR(with_faults("sys.unmount", [&]() -> Status {
    while (::umount2(pin.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) {
    }
    if (errno == EINVAL || errno == ENOENT) return {};
    return errno_status(errno, "unpin network namespace " + quote(pin));
  }));
  if (::unlink(pin.c_str()) != 0 && errno != ENOENT) {
    return errno_status(errno, "remove the pin of network namespace " + quote(pin));
  }
  return {};
}

Result<UniqueFd> open_net_namespace(const std::string& path) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, open_file(path, O_RDONLY));
  struct statfs facts {};
  if (::fstatfs(fd.get(), &facts) != 0 || facts.f_type != NSFS_MAGIC) {
    return not_found("network namespace " + quote(path) + " is not there");
  }
  return fd;
}

Status set_net_setting(const std::string& name, const std::string& value) {
  const std::string path = kSettings + name;
  POUCH_ASSIGN_OR_RETURN(const std::string old, read_file(path, 4096));
  if (trim(old) == value) return {};
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, open_file(path, O_WRONLY));
  return write_all(fd.get(), value).prefix("set " + path + " to " + value);
}

}  // namespace pouch::sys
