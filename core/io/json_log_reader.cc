#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "core/base/text.h"
#include "core/io/json_log.h"
#include "core/sys/event_loop.h"
#include "core/sys/file.h"

namespace pouch::io {
namespace {

constexpr size_t kBlockBytes = 64 * 1024;
constexpr int kMaxRotated = 1000;

struct Source {
  UniqueFd fd;
  ino_t inode = 0;
  int64_t offset = 0;  // where reading starts or goes on
};

std::string rotated_name(const std::string& path, int number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

Result<Source> open_source(const std::string& path) {
  Source source;
  POUCH_ASSIGN_OR_RETURN(source.fd, sys::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat facts = {};
  if (::fstat(source.fd.get(), &facts) != 0) return errno_status(errno, "stat log " + quote(path));
  if (!S_ISREG(facts.st_mode)) return invalid_argument("open log " + quote(path) + ": not a regular file");
  source.inode = facts.st_ino;
  return source;
}

// 0 when the file is not there.
ino_t inode_of(const std::string& path) {
  struct stat facts = {};
  return ::lstat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

// The files of a log, oldest first. Opened newest first, so that a rotation meanwhile shows a file twice
// (which is seen by its inode) rather than not at all.
Result<std::vector<Source>> open_all(const std::string& path) {
  std::vector<Source> sources;
  int missing_in_a_row = 0;
  for (int number = 0; number <= kMaxRotated && missing_in_a_row < 2; ++number) {
    Result<Source> source = open_source(rotated_name(path, number));
    if (source.code() == Code::kNotFound) {
      ++missing_in_a_row;  // one may be missing in the middle of a rotation
      continue;
    }
    if (!source.is_ok()) return source.status();
    missing_in_a_row = 0;
    const bool is_known = std::any_of(sources.begin(), sources.end(),
                                      [&](const Source& other) { return other.inode == source->inode; });
    if (!is_known) sources.push_back(std::move(*source));
  }
  std::reverse(sources.begin(), sources.end());
  return sources;
}

// Sets source.offset so that at most `wanted` whole lines follow; answers how many do.
Result<int64_t> seek_tail(Source& source, int64_t wanted) {
  struct stat facts = {};
  if (::fstat(source.fd.get(), &facts) != 0) return errno_status(errno, "stat log");
  std::string block(kBlockBytes, '\0');
  int64_t end = facts.st_size;
  int64_t newlines = 0;
  while (end > 0) {
    const int64_t start = std::max<int64_t>(0, end - static_cast<int64_t>(kBlockBytes));
    const ssize_t got = ::pread(source.fd.get(), block.data(), static_cast<size_t>(end - start), start);
    if (got < 0) return errno_status(errno, "read log");
    for (ssize_t i = got - 1; i >= 0; --i) {
      if (block[static_cast<size_t>(i)] != '\n') continue;
      if (newlines == wanted) {  // this one ends the line before those wanted
        source.offset = start + i + 1;
        return newlines;
      }
      ++newlines;
    }
    end = start;
  }
  source.offset = 0;
  return newlines;
}

Status seek_all_to_tail(std::vector<Source>& sources, int64_t tail) {
  int64_t left = tail;
  auto source = sources.rbegin();
  for (; source != sources.rend(); ++source) {
    POUCH_ASSIGN_OR_RETURN(const int64_t found, seek_tail(*source, left));
    left -= found;
    if (left == 0 && source->offset > 0) break;
  }
  if (source != sources.rend()) sources.erase(sources.begin(), source.base() - 1);
  return {};
}

Status seek_all_to(std::vector<Source>& sources, const LogPlace& place) {
  const auto found = std::find_if(sources.begin(), sources.end(),
                                  [&](const Source& source) { return source.inode == place.inode; });
  struct stat facts = {};
  const bool is_there = found != sources.end() && ::fstat(found->fd.get(), &facts) == 0 &&
                        facts.st_size >= place.offset &&
                        (place.begun_ns == 0 || place.begun_ns == begun_at(found->fd.get()));
  if (!is_there) return not_found("read log: the place where to begin is no longer there");
  found->offset = place.offset;
  sources.erase(sources.begin(), found);
  return {};
}

}  // namespace

struct JsonLogReader::Impl {
  Impl(std::string log_path, JsonLogQuery log_query, sys::EventFd wake_fd)
      : path(std::move(log_path)), query(std::move(log_query)), wake(std::move(wake_fd)) {}

  Status start();
  Status start_watching();
  bool take_line(std::string_view& line);
  Result<bool> fill();
  bool advance();
  bool open_successor();
  bool wanted(const LogLine& line) const;
  bool is_past_until() const;
  bool has_folder() const;
  bool wait(Deadline deadline);

  const std::string path;
  const JsonLogQuery query;
  sys::EventFd wake;
  UniqueFd inotify;  // invalid when the host has no more: then by polling
  UniqueFd epoll;
  std::atomic<bool> stopped{false};
  std::atomic<bool> cancelled{false};
  // Below only for the reading thread.
  std::vector<Source> sources;  // the first is being read
  std::string buffer;
  size_t used = 0;
  std::atomic<uint64_t> skipped{0};
};

Status JsonLogReader::Impl::start_watching() {
  epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_valid()) return errno_status(errno, "create epoll");
  epoll_event event = {};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.fd(), &event) != 0)
    return errno_status(errno, "watch eventfd");
  inotify.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.is_valid()) return {};
  const std::string folder = path.substr(0, std::max<size_t>(1, path.rfind('/')));
  const uint32_t mask =
      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  const bool is_watched = ::inotify_add_watch(inotify.get(), folder.c_str(), mask) >= 0 &&
                          ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, inotify.get(), &event) == 0;
  if (!is_watched) inotify.reset();
  return {};
}

