// The only file that includes gRPC. Calls go through its callback API with raw bytes, so that the templates
// are compiled once for all methods.
#include "core/ctrd/transport.h"

#include <google/protobuf/message_lite.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/executor.h"
#include "core/base/text.h"
#include "wire.pb.h"

namespace pouch::ctrd {
namespace {

constexpr int kMaxMessageBytes = 16 * 1024 * 1024;  // containerd's own limit in both directions
constexpr size_t kMaxErrorBytes = 2048;

// True on a thread of gRPC while it runs one of our callbacks: such a thread must not destroy a channel,
// which joins it.
thread_local bool in_callback = false;

class CallbackScope {
 public:
  CallbackScope() : before_(std::exchange(in_callback, true)) {}
  ~CallbackScope() { in_callback = before_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  bool before_;
};

// gRPC starts its threads on first use and when it is busy, from whatever thread calls it; they inherit the
// signal mask, and the host's handlers must not run on them.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalBlock() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
};

Code code_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return Code::kOk;
    case grpc::StatusCode::CANCELLED:
      return Code::kCancelled;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Code::kInvalidArgument;
    case grpc::StatusCode::OUT_OF_RANGE:
      return Code::kInvalidArgument;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Code::kDeadlineExceeded;
    case grpc::StatusCode::NOT_FOUND:
      return Code::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS:
      return Code::kAlreadyExists;
    case grpc::StatusCode::PERMISSION_DENIED:
      return Code::kPermissionDenied;
    case grpc::StatusCode::UNAUTHENTICATED:
      return Code::kUnauthenticated;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Code::kResourceExhausted;
    case grpc::StatusCode::FAILED_PRECONDITION:
      return Code::kConflict;
    case grpc::StatusCode::ABORTED:
      return Code::kConflict;
    case grpc::StatusCode::UNIMPLEMENTED:
      return Code::kNotImplemented;
    case grpc::StatusCode::UNAVAILABLE:
      return Code::kUnavailable;
    case grpc::StatusCode::DATA_LOSS:
      return Code::kDataLoss;
    default:
      return Code::kInternal;
  }
}

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

Status status_of(const grpc::Status& status, const std::string& context) {
  if (status.ok()) return {};
  return {code_of(status.error_code()), context + ": " + last_words(status.error_message())};
}

grpc::ByteBuffer serialize(const MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  grpc_slice raw = grpc_slice_malloc(size);
  message.SerializeWithCachedSizesToArray(GRPC_SLICE_START_PTR(raw));
  const grpc::Slice slice(raw, grpc::Slice::STEAL_REF);
  return {&slice, 1};
}

std::string flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

Status parse(const std::string& bytes, MessageLite& message, const std::string& context) {
  if (message.ParseFromString(bytes)) return {};
  return {Code::kDataLoss, context + ": the answer is not what this client knows (" +
                               std::to_string(bytes.size()) + " bytes)"};
}

void set_deadline(grpc::ClientContext& context, Deadline deadline) {
  if (deadline.is_never()) return;
  const gpr_timespec span = gpr_time_from_nanos(deadline.remaining_ns(), GPR_TIMESPAN);
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span));
}

// gRPC stays initialised once used: its shutdown, which every last channel would start, joins threads and was
// seen to take ten seconds.
void keep_library() {
  static std::once_flag once;
  std::call_once(once, grpc_init);
}

// The process that first used gRPC. A forked child that uses it too shares its parent's epoll descriptor, and
// the parent then crashes.
std::atomic<pid_t> library_pid{0};

struct CallContext;

