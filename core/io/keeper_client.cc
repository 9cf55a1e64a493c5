#include "core/io/keeper_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/io/channel.h"
#include "core/io/keeper_server.h"
#include "core/io/wire.h"

namespace pouch::io {
namespace {

constexpr size_t kMaxIdle = 4;
constexpr int kTries = 3;  // over restarts of the worker
constexpr size_t kStdinPiece = 32 * 1024;

std::string point_of(Op op) {
  return has_faults() ? "keeper." + std::string(op_name(op)) : std::string();
}

}  // namespace

uint64_t random_client() {
  // As a number of the protocol's, which are signed; and not 0.
  return (std::strtoull(random_hex(8).c_str(), nullptr, 16) >> 1U) | 1U;
}

// --- attach ---

AttachConnection::AttachConnection(UniqueFd fd, const std::string& first_bytes,
                                   const std::optional<AttachPosition>& position,
                                   std::optional<uint64_t> input_taken)
    : fd_(std::move(fd)),
      inbox_(std::make_unique<MessageReader>()),
      position_(position),
      input_taken_(input_taken) {
  inbox_->feed(first_bytes);
}

// A close alone is not seen by the keeper while a child of fork() has the socket as well.
AttachConnection::~AttachConnection() {
  shutdown();
}

bool AttachConnection::has_buffered_frame() const {
  return inbox_->has_message();
}

Result<Frame> AttachConnection::read_frame(Deadline deadline) {
  if (ended_) return Status(Code::kClosed, "read from an attach that has ended");
  for (;;) {
    Result<std::optional<Message>> message = inbox_->next();
    if (!message.is_ok()) return message.status().prefix("read from attach");
    if (!message->has_value()) {
      std::string bytes;
      if (Status got = receive_before(fd_.get(), bytes, deadline); !got.is_ok())
        return got.prefix("read from attach");
      inbox_->feed(bytes);
      continue;
    }
    const Message& found = **message;
    const auto type = static_cast<FrameType>(found.type);
    if (type == FrameType::kEnd) {
      ended_ = true;
      return decode_end(found.body);
    }
    if (type == FrameType::kOrigin && position_) position_ = decode_origin(found.body, *position_);
    Frame frame;
    frame.type = type;
    if (type == FrameType::kInputTaken) {
      frame.input_taken = std::strtoull(std::string(found.body).c_str(), nullptr, 10);
      return frame;
    }
    if (type != FrameType::kStdout && type != FrameType::kStderr) continue;  // of a newer keeper
    frame.data = std::string(found.body);
    if (position_) note_frame(frame);
    return frame;
  }
}

void AttachConnection::note_frame(const Frame& frame) {
  OutputCounts& output = position_->output;
  (frame.type == FrameType::kStdout ? output.stdout_bytes : output.stderr_bytes) += frame.data.size();
}

Status AttachConnection::send_frame(FrameType type, std::string_view data, Deadline deadline) {
  std::string bytes;
  append_message(bytes, static_cast<uint8_t>(type), data);
  return send_before(fd_.get(), bytes, deadline).prefix("write to attach");
}

Status AttachConnection::write_stdin(std::string_view data, Deadline deadline) {
  const std::lock_guard lock(write_mutex_);
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, kStdinPiece);
    POUCH_RETURN_IF_ERROR(send_frame(FrameType::kStdin, piece, deadline));
    data.remove_prefix(piece.size());
  }
  return {};
}

Status AttachConnection::close_stdin(Deadline deadline) {
  const std::lock_guard lock(write_mutex_);
  return send_frame(FrameType::kStdinClose, {}, deadline);
}

Status AttachConnection::detach(Deadline deadline) {
  const std::lock_guard lock(write_mutex_);
  return send_frame(FrameType::kDetach, {}, deadline);
}