Status JsonLogReader::Impl::start() {
  // Watching comes first, so that nothing written after the first look is missed.
  if (query.follow) POUCH_RETURN_IF_ERROR(start_watching());
  POUCH_ASSIGN_OR_RETURN(sources, open_all(path));
  if (query.from) POUCH_RETURN_IF_ERROR(seek_all_to(sources, *query.from));
  if (query.tail >= 0) return seek_all_to_tail(sources, query.tail);
  return {};
}

bool JsonLogReader::Impl::take_line(std::string_view& line) {
  const size_t newline = buffer.find('\n', used);
  if (newline == std::string::npos) return false;
  line = std::string_view(buffer).substr(used, newline - used);
  used = newline + 1;
  return true;
}

// True when something was read from the current file.
Result<bool> JsonLogReader::Impl::fill() {
  if (sources.empty()) return false;
  buffer.erase(0, used);
  used = 0;
  if (buffer.size() > kMaxLogLineBytes) {  // not a log of ours; go on after its next newline
    buffer.clear();
    ++skipped;
  }
  Source& source = sources.front();
  const size_t before = buffer.size();
  buffer.resize(before + kBlockBytes);
  const ssize_t got = ::pread(source.fd.get(), buffer.data() + before, kBlockBytes, source.offset);
  buffer.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0) return errno_status(errno, "read log " + quote(path));
  source.offset += got;
  if (got > 0) return true;
  struct stat facts = {};
  const bool is_cut = ::fstat(source.fd.get(), &facts) == 0 && facts.st_size < source.offset;
  // Either somebody emptied the file (logrotate's copytruncate), or the writer cut off what a crash had left.
  if (is_cut) {
    source.offset = facts.st_size < static_cast<int64_t>(before) ? 0 : facts.st_size;
    buffer.clear();
  }
  return false;
}

// To the next file, when the current one is complete; call after fill() gave nothing. True when there is more
// to read.
bool JsonLogReader::Impl::advance() {
  if (sources.size() <= 1 && !open_successor()) return false;
  if (sources.size() <= 1) return true;
  if (!buffer.empty()) ++skipped;  // an entry cut short by a crash
  buffer.clear();
  used = 0;
  sources.erase(sources.begin());
  return true;
}

// Finds the file after the current one by the current one's inode and appends it to `sources`.
bool JsonLogReader::Impl::open_successor() {
  if (sources.empty()) {
    Result<std::vector<Source>> all = open_all(path);
    if (all.is_ok()) sources = std::move(*all);
    return !sources.empty();
  }
  const ino_t current = sources.front().inode;
  const ino_t newest = inode_of(path);
  if (newest == current || newest == 0) return false;
  int place = 1;
  int oldest = 0;
  for (; place <= kMaxRotated; ++place) {
    const ino_t inode = inode_of(rotated_name(path, place));
    if (inode == current) break;
    if (inode != 0) oldest = place;
    if (inode == 0 && place > oldest + 1) place = kMaxRotated;
  }
  const bool is_listed = place <= kMaxRotated;
  Result<Source> next = open_source(rotated_name(path, is_listed ? place - 1 : oldest));
  const bool has_moved =
      is_listed && inode_of(rotated_name(path, place)) != current;  // rotated again meanwhile
  if (!next.is_ok() || has_moved || next->inode == current) return false;
  // Rotated away means complete, but something may have been written since the last look.
  struct stat facts = {};
  if (::fstat(sources.front().fd.get(), &facts) == 0 && facts.st_size > sources.front().offset) return true;
  sources.push_back(std::move(*next));
  return true;
}

