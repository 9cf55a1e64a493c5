#include "core/io/keeper_server.h"

#include <dirent.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/base/scope_guard.h"
#include "core/base/text.h"
#include "core/io/connection.h"
#include "core/io/held_ports.h"
#include "core/io/stream.h"
#include "core/io/wire.h"
#include "core/sys/event_loop.h"
#include "core/sys/file.h"

namespace pouch::io {
namespace {

Fields encode_counts(const DrainCounts& counts) {
  return {{"stdout_bytes", std::to_string(counts.stdout_bytes)},
          {"stderr_bytes", std::to_string(counts.stderr_bytes)},
          {"eof", counts.reached_eof ? "1" : "0"},
          {"log_complete", counts.log_complete ? "1" : "0"},
          {"was_open", counts.was_open ? "1" : "0"}};
}

// Of a client that was served before and is unknown now nobody knows how much of its input was taken.
Fields attach_answer(const AttachSpec& spec, const Stream* stream) {
  Fields answer;
  if (spec.can_resume) answer[kResumeField] = "1";
  if (spec.client == 0) return answer;
  const auto taken = stream == nullptr ? std::nullopt : stream->input_of(number_of(spec));
  const bool was_served = spec.resume && spec.resume->generation != 0;
  if (taken || !was_served) answer[kInputField] = std::to_string(taken.value_or(0));
  return answer;
}

DrainCounts nothing_to_drain() {
  DrainCounts counts;
  counts.was_open = false;
  return counts;
}

bool is_same_user(int fd) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> names;
  DIR* raw = ::opendir(dir.c_str());
  if (raw == nullptr) return names;
  const ScopeGuard close_dir([raw] { ::closedir(raw); });
  while (const dirent* entry = ::readdir(raw)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

}  // namespace

struct KeeperServer::Impl : RequestHandler {
  Impl(KeeperServerOptions server_options, std::unique_ptr<sys::EventLoop> event_loop,
       std::unique_ptr<ScratchPipe> scratch_pipe)
      : options(std::move(server_options)),
        loop(std::move(event_loop)),
        scratch(std::move(scratch_pipe)),
        context{*loop,
                *scratch,
                options.hooks,
                options.run_dir + "/io",
                options.drain_grace_ms,
                options.vault,
                options.return_grace_ms},
        ports(*loop, options.vault) {
    limits.max_unsent = options.max_unsent;
    limits.max_stall_ms = options.max_stall_ms;
    limits.max_linger_ms = options.max_linger_ms;
  }

  Status start();
  void adopt_all();
  void accept_all();
  void accept_again();
  void on_request(Connection& connection, Op op, const Fields& fields) override;
  void on_closed(Connection& connection) override;
  void open_stdio(Connection& connection, const Fields& fields);
  void open_now(Connection& connection, StdioSpec spec);
  void drain_stream(const std::string& id, int64_t generation, Stream::DrainDone done);
  void forget(const std::string& id);
  void discard(Connection& connection, const Fields& fields);
  void attach(Connection& connection, const Fields& fields);
  void end_waiters(const std::string& id, EndReason reason, const std::string& message);
  void serve_names(Connection& connection, const std::string& sandbox);
  void reply_status(Connection& connection);
  void hold_ports(Connection& connection, const std::string& id, const Fields& fields);
  void shutdown(Connection& connection, bool force);
  Connection* find(uint64_t id);
  Stream* find_stream(const std::string& id);
  void consider_idle();

