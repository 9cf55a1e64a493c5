#include "core/io/stream_record.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"

namespace pouch::io {
namespace {

constexpr uint32_t kFormat = 2;

}  // namespace

Result<std::unique_ptr<StreamRecord>> StreamRecord::create(const std::string& path, int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd,
                         sys::open_file(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  Layout layout = {};
  layout.format = kFormat;
  layout.generation = generation;
  // Written rather than sized: a store to a page that the file system has no room for would be a SIGBUS.
  POUCH_RETURN_IF_ERROR(sys::write_all(fd.get(), {reinterpret_cast<const char*>(&layout), sizeof layout})
                            .prefix("write " + quote(path)));
  return map(fd.get(), path);
}

Result<std::unique_ptr<StreamRecord>> StreamRecord::open(const std::string& path, int64_t generation) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, sys::open_file(path, O_RDWR | O_NOFOLLOW));
  struct stat facts = {};
  if (::fstat(fd.get(), &facts) != 0) return errno_status(errno, "stat " + quote(path));
  if (facts.st_size != sizeof(Layout)) return not_found(quote(path) + " was not written");
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<StreamRecord> record, map(fd.get(), path));
  const bool is_ours = record->layout_->format == kFormat && record->layout_->generation == generation;
  if (!is_ours) return not_found(quote(path) + " is of another kind");
  return record;
}

Result<std::unique_ptr<StreamRecord>> StreamRecord::map(int fd, const std::string& path) {
  void* memory = ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return errno_status(errno, "map " + quote(path));
  return std::unique_ptr<StreamRecord>(new StreamRecord(static_cast<Layout*>(memory)));
}

StreamRecord::~StreamRecord() {
  ::munmap(layout_, sizeof(Layout));
}

StreamRecord::Mark StreamRecord::mark() const {
  return layout_->marks[layout_->current % 2];
}

void StreamRecord::set_mark(const Mark& mark) {
  const uint32_t next = (layout_->current + 1) % 2;
  layout_->marks[next] = mark;
  // Only the compiler could turn them round: whoever reads this does so after our end.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  layout_->current = next;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

uint64_t StreamRecord::add_client(uint64_t number) {
  auto& clients = layout_->clients;
  if (number != 0 && std::find(clients.begin(), clients.end(), number) != clients.end()) return number;
  auto* const free = std::find(clients.begin(), clients.end(), 0U);
  if (free == clients.end()) return 0;
  *free = ++layout_->last_number;
  return *free;
}

void StreamRecord::remove_client(uint64_t number) {
  if (number != 0) std::replace(layout_->clients.begin(), layout_->clients.end(), number, uint64_t{0});
}

void StreamRecord::remove_clients() {
  layout_->clients.fill(0);
}

std::vector<uint64_t> StreamRecord::clients() const {
  std::vector<uint64_t> found;
  std::copy_if(layout_->clients.begin(), layout_->clients.end(), std::back_inserter(found),
               [](uint64_t number) { return number != 0; });
  return found;
}

}  // namespace pouch::io
