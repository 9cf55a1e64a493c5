#include "core/io/wire.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "core/base/number.h"
#include "core/base/text.h"
#include "core/io/held_ports.h"
#include "core/io/json_text.h"

namespace pouch::io {
namespace {

constexpr std::array<std::string_view, 6> kEndNames = {"exited",  "failed",   "lagged",
                                                       "removed", "shutdown", "missed"};
constexpr char kAttrPrefix[] = "log.attr.";
constexpr char kPositionPrefix[] = "at.";

}  // namespace

bool has_feature(std::string_view name) {
  const std::vector<std::string> names = split(kProtocolFeatures, ' ');
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view op_name(Op op) {
  constexpr std::array<std::string_view, 14> kNames = {
      "hello",         "ping",   "status",      "open_stdio", "mark_started", "drain",         "discard",
      "close_waiters", "attach", "close_stdin", "shutdown",   "hold_ports",   "release_ports", "serve_names"};
  const size_t index = static_cast<size_t>(op) - static_cast<size_t>(Op::kHello);
  return index < kNames.size() ? kNames[index] : "unknown request";
}

void append_message(std::string& out, uint8_t type, std::string_view body) {
  out += static_cast<char>(type);
  for (size_t i = 0; i < 4; ++i) out += static_cast<char>((body.size() >> (8 * i)) & 0xff);
  out += body;
}

std::string encode_request(Op op, const Fields& fields) {
  std::string out;
  append_message(out, static_cast<uint8_t>(op), encode_string_map(fields));
  return out;
}

void MessageReader::feed(std::string_view bytes) {
  if (used_ == buffer_.size()) {
    buffer_.clear();
    used_ = 0;
  } else if (used_ > kMaxMessageBytes) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  buffer_ += bytes;
}

size_t MessageReader::announced() const {
  size_t length = 0;
  for (size_t i = 4; i >= 1; --i) length = length << 8 | static_cast<uint8_t>(buffer_[used_ + i]);
  return length;
}

bool MessageReader::has_message() const {
  const size_t there = buffer_.size() - used_;
  return there >= kMessageHeaderBytes && there - kMessageHeaderBytes >= announced();
}

Result<std::optional<Message>> MessageReader::next() {
  if (buffer_.size() - used_ < kMessageHeaderBytes) return std::optional<Message>();
  const size_t length = announced();
  if (length > kMaxMessageBytes) {
    return Status(Code::kDataLoss, "a message of " + std::to_string(length) + " bytes was announced");
  }
  if (!has_message()) return std::optional<Message>();
  Message message;
  message.type = static_cast<uint8_t>(buffer_[used_]);
  message.body = std::string_view(buffer_).substr(used_ + kMessageHeaderBytes, length);
  used_ += kMessageHeaderBytes + length;
  return std::optional<Message>(message);
}

int64_t int_field(const Fields& fields, const std::string& key, int64_t otherwise) {
  const auto found = fields.find(key);
  return found == fields.end() ? otherwise : leading_number(found->second, otherwise);
}

bool bool_field(const Fields& fields, const std::string& key) {
  return int_field(fields, key) != 0;
}

std::string text_field(const Fields& fields, const std::string& key) {
  const auto found = fields.find(key);
  return found == fields.end() ? std::string() : found->second;
}

Fields encode_spec(const StdioSpec& spec) {
  Fields fields = {
      {"id", spec.stream_id},
      {"container", spec.container_id},
      {"generation", std::to_string(spec.generation)},
      {"stdin", spec.want_stdin ? "1" : "0"},
      {"stdin_once", spec.stdin_once ? "1" : "0"},
      {"tty", spec.tty ? "1" : "0"},
      {"log.driver", spec.log.driver},
      {"log.path", spec.log.path},
      {"log.max_size", std::to_string(spec.log.max_size)},
      {"log.max_file", std::to_string(spec.log.max_file)},
  };
  for (const auto& [key, value] : spec.log.attrs) fields[kAttrPrefix + key] = value;
  return fields;
}

StdioSpec decode_spec(const Fields& fields) {
  StdioSpec spec;
  spec.stream_id = text_field(fields, "id");
  spec.container_id = text_field(fields, "container");
  spec.generation = int_field(fields, "generation");
  spec.want_stdin = bool_field(fields, "stdin");
  spec.stdin_once = bool_field(fields, "stdin_once");
  spec.tty = bool_field(fields, "tty");
  spec.log.driver = text_field(fields, "log.driver");
  spec.log.path = text_field(fields, "log.path");
  spec.log.max_size = int_field(fields, "log.max_size", -1);
  spec.log.max_file = static_cast<int>(int_field(fields, "log.max_file", 1));
  const std::string prefix = kAttrPrefix;
  for (const auto& [key, value] : fields) {
    if (key.starts_with(prefix)) spec.log.attrs[key.substr(prefix.size())] = value;
  }
  return spec;
}

namespace {

void put_position(Fields& fields, const std::string& prefix, const AttachPosition& position) {
  fields[prefix + "generation"] = std::to_string(position.generation);
  fields[prefix + "stdout"] = std::to_string(position.output.stdout_bytes);
  fields[prefix + "stderr"] = std::to_string(position.output.stderr_bytes);
  fields[prefix + "client"] = std::to_string(position.client);
}

AttachPosition get_position(const Fields& fields, const std::string& prefix) {
  AttachPosition position;
  position.generation = int_field(fields, prefix + "generation");
  position.output.stdout_bytes = static_cast<uint64_t>(int_field(fields, prefix + "stdout"));
  position.output.stderr_bytes = static_cast<uint64_t>(int_field(fields, prefix + "stderr"));
  position.client = static_cast<uint64_t>(int_field(fields, prefix + "client"));
  return position;
}

}  // namespace

Fields encode_attach(const std::string& id, const AttachSpec& spec) {
  Fields fields = {{"id", id},
                   {"stdin", spec.want_stdin ? "1" : "0"},
                   {"stdout", spec.want_stdout ? "1" : "0"},
                   {"stderr", spec.want_stderr ? "1" : "0"}};
  if (spec.can_resume) fields[kResumeField] = "1";
  if (spec.client != 0) fields[kInputField] = std::to_string(spec.client);
  if (spec.resume) put_position(fields, kPositionPrefix, *spec.resume);
  return fields;
}

AttachSpec decode_attach(const Fields& fields) {
  AttachSpec spec;
  spec.want_stdin = bool_field(fields, "stdin");
  spec.want_stdout = bool_field(fields, "stdout");
  spec.want_stderr = bool_field(fields, "stderr");
  spec.can_resume = bool_field(fields, kResumeField) && has_feature(kResumeField);
  if (spec.can_resume && has_feature(kInputField))
    spec.client = static_cast<uint64_t>(int_field(fields, kInputField));
  const std::string prefix = kPositionPrefix;
  if (spec.can_resume && fields.contains(prefix + "generation")) spec.resume = get_position(fields, prefix);
  return spec;
}

uint64_t number_of(const AttachSpec& spec) {
  const uint64_t known = spec.resume ? spec.resume->client : 0;
  return known != 0 ? known : spec.client;
}

std::string encode_origin(const AttachPosition& position) {
  Fields fields;
  put_position(fields, "", position);
  return encode_string_map(fields);
}

AttachPosition decode_origin(std::string_view body, const AttachPosition& otherwise) {
  const Result<Fields> fields = decode_string_map(body);
  return fields.is_ok() ? get_position(*fields, "") : otherwise;
}

Status check_stream_id(const std::string& id) {
  constexpr size_t kMaxLength = 128;
  bool is_good = !id.empty() && id.size() <= kMaxLength && id.front() != '.';
  for (const char c : id) {
    is_good =
        is_good && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-');
  }
  return is_good ? Status() : invalid_argument("stream id " + quote(id) + ": not a usable name");
}

Fields encode_ports(const std::string& id, const std::vector<HeldPort>& ports) {
  std::vector<std::string> texts;
  texts.reserve(ports.size());
  for (const HeldPort& port : ports) texts.push_back(full_port_text(port));
  return {{"id", id}, {"ports", join(texts, ",")}};
}

Result<std::vector<HeldPort>> decode_ports(const Fields& fields) {
  std::vector<HeldPort> ports;
  const std::string list = text_field(fields, "ports");
  if (list.empty()) return ports;
  for (const std::string& text : split(list, ',')) {
    POUCH_ASSIGN_OR_RETURN(HeldPort port, parse_port(text));
    ports.push_back(std::move(port));
  }
  return ports;
}

Fields encode_hold_answer(const HoldAnswer& answer) {
  Fields fields = encode_status(answer.why);
  fields["taken"] = std::to_string(answer.taken);
  return fields;
}

HoldAnswer decode_hold_answer(const Fields& fields) {
  const auto taken = static_cast<int>(int_field(fields, "taken", -1));
  return {taken, taken < 0 ? Status() : decode_status(fields)};
}

Fields encode_status(const Status& status) {
  return {{"code", std::string(code_name(status.code()))}, {"message", status.message()}};
}

Status decode_status(const Fields& fields) {
  return {code_from_name(text_field(fields, "code")), text_field(fields, "message")};
}

std::string encode_end(EndReason reason, const std::string& message, int64_t log_position) {
  return encode_string_map({{"reason", std::string(kEndNames[static_cast<size_t>(reason)])},
                            {"message", message},
                            {"log_position", std::to_string(log_position)}});
}

Frame decode_end(std::string_view body) {
  Frame frame;
  const Result<Fields> fields = decode_string_map(body);
  if (!fields.is_ok()) {
    frame.reason = EndReason::kFailed;
    frame.message = fields.status().message();
    return frame;
  }
  const std::string name = text_field(*fields, "reason");
  frame.reason = EndReason::kFailed;
  for (size_t i = 0; i < kEndNames.size(); ++i) {
    if (kEndNames[i] == name) frame.reason = static_cast<EndReason>(i);
  }
  frame.message = text_field(*fields, "message");
  frame.log_position = int_field(*fields, "log_position", -1);
  return frame;
}

}  // namespace pouch::io
