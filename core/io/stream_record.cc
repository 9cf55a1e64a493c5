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

constexpr uint32_t kFormat = 3;

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

StreamRecord::Client* StreamRecord::find(uint64_t number) const {
  auto& clients = layout_->clients;
  auto* const found = std::find_if(clients.begin(), clients.end(),
                                   [number](const Client& client) { return client.number == number; });
  return number == 0 || found == clients.end() ? nullptr : found;
}

uint64_t StreamRecord::add_client(uint64_t number) {
  auto& clients = layout_->clients;
  if (Client* const known = find(number); known != nullptr) {
    known->is_here = 1;
    return number;
  }
  // Rather one that nobody had: who has left may come back.
  auto* place =
      std::find_if(clients.begin(), clients.end(), [](const Client& client) { return client.number == 0; });
  if (place == clients.end()) {
    place = std::find_if(clients.begin(), clients.end(),
                         [](const Client& client) { return client.is_here == 0; });
  }
  if (place == clients.end()) return 0;
  *place = {number == 0 ? ++layout_->last_number : number, 0, 1};
  return place->number;
}

std::optional<uint64_t> StreamRecord::input_of(uint64_t number) const {
  const Client* const client = find(number);
  return client == nullptr ? std::nullopt : std::optional(client->input);
}

void StreamRecord::set_input(uint64_t number, uint64_t bytes) {
  if (Client* const client = find(number); client != nullptr) client->input = bytes;
}

void StreamRecord::remove_client(uint64_t number) {
  if (Client* const client = find(number); client != nullptr) client->is_here = 0;
}

void StreamRecord::remove_clients() {
  for (Client& client : layout_->clients) client.is_here = 0;
}

std::vector<uint64_t> StreamRecord::clients() const {
  std::vector<uint64_t> found;
  for (const Client& client : layout_->clients) {
    if (client.is_here != 0) found.push_back(client.number);
  }
  return found;
}

}  // namespace pouch::io