/// The contexts that live on one channel. Each holds the channel, and whoever frees the channel joins gRPC's
/// threads: that must be the core (see Core::~Core), so it waits here until it is the last. Outlives the
/// core.
class Registry {
 public:
  void add(CallContext* raw, const std::shared_ptr<CallContext>& context) {
    const std::lock_guard lock(mutex_);
    contexts_.emplace(raw, context);
  }
  void remove(CallContext* raw) {
    const std::lock_guard lock(mutex_);
    contexts_.erase(raw);
    if (contexts_.empty()) idle_.notify_all();
  }
  /// Cancels all calls and waits until they have ended.
  void drain();
  bool is_closed() {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  // Below protected by mutex_.
  std::map<CallContext*, std::weak_ptr<CallContext>> contexts_;
  bool closed_ = false;
};

/// What gRPC needs of a call while it runs.
struct CallContext {
  struct Entry {
    std::shared_ptr<Registry> registry;
    CallContext* owner;
    ~Entry() { registry->remove(owner); }
  };
  explicit CallContext(std::shared_ptr<Registry> registry) : entry{std::move(registry), this} {}
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  static std::shared_ptr<CallContext> make(const std::shared_ptr<Registry>& registry) {
    auto context = std::make_shared<CallContext>(registry);
    registry->add(context.get(), context);
    return context;
  }
  void cancel() {
    const SignalBlock block;
    grpc.TryCancel();
  }

  Entry entry;  ///< first, so that it leaves the registry when the channel has been let go
  grpc::ClientContext grpc;
};

void Registry::drain() {
  std::vector<std::shared_ptr<CallContext>> running;
  std::unique_lock lock(mutex_);
  closed_ = true;
  for (const auto& [raw, weak] : contexts_) {
    if (auto context = weak.lock()) running.push_back(std::move(context));
  }
  lock.unlock();  // the last reference may be dropped here
  for (const auto& context : running) context->cancel();
  running.clear();
  lock.lock();
  idle_.wait(lock, [this] { return contexts_.empty(); });
}

}  // namespace

// ---- Core: the channel ----

struct Transport::Core {
  explicit Core(std::string path);
  ~Core();

  std::string socket_path;
  pid_t pid = ::getpid();
  std::shared_ptr<Registry> registry = std::make_shared<Registry>();
  std::shared_ptr<grpc::Channel> channel;

  /// Forked, or ok.
  Status check_owner() const {
    if (::getpid() == pid) return {};
    return {Code::kForked, "containerd: the client was made by process " + std::to_string(pid) +
                               " before a fork: connect anew in this process"};
  }
  void start_unary(grpc::ClientContext& context, std::string_view path, const grpc::ByteBuffer& request,
                   grpc::ByteBuffer& response, std::function<void(grpc::Status)> done) const {
    const SignalBlock block;
    grpc::GenericStub(channel).UnaryCall(&context, std::string(path), grpc::StubOptions(), &request,
                                         &response, std::move(done));
  }
};

Transport::Core::Core(std::string path) : socket_path(std::move(path)) {
  grpc::ChannelArguments args;
  // With the process-wide pool a forked child's calls would go into its parent's connection.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  const SignalBlock block;
  keep_library();
  channel = grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(), args);
}

Transport::Core::~Core() {
  if (::getpid() != pid) {
    // The parent's threads are not here; touching the channel would wait for them. Left to the child's end.
    static_cast<void>(std::make_unique<std::shared_ptr<grpc::Channel>>(std::move(channel)).release());
    return;
  }
  auto close = [registry_ = registry, channel_ = std::move(channel)]() mutable {
    registry_->drain();
    const SignalBlock block;
    channel_.reset();
  };
  if (in_callback) {
    start_thread(std::move(close)).detach();
  } else {
    close();
  }
}

// ---- Unary calls ----

namespace {

struct UnaryState {
  std::shared_ptr<CallContext> context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
  std::mutex mutex;
  std::condition_variable ended;
  // Below protected by mutex.
  bool is_done = false;
  grpc::Status status;
};

class AsyncUnary : public AsyncCall, public std::enable_shared_from_this<AsyncUnary> {
 public:
  using Done = std::function<void(Result<std::string>)>;
  AsyncUnary(std::shared_ptr<Registry> registry, std::string what, Done done)
      : registry_(std::move(registry)), what_(std::move(what)), done_(std::move(done)) {}
  ~AsyncUnary() override = default;

