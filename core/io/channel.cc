#include "core/io/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/io/json_text.h"

namespace pouch::io {
namespace {

Status wait_ready(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd item = {fd, events, 0};
    const int count = ::poll(&item, 1, deadline.poll_timeout_ms());
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return errno_status(errno, "wait for the keeper");
    if (count == 0 && deadline.has_passed()) {
      return {Code::kDeadlineExceeded, "the keeper did not answer in time"};
    }
  }
}

}  // namespace

Status send_before(int fd, std::string_view data, Deadline deadline) {
  while (!data.empty()) {
    const ssize_t put = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
      data.remove_prefix(static_cast<size_t>(put));
    } else if (errno == EAGAIN) {
      POUCH_RETURN_IF_ERROR(wait_ready(fd, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return unavailable("the keeper closed the connection");
    }
  }
  return {};
}

Status receive_before(int fd, std::string& out, Deadline deadline) {
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      out.append(buffer.data(), static_cast<size_t>(got));
      return {};
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
      return unavailable("the keeper closed the connection");
    if (errno == EAGAIN) POUCH_RETURN_IF_ERROR(wait_ready(fd, POLLIN, deadline));
  }
}

Result<Fields> exchange(int fd, Op op, const Fields& fields, Deadline deadline, Status& transport,
                        std::string* rest) {
  Fields named = fields;
  const std::string& request_id = current_log_scope().request_id;
  if (!request_id.empty()) named[kRequestIdField] = request_id;
  const std::string request = encode_request(op, named);
  if (request.size() > kMaxMessageBytes) {
    return Status(Code::kResourceExhausted,
                  "a request to the keeper of " + std::to_string(request.size()) + " bytes");
  }
  transport = send_before(fd, request, deadline);
  MessageReader reader;
  while (transport.is_ok()) {
    Result<std::optional<Message>> message = reader.next();
    if (!message.is_ok()) {
      transport = message.status();
      break;
    }
    if (message->has_value()) {
      Result<Fields> answer = decode_string_map((*message)->body);
      if (!answer.is_ok()) return transport = answer.status();
      if (rest != nullptr) *rest = reader.rest();
      if ((*message)->type == static_cast<uint8_t>(Op::kOk)) return answer;
      return decode_status(*answer);
    }
    std::string bytes;
    transport = receive_before(fd, bytes, deadline);
    reader.feed(bytes);
  }
  return transport;
}

Status greet(int fd, Deadline deadline) {
  Status transport;
  return exchange(fd, Op::kHello,
                  {{"magic", kProtocolMagic},
                   {"version", std::to_string(kProtocolVersion)},
                   {"min_version", std::to_string(kMinProtocolVersion)},
                   {"features", kProtocolFeatures}},
                  deadline, transport)
      .status();
}

}  // namespace pouch::io
