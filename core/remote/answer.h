#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch::remote {

/// More than this in one answer's head is an attack or a mistake.
inline constexpr size_t kMaxHeadBytes = size_t{64} << 10U;
/// An answer that is no stream, or an error's text, is at most this long.
inline constexpr size_t kMaxBodyBytes = size_t{64} << 20U;

/// The head of an answer.
struct Head {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case

  std::string header(const std::string& name) const;
  bool is_pouchd() const { return headers.contains("pouch-version"); }
};

/// Takes a head line by line (line ends included), skips 1xx heads except 101.
class HeadParser {
 public:
  /// DataLoss for what is no HTTP; ResourceExhausted when it is too long.
  Status feed_line(std::string_view line);
  bool is_complete() const { return complete_; }
  const Head& head() const { return head_; }

 private:
  Head head_;
  size_t bytes_ = 0;
  bool in_head_ = false;
  bool complete_ = false;
};

/// The error that an answer of status 300 and above carries. `op` names the operation where the server says
/// nothing.
Status error_of_answer(const Head& head, std::string_view body, std::string_view op);
/// The error in an end record or an answer: {"message", "code", "details"}; `fallback` where there is no
/// code.
Status error_of_document(std::string_view json_text, Code fallback);

}  // namespace pouch::remote