  void start(const Transport::Core& core, std::string_view path, const MessageLite& request,
             std::shared_ptr<CallContext> context) {
    request_ = serialize(request);
    context_ = context;
    core.start_unary(context->grpc, path, request_, response_,
                     [self = shared_from_this()](const grpc::Status& status) { self->finish(status); });
  }

  void finish(const grpc::Status& status) {
    if (status.ok()) {
      deliver(flatten(response_));
    } else if (registry_->is_closed()) {
      deliver(Status(Code::kClosed, what_ + ": the client was closed"));
    } else {
      deliver(status_of(status, what_));
    }
    std::shared_ptr<CallContext> ended;  // freed outside the lock
    const std::lock_guard lock(mutex_);
    ended.swap(context_);
  }

  void deliver(Result<std::string> answer) {
    const CallbackScope scope;
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
    Done dropped;  // destroyed outside the lock
    std::shared_ptr<CallContext> context;
    {
      std::unique_lock lock(mutex_);
      dropped = std::exchange(done_, nullptr);
      context = context_;
      if (runner_ == std::this_thread::get_id()) return;
      idle_.wait(lock, [this] { return runner_ == std::thread::id(); });
    }
    if (dropped && context) context->cancel();
  }

 private:
  const std::shared_ptr<Registry> registry_;
  const std::string what_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::mutex mutex_;
  std::condition_variable idle_;
  // Below protected by mutex_.
  Done done_;
  std::shared_ptr<CallContext> context_;  ///< null once ended: a handle may outlive the client
  std::thread::id runner_;
};

void start_blocking(const Transport::Core& core, const std::shared_ptr<UnaryState>& state,
                    std::string_view path) {
  core.start_unary(state->context->grpc, path, state->request, state->response, [state](grpc::Status status) {
    const std::lock_guard lock(state->mutex);
    state->status = std::move(status);
    state->is_done = true;
    state->ended.notify_all();
  });
}

}  // namespace

Call with_default_deadline(const Call& call, int64_t default_ms) {
  Call bounded = call;
  if (call.deadline.is_never() && default_ms > 0) bounded.deadline = Deadline::after_ms(default_ms);
  return bounded;
}

Status sleep_for(const Call& call, int64_t ms) {
  std::mutex mutex;
  std::condition_variable never;
  Call nap = call;
  nap.deadline = call.deadline.earlier(Deadline::after_ms(ms));
  std::unique_lock lock(mutex);
  wait_for(lock, never, nap, [] { return false; }).ignore();  // always ends by deadline or cancel
  lock.unlock();
  return call.check();
}

// ---- Transport ----

Status Transport::check_process() {
  pid_t expected = 0;
  if (library_pid.compare_exchange_strong(expected, ::getpid()) || expected == ::getpid()) return {};
  return {Code::kForked, "containerd: this process was forked from one that used containerd (pid " +
                             std::to_string(expected) +
                             "): exec a program first, or connect only in children"};
}

Transport::Transport(std::shared_ptr<Core> core, std::string ns, std::string lease_id)
    : core_(std::move(core)), ns_(std::move(ns)), lease_id_(std::move(lease_id)) {}

Transport::~Transport() = default;

Transport::Transport(const std::string& socket_path, const std::string& ns)
    : Transport(std::make_shared<Core>(socket_path), ns, "") {}

std::shared_ptr<Transport> Transport::with(std::string ns, std::string lease_id) const {
  return std::make_shared<Transport>(core_, std::move(ns), std::move(lease_id));
}

const std::string& Transport::socket_path() const {
  return core_->socket_path;
}

bool Transport::is_connected() const {
  return core_->check_owner().is_ok() && core_->channel->GetState(false) == GRPC_CHANNEL_READY;
}

namespace {

void add_headers(grpc::ClientContext& context, const Transport& transport) {
  context.AddMetadata("containerd-namespace", transport.ns());
  if (!transport.lease_id().empty()) context.AddMetadata("containerd-lease", transport.lease_id());
}

}  // namespace

