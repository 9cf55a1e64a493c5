#include "core/dns/message.h"

#include <algorithm>
#include <array>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::dns {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMaxName = 255;  // with the lengths of labels
constexpr size_t kMaxLabel = 63;
constexpr unsigned kMaxPointers = 64;  // in one name; else a message could be costly to read
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kOwnUdpSize = 1232;  // as agreed on at the DNS flag day 2020; nobody sends us more
constexpr uint32_t kTtl = 600;          // as Docker's
constexpr uint16_t kResponse = 0x8000;
constexpr uint16_t kOpcodeBits = 0x7800;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kRecursionDesired = 0x0100;
constexpr uint16_t kRecursionAvailable = 0x0080;
constexpr size_t kOptBytes = 11;
constexpr size_t kMaxNibbles = 32;

void put16(std::string& out, size_t value) {
  out += static_cast<char>((value >> 8) & 0xff);
  out += static_cast<char>(value & 0xff);
}

void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

// Reads a message from its front. After something that is not there everything is empty, and failed() true.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool failed() const { return failed_; }
  size_t at() const { return at_; }
  bool is_at_end() const { return at_ == bytes_.size(); }

  uint8_t byte() {
    if (at_ >= bytes_.size()) return fail();
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint16_t word() {
    const unsigned high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
  }
  void skip(size_t count) {
    if (count > bytes_.size() - at_) {
      fail();
      return;
    }
    at_ += count;
  }
  /// How many labels it has; they are added to `labels`.
  size_t name(bool may_point, std::vector<std::string>* labels = nullptr);

 private:
  uint8_t fail() {
    failed_ = true;
    at_ = bytes_.size();
    return 0;
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  bool failed_ = false;
};

// A pointer leads to before where reading began or last went on, so that there is no loop.
size_t Reader::name(bool may_point, std::vector<std::string>* labels) {
  size_t count = 0;
  size_t length = 1;
  size_t begin = at_;
  size_t end = 0;  // of the name in its place, once it went on elsewhere
  for (unsigned pointers = 0;;) {
    const uint8_t head = byte();
    if (failed_) return 0;
    if (head == 0) break;
    if (head <= kMaxLabel) {
      const size_t label = at_;
      skip(head);
      length += head + size_t{1};
      if (failed_ || length > kMaxName) return fail();
      if (labels != nullptr) labels->emplace_back(bytes_.substr(label, head));
      ++count;
      continue;
    }
    const size_t target = (head & size_t{0x3f}) << 8 | byte();
    const bool is_pointer = !failed_ && head >= 0xc0 && may_point && ++pointers <= kMaxPointers;
    if (!is_pointer || target >= begin || target < kHeader) return fail();
    if (end == 0) end = at_;
    begin = at_ = target;
  }
  if (end != 0) at_ = end;
  return count;
}

// One OPT record, of the root, among the additional ones.
bool read_record(Reader& reader, bool is_additional, Message& message) {
  const bool is_root = reader.name(true) == 0;
  const uint16_t type = reader.word();
  const uint16_t klass = reader.word();
  reader.byte();  // of an OPT record: more of the response code
  const uint8_t version = reader.byte();
  reader.word();
  reader.skip(reader.word());
  if (reader.failed()) return false;
  if (type != kTypeOpt) return true;
  if (!is_root || !is_additional || message.edns) return false;
  message.edns = Edns{klass, version};
  return true;
}

std::string write_header(uint16_t id, uint16_t flags, std::array<size_t, 4> counts) {
  std::string out;
  put16(out, id);
  put16(out, flags);
  for (const size_t count : counts) put16(out, count);
  return out;
}

bool write_name(std::string& out, std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  size_t length = 1;
  for (const std::string& label : split(name, '.')) {
    length += label.size() + 1;
    if (label.empty() || label.size() > kMaxLabel || length > kMaxName) return false;
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
  return true;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_same_label(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

bool ends_with(const std::vector<std::string>& labels, std::string_view last_but_one, std::string_view last) {
  return labels.size() >= 2 && is_same_label(labels[labels.size() - 2], last_but_one) &&
         is_same_label(labels.back(), last);
}

std::optional<sys::IpAddress> reverse_v4(const std::vector<std::string>& labels) {
  std::array<uint8_t, 4> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto value = whole_number<uint8_t>(labels[bytes.size() - 1 - i]);
    if (!value) return std::nullopt;
    bytes.at(i) = *value;
  }
  return sys::IpAddress::from_bytes(bytes.data(), bytes.size());
}

std::optional<sys::IpAddress> reverse_v6(const std::vector<std::string>& labels) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < kMaxNibbles; ++i) {
    const std::string& label = labels[kMaxNibbles - 1 - i];
    const auto nibble = whole_number<uint8_t>(label, 16);
    if (label.size() != 1 || !nibble) return std::nullopt;
    bytes.at(i / 2) = static_cast<uint8_t>(bytes.at(i / 2) << 4 | *nibble);
  }
  return sys::IpAddress::from_bytes(bytes.data(), bytes.size());
}

}  // namespace

std::optional<Message> read_message(std::string_view bytes) {
  if (bytes.size() > kMaxMessage) return std::nullopt;
  Reader reader(bytes);
  Message message;
  message.id = reader.word();
  message.flags = reader.word();
  message.is_response = (message.flags & kResponse) != 0;
  message.is_truncated = (message.flags & kTruncated) != 0;
  message.opcode = (message.flags & kOpcodeBits) >> 11;
  message.rcode = static_cast<Rcode>(message.flags & 0xf);
  const uint16_t questions = reader.word();
  const std::array<uint16_t, 3> records = {reader.word(), reader.word(), reader.word()};
  if (reader.failed() || questions != 1) return std::nullopt;
  reader.name(false, &message.question.labels);
  message.question.type = reader.word();
  message.question.klass = reader.word();
  if (reader.failed()) return std::nullopt;
  message.question.bytes = bytes.substr(kHeader, reader.at() - kHeader);
  for (size_t section = 0; section < records.size(); ++section) {
    for (unsigned i = 0; i < records.at(section); ++i) {
      if (!read_record(reader, section == 2, message)) return std::nullopt;
    }
  }
  if (!reader.is_at_end()) return std::nullopt;
  return message;
}