void AttachConnection::shutdown() {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

// --- client ---

// Likewise.
KeeperClient::~KeeperClient() {
  for (const UniqueFd& fd : idle_) ::shutdown(fd.get(), SHUT_RDWR);
}

Result<std::unique_ptr<KeeperClient>> KeeperClient::connect(const std::string& run_dir, Deadline deadline) {
  std::unique_ptr<KeeperClient> client(new KeeperClient(run_dir));
  POUCH_ASSIGN_OR_RETURN(UniqueFd first, client->new_connection(deadline));
  client->give_back(std::move(first));
  return client;
}

Result<UniqueFd> KeeperClient::new_connection(Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(UniqueFd fd, connect_to(run_dir_));
  if (Status greeted = greet(fd.get(), deadline); !greeted.is_ok()) {
    return greeted.prefix("connect to the keeper in " + quote(run_dir_));
  }
  return fd;
}

UniqueFd KeeperClient::take_idle() {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    UniqueFd fd = std::move(idle_.back());
    idle_.pop_back();
    // Readable while nothing was asked means closed: the worker was restarted.
    pollfd item = {fd.get(), POLLIN, 0};
    if (::poll(&item, 1, 0) == 0) return fd;
  }
  return {};
}

void KeeperClient::give_back(UniqueFd connection) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
}

Result<KeeperClient::Fields> KeeperClient::call(uint8_t op, const Fields& fields, Deadline deadline) {
  const std::string point = point_of(static_cast<Op>(op));
  POUCH_RETURN_IF_ERROR(fault_status(point, "before"));
  Status transport;
  for (int i = 0; i < kTries; ++i) {
    UniqueFd fd = take_idle();
    if (!fd.is_valid()) {
      Result<UniqueFd> fresh = new_connection(deadline);
      if (!fresh.is_ok() && fresh.code() == Code::kUnavailable && i + 1 < kTries) {
        transport = fresh.status();
        continue;
      }
      if (!fresh.is_ok()) return fresh.status();
      fd = std::move(*fresh);
    }
    Result<Fields> answer = exchange(fd.get(), static_cast<Op>(op), fields, deadline, transport);
    if (transport.is_ok()) {
      give_back(std::move(fd));
      POUCH_RETURN_IF_ERROR(fault_status(point, "after"));
      return answer;
    }
    if (transport.code() != Code::kUnavailable) break;
  }
  return transport.prefix("ask the keeper in " + quote(run_dir_));
}

Status KeeperClient::ping(Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kPing), {}, deadline).status();
}

bool KeeperClient::wait_end(int stop_fd) {
  const UniqueFd fd = take_idle();
  // Unasked it says nothing: what can be read is its end.
  std::array<pollfd, 2> items = {{{stop_fd, POLLIN, 0}, {fd.get(), POLLIN, 0}}};
  while (fd.is_valid() && ::poll(items.data(), items.size(), -1) < 0 && errno == EINTR) continue;
  return items[0].revents == 0;
}

Result<KeeperStatus> KeeperClient::status(Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(const Fields fields, call(static_cast<uint8_t>(Op::kStatus), {}, deadline));
  KeeperStatus status;
  status.version = text_field(fields, "version");
  status.protocol = static_cast<int>(int_field(fields, "protocol"));
  status.worker_pid = static_cast<int>(int_field(fields, "worker_pid"));
  status.keeper_pid = static_cast<int>(int_field(fields, "keeper_pid"));
  status.clients = static_cast<uint64_t>(int_field(fields, "clients"));
  status.features = text_field(fields, "features");
  const std::string prefix = "stream.";
  for (const auto& [key, container] : fields) {
    if (!key.starts_with(prefix)) continue;
    const std::string id = key.substr(prefix.size());
    status.streams.push_back({id, container, int_field(fields, "generation." + id)});
  }
  return status;
}

