#include "cli/format/json_text.h"

namespace pouch::cli {
namespace {

constexpr size_t kIndent = 4;

class Indenter {
 public:
  Indenter(std::string_view text, size_t level) : text_(text), level_(level) {}

  std::string run() {
    while (at_ < text_.size()) step(text_[at_++]);
    return out_;
  }

 private:
  void step(char c) {
    if (c == '"') {
      copy_string();
    } else if (c == '{' || c == '[') {
      open(c);
    } else if (c == '}' || c == ']') {
      --level_;
      new_line();
      out_ += c;
    } else if (c == ',') {
      out_ += c;
      new_line();
    } else if (c == ':') {
      out_ += ": ";
    } else if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
      out_ += c;
    }
  }

  void open(char c) {
    out_ += c;
    const size_t next = text_.find_first_not_of(" \n\t\r", at_);
    if (next != std::string_view::npos && (text_[next] == '}' || text_[next] == ']')) {
      out_ += text_[next];
      at_ = next + 1;
      return;
    }
    ++level_;
    new_line();
  }

  void copy_string() {
    out_ += '"';
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') out_ += text_[at_++];
      if (at_ < text_.size()) out_ += text_[at_++];
    }
    if (at_ < text_.size()) out_ += text_[at_++];
  }

  void new_line() {
    out_ += '\n';
    out_.append(level_ * kIndent, ' ');
  }

  std::string_view text_;
  size_t level_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string indented_json(std::string_view text, size_t level) {
  return Indenter(text, level).run();
}

}  // namespace pouch::cli
