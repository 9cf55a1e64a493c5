#include "core/remote/body_decoder.h"
#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/remote/answer.h"

namespace pouch::remote {
namespace {

constexpr size_t kMuxHeaderBytes = 8;
constexpr size_t kMaxLineBytes = size_t{16} << 20U;
constexpr uint8_t kMuxStderr = 2;
constexpr uint8_t kMuxEnd = 3;  // pouchd: the end record; dockerd: the text of an error

}  // namespace

Status BodyDecoder::push(Channel channel, std::string data) {
  const Status pushed = pipe_->push(channel, std::move(data));
  return ignore_lost_reader_ ? Status() : pushed;
}

Status BodyDecoder::feed(std::string_view bytes) {
  if (has_ended()) return {};
  switch (format_.frames) {
    case api::OpFrames::kStdio:
      return format_.raw_stdio ? push(Channel::kStdout, std::string(bytes)) : feed_stdio(bytes);
    case api::OpFrames::kMessages:
      return feed_lines(bytes);
    default:
      return push(Channel::kData, std::string(bytes));
  }
}

Status BodyDecoder::feed_stdio(std::string_view bytes) {
  buffer_.append(bytes);
  size_t used = 0;
  while (!has_ended()) {
    const Result<size_t> taken = take_stdio(std::string_view(buffer_).substr(used));
    if (!taken.is_ok()) return taken.status();
    if (*taken == 0) break;
    used += *taken;
  }
  buffer_.erase(0, used);
  return {};
}

// How many bytes of the front were dealt with; 0 when more are needed.
Result<size_t> BodyDecoder::take_stdio(std::string_view bytes) {
  if (mux_left_ == 0) {
    if (bytes.size() < kMuxHeaderBytes) return size_t{0};
    const auto* const header = reinterpret_cast<const unsigned char*>(bytes.data());
    if (header[0] > kMuxEnd || header[1] != 0 || header[2] != 0 || header[3] != 0) {
      return Status(Code::kDataLoss, "the stream is damaged: what follows is no frame");
    }
    mux_stream_ = header[0];
    mux_left_ = (size_t{header[4]} << 24U) | (size_t{header[5]} << 16U) | (size_t{header[6]} << 8U) |
                size_t{header[7]};
    return kMuxHeaderBytes;
  }
  // A piece stays whole unless it is larger than what a pipe holds.
  if (bytes.size() < mux_left_ && bytes.size() < StreamPipe::kCapacity) return size_t{0};
  const size_t size = std::min(bytes.size(), mux_left_);
  mux_left_ -= size;
  POUCH_RETURN_IF_ERROR(emit_stdio(bytes.substr(0, size)));
  return size;
}

Status BodyDecoder::emit_stdio(std::string_view bytes) {
  if (mux_stream_ == kMuxEnd) {
    if (mux_error_.size() + bytes.size() > StreamPipe::kCapacity) {
      return {Code::kDataLoss, "the stream is damaged: its end record is longer than 1 MiB"};
    }
    mux_error_.append(bytes);
    if (mux_left_ > 0) return {};
    if (format_.end_records) return take_end_record(mux_error_);
    result_ = Status(Code::kInternal, std::string(trim(mux_error_)));
    return {};
  }
  return push(mux_stream_ == kMuxStderr ? Channel::kStderr : Channel::kStdout, std::string(bytes));
}

Status BodyDecoder::feed_lines(std::string_view bytes) {
  while (!bytes.empty() && !has_ended()) {
    const size_t end = bytes.find('\n');
    if (buffer_.size() + std::min(end, bytes.size()) > kMaxLineBytes) {
      return {Code::kDataLoss, "the stream is damaged: a message is longer than 16 MiB"};
    }
    if (end == std::string_view::npos) {
      buffer_.append(bytes);
      return {};
    }
    if (buffer_.empty()) {
      POUCH_RETURN_IF_ERROR(take_line(bytes.substr(0, end)));
    } else {
      buffer_.append(bytes.substr(0, end));
      const std::string line = std::exchange(buffer_, {});
      POUCH_RETURN_IF_ERROR(take_line(line));
    }
    bytes.remove_prefix(end + 1);
  }
  return {};
}

Status BodyDecoder::take_line(std::string_view line) {
  line = trim(line);
  if (line.empty()) return {};
  if (!format_.end_records) {
    if (!format_.canonical) return take_message(line);
    const Result<std::string> message = format_.canonical(line);
    if (message.is_ok()) return take_message(*message);
    result_ = message.status();
    return {};
  }
  // pouchd writes compact documents, so the key of a record of the wire comes first.
  if (line.starts_with("{\"pouchEnd\"")) return take_end_record(line);
  if (line.starts_with("{\"pouchLost\"")) {
    POUCH_ASSIGN_OR_RETURN(const Json json, parse_json(line));
    if (json["pouchLost"].isUInt()) pipe_->add_dropped(json["pouchLost"].asUInt());
    return {};
  }
  return take_message(line);
}

Status BodyDecoder::take_message(std::string_view line) {
  if (!format_.merge) return push(Channel::kMessage, std::string(line));
  const Result<Json> json = parse_json(line);
  // Only the progress of something named may replace older progress; a text stands for itself.
  const bool is_progress =
      json.is_ok() && json->isObject() && (*json)["id"].isString() && json->isMember("progressDetail");
  if (!is_progress) return push(Channel::kMessage, std::string(line));
  const Status pushed = pipe_->push_latest((*json)["id"].asString(), std::string(line));
  return ignore_lost_reader_ ? Status() : pushed;
}

Status BodyDecoder::take_end_record(std::string_view json_text) {
  const Result<Json> json = parse_json(json_text);
  const Json* const end =
      json.is_ok() && json->isObject() && (*json)["pouchEnd"].isObject() ? &(*json)["pouchEnd"] : nullptr;
  if (end == nullptr) return {Code::kDataLoss, "the stream is damaged: a broken end record"};
  if (end->isMember("error")) {
    result_ = error_of_document(write_json((*end)["error"]), Code::kInternal);
  } else {
    const Json& result = (*end)["result"];
    result_ = result.isNull() ? std::string() : write_json(result);
  }
  return {};
}

Result<std::string> BodyDecoder::finish(const Status& transport, std::string_view trailer) {
  if (has_ended()) return *result_;
  if (!transport.is_ok()) return transport;
  if (!buffer_.empty() && format_.frames == api::OpFrames::kMessages) {
    POUCH_RETURN_IF_ERROR(take_line(std::exchange(buffer_, {})));
  }
  if (!trailer.empty()) POUCH_RETURN_IF_ERROR(take_end_record(base64_decode(trailer).value_or("")));
  if (has_ended()) return *result_;
  if (format_.end_records) return unavailable("the connection was cut before the end of the stream");
  if (!buffer_.empty() || mux_left_ > 0) return unavailable("the connection was cut within a frame");
  return std::string();
}

}  // namespace pouch::remote
