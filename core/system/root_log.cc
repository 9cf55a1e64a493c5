#include "core/system/root_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"

namespace pouch {
namespace {

constexpr off_t kMaxBytes = off_t{1} << 20;

std::string path_in(const std::string& root_dir) {
  return root_dir + "/log/pouch.log";
}

bool is_full(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 && facts.st_size >= kMaxBytes;
}

// One process turns the files; the others go on writing to the old one meanwhile.
void rotate(const std::string& path) {
  const auto lock = sys::FileLock::try_acquire(path + ".lock");
  if (lock.is_ok() && is_full(path)) ::rename(path.c_str(), (path + ".1").c_str());
}

// Opened for each line: records are rare, and nothing of it is inherited or in the way of a removal.
void append(const std::string& path, const std::string& line) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  if (is_full(path)) rotate(path);
  UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  if (!fd.is_valid()) {
    ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);  // not its parent: a removed root stays so
    fd.reset(::open(path.c_str(), kFlags, 0600));
  }
  // A log that cannot be written is no reason to disturb the program.
  if (fd.is_valid()) [[maybe_unused]]
    const ssize_t wrote = ::write(fd.get(), line.data(), line.size());
}

}  // namespace

std::vector<std::string> RootLog::tail(const std::string& root_dir, size_t lines) {
  const auto text = sys::read_file(path_in(root_dir));
  if (!text.is_ok()) return {};
  std::vector<std::string> all = split(*text, '\n');
  if (!all.empty() && all.back().empty()) all.pop_back();
  const size_t skip = all.size() > lines ? all.size() - lines : 0;
  return {all.begin() + static_cast<ptrdiff_t>(skip), all.end()};
}

RootLog::RootLog(const std::string& root_dir, const std::string& root_id)
    : sink_(add_log_sink(LogLevel::kWarning, [path = path_in(root_dir), root_id](const LogRecord& record) {
        // What names no root may be about any.
        if (record.root.empty() || record.root == root_id) append(path, format_log_line(record) + "\n");
      })) {}

RootLog::~RootLog() {
  remove_log_sink(sink_);
}

}  // namespace pouch