std::optional<std::string> text_of(const std::vector<std::string>& labels) {
  for (const std::string& label : labels) {
    const bool is_plain =
        std::all_of(label.begin(), label.end(), [](char c) { return c > ' ' && c < 0x7f && c != '.'; });
    if (!is_plain) return std::nullopt;
  }
  return join(labels, ".");
}

std::optional<sys::IpAddress> reverse_address(const std::vector<std::string>& labels) {
  if (labels.size() == 4 + 2 && ends_with(labels, "in-addr", "arpa")) return reverse_v4(labels);
  if (labels.size() == kMaxNibbles + 2 && ends_with(labels, "ip6", "arpa")) return reverse_v6(labels);
  return std::nullopt;
}

std::string reverse_name(const sys::IpAddress& address) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (size_t i = address.size(); i-- > 0;) {
    const uint8_t byte = address.data()[i];
    if (address.is_v4()) {
      out += std::to_string(byte) + '.';
    } else {
      out += {kDigits[byte & 0xfU], '.', kDigits[byte >> 4U], '.'};
    }
  }
  return out + (address.is_v4() ? "in-addr.arpa" : "ip6.arpa");
}

bool is_same_question(const Question& one, const Question& other) {
  return one.type == other.type && one.klass == other.klass &&
         std::equal(one.labels.begin(), one.labels.end(), other.labels.begin(), other.labels.end(),
                    is_same_label);
}

Record address_record(const sys::IpAddress& address) {
  return {address.is_v4() ? kTypeA : kTypeAaaa,
          std::string(reinterpret_cast<const char*>(address.data()), address.size())};
}

std::optional<Record> pointer_record(std::string_view name) {
  Record record{kTypePtr, {}};
  if (!write_name(record.data, name)) return std::nullopt;
  return record;
}

std::string write_answer(const Message& query, Rcode code, const std::vector<Record>& records, size_t limit) {
  constexpr size_t kRecordBytes = 12;  // before the data
  const size_t end = std::min(limit, kMaxMessage) - (query.edns ? kOptBytes : 0);
  std::string body(query.question.bytes);
  size_t count = 0;
  for (const Record& record : records) {
    if (kHeader + body.size() + kRecordBytes + record.data.size() > end) break;
    put16(body, 0xc000U | kHeader);  // the question's name
    put16(body, record.type);
    put16(body, kClassIn);
    put32(body, kTtl);
    put16(body, record.data.size());
    body += record.data;
    ++count;
  }
  const auto number = static_cast<unsigned>(code);
  unsigned flags = kResponse | kRecursionAvailable | (number & 0xfU);
  flags |= query.flags & (kOpcodeBits | kRecursionDesired);
  if (count != records.size()) flags |= kTruncated;
  if (query.edns) {
    body += '\0';
    put16(body, kTypeOpt);
    put16(body, kOwnUdpSize);
    put32(body, number >> 4 << 24);
    put16(body, 0);
  }
  return write_header(query.id, static_cast<uint16_t>(flags), {1, count, 0, query.edns ? 1U : 0U}) + body;
}

size_t answer_limit(const Message& query, bool over_tcp) {
  if (over_tcp) return kMaxMessage;
  return query.edns ? std::max<size_t>(query.edns->udp_size, kMinUdpSize) : kMinUdpSize;
}

std::string refuse_format(std::string_view bytes) {
  Reader reader(bytes);
  const uint16_t id = reader.word();
  const uint16_t flags = reader.word();
  if (bytes.size() < kHeader || (flags & kResponse) != 0) return {};
  const unsigned kept = flags & (kOpcodeBits | kRecursionDesired);
  return write_header(id, static_cast<uint16_t>(kResponse | kept | static_cast<unsigned>(Rcode::kFormErr)),
                      {});
}

std::string write_query(uint16_t id, std::string_view name, uint16_t type, std::optional<uint16_t> udp_size) {
  std::string out = write_header(id, kRecursionDesired, {1, 0, 0, udp_size ? 1U : 0U});
  if (name.empty() || name == "." || !write_name(out, name)) {
    out.resize(kHeader);
    out += '\0';
  }
  put16(out, type);
  put16(out, kClassIn);
  if (udp_size) {
    out += '\0';
    put16(out, kTypeOpt);
    put16(out, *udp_size);
    put32(out, 0);
    put16(out, 0);
  }
  return out;
}

void set_id(std::string& bytes, uint16_t id) {
  bytes.at(0) = static_cast<char>(id >> 8);
  bytes.at(1) = static_cast<char>(id & 0xff);
}

std::optional<std::string> StreamReader::next() {
  if (buffer_.size() < 2) return std::nullopt;
  const size_t length = size_t{static_cast<uint8_t>(buffer_[0])} << 8 | static_cast<uint8_t>(buffer_[1]);
  if (buffer_.size() - 2 < length) return std::nullopt;
  std::string message = buffer_.substr(2, length);
  buffer_.erase(0, 2 + length);
  return message;
}

std::string frame(std::string_view message) {
  if (message.size() > kMaxMessage) return {};
  std::string out;
  put16(out, message.size());
  out += message;
  return out;
}

}  // namespace pouch::dns
