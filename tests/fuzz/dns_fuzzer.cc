// What containers ask, what answers in place of name servers, and what the name server without rights says to
// the keeper. The first byte tells which.
//
// A message: what is read can be answered within the limit, and the answer is read again as one to the same
// question; what cannot be read is refused with nothing but a header. A stream: its messages are those that
// were framed, however it is cut. A name: it is written and read again as it was. A packet: it packs to
// itself.

#include <string>
#include <vector>

#include "core/base/text.h"
#include "core/dns/link.h"
#include "core/dns/message.h"
#include "core/sys/ip_net.h"
#include "tests/fuzz/fuzz.h"

namespace pouch::fuzz {
namespace {

using namespace dns;

void check_answer(const Message& query, Rcode code, const std::vector<Record>& records, bool over_tcp) {
  const size_t limit = answer_limit(query, over_tcp);
  const std::string text = write_answer(query, code, records, limit);
  expect(text.size() <= limit, "an answer is within its limit");
  const auto answer = read_message(text);
  expect(answer.has_value(), "an answer can be read");
  expect(answer->is_response && answer->id == query.id && answer->opcode == query.opcode,
         "an answer is one to its query");
  expect(is_same_question(answer->question, query.question), "an answer is to the same question");
  expect(answer->question.bytes == query.question.bytes, "the case of a name is kept");
  expect(answer->edns.has_value() == query.edns.has_value(), "EDNS answers EDNS");
  expect(over_tcp ? !answer->is_truncated : true, "all fits over TCP");
}

void check_name(const std::vector<std::string>& labels) {
  const auto text = text_of(labels);
  const auto address = reverse_address(labels);
  if (address) {
    const std::string bytes = write_query(1, reverse_name(*address), kTypePtr);
    expect(reverse_address(read_message(bytes)->question.labels) == address,
           "a reverse name is its address's");
  }
  if (!text || text->empty()) return;
  const std::string bytes = write_query(1, *text, kTypeA);
  expect(read_message(bytes)->question.labels == labels, "a name is read as it was written");
  const auto record = pointer_record(*text);
  expect(record && record->data.size() <= 255, "a name fits into a record");
}

void check_message(std::string_view bytes) {
  const auto message = read_message(bytes);
  if (!message) {
    const std::string refusal = refuse_format(bytes);
    expect(refusal.empty() || refusal.size() == 12, "a refusal is a header");
    expect(refusal.empty() || refusal.substr(0, 2) == bytes.substr(0, 2), "a refusal has the id");
    return;
  }
  expect(message->question.bytes.size() <= 255 + 4, "a question is no longer than a name");
  check_name(message->question.labels);
  std::vector<Record> records(200, address_record(*sys::IpAddress::parse("fd00::1")));
  records.push_back(address_record(*sys::IpAddress::parse("10.0.0.1")));
  for (const bool over_tcp : {false, true}) {
    check_answer(*message, Rcode::kNoError, records, over_tcp);
    check_answer(*message, Rcode::kBadVers, {}, over_tcp);
  }
  std::string other(bytes);
  set_id(other, 0x1234);
  expect(read_message(other)->id == 0x1234, "an id is put in place");
}

void check_stream(std::string_view bytes) {
  StreamReader whole;
  whole.feed(bytes);
  std::vector<std::string> messages;
  std::string framed;
  while (auto message = whole.next()) {
    framed += frame(*message);
    check_message(*message);
    messages.push_back(std::move(*message));
  }
  expect(bytes.starts_with(framed), "what is framed again is what was read");
  StreamReader pieces;
  size_t count = 0;
  for (const char& c : bytes) {
    pieces.feed(std::string_view(&c, 1));
    while (auto message = pieces.next()) {
      expect(count < messages.size() && *message == messages[count], "pieces make the same messages");
      ++count;
    }
  }
  expect(count == messages.size(), "pieces make as many messages");
}

void check_text(std::string_view name) {
  const auto record = pointer_record(name);
  const std::string bytes = write_query(1, name, kTypePtr, 512);
  const auto query = read_message(bytes);
  expect(query.has_value(), "a query can be read");
  if (record) check_answer(*query, Rcode::kNoError, {*record}, true);
}

void check_packet(std::string_view bytes) {
  const auto words = unpack(bytes);
  if (!words) return;
  expect(pack(*words) == bytes, "a packet packs to itself");
  if (const auto lookup = lookup_of(*words)) {
    expect(lookup_of(lookup_words(lookup->first, lookup->second)).has_value(), "a lookup is one again");
  }
  if (const auto answer = answer_of(*words)) {
    expect(answer_words(answer->first, answer->second).size() == words->size(), "an answer is one again");
  }
}

}  // namespace
}  // namespace pouch::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pouch::fuzz;
  Input input(data, size);
  switch (input.byte()) {
    case 'm':
      check_message(input.rest());
      break;
    case 's':
      check_stream(input.rest());
      break;
    case 'n':
      check_text(input.rest());
      break;
    case 'p':
      check_packet(input.rest());
      break;
    default:
      break;
  }
  return 0;
}
