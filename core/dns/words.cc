
#include "core/base/number.h"
#include "core/dns/link.h"

namespace pouch::dns {
namespace {

constexpr size_t kLengthBytes = 4;

}  // namespace

std::string pack(const Words& words) {
  std::string out;
  for (const std::string& word : words) {
    for (size_t i = 0; i < kLengthBytes; ++i) out += static_cast<char>((word.size() >> (8 * i)) & 0xff);
    out += word;
  }
  return out;
}

std::optional<Words> unpack(std::string_view bytes) {
  Words words;
  while (!bytes.empty()) {
    if (bytes.size() < kLengthBytes) return std::nullopt;
    size_t length = 0;
    for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<uint8_t>(bytes[i]);
    bytes.remove_prefix(kLengthBytes);
    if (length > bytes.size()) return std::nullopt;
    words.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return words;
}

Words lookup_words(uint64_t number, const Lookup& lookup) {
  return {std::string(kLookupMessage),
          std::to_string(number),
          lookup.sandbox,
          std::to_string(lookup.type),
          lookup.name,
          lookup.address};
}

std::optional<std::pair<uint64_t, Lookup>> lookup_of(const Words& words) {
  if (words.size() != 6 || words[0] != kLookupMessage) return std::nullopt;
  const auto number = whole_number<uint64_t>(words[1]);
  const auto type = whole_number<uint16_t>(words[3]);
  if (!number || !type) return std::nullopt;
  return std::pair(*number, Lookup{words[2], *type, words[4], words[5]});
}

Words answer_words(uint64_t number, const LookupAnswer& answer) {
  Words words = {std::string(kAnswerMessage), std::to_string(number),
                 std::string(1, static_cast<char>(answer.kind))};
  words.insert(words.end(), answer.items.begin(), answer.items.end());
  return words;
}

std::optional<std::pair<uint64_t, LookupAnswer>> answer_of(const Words& words) {
  if (words.size() < 3 || words[0] != kAnswerMessage || words[2].size() != 1) return std::nullopt;
  const auto number = whole_number<uint64_t>(words[1]);
  const auto kind = static_cast<AnswerKind>(words[2].front());
  const bool is_kind =
      kind == AnswerKind::kKnown || kind == AnswerKind::kForward || kind == AnswerKind::kFailed;
  if (!number || !is_kind) return std::nullopt;
  return std::pair(*number, LookupAnswer{kind, {words.begin() + 3, words.end()}});
}

}  // namespace pouch::dns