bool JsonLogReader::Impl::wanted(const LogLine& line) const {
  if (line.stream == LogStream::kStdout ? !query.want_stdout : !query.want_stderr) return false;
  if (query.since && line.time < *query.since) return false;
  return !query.until || line.time <= *query.until;
}

bool JsonLogReader::Impl::is_past_until() const {
  return query.until && Timestamp::now() > *query.until;
}

bool JsonLogReader::Impl::has_folder() const {
  return ::access(path.substr(0, std::max<size_t>(1, path.rfind('/'))).c_str(), F_OK) == 0;
}

// False when the deadline passed with nothing new.
bool JsonLogReader::Impl::wait(Deadline deadline) {
  // The second is a net (a lost inotify event, the folder removed, `until`), the shorter time is polling.
  const int step_ms = inotify.is_valid() ? 1000 : 100;
  int timeout = deadline.poll_timeout_ms();
  if (timeout < 0 || timeout > step_ms) timeout = step_ms;
  if (query.until) {
    const int64_t left_ms = (query.until->ns - Timestamp::now().ns) / 1'000'000 + 1;
    timeout = static_cast<int>(std::clamp<int64_t>(left_ms, 0, timeout));
  }
  pollfd item = {epoll.get(), POLLIN, 0};
  const int count = ::poll(&item, 1, timeout);
  if (count == 0) return !deadline.has_passed();
  if (inotify.is_valid()) {
    std::array<char, 4096> events;
    while (::read(inotify.get(), events.data(), events.size()) > 0) {
    }
  }
  wake.clear();
  return true;
}

JsonLogReader::JsonLogReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonLogReader::~JsonLogReader() = default;

Result<std::unique_ptr<JsonLogReader>> JsonLogReader::open(std::string path, JsonLogQuery query) {
  POUCH_ASSIGN_OR_RETURN(sys::EventFd wake, sys::EventFd::create());
  auto impl = std::make_unique<Impl>(std::move(path), std::move(query), std::move(wake));
  POUCH_RETURN_IF_ERROR(impl->start());
  return std::unique_ptr<JsonLogReader>(new JsonLogReader(std::move(impl)));
}

Result<std::optional<LogLine>> JsonLogReader::next(Deadline deadline) {
  Impl& impl = *impl_;
  for (;;) {
    if (impl.cancelled) return Status(Code::kCancelled, "read log " + quote(impl.path) + ": cancelled");
    std::string_view text;
    if (impl.take_line(text)) {
      Result<LogLine> line = decode_log_line(text);
      if (!line.is_ok()) ++impl.skipped;
      if (line.is_ok() && impl.wanted(*line)) return std::optional<LogLine>(std::move(*line));
      continue;
    }
    const bool was_stopped = impl.stopped;  // before the look at the file, which is then the last one
    POUCH_ASSIGN_OR_RETURN(const bool has_read, impl.fill());
    if (has_read) continue;
    if (impl.sources.size() > 1 || impl.query.follow) {
      if (impl.advance()) continue;
    }
    if (!impl.query.follow || was_stopped || impl.is_past_until() || !impl.has_folder()) {
      return std::optional<LogLine>();
    }
    if (!impl.wait(deadline)) {
      return Status(Code::kDeadlineExceeded, "read log " + quote(impl.path) + ": nothing new in time");
    }
  }
}

int JsonLogReader::poll_fd() const {
  return impl_->epoll.get();
}

void JsonLogReader::set_stopped() {
  impl_->stopped = true;
  impl_->wake.set();
}

void JsonLogReader::cancel() {
  impl_->cancelled = true;
  impl_->wake.set();
}

uint64_t JsonLogReader::skipped() const {
  return impl_->skipped;
}

}  // namespace pouch::io
