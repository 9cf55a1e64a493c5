#include "core/io/json_text.h"

#include <array>
#include <cstdint>

#include "core/base/text.h"

namespace pouch::io {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Needs no escape: printable ASCII except the quote, the backslash and what HTML gives a meaning.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain = {};
  for (size_t byte = 0x20; byte < 0x80; ++byte) plain[byte] = true;
  for (const char special : {'"', '\\', '<', '>', '&'}) plain[static_cast<uint8_t>(special)] = false;
  return plain;
}();

// Length of the UTF-8 sequence at `at`, 0 when there is none (overlong, surrogate, cut, …).
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<uint8_t>(text[at + i]); };
  const uint32_t first = byte(0);
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < length) return 0;
  uint32_t point = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  const bool is_overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
  return is_overlong || is_surrogate || point > 0x10ffff ? 0 : length;
}

void append_ascii_escape(std::string& out, uint8_t byte) {
  switch (byte) {
    case '"':
    case '\\':
      out += '\\';
      out += static_cast<char>(byte);
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    default:
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
  }
}

void append_utf8(std::string& out, uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t plain_from = 0;
  size_t at = 0;
  const auto copy_plain = [&] { out += text.substr(plain_from, at - plain_from); };
  while (at < text.size()) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (kPlain[byte]) {
      ++at;
      continue;
    }
    const size_t length = byte < 0x80 ? 1 : utf8_length(text, at);
    const std::string_view sequence = text.substr(at, length);
    const bool is_line_separator = sequence == "\xe2\x80\xa8" || sequence == "\xe2\x80\xa9";
    if (length > 1 && !is_line_separator) {
      at += length;
      continue;
    }
    copy_plain();
    if (length == 0) {
      out += "\\ufffd";
    } else if (is_line_separator) {
      out += sequence.back() == '\xa8' ? "\\u2028" : "\\u2029";
    } else {
      append_ascii_escape(out, byte);
    }
    at += length == 0 ? 1 : length;
    plain_from = at;
  }
  copy_plain();
  out += '"';
}

void JsonCursor::skip_space() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
    ++at_;
}

bool JsonCursor::is_next(char token) {
  skip_space();
  return at_ < text_.size() && text_[at_] == token;
}

bool JsonCursor::take(char token) {
  if (!is_next(token)) return false;
  ++at_;
  return true;
}

bool JsonCursor::is_at_end() {
  skip_space();
  return at_ == text_.size();
}

bool JsonCursor::read_hex4(uint32_t& value) {
  if (text_.size() - at_ < 4) return false;
  value = 0;
  for (size_t i = 0; i < 4; ++i) {
    const char digit = text_[at_++];
    uint32_t nibble = 0;
    if (digit >= '0' && digit <= '9') {
      nibble = static_cast<uint32_t>(digit - '0');
    } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
      nibble = static_cast<uint32_t>((digit | 0x20) - 'a' + 10);
    } else {
      return false;
    }
    value = value << 4 | nibble;
  }
  return true;
}

bool JsonCursor::read_unicode_escape(std::string& out) {
  constexpr uint32_t kReplacement = 0xfffd;
  uint32_t point = 0;
  if (!read_hex4(point)) return false;
  if (point >= 0xd800 && point < 0xdc00 && text_.substr(at_, 2) == "\\u") {
    const size_t before = at_;
    at_ += 2;
    uint32_t low = 0;
    if (!read_hex4(low)) return false;
    if (low >= 0xdc00 && low < 0xe000) {
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    } else {
      at_ = before;  // two things, the first of them broken
    }
  }
  if (point >= 0xd800 && point < 0xe000) point = kReplacement;
  if (point == kReplacement) replaced_.push_back(out.size());
  append_utf8(out, point);
  return true;
}

bool JsonCursor::read_escape(std::string& out) {
  if (at_ >= text_.size()) return false;
  static constexpr std::string_view kFrom = "\"\\/bfnrt";
  static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  const char kind = text_[at_++];
  if (kind == 'u') return read_unicode_escape(out);
  const size_t found = kFrom.find(kind);
  if (found == std::string_view::npos) return false;
  out += kTo[found];
  return true;
}

bool JsonCursor::read_string(std::string& out) {
  if (!take('"')) return false;
  out.clear();
  replaced_.clear();
  for (;;) {
    const size_t stop = text_.find_first_of("\"\\", at_);
    if (stop == std::string_view::npos) return false;
    out += text_.substr(at_, stop - at_);
    at_ = stop + 1;
    if (text_[stop] == '"') return true;
    if (!read_escape(out)) return false;
  }
}

bool JsonCursor::read_string_map(std::map<std::string, std::string>& out) {
  if (!take('{')) return false;
  if (take('}')) return true;
  do {
    std::string key;
    std::string value;
    if (!read_string(key) || !take(':') || !read_string(value)) return false;
    out[std::move(key)] = std::move(value);
  } while (take(','));
  return take('}');
}

bool JsonCursor::skip_value(int depth) {
  constexpr int kMaxDepth = 16;
  if (depth > kMaxDepth) return false;
  std::string ignored;
  if (is_next('"')) return read_string(ignored);
  if (take('[')) {
    if (take(']')) return true;
    do {
      if (!skip_value(depth + 1)) return false;
    } while (take(','));
    return take(']');
  }
  if (take('{')) {
    if (take('}')) return true;
    do {
      if (!read_string(ignored) || !take(':') || !skip_value(depth + 1)) return false;
    } while (take(','));
    return take('}');
  }
  const size_t start = at_;
  at_ = std::min(text_.size(), text_.find_first_of(",]} \t\r\n", at_));
  return at_ > start;
}

std::string encode_string_map(const std::map<std::string, std::string>& fields) {
  std::string out = "{";
  for (const auto& [key, value] : fields) {
    if (out.size() > 1) out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  }
  return out += '}';
}

Result<std::map<std::string, std::string>> decode_string_map(std::string_view text) {
  std::map<std::string, std::string> fields;
  JsonCursor cursor(text);
  if (!cursor.read_string_map(fields) || !cursor.is_at_end()) {
    return Status(Code::kDataLoss, "parse " + quote(text, 64) + ": not an object of strings");
  }
  return fields;
}

}  // namespace pouch::io
