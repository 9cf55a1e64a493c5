#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/progress.h"
#include "core/registry/client.h"

namespace pouch::image {

/// A file that is fetched on a thread of its own, some MiB ahead of who wants it.
class UrlSource final : public ByteSource {
 public:
  /// Begins, and returns once the server has answered; its refusal as fetch_file tells it. `closing`, which
  /// must outlive it, ends every wait with Closed.
  static Result<std::shared_ptr<UrlSource>> open(const Call& call, std::shared_ptr<registry::Client> client,
                                                 const std::string& url, const std::atomic<bool>& closing);
  /// Ends the thread.
  ~UrlSource() override;
  UrlSource(const UrlSource&) = delete;
  UrlSource& operator=(const UrlSource&) = delete;

  Result<std::string_view> next() override;
  /// Tells, too, how far it has come; `progress` must outlive the reading.
  void tell(Progress& progress) { progress_ = &progress; }
  /// Ends what waits, with Cancelled. From any thread.
  void cancel();

 private:
  UrlSource(std::shared_ptr<registry::Client> client, const std::string& url, const std::string& request_id,
            const std::atomic<bool>& closing);
  void fetch(const std::string& url, const Call& call);
  Status take(int64_t total, std::string_view bytes);
  Status wait_for_answer(const Call& call);

  const std::shared_ptr<registry::Client> client_;
  const std::atomic<bool>& closing_;
  const CancelPtr token_ = std::make_shared<CancelToken>();
  Progress* progress_ = nullptr;
  std::string current_;  ///< what next() gave
  int64_t given_ = 0;    ///< bytes
  Deadline quiet_ = Deadline::after_ms(0);

  std::mutex mutex_;
  std::condition_variable changed_;
  // Below protected by mutex_.
  std::deque<std::string> pieces_;
  size_t held_ = 0;  ///< bytes in pieces_
  int64_t total_ = -1;
  bool is_cancelled_ = false;
  std::optional<Status> end_;  ///< of the fetch
  std::thread thread_;         ///< last: it uses the rest
};

}  // namespace pouch::image
