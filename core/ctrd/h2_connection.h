#pragma once

#include <nghttp2/nghttp2.h>
#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"

namespace pouch::ctrd {

/// One gRPC exchange on a connection. Every field is protected by the connection's mutex until `ended` was
/// seen; after that nobody changes it.
struct H2Call {
  using OnEnd = std::function<void(const std::shared_ptr<H2Call>&)>;

  int32_t stream_id = -1;
  std::condition_variable changed;
  std::string outgoing;  ///< framed, not yet on the wire
  size_t sent = 0;       ///< of `outgoing`
  bool last_written = false;
  bool is_deferred = false;  ///< nghttp2 waits for more to send
  std::string partial;       ///< of an incoming message
  std::deque<std::string> messages;
  size_t held = 0;  ///< bytes not yet given back to the peer's window: the reader is slow
  int http_status = 0;
  int grpc_status = -1;
  std::string grpc_message;
  bool ended = false;
  Status end;  ///< the message is what the peer said, without context
  OnEnd on_end;
};

using H2CallPtr = std::shared_ptr<H2Call>;
using H2Headers = std::vector<std::pair<std::string, std::string>>;

/// gRPC over HTTP/2 on one unix socket, with one thread of its own that reads. Holds nothing global, so it is
/// indifferent to fork(): a child uses a connection of its own and leaves its parent's alone.
/// Thread-safe.
class H2Connection : public std::enable_shared_from_this<H2Connection> {
 public:
  static constexpr size_t kMaxMessageBytes = 16 * 1024 * 1024;  // containerd's own limit in both directions

  static Result<std::shared_ptr<H2Connection>> connect(const std::string& path);
  explicit H2Connection(UniqueFd fd, UniqueFd wake);
  ~H2Connection();
  H2Connection(const H2Connection&) = delete;
  H2Connection& operator=(const H2Connection&) = delete;

  /// New calls can be made on it.
  bool is_usable();
  /// Its thread has nothing more to do: close() does not wait.
  bool is_finished();
  /// Ends all calls with `why` and the thread; waits for callbacks that run, except when called by one.
  void close(const Status& why);

  /// Begins a call with its first message (framed); Unavailable when the connection is gone. `on_end`, if
  /// set, is called once on the connection's thread when the call has ended other than by cancel().
  Result<H2CallPtr> begin(const H2Headers& headers, std::string frame, bool last, H2Call::OnEnd on_end);
  /// Queues a further message.
  void write(const H2CallPtr& call, const std::string& frame, bool last);
  /// Waits until `done` (called with the mutex held), or the caller's end.
  Status wait(const Call& caller, const H2CallPtr& call, const std::function<bool()>& done);
  /// Takes the first message that came; false when there is none.
  bool take(const H2CallPtr& call, std::string& message);
  /// Ends the call now and tells the peer; nothing when it has ended.
  void cancel(const H2CallPtr& call, const Status& why);

  /// The five bytes before a message, and the message.
  static std::string frame_of(const std::string& message);

 private:
  friend struct H2Callbacks;
  using Ended = std::vector<std::pair<H2Call::OnEnd, H2CallPtr>>;

  Status init_session();
  void run();
  void receive(const std::vector<uint8_t>& bytes, ssize_t got, int error);
  // These need mutex_.
  H2CallPtr find(int32_t stream_id);
  void flush();
  void finish(const H2CallPtr& call, Status end);
  void fail_all(const Status& why);
  void on_data(const H2CallPtr& call, std::string_view bytes);

  const UniqueFd fd_;
  const UniqueFd wake_;
  std::thread thread_;
  std::mutex mutex_;
  // Below protected by mutex_.
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr, nghttp2_session_del};
  std::map<int32_t, H2CallPtr> calls_;
  Ended ended_;      ///< whose callbacks are to be called
  std::string out_;  ///< serialized frames for the socket
  size_t out_sent_ = 0;
  bool wants_write_ = false;
  bool is_draining_ = false;  ///< the peer takes no new streams
  bool is_finished_ = false;
  Status stop_;  ///< not ok: the thread shall end
};

}  // namespace pouch::ctrd
