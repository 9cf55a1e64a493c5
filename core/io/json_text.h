#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

// The little JSON that logs and the keeper's protocol need: strings, and objects whose values are all
// strings. A JSON library would be the larger part of a shim that links this folder.

namespace pouch::io {

/// Appends a JSON string with its quotes, escaped as Docker's log writer does: <, > and & as \u00xx, control
/// bytes other than \n and \r as \u00xx, U+2028 and U+2029, and each byte that is not UTF-8 as \ufffd.
void append_json_string(std::string& out, std::string_view text);

/// A cursor over JSON text; every function returns false at the first thing that is not as expected.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}
  bool take(char token);  ///< after white space
  bool is_next(char token);
  bool read_string(std::string& out);  ///< lone surrogates become U+FFFD
  /// Where in the last string read a U+FFFD stands that was escaped: each was one byte to append_json_string,
  /// which never escapes a true one.
  const std::vector<size_t>& replaced() const { return replaced_; }
  bool read_string_map(std::map<std::string, std::string>& out);
  bool skip_value(int depth = 0);  ///< any value, at most 16 levels deep
  bool is_at_end();

 private:
  void skip_space();
  bool read_escape(std::string& out);
  bool read_hex4(uint32_t& value);
  bool read_unicode_escape(std::string& out);

  std::string_view text_;
  size_t at_ = 0;
  std::vector<size_t> replaced_;
};

/// {"a":"b"}, keys sorted.
std::string encode_string_map(const std::map<std::string, std::string>& fields);
/// DataLoss when it is not an object of strings.
Result<std::map<std::string, std::string>> decode_string_map(std::string_view text);

}  // namespace pouch::io