Result<StdioPaths> KeeperClient::open_stdio(const StdioSpec& spec, Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(const Fields fields,
                         call(static_cast<uint8_t>(Op::kOpenStdio), encode_spec(spec), deadline));
  return StdioPaths{text_field(fields, "stdin"), text_field(fields, "stdout"), text_field(fields, "stderr")};
}

Status KeeperClient::mark_started(const std::string& stream_id, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kMarkStarted), {{"id", stream_id}}, deadline).status();
}

Result<DrainCounts> KeeperClient::drain(const std::string& stream_id, Deadline deadline, int64_t generation) {
  const Fields request = {{"id", stream_id}, {"generation", std::to_string(generation)}};
  POUCH_ASSIGN_OR_RETURN(const Fields fields, call(static_cast<uint8_t>(Op::kDrain), request, deadline));
  DrainCounts counts;
  counts.stdout_bytes = static_cast<uint64_t>(int_field(fields, "stdout_bytes"));
  counts.stderr_bytes = static_cast<uint64_t>(int_field(fields, "stderr_bytes"));
  counts.reached_eof = bool_field(fields, "eof");
  counts.log_complete = bool_field(fields, "log_complete");
  counts.was_open = bool_field(fields, "was_open");
  return counts;
}

Status KeeperClient::discard(const std::string& stream_id, const std::string& reason, Deadline deadline,
                             int64_t generation) {
  const Fields request = {{"id", stream_id}, {"reason", reason}, {"generation", std::to_string(generation)}};
  return call(static_cast<uint8_t>(Op::kDiscard), request, deadline).status();
}

Status KeeperClient::serve_names(const std::string& sandbox, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kServeNames), {{"id", sandbox}}, deadline).status();
}

Status KeeperClient::close_waiters(const std::string& stream_id, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kCloseWaiters), {{"id", stream_id}}, deadline).status();
}

Result<std::unique_ptr<AttachConnection>> KeeperClient::attach(const std::string& stream_id,
                                                               const AttachSpec& spec, Deadline deadline) {
  const Fields request = encode_attach(stream_id, spec);
  POUCH_RETURN_IF_ERROR(fault_status(point_of(Op::kAttach), "before"));
  UniqueFd fd = take_idle();
  Status transport;
  std::string rest;
  Result<Fields> answer = Fields();
  for (int i = 0; i < kTries; ++i) {
    if (!fd.is_valid()) {
      POUCH_ASSIGN_OR_RETURN(fd, new_connection(deadline));
    }
    answer = exchange(fd.get(), Op::kAttach, request, deadline, transport, &rest);
    if (transport.code() != Code::kUnavailable) break;
    if (i + 1 < kTries) fd.reset();
  }
  if (!answer.is_ok()) return answer.status().prefix("attach to " + quote(stream_id));
  std::optional<AttachPosition> position;
  if (bool_field(*answer, kResumeField)) position = spec.resume.value_or(AttachPosition());
  std::optional<uint64_t> input_taken;
  if (answer->contains(kInputField)) input_taken = static_cast<uint64_t>(int_field(*answer, kInputField));
  return std::make_unique<AttachConnection>(std::move(fd), rest, position, input_taken);
}

Status KeeperClient::close_stdin(const std::string& stream_id, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kCloseStdin), {{"id", stream_id}}, deadline).status();
}

Result<HoldAnswer> KeeperClient::hold_ports(const std::string& id, const std::vector<HeldPort>& ports,
                                            Deadline deadline) {
  POUCH_ASSIGN_OR_RETURN(const Fields answer,
                         call(static_cast<uint8_t>(Op::kHoldPorts), encode_ports(id, ports), deadline));
  return decode_hold_answer(answer);
}

Status KeeperClient::release_ports(const std::string& id, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kReleasePorts), {{"id", id}}, deadline).status();
}

Status KeeperClient::shutdown(bool force, Deadline deadline) {
  return call(static_cast<uint8_t>(Op::kShutdown), {{"force", force ? "1" : "0"}}, deadline).status();
}

}  // namespace pouch::io