Status Transport::unary(const Call& call, const Rpc& rpc, const MessageLite& request,
                        MessageLite& response) const {
  POUCH_RETURN_IF_ERROR(core_->check_owner());
  const std::string what = context_of(rpc);
  const Call bounded = with_default_deadline(call, rpc.default_ms);
  if (Status before = bounded.check(); !before.is_ok()) return before.prefix(what);
  auto state = std::make_shared<UnaryState>();
  state->context = CallContext::make(core_->registry);
  state->request = serialize(request);
  add_headers(state->context->grpc, *this);
  set_deadline(state->context->grpc, bounded.deadline);
  start_blocking(*core_, state, rpc.path);
  std::unique_lock lock(state->mutex);
  const Status waited = wait_for(lock, state->ended, bounded, [&] { return state->is_done; });
  if (!waited.is_ok()) {
    lock.unlock();
    state->context->cancel();  // its end is not waited for: a busy gRPC thread must not hold the caller
    return waited.prefix(what);
  }
  POUCH_RETURN_IF_ERROR(status_of(state->status, what));
  return parse(flatten(state->response), response, what);
}

Status Transport::unary(const Call& call, const Rpc& rpc, const MessageLite& request) const {
  wire::Empty ignored;  // skips whatever fields the answer has
  return unary(call, rpc, request, ignored);
}

std::shared_ptr<AsyncCall> Transport::unary_async(const Rpc& rpc, const MessageLite& request,
                                                  std::function<void(Result<std::string>)> done) const {
  auto call = std::make_shared<AsyncUnary>(core_->registry, context_of(rpc), std::move(done));
  if (Status owner = core_->check_owner(); !owner.is_ok()) {
    call->deliver(std::move(owner));
    return call;
  }
  auto context = CallContext::make(core_->registry);
  add_headers(context->grpc, *this);
  call->start(*core_, rpc.path, request, std::move(context));
  return call;
}

// ---- Streams ----

struct Stream::State : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  std::shared_ptr<CallContext> context;
  std::string what;
  Status broken;  ///< set when the stream could not be opened
  grpc::ByteBuffer outgoing;
  grpc::ByteBuffer incoming;
  std::shared_ptr<State> self;  ///< keeps this alive until gRPC is done with it
  std::mutex mutex;
  std::condition_variable changed;
  // Below protected by mutex.
  bool is_reading = false;  ///< a read was started and its message not taken
  bool read_done = false;
  bool read_ok = false;
  bool write_done = false;
  bool write_ok = false;
  bool is_done = false;
  grpc::Status status;
  // Of the using thread alone.
  bool is_finished = false;

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex);
    read_done = true;
    read_ok = ok;
    changed.notify_all();
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex);
    write_done = true;
    write_ok = ok;
    changed.notify_all();
  }
  void OnDone(const grpc::Status& end) override {
    const std::shared_ptr<State> keep = std::move(self);
    const std::lock_guard lock(mutex);
    is_done = true;
    status = end;
    changed.notify_all();
  }
};

Stream::Stream(std::shared_ptr<State> state) : state_(std::move(state)) {}

Stream::~Stream() {
  if (state_->is_finished || !state_->broken.is_ok()) return;
  state_->context->cancel();
  state_->RemoveHold();
}

std::unique_ptr<Stream> Transport::open_stream(const Rpc& rpc) const {
  auto state = std::make_shared<Stream::State>();
  state->what = context_of(rpc);
  state->broken = core_->check_owner();
  if (!state->broken.is_ok()) return std::make_unique<Stream>(state);
  state->context = CallContext::make(core_->registry);
  add_headers(state->context->grpc, *this);
  state->self = state;
  const SignalBlock block;
  grpc::GenericStub(core_->channel)
      .PrepareBidiStreamingCall(&state->context->grpc, std::string(rpc.path), grpc::StubOptions(),
                                state.get());
  state->AddHold();  // reads and writes are started outside of gRPC's callbacks
  state->StartCall();
  return std::make_unique<Stream>(state);
}

