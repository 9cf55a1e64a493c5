#include "core/sys/shims.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <utility>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"

namespace pouch::sys {
namespace {

constexpr int64_t kGracefulMs = 1'000;
constexpr long kPauseNs = 5'000'000;
constexpr std::string_view kTaskFolder = "/io.containerd.runtime.v2.task/";

std::string proc_of(int pid) {
  return "/proc/" + std::to_string(pid);
}

void for_each_number(const std::string& folder, const std::function<void(int)>& visit) {
  DIR* listing = ::opendir(folder.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const int number = std::atoi(entry->d_name);
    if (number > 0) visit(number);
  }
  ::closedir(listing);
}

std::string link_of(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  return {target.data(), length > 0 ? static_cast<size_t>(length) : 0};
}

std::string argument(const std::vector<std::string>& words, std::string_view flag) {
  const auto at = std::find(words.begin(), words.end(), flag);
  return at == words.end() || at + 1 == words.end() ? "" : *(at + 1);
}

// As containerd has them: what else calls itself a shim must not lead us to other folders.
bool is_container_id(const std::string& id) {
  return !id.empty() && std::isalnum(static_cast<unsigned char>(id.front())) != 0 &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

bool is_file(int root, const std::string& path, const struct stat& wanted) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd file(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  struct stat facts {};
  return file.is_valid() && ::fstat(file.get(), &facts) == 0 && facts.st_dev == wanted.st_dev &&
         facts.st_ino == wanted.st_ino;
}

// The same text names another socket in another root folder.
bool serves(int pid, const std::string& its_address, const struct stat& socket) {
  const UniqueFd root(::open((proc_of(pid) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return root.is_valid() && is_file(root.get(), its_address, socket);
}

std::string bundle_of(int pid, const std::string& ns, const std::string& id) {
  std::string folder = link_of(proc_of(pid) + "/cwd");
  return folder.ends_with(std::string(kTaskFolder) + ns + "/" + id) ? folder : "";
}

bool belongs_to_root(int pid) {
  struct stat facts {};
  return ::stat(proc_of(pid).c_str(), &facts) == 0 && facts.st_uid == 0;
}

std::vector<int> children_of(int pid) {
  std::vector<int> children;
  for_each_number(proc_of(pid) + "/task", [&](int thread) {
    const auto text = read_file(proc_of(pid) + "/task/" + std::to_string(thread) + "/children");
    if (!text.is_ok()) return;
    for (const std::string& word : split(*text, ' ')) {
      if (const int child = std::atoi(word.c_str()); child > 0) children.push_back(child);
    }
  });
  return children;
}

// What they leave behind becomes the shim's, until there is nothing more.
Status kill_children(const Shim& shim, Deadline deadline) {
  for (std::vector<int> children; !(children = children_of(shim.pid)).empty();) {
    if (deadline.has_passed()) return Status(Code::kDeadlineExceeded, "its container does not end");
    for (const int child : children) {
      const auto pidfd = open_pidfd(child);
      const auto now = children_of(shim.pid);
      // Still its child, so the pid is not another's by now.
      if (!pidfd.is_ok() || std::find(now.begin(), now.end(), child) == now.end()) continue;
      signal_pidfd(pidfd->get(), SIGKILL).ignore();
    }
    const timespec pause{0, kPauseNs};
    ::nanosleep(&pause, nullptr);
  }
  return {};
}

}  // namespace

std::vector<Shim> find_shims(const std::string& ns, const std::string& address) {
  std::vector<Shim> found;
  struct stat socket {};
  if (::stat(address.c_str(), &socket) != 0) return found;
  for_each_number("/proc", [&](int pid) {
    const auto text = read_file(proc_of(pid) + "/cmdline");
    if (!text.is_ok()) return;
    const std::vector<std::string> words =
        split(std::string_view(*text).substr(0, text->find_last_not_of('\0') + 1), '\0');
    if (words.size() < 2 || argument(words, "-namespace") != ns) return;
    if (words.back() == "start" || words.back() == "delete") return;
    const auto ticks = process_start_ticks(pid);
    Shim shim{pid, ticks.is_ok() ? *ticks : 0, argument(words, "-id"), ""};
    if (!ticks.is_ok() || !is_container_id(shim.id) || !belongs_to_root(pid)) return;
    if (!serves(pid, argument(words, "-address"), socket)) return;
    shim.bundle = bundle_of(pid, ns, shim.id);
    found.push_back(std::move(shim));
  });
  return found;
}

Status end_shim(const Shim& shim, Deadline deadline) {
  const auto pidfd = open_pidfd(shim.pid);
  if (pidfd.code() == Code::kNotFound) return {};
  if (!pidfd.is_ok()) return pidfd.status();
  const auto ticks = process_start_ticks(shim.pid);
  if (!ticks.is_ok() || *ticks != shim.start_ticks) return {};  // it is gone, and this is another
  POUCH_RETURN_IF_ERROR(kill_children(shim, deadline));
  // By itself it also removes its socket.
  signal_pidfd(pidfd->get(), SIGTERM).ignore();
  if (wait_pidfd(pidfd->get(), deadline.earlier(Deadline::after_ms(kGracefulMs)))) return {};
  signal_pidfd(pidfd->get(), SIGKILL).ignore();
  return wait_pidfd(pidfd->get(), deadline) ? Status() : Status(Code::kDeadlineExceeded, "it does not end");
}

Status remove_bundle(const Shim& shim) {
  if (shim.bundle.empty()) return {};
  const std::string work = link_of(shim.bundle + "/work");
  const std::string tail = shim.bundle.substr(shim.bundle.rfind(kTaskFolder));
  POUCH_RETURN_IF_ERROR(unmount_tree(shim.bundle));
  if (work.ends_with(tail)) POUCH_RETURN_IF_ERROR(remove_tree(work));
  return remove_tree(shim.bundle);
}

}  // namespace pouch::sys