  KeeperServerOptions options;
  const std::unique_ptr<sys::EventLoop> loop;
  const std::unique_ptr<ScratchPipe> scratch;
  StreamContext context;
  HeldPorts ports;
  ConnectionLimits limits;
  uint64_t next_id = 1;
  // Streams know their clients and clients their stream; each takes itself off the other when destroyed, so
  // clients (declared last) go first.
  std::map<std::string, std::unique_ptr<Stream>> streams;
  std::map<uint64_t, std::unique_ptr<Connection>> connections;
  sys::EventLoop::TimerId idle_timer = 0;
  sys::EventLoop::WatchId listen_watch = 0;
};

// --- life ---

Status KeeperServer::Impl::start() {
  if (::mkdir(context.io_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_status(errno, "make folder " + quote(context.io_dir));
  }
  for (const auto& [name, fd] : options.inherited) ports.adopt(name, UniqueFd(fd));
  adopt_all();
  POUCH_ASSIGN_OR_RETURN(listen_watch,
                         loop->add(options.listener.get(), EPOLLIN, [this](uint32_t) { accept_all(); }));
  consider_idle();
  return {};
}

void KeeperServer::Impl::adopt_all() {
  for (const std::string& name : names_in(context.io_dir)) {
    const std::string id = Stream::id_of_state_file(name);
    if (id.empty()) continue;  // of a stream without state, if of any: made anew when it is opened
    Result<std::unique_ptr<Stream>> stream = Stream::adopt(context, id);
    if (stream.is_ok()) {
      streams[id] = std::move(*stream);
      continue;
    }
    log_warning("io", "adopt stream " + quote(id) + ": " + stream.status().message() + "; removed");
    Stream::remove_files(context, id);
  }
}

void KeeperServer::Impl::accept_all() {
  for (;;) {
    UniqueFd fd(::accept4(options.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.is_valid() && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!fd.is_valid() && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) return accept_again();
    if (!fd.is_valid()) return;
    if (!is_same_user(fd.get())) continue;
    const uint64_t id = next_id++;
    auto connection = std::make_unique<Connection>(id, std::move(fd), *loop, *this, limits);
    if (Status started = connection->start(); !started.is_ok()) {
      log_error("io", started.message());
      continue;
    }
    connections[id] = std::move(connection);
    consider_idle();
  }
}

// Out of descriptors: the socket would be ready all the time.
void KeeperServer::Impl::accept_again() {
  log_error("io", errno_status(errno, "accept a client").message());
  loop->set_events(listen_watch, 0).ignore();
  loop->after_ms(200, [this] { loop->set_events(listen_watch, EPOLLIN).ignore(); });
}

void KeeperServer::Impl::on_closed(Connection& connection) {
  loop->post([this, id = connection.id()] {
    connections.erase(id);
    consider_idle();
  });
}

void KeeperServer::Impl::consider_idle() {
  const bool is_idle = streams.empty() && connections.empty();
  if (!is_idle || options.idle_exit_ms < 0) {
    if (idle_timer != 0) loop->cancel(std::exchange(idle_timer, 0));
    return;
  }
  if (idle_timer != 0) return;
  idle_timer = loop->after_ms(options.idle_exit_ms, [this] {
    idle_timer = 0;
    if (options.hooks == nullptr || options.hooks->is_idle()) return loop->stop();
    consider_idle();
  });
}

Connection* KeeperServer::Impl::find(uint64_t id) {
  const auto found = connections.find(id);
  return found == connections.end() || found->second->is_closed() ? nullptr : found->second.get();
}

Stream* KeeperServer::Impl::find_stream(const std::string& id) {
  const auto found = streams.find(id);
  return found == streams.end() || found->second->is_finished() ? nullptr : found->second.get();
}

// --- requests ---

void KeeperServer::Impl::on_request(Connection& connection, Op op, const Fields& fields) {
  const std::string id = text_field(fields, "id");
  const bool has_id = op != Op::kPing && op != Op::kStatus && op != Op::kShutdown;
  if (Status checked = has_id ? check_stream_id(id) : Status(); !checked.is_ok())
    return connection.fail(checked);
  switch (op) {
    case Op::kPing:
      return connection.reply({});
    case Op::kStatus:
      return reply_status(connection);
    case Op::kOpenStdio:
      return open_stdio(connection, fields);
    case Op::kMarkStarted:
      if (Stream* stream = find_stream(id)) stream->mark_started();
      return connection.reply({});
    case Op::kDrain:
      return drain_stream(id, int_field(fields, "generation"),
                          [this, client = connection.id()](const DrainCounts& counts) {
                            if (Connection* waiting = find(client)) waiting->reply(encode_counts(counts));
                          });
    case Op::kDiscard:
      return discard(connection, fields);
    case Op::kCloseWaiters:
      end_waiters(id, EndReason::kRemoved, "the container was removed");
      return connection.reply({});
    case Op::kAttach:
      return attach(connection, fields);
    case Op::kCloseStdin:
      if (Stream* stream = find_stream(id)) stream->close_stdin();
      return connection.reply({});
    case Op::kHoldPorts:
      return hold_ports(connection, id, fields);
    case Op::kReleasePorts:
      ports.release(id);
      return connection.reply({});
    case Op::kServeNames:
      return serve_names(connection, id);
    case Op::kShutdown:
      return shutdown(connection, bool_field(fields, "force"));
    default:
      connection.fail(not_implemented("keeper request " + std::to_string(static_cast<int>(op))));
  }
}

void KeeperServer::Impl::open_stdio(Connection& connection, const Fields& fields) {
  StdioSpec spec = decode_spec(fields);
  Stream* open = find_stream(spec.stream_id);
  if (open == nullptr) return open_now(connection, std::move(spec));
  const int64_t there = open->spec().generation;
  if (there > spec.generation) {
    return connection.fail(conflict("open stdio of " + quote(spec.stream_id) + ": generation " +
                                    std::to_string(there) + " is open, newer than " +
                                    std::to_string(spec.generation)));
  }
  if (there == spec.generation) {
    const StdioPaths paths = open->paths();
    return connection.reply(
        {{"stdin", paths.stdin_path}, {"stdout", paths.stdout_path}, {"stderr", paths.stderr_path}});
  }
  // Nobody drained the start before (its engine died): do it now, then open.
  open->drain([this, client = connection.id(), spec = std::move(spec)](const DrainCounts&) {
    forget(spec.stream_id);
    loop->post([this, client, spec] {
      if (Connection* waiting = find(client)) open_now(*waiting, spec);
    });
  });
}

void KeeperServer::Impl::open_now(Connection& connection, StdioSpec spec) {
  const std::string id = spec.stream_id;
  if (find_stream(id) != nullptr) {
    return connection.fail(conflict("open stdio of " + quote(id) + ": another opened it meanwhile"));
  }
  streams.erase(id);  // a finished one, about to be forgotten
  Result<std::unique_ptr<Stream>> stream = Stream::create(context, std::move(spec));
  if (!stream.is_ok()) return connection.fail(stream.status().prefix("open stdio of " + quote(id)));
  const StdioPaths paths = (*stream)->paths();
  Stream& opened = **stream;
  streams[id] = std::move(*stream);
  for (const auto& [number, other] : connections) {
    if (!other->is_closed() && other->waiting_for() == id) other->bind(opened);
  }
  consider_idle();
  connection.reply(
      {{"stdin", paths.stdin_path}, {"stdout", paths.stdout_path}, {"stderr", paths.stderr_path}});
}

void KeeperServer::Impl::drain_stream(const std::string& id, int64_t generation, Stream::DrainDone done) {
  Stream* stream = find_stream(id);
  if (stream == nullptr || (generation != 0 && stream->spec().generation != generation)) {
    return done(nothing_to_drain());
  }
  stream->drain([this, id, done = std::move(done)](const DrainCounts& counts) {
    forget(id);
    done(counts);
  });
}

void KeeperServer::Impl::serve_names(Connection& connection, const std::string& sandbox) {
  if (options.hooks == nullptr || !has_feature(kNamesFeature)) {
    return connection.fail(not_implemented("serve names to " + sandbox + ": this keeper cannot"));
  }
  options.hooks->serve_names(sandbox, [this, client = connection.id()](const Status& status) {
    loop->post([this, client, status] {
      Connection* const waiting = find(client);
      if (waiting == nullptr) return;
      status.is_ok() ? waiting->reply({}) : waiting->fail(status);
    });
  });
}

// Not within the stream's own call.
void KeeperServer::Impl::forget(const std::string& id) {
  loop->post([this, id] {
    const auto found = streams.find(id);
    if (found != streams.end() && found->second->is_finished()) streams.erase(found);
    consider_idle();
  });
}

void KeeperServer::Impl::discard(Connection& connection, const Fields& fields) {
  const std::string id = text_field(fields, "id");
  const std::string reason = text_field(fields, "reason");
  const int64_t generation = int_field(fields, "generation");
  Stream* stream = find_stream(id);
  if (stream != nullptr && (generation == 0 || stream->spec().generation == generation)) {
    stream->discard(reason);
    forget(id);
  }
  if (stream == nullptr) end_waiters(id, EndReason::kFailed, reason);
  connection.reply({});
}

void KeeperServer::Impl::attach(Connection& connection, const Fields& fields) {
  const AttachSpec spec = decode_attach(fields);
  const std::string id = text_field(fields, "id");
  Stream* stream = find_stream(id);
  connection.begin_attach(id, spec);
  connection.reply(attach_answer(spec, stream));
  // After the answer, which comes before the first frame.
  if (connection.is_closed()) return;
  const int64_t run = spec.resume ? spec.resume->generation : 0;
  if (run != 0 && (stream == nullptr || stream->spec().generation != run)) {
    return connection.end(EndReason::kMissed, "the run has ended before the client was back", -1);
  }
  if (stream != nullptr) connection.bind(*stream);
}

void KeeperServer::Impl::end_waiters(const std::string& id, EndReason reason, const std::string& message) {
  for (const auto& [number, connection] : connections) {
    if (!connection->is_closed() && connection->waiting_for() == id) connection->end(reason, message, -1);
  }
}

void KeeperServer::Impl::reply_status(Connection& connection) {
  Fields fields = {{"version", POUCH_VERSION},
                   {"protocol", std::to_string(kProtocolVersion)},
                   {"worker_pid", std::to_string(::getpid())},
                   {"keeper_pid", std::to_string(options.keeper_pid)},
                   {"clients", std::to_string(connections.size())},
                   {"features", kProtocolFeatures}};
  for (const auto& [id, stream] : streams) {
    if (stream->is_finished()) continue;
    fields["stream." + id] = stream->spec().container_id;
    fields["generation." + id] = std::to_string(stream->spec().generation);
  }
  connection.reply(fields);
}

void KeeperServer::Impl::hold_ports(Connection& connection, const std::string& id, const Fields& fields) {
  const Result<std::vector<HeldPort>> wanted = decode_ports(fields);
  if (!wanted.is_ok()) return connection.fail(wanted.status());
  connection.reply(encode_hold_answer(ports.hold(id, *wanted)));
}

void KeeperServer::Impl::shutdown(Connection& connection, bool force) {
  if (!streams.empty() && !force) {
    return connection.fail(
        conflict("shut the keeper down: " + std::to_string(streams.size()) + " streams are open"));
  }
  connection.reply({});
  loop->post([this] { loop->stop(); });
}

// --- the public face ---

KeeperServer::KeeperServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeeperServer::~KeeperServer() = default;

Result<std::unique_ptr<KeeperServer>> KeeperServer::create(KeeperServerOptions options) {
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<sys::EventLoop> loop, sys::EventLoop::create());
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<ScratchPipe> scratch, ScratchPipe::create());
  std::unique_ptr<KeeperServer> server(
      new KeeperServer(std::make_unique<Impl>(std::move(options), std::move(loop), std::move(scratch))));
  POUCH_RETURN_IF_ERROR(server->impl_->start());
  return server;
}

Status KeeperServer::run() {
  KeeperHooks* hooks = impl_->options.hooks;
  if (hooks != nullptr) POUCH_RETURN_IF_ERROR(hooks->start(*this));
  Status ended = impl_->loop->run();
  if (hooks != nullptr) hooks->stop();
  for (const auto& [id, stream] : impl_->streams) stream->leave();
  return ended;
}

void KeeperServer::stop() {
  impl_->loop->stop();
}

void KeeperServer::drain(const std::string& stream_id, int64_t generation,
                         std::function<void(const DrainCounts&)> done) {
  impl_->loop->post([impl = impl_.get(), stream_id, generation, done = std::move(done)]() mutable {
    impl->drain_stream(stream_id, generation, std::move(done));
  });
}

}  // namespace pouch::io