// Waits for `done` (called with the lock held); on the caller's cancel or deadline the stream ends.
Status Stream::await(const Call& call, const std::function<bool()>& done) {
  std::unique_lock lock(state_->mutex);
  const Status waited = wait_for(lock, state_->changed, call, done);
  if (waited.is_ok()) return {};
  lock.unlock();
  state_->broken = waited.prefix(state_->what);
  state_->is_finished = true;
  state_->context->cancel();
  state_->RemoveHold();
  return state_->broken;
}

Status Stream::finish() {
  if (!state_->broken.is_ok()) return state_->broken;
  state_->is_finished = true;
  state_->RemoveHold();
  std::unique_lock lock(state_->mutex);
  // The peer has ended the stream, or it broke: gRPC's end follows at once.
  state_->changed.wait(lock, [this] { return state_->is_done; });
  const Status end = status_of(state_->status, state_->what);
  state_->broken = end.is_ok() ? Status(Code::kClosed, state_->what + ": the stream has ended") : end;
  return end;
}

Status Stream::write(const Call& call, const MessageLite& message, bool last) {
  if (!state_->broken.is_ok()) return state_->broken;
  state_->outgoing = serialize(message);
  {
    const std::lock_guard lock(state_->mutex);
    state_->write_done = false;
  }
  {
    const SignalBlock block;
    if (last) {
      state_->StartWriteLast(&state_->outgoing, grpc::WriteOptions());
    } else {
      state_->StartWrite(&state_->outgoing);
    }
  }
  POUCH_RETURN_IF_ERROR(await(call, [this] { return state_->write_done; }));
  if (state_->write_ok) return {};
  Status end = finish();
  if (!end.is_ok()) return end;
  return state_->broken;
}

Result<bool> Stream::take_message(MessageLite& message) {
  state_->is_reading = false;
  if (!state_->read_ok) {
    POUCH_RETURN_IF_ERROR(finish());
    return false;
  }
  POUCH_RETURN_IF_ERROR(parse(flatten(state_->incoming), message, state_->what));
  return true;
}

void Stream::start_read() {
  if (state_->is_reading) return;
  state_->is_reading = true;
  state_->read_done = false;  // no read runs: gRPC does not touch it
  const SignalBlock block;
  state_->StartRead(&state_->incoming);
}

Result<bool> Stream::read(const Call& call, MessageLite& message) {
  if (!state_->broken.is_ok()) return state_->broken;
  start_read();
  POUCH_RETURN_IF_ERROR(await(call, [this] { return state_->read_done; }));
  return take_message(message);
}

Result<Stream::Poll> Stream::poll(const Call& call, int64_t ms, MessageLite& message) {
  if (!state_->broken.is_ok()) return state_->broken;
  start_read();
  Call brief = call;
  brief.deadline = call.deadline.earlier(Deadline::after_ms(ms));
  {
    std::unique_lock lock(state_->mutex);
    if (!wait_for(lock, state_->changed, brief, [this] { return state_->read_done; }).is_ok()) {
      POUCH_RETURN_IF_ERROR(call.check());
      return Poll::kNothingYet;
    }
  }
  POUCH_ASSIGN_OR_RETURN(const bool more, take_message(message));
  if (!more) return unavailable(state_->what + ": the stream has ended");
  return Poll::kMessage;
}

Status Transport::server_stream(const Call& call, const Rpc& rpc, const MessageLite& request,
                                MessageLite& response, const std::function<Status()>& each) const {
  const Call bounded = with_default_deadline(call, rpc.default_ms);
  if (Status before = bounded.check(); !before.is_ok()) return before.prefix(context_of(rpc));
  const std::unique_ptr<Stream> stream = open_stream(rpc);
  POUCH_RETURN_IF_ERROR(stream->write(bounded, request, true));
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, stream->read(bounded, response));
    if (!more) return {};
    POUCH_RETURN_IF_ERROR(each());
  }
}

}  // namespace pouch::ctrd
