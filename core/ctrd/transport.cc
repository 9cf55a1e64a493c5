#include "core/ctrd/transport.h"

#include <google/protobuf/message_lite.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/executor.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/ctrd/h2_connection.h"
#include "wire.pb.h"

namespace pouch::ctrd {
namespace {

using ConnectionPtr = std::shared_ptr<H2Connection>;

constexpr size_t kMaxErrorBytes = 2048;

// One line, no control bytes; of a very long message the end, where runtimes put the reason.
std::string last_words(const std::string& text) {
  std::string line;
  const size_t skip = text.size() > kMaxErrorBytes ? text.size() - kMaxErrorBytes : 0;
  if (skip != 0) line = "...";
  for (const char c : std::string_view(text).substr(skip)) {
    line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return line;
}

std::string context_of(const Rpc& rpc) {
  std::string text = "containerd: " + std::string(rpc.name);
  if (!rpc.object.empty()) text += " on " + quote(rpc.object);
  return text;
}

std::string point_of(const Rpc& rpc) {
  return has_faults() ? "rpc." + std::string(rpc.name) : std::string();
}

Status in_context(const Status& status, const std::string& context) {
  if (status.is_ok()) return {};
  return {status.code(), context + ": " + last_words(status.message())};
}

Result<std::string> frame_of(const MessageLite& message, const std::string& context) {
  std::string bytes = message.SerializeAsString();
  if (bytes.size() <= H2Connection::kMaxMessageBytes) return H2Connection::frame_of(bytes);
  return Status(Code::kResourceExhausted, context + ": the request has more than 16 MiB");
}

Status parse(const std::string& bytes, MessageLite& message, const std::string& context) {
  if (message.ParseFromString(bytes)) return {};
  return {Code::kDataLoss, context + ": the answer is not what this client knows (" +
                               std::to_string(bytes.size()) + " bytes)"};
}

bool is_header_text(std::string_view text) {
  constexpr size_t kMaxBytes = 64;
  return !text.empty() && text.size() <= kMaxBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

H2Headers headers_of(const Transport& transport, const Rpc& rpc) {
  H2Headers headers{{":method", "POST"},
                    {":scheme", "http"},
                    {":path", std::string(rpc.path)},
                    {":authority", "localhost"},
                    {"te", "trailers"},
                    {"content-type", "application/grpc"},
                    {"user-agent", "pouch"},
                    {"containerd-namespace", transport.ns()}};
  // containerd passes it over; a proxy, a tracer or a trace of the socket shows it.
  if (const std::string& id = current_log_scope().request_id; is_header_text(id)) {
    headers.emplace_back("pouch-request-id", id);
  }
  if (!transport.lease_id().empty()) headers.emplace_back("containerd-lease", transport.lease_id());
  return headers;
}

}  // namespace

// ---- Core: the connection ----

struct Transport::Core {
  explicit Core(std::string path) : socket_path(std::move(path)) {}
  ~Core();

  const std::string socket_path;
  const pid_t pid = ::getpid();
  std::mutex mutex;
  // Below protected by mutex.
  ConnectionPtr current;
  std::vector<ConnectionPtr> retired;  ///< lost, but their thread may still run callbacks

  bool is_inherited() const { return ::getpid() != pid; }
  /// The connection, made anew where needed.
  Result<ConnectionPtr> connection();
};

Result<ConnectionPtr> Transport::Core::connection() {
  if (is_inherited()) {
    return Status(Code::kForked, "the client was made by process " + std::to_string(pid) +
                                     " before a fork: connect anew in this process");
  }
  const std::lock_guard lock(mutex);
  if (current && current->is_usable()) return current;
  if (current) retired.push_back(std::exchange(current, nullptr));
  std::erase_if(retired, [](const ConnectionPtr& old) {
    if (!old->is_finished()) return false;
    old->close({});  // joins a thread that is at its end
    return true;
  });
  POUCH_ASSIGN_OR_RETURN(current, H2Connection::connect(socket_path));
  return current;
}

Transport::Core::~Core() {
  if (is_inherited()) {
    // The threads are the parent's, their locks may be held for ever: left to the child's end.
    auto left = std::make_unique<std::vector<ConnectionPtr>>(std::move(retired));
    left->push_back(std::move(current));
    static_cast<void>(left.release());
    return;
  }
  const Status closed(Code::kClosed, "the client was closed");
  if (current) current->close(closed);
  for (const ConnectionPtr& old : retired) old->close(closed);
}

// ---- Unary calls ----

namespace {

/// The only message of a call that has ended.
Result<std::string> answer_of(H2Connection& connection, const H2CallPtr& call, const std::string& context) {
  POUCH_RETURN_IF_ERROR(in_context(call->end, context));
  std::string bytes;
  if (connection.take(call, bytes)) return bytes;
  return Status(Code::kDataLoss, context + ": the answer has no message");
}

class AsyncUnary : public AsyncCall {
 public:
  using Done = std::function<void(Result<std::string>)>;
  AsyncUnary(std::string what, Done done) : what_(std::move(what)), done_(std::move(done)) {}

  /// The call runs; before the first cancel().
  void set_call(ConnectionPtr connection, H2CallPtr call) {
    const std::lock_guard lock(mutex_);
    connection_ = std::move(connection);
    call_ = std::move(call);
  }

  void deliver(Result<std::string> answer) {
    Done done;
    {
      const std::lock_guard lock(mutex_);
      if (!done_) return;  // cancelled
      done = std::exchange(done_, nullptr);
      runner_ = std::this_thread::get_id();
    }
    done(std::move(answer));
    done = nullptr;  // what it holds is released before cancel() returns
    const std::lock_guard lock(mutex_);
    runner_ = {};
    idle_.notify_all();
  }

  void cancel() override {
    if (::getpid() != pid_) return;
    Done dropped;  // destroyed outside the lock
    {
      std::unique_lock lock(mutex_);
      dropped = std::exchange(done_, nullptr);
      if (runner_ == std::this_thread::get_id()) return;
      idle_.wait(lock, [this] { return runner_ == std::thread::id(); });
    }
    if (dropped && call_) connection_->cancel(call_, {Code::kCancelled, "cancelled"});
  }

  const std::string& what() const { return what_; }

 private:
  const std::string what_;
  const pid_t pid_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable idle_;
  // Below protected by mutex_.
  Done done_;
  std::thread::id runner_;
  ConnectionPtr connection_;
  H2CallPtr call_;
};

}  // namespace

Call with_default_deadline(const Call& call, int64_t default_ms) {
  Call bounded = call;
  if (call.deadline.is_never() && default_ms > 0) bounded.deadline = Deadline::after_ms(default_ms);
  return bounded;
}

Transport::Transport(const std::string& socket_path, const std::string& ns)
    : Transport(std::make_shared<Core>(socket_path), ns, "") {}

Transport::Transport(std::shared_ptr<Core> core, std::string ns, std::string lease_id)
    : core_(std::move(core)), ns_(std::move(ns)), lease_id_(std::move(lease_id)) {}

Transport::~Transport() = default;

std::shared_ptr<Transport> Transport::with(std::string ns, std::string lease_id) const {
  return std::make_shared<Transport>(core_, std::move(ns), std::move(lease_id));
}

const std::string& Transport::socket_path() const {
  return core_->socket_path;
}

bool Transport::is_connected() const {
  if (core_->is_inherited()) return false;
  const std::lock_guard lock(core_->mutex);
  return core_->current && core_->current->is_usable();
}

namespace {

/// Tells at the level debug how long a call took.
class CallTimer {
 public:
  explicit CallTimer(const std::string& what)
      : what_(what), began_ns_(is_log_enabled(LogLevel::kDebug) ? boot_now_ns() : 0) {}
  ~CallTimer() {
    if (began_ns_ == 0) return;
    log_debug("ctrd", what_ + ": " + std::to_string((boot_now_ns() - began_ns_) / 1000) + " us");
  }
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;

 private:
  const std::string& what_;
  const int64_t began_ns_;
};

}  // namespace

Status Transport::unary(const Call& call, const Rpc& rpc, const MessageLite& request,
                        MessageLite& response) const {
  const std::string what = context_of(rpc);
  const CallTimer timer(what);
  const Call bounded = with_default_deadline(call, rpc.default_ms);
  if (const Status before = bounded.check(); !before.is_ok()) return in_context(before, what);
  const std::string point = point_of(rpc);
  POUCH_RETURN_IF_ERROR(in_context(fault_status(point, "before"), what));
  POUCH_ASSIGN_OR_RETURN(std::string frame, frame_of(request, what));
  const Result<ConnectionPtr> connection = core_->connection();
  if (!connection.is_ok()) return in_context(connection.status(), what);
  H2Connection& link = **connection;
  const Result<H2CallPtr> begun = link.begin(headers_of(*this, rpc), std::move(frame), true, nullptr);
  if (!begun.is_ok()) return in_context(begun.status(), what);
  const H2CallPtr& running = *begun;
  const Status waited = link.wait(bounded, running, [&] { return running->ended; });
  if (!waited.is_ok()) {
    link.cancel(running, waited);
    return in_context(waited, what);
  }
  POUCH_ASSIGN_OR_RETURN(const std::string bytes, answer_of(link, running, what));
  POUCH_RETURN_IF_ERROR(in_context(fault_status(point, "after"), what));
  return parse(bytes, response, what);
}

Status Transport::unary(const Call& call, const Rpc& rpc, const MessageLite& request) const {
  wire::Empty ignored;  // skips whatever fields the answer has
  return unary(call, rpc, request, ignored);
}

std::shared_ptr<AsyncCall> Transport::unary_async(const Rpc& rpc, const MessageLite& request,
                                                  std::function<void(Result<std::string>)> done) const {
  auto async = std::make_shared<AsyncUnary>(context_of(rpc), std::move(done));
  const std::string point = point_of(rpc);
  if (const Status fault = fault_status(point, "before"); !fault.is_ok()) {
    async->deliver(in_context(fault, async->what()));
    return async;
  }
  Result<std::string> frame = frame_of(request, async->what());
  Result<ConnectionPtr> connection = core_->connection();
  if (!frame.is_ok() || !connection.is_ok()) {
    async->deliver(frame.is_ok() ? in_context(connection.status(), async->what()) : frame.status());
    return async;
  }
  // The link outlives its callbacks; a pointer to it here would be a cycle.
  H2Connection* link = connection->get();
  const auto on_end = [async, link, point](const H2CallPtr& call) {
    const Status fault = call->end.is_ok() ? fault_status(point, "after") : Status();
    async->deliver(fault.is_ok() ? answer_of(*link, call, async->what()) : in_context(fault, async->what()));
  };
  Result<H2CallPtr> begun = link->begin(headers_of(*this, rpc), std::move(*frame), true, on_end);
  if (begun.is_ok()) {
    async->set_call(*connection, *begun);
  } else {
    async->deliver(in_context(begun.status(), async->what()));
  }
  return async;
}

// ---- Streams ----

struct Stream::State {
  std::string what;
  std::string point;
  H2Headers headers;
  const pid_t pid = ::getpid();
  ConnectionPtr connection;
  H2CallPtr call;  ///< null: not begun
  Status broken;   ///< of the using thread: why nothing more can be done
};

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}

Stream::~Stream() {
  if (state_->call && ::getpid() == state_->pid) {
    state_->connection->cancel(state_->call, {Code::kCancelled, "dropped"});
  }
}

std::unique_ptr<Stream> Transport::open_stream(const Rpc& rpc) const {
  auto state = std::make_unique<Stream::State>();
  state->what = context_of(rpc);
  state->point = point_of(rpc);
  state->headers = headers_of(*this, rpc);
  Result<ConnectionPtr> connection = core_->connection();
  if (connection.is_ok()) {
    state->connection = std::move(*connection);
  } else {
    state->broken = in_context(connection.status(), state->what);
  }
  return std::make_unique<Stream>(std::move(state));
}

Status Stream::give_up(const Status& why) {
  state_->broken = in_context(why, state_->what);
  if (state_->call) state_->connection->cancel(state_->call, why);
  return state_->broken;
}

Status Stream::begin(std::string frame, bool last) {
  if (const Status fault = fault_status(state_->point, "before"); !fault.is_ok()) return give_up(fault);
  Result<H2CallPtr> begun = state_->connection->begin(state_->headers, std::move(frame), last, nullptr);
  if (!begun.is_ok()) return give_up(begun.status());
  state_->call = std::move(*begun);
  return {};
}

Status Stream::write(const Call& call, const MessageLite& message, bool last) {
  POUCH_RETURN_IF_ERROR(state_->broken);
  POUCH_ASSIGN_OR_RETURN(std::string frame, frame_of(message, state_->what));
  if (state_->call) {
    state_->connection->write(state_->call, frame, last);
  } else {
    POUCH_RETURN_IF_ERROR(begin(std::move(frame), last));
  }
  const H2CallPtr& running = state_->call;
  const Status waited =
      state_->connection->wait(call, running, [&] { return running->outgoing.empty() || running->ended; });
  if (!waited.is_ok()) return give_up(waited);
  return {};  // where the peer has ended the call, the next read says why
}

// The next message that is there, or how the stream ended.
Result<bool> Stream::next(MessageLite& message) {
  std::string bytes;
  if (state_->connection->take(state_->call, bytes)) {
    if (const Status fault = fault_status(state_->point, "after"); !fault.is_ok()) return give_up(fault);
    POUCH_RETURN_IF_ERROR(parse(bytes, message, state_->what));
    return true;
  }
  state_->broken = in_context(state_->call->end, state_->what);
  if (!state_->broken.is_ok()) return state_->broken;
  state_->broken = {Code::kClosed, state_->what + ": the stream has ended"};
  return false;
}

Result<bool> Stream::read(const Call& call, MessageLite& message) {
  POUCH_RETURN_IF_ERROR(state_->broken);
  const H2CallPtr& running = state_->call;
  const Status waited =
      state_->connection->wait(call, running, [&] { return !running->messages.empty() || running->ended; });
  if (!waited.is_ok()) return give_up(waited);
  return next(message);
}

Result<Stream::Poll> Stream::poll(const Call& call, int64_t ms, MessageLite& message) {
  POUCH_RETURN_IF_ERROR(state_->broken);
  const H2CallPtr& running = state_->call;
  Call brief = call;
  brief.deadline = call.deadline.earlier(Deadline::after_ms(ms));
  const Status waited =
      state_->connection->wait(brief, running, [&] { return !running->messages.empty() || running->ended; });
  if (!waited.is_ok()) {
    if (const Status over = call.check(); !over.is_ok()) return give_up(over);
    return Poll::kNothingYet;
  }
  POUCH_ASSIGN_OR_RETURN(const bool more, next(message));
  if (!more) return unavailable(state_->what + ": the stream has ended");
  return Poll::kMessage;
}

Status Transport::server_stream(const Call& call, const Rpc& rpc, const MessageLite& request,
                                MessageLite& response, const std::function<Status()>& each) const {
  const Call bounded = with_default_deadline(call, rpc.default_ms);
  if (const Status before = bounded.check(); !before.is_ok()) return in_context(before, context_of(rpc));
  const std::unique_ptr<Stream> stream = open_stream(rpc);
  POUCH_RETURN_IF_ERROR(stream->write(bounded, request, true));
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, stream->read(bounded, response));
    if (!more) return {};
    POUCH_RETURN_IF_ERROR(each());
  }
}

}  // namespace pouch::ctrd
