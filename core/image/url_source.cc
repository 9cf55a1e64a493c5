#include "core/image/url_source.h"

#include <chrono>
#include <utility>

#include "core/base/executor.h"

namespace pouch::image {
namespace {

constexpr size_t kAheadBytes = size_t{4} << 20U;
constexpr std::chrono::milliseconds kLook{100};  // between two looks whether the engine closes
constexpr int64_t kTellMs = 100;

Status given_up() {
  return {Code::kCancelled, "the fetch was given up"};
}

}  // namespace

Result<std::shared_ptr<UrlSource>> UrlSource::open(const Call& call, std::shared_ptr<registry::Client> client,
                                                   const std::string& url, const std::atomic<bool>& closing) {
  // Not make_shared: the constructor is private.
  const std::shared_ptr<UrlSource> source(
      std::unique_ptr<UrlSource>(new UrlSource(std::move(client), url, call.request_id, closing)));
  POUCH_RETURN_IF_ERROR(source->wait_for_answer(call));
  return source;
}

UrlSource::UrlSource(std::shared_ptr<registry::Client> client, const std::string& url,
                     const std::string& request_id, const std::atomic<bool>& closing)
    : client_(std::move(client)), closing_(closing) {
  Call call;
  call.cancel = token_;
  call.request_id = request_id;
  thread_ = start_thread([this, url, call] { fetch(url, call); });
}

UrlSource::~UrlSource() {
  cancel();
  thread_.join();
}

void UrlSource::cancel() {
  {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
  }
  token_->fire();
}

void UrlSource::fetch(const std::string& url, const Call& call) {
  Status status = client_->fetch_file(
      call, url, [this](int64_t total, std::string_view bytes) { return take(total, bytes); });
  const std::lock_guard lock(mutex_);
  end_ = std::move(status);
  changed_.notify_all();
}

Status UrlSource::take(int64_t total, std::string_view bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_cancelled_ || held_ < kAheadBytes; });
  if (is_cancelled_) return given_up();
  total_ = total;
  held_ += bytes.size();
  pieces_.emplace_back(bytes);
  changed_.notify_all();
  return {};
}

Status UrlSource::wait_for_answer(const Call& call) {
  std::unique_lock lock(mutex_);
  while (pieces_.empty() && !end_) {
    POUCH_RETURN_IF_ERROR(call.check());
    if (closing_) return Status(Code::kClosed, "the engine was closed during the fetch");
    changed_.wait_for(lock, kLook);
  }
  return end_ ? *end_ : Status();
}

Result<std::string_view> UrlSource::next() {
  std::unique_lock lock(mutex_);
  while (pieces_.empty() && !end_ && !is_cancelled_) {
    if (closing_) return Status(Code::kClosed, "the engine was closed during the fetch");
    changed_.wait_for(lock, kLook);
  }
  if (is_cancelled_) return given_up();
  if (pieces_.empty()) return end_->is_ok() ? Result<std::string_view>(std::string_view()) : *end_;
  current_ = std::move(pieces_.front());
  pieces_.pop_front();
  held_ -= current_.size();
  given_ += static_cast<int64_t>(current_.size());
  changed_.notify_all();
  const int64_t total = total_;
  lock.unlock();
  if (progress_ != nullptr && quiet_.has_passed()) {
    quiet_ = Deadline::after_ms(kTellMs);
    progress_->part("", "Importing", given_, total);
  }
  return std::string_view(current_);
}

}  // namespace pouch::image
