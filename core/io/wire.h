#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/io/stdio.h"

// The keeper's protocol on its unix socket. Every message is {u8 type, u32 length little endian, bytes}. The
// first one either way is a hello, its answer names the version to be used; then requests, each answered by
// kOk or kError before the next is taken; after an attach was answered, the frames of stdio.h. Bodies but
// those frames are JSON objects of strings: unknown keys are ignored, so fields can be added.

namespace pouch::io {

inline constexpr int kProtocolVersion = 1;
inline constexpr int kMinProtocolVersion = 1;
inline constexpr char kProtocolMagic[] = "pouch-keeper";
/// Names of what this build can do, blanks between. Clients ask for one before they rely on it.
extern const char* const kProtocolFeatures;
/// Whether it is among those of this build.
bool has_feature(std::string_view name);
inline constexpr size_t kMaxMessageBytes = 1024 * 1024;
inline constexpr size_t kMessageHeaderBytes = 5;

enum class Op : uint8_t {
  kHello = 64,
  kPing = 65,
  kStatus = 66,
  kOpenStdio = 67,
  kMarkStarted = 68,
  kDrain = 69,
  kDiscard = 70,
  kCloseWaiters = 71,
  kAttach = 72,
  kCloseStdin = 73,
  kShutdown = 74,
  kHoldPorts = 75,
  kReleasePorts = 76,
  kServeNames = 77,
  kOk = 128,
  kError = 129,
};

/// "open_stdio", …
std::string_view op_name(Op op);

/// In any request: the name in the logs of what it is a part of.
inline constexpr char kRequestIdField[] = "request_id";
/// A feature; in an attach: the client would come back; in its answer: it will be told where it stands.
inline constexpr char kResumeField[] = "resume";
/// A feature; in an attach: the client's number; in its answer: how much of its input the process's pipe has.
inline constexpr char kInputField[] = "input";
/// A feature: the requests about ports are known.
inline constexpr char kPortsFeature[] = "ports";

/// A feature: containers on networks of users have a name server.
inline constexpr char kNamesFeature[] = "names";

using Fields = std::map<std::string, std::string>;

void append_message(std::string& out, uint8_t type, std::string_view body);
std::string encode_request(Op op, const Fields& fields);

struct Message {
  uint8_t type = 0;
  std::string_view body;  ///< until the next call
};

/// Bytes in any pieces → messages.
class MessageReader {
 public:
  void feed(std::string_view bytes);
  /// nullopt: more bytes are needed. DataLoss: announced too long.
  Result<std::optional<Message>> next();
  bool has_message() const;
  /// The bytes not yet given out.
  std::string rest() const { return buffer_.substr(used_); }

 private:
  size_t announced() const;

  std::string buffer_;
  size_t used_ = 0;
};

int64_t int_field(const Fields& fields, const std::string& key, int64_t otherwise = 0);
bool bool_field(const Fields& fields, const std::string& key);
std::string text_field(const Fields& fields, const std::string& key);

Fields encode_spec(const StdioSpec& spec);
StdioSpec decode_spec(const Fields& fields);
Fields encode_attach(const std::string& id, const AttachSpec& spec);
AttachSpec decode_attach(const Fields& fields);
/// Under which a stream's record knows the client; 0: not yet.
uint64_t number_of(const AttachSpec& spec);
std::string encode_origin(const AttachPosition& position);
/// The position as it was when this is no origin.
AttachPosition decode_origin(std::string_view body, const AttachPosition& otherwise);
/// InvalidArgument unless it can name a folder: letters, digits, '.', '_', '-', not first '.', at most 128.
Status check_stream_id(const std::string& id);

Fields encode_ports(const std::string& id, const std::vector<HeldPort>& ports);
/// InvalidArgument for what is none.
Result<std::vector<HeldPort>> decode_ports(const Fields& fields);
Fields encode_hold_answer(const HoldAnswer& answer);
HoldAnswer decode_hold_answer(const Fields& fields);

Fields encode_status(const Status& status);
Status decode_status(const Fields& fields);

std::string encode_end(EndReason reason, const std::string& message, int64_t log_position);
Frame decode_end(std::string_view body);

}  // namespace pouch::io
