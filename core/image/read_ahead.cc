#include "core/image/read_ahead.h"

#include <utility>

#include "core/base/executor.h"

namespace pouch::image {
namespace {

constexpr size_t kAhead = 4;  // pieces, of a MiB as a rule

}  // namespace

ReadAhead::ReadAhead(ByteSource& source) : source_(source), thread_(start_thread([this] { read(); })) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void ReadAhead::read() {
  while (true) {
    std::string buffer;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_over_ || pieces_.size() < kAhead; });
      if (is_over_) return;
      if (!spare_.empty()) {
        buffer = std::move(spare_.front());
        spare_.pop_front();
      }
    }
    auto piece = source_.next();
    const bool is_last = !piece.is_ok() || piece->empty();
    if (piece.is_ok()) buffer.assign(*piece);
    const std::lock_guard lock(mutex_);
    pieces_.push_back(piece.is_ok() ? Result<std::string>(std::move(buffer))
                                    : Result<std::string>(piece.status()));
    changed_.notify_all();
    if (is_last) return;
  }
}

Result<std::string_view> ReadAhead::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !pieces_.empty(); });
  // An end or an error stays.
  const bool is_last = !pieces_.front().is_ok() || pieces_.front()->empty();
  if (is_last)
    return pieces_.front().is_ok() ? Result<std::string_view>(std::string_view()) : pieces_.front().status();
  if (current_.capacity() > 0) spare_.push_back(std::move(current_));
  current_ = std::move(*pieces_.front());
  pieces_.pop_front();
  changed_.notify_all();
  return std::string_view(current_);
}

}  // namespace pouch::image
