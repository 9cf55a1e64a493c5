#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/status.h"

namespace google::protobuf {
class MessageLite;  // NOLINT(bugprone-forward-declaration-namespace): GoogleTest declares one of its own
}

namespace pouch::ctrd {

using google::protobuf::MessageLite;

/// One method of containerd and what it is called on in this call.
struct Rpc {
  std::string_view path;         ///< "/containerd.services.tasks.v1.Tasks/Start"
  std::string_view name;         ///< for messages: "tasks.start"
  std::string_view object = {};  ///< for messages; empty: none
  int64_t default_ms = 10'000;   ///< used when the call has no deadline; 0: none
};

/// The call with a deadline of `default_ms` from now where it has none (0: leave it so).
Call with_default_deadline(const Call& call, int64_t default_ms);

/// A stream in both directions. For one thread at a time. Destroying it cancels what still runs.
class Stream {
 public:
  struct State;
  explicit Stream(std::unique_ptr<State> state);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// `last`: nothing more will be written.
  Status write(const Call& call, const MessageLite& message, bool last = false);
  /// False: the stream ended well. An error ends the stream.
  Result<bool> read(const Call& call, MessageLite& message);
  enum class Poll { kMessage, kNothingYet };
  /// Like read(), but gives up waiting after `ms` and leaves the stream as it is.
  Result<Poll> poll(const Call& call, int64_t ms, MessageLite& message);

 private:
  Status begin(std::string frame, bool last);
  Status give_up(const Status& why);
  Result<bool> next(MessageLite& message);

  std::unique_ptr<State> state_;
};

/// A unary call whose answer goes to a function.
class AsyncCall {
 public:
  virtual ~AsyncCall() = default;
  /// After it returns the function neither runs nor will run, except when called by the function itself.
  virtual void cancel() = 0;
};

/// gRPC to one containerd with the headers of one namespace and lease: messages and status codes over
/// H2Connection. Connects on the first call and again when the connection is lost. Thread-safe.
class Transport {
 public:
  struct Core;

  Transport(const std::string& socket_path, const std::string& ns);
  Transport(std::shared_ptr<Core> core, std::string ns, std::string lease_id);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  std::shared_ptr<Transport> with(std::string ns, std::string lease_id) const;

  const std::string& ns() const { return ns_; }
  const std::string& lease_id() const { return lease_id_; }
  const std::string& socket_path() const;
  /// There is a living connection right now.
  bool is_connected() const;

  /// One request, one answer; blocks.
  Status unary(const Call& call, const Rpc& rpc, const MessageLite& request, MessageLite& response) const;
  /// A unary call whose answer does not matter.
  Status unary(const Call& call, const Rpc& rpc, const MessageLite& request) const;

  /// `done` gets the serialized answer, once, on the connection's thread (on the caller's where the call
  /// cannot begin); Closed when the last client goes first. No deadline.
  std::shared_ptr<AsyncCall> unary_async(const Rpc& rpc, const MessageLite& request,
                                         std::function<void(Result<std::string>)> done) const;
  std::unique_ptr<Stream> open_stream(const Rpc& rpc) const;
  /// One request, many answers, each handed to `each` (which reads `response`); an error of `each` ends it.
  Status server_stream(const Call& call, const Rpc& rpc, const MessageLite& request, MessageLite& response,
                       const std::function<Status()>& each) const;

 private:
  const std::shared_ptr<Core> core_;
  const std::string ns_;
  const std::string lease_id_;
};

}  // namespace pouch::ctrd
