#include "core/registry/challenge.h"

#include "core/base/text.h"

namespace pouch::registry {
namespace {

bool is_token_char(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kMarks.find(c) != std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<Challenge> read() {
    while (skip(" \t,"), at_ < text_.size()) {
      const std::string word = token();
      if (word.empty()) {
        ++at_;  // no token: such a byte belongs nowhere
        continue;
      }
      if (is_parameter()) {
        read_value(to_lower(word));
      } else {
        challenges_.push_back({to_lower(word), {}});
      }
    }
    return std::move(challenges_);
  }

 private:
  void skip(std::string_view chars) {
    while (at_ < text_.size() && chars.find(text_[at_]) != std::string_view::npos) ++at_;
  }

  std::string token() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_token_char(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  // Whether "=" follows; a token68 such as "Negotiate abc==" has one, too, but nothing behind it.
  bool is_parameter() {
    const size_t before = at_;
    skip(" \t");
    if (at_ < text_.size() && text_[at_] == '=' && !challenges_.empty()) {
      ++at_;
      skip(" \t");
      return true;
    }
    at_ = before;
    return false;
  }

  void read_value(std::string name) {
    std::string value = at_ < text_.size() && text_[at_] == '"' ? quoted() : token();
    challenges_.back().parameters.emplace(std::move(name), std::move(value));
  }

  std::string quoted() {
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_];
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Challenge> challenges_;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  return Reader(header).read();
}

}  // namespace pouch::registry
