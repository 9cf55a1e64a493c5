#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/sys/ip_net.h"

// The format of DNS messages (RFC 1035, EDNS: RFC 6891), as far as a resolver needs it that answers for some
// names and passes all else on as it came. What is read comes from strangers: containers, and whoever answers
// in place of a server. Pure functions.

namespace pouch::dns {

inline constexpr size_t kMaxMessage = 65'535;  ///< bytes, over TCP
inline constexpr size_t kMinUdpSize = 512;     ///< what every client takes

inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypePtr = 12;
inline constexpr uint16_t kTypeMx = 15;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr uint16_t kClassIn = 1;

/// Response codes.
enum class Rcode : uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16,
};

struct Question {
  std::vector<std::string> labels;  ///< as they came; they may hold any byte
  uint16_t type = 0;
  uint16_t klass = 0;
  std::string_view bytes;  ///< all of it in the message
};

struct Edns {
  uint16_t udp_size = 0;  ///< what the sender takes
  uint8_t version = 0;
};

/// A message that is sound as a whole. Views into the bytes that it was read from.
struct Message {
  uint16_t id = 0;
  bool is_response = false;
  bool is_truncated = false;
  unsigned opcode = 0;
  Rcode rcode = Rcode::kNoError;  ///< without what an OPT record adds
  uint16_t flags = 0;
  Question question;
  std::optional<Edns> edns;
};

/// nullopt when it is not well formed, does not have one question, or has bytes behind its end: what has only
/// its header right is answered by refuse_format().
std::optional<Message> read_message(std::string_view bytes);

/// The name in dots, without one at its end; "" for the root. nullopt when a label has a dot or a byte that
/// is no printable ASCII: no container is called so.
std::optional<std::string> text_of(const std::vector<std::string>& labels);
/// The address that a PTR question asks for, "4.3.2.1.in-addr.arpa". nullopt when the name is none of these.
std::optional<sys::IpAddress> reverse_address(const std::vector<std::string>& labels);
/// The name for reverse_address().
std::string reverse_name(const sys::IpAddress& address);
bool is_same_question(const Question& one, const Question& other);

/// The data of a record that answers a question.
struct Record {
  uint16_t type = 0;
  std::string data;
};
Record address_record(const sys::IpAddress& address);
/// nullopt when the text is no name.
std::optional<Record> pointer_record(std::string_view name);

/// The answer to a query, of at most `limit` bytes: records that do not fit are left out, and it tells so.
std::string write_answer(const Message& query, Rcode code, const std::vector<Record>& records, size_t limit);
/// What a client takes as an answer.
size_t answer_limit(const Message& query, bool over_tcp);
/// To what read_message() does not take. "": it deserves none.
std::string refuse_format(std::string_view bytes);

/// A query as bytes. For tests, and whoever asks.
std::string write_query(uint16_t id, std::string_view name, uint16_t type,
                        std::optional<uint16_t> udp_size = std::nullopt);
/// Puts another id in place of a message's.
void set_id(std::string& bytes, uint16_t id);

/// Messages in a stream, each after its length in two bytes (RFC 1035, 4.2.2).
class StreamReader {
 public:
  void feed(std::string_view bytes) { buffer_ += bytes; }
  /// The next one; nullopt: more bytes are needed.
  std::optional<std::string> next();
  bool is_empty() const { return buffer_.empty(); }

 private:
  std::string buffer_;
};
/// "" for one that is too long.
std::string frame(std::string_view message);

}  // namespace pouch::dns
