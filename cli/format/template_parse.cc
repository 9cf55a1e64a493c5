#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "cli/format/template_tree.h"

namespace pouch::cli {
namespace {

using Node = Template::Node;

constexpr std::string_view kBlanks = " \t\r\n";
constexpr int kMaxDepth = 100;  // of nested blocks and parentheses

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// One piece of a template: text, or the inside of {{ }}.
struct Piece {
  bool is_action = false;
  std::string text;
  size_t line = 1;
};

[[noreturn]] void fail(size_t line, const std::string& problem) {
  throw TemplateError("template: :" + std::to_string(line) + ": " + problem);
}

// Where the action that begins at `at` ends; quotes may hold "}}".
size_t find_end(const std::string& text, size_t at) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == '\\' && quote != '`')
        ++at;
      else if (c == quote)
        quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (text.compare(at, 2, "}}") == 0) {
      return at;
    }
  }
  return std::string::npos;
}

void trim_right(std::string& text) {
  text.resize(text.find_last_not_of(kBlanks) + 1);
}

std::vector<Piece> split(const std::string& text) {
  std::vector<Piece> pieces;
  size_t at = 0;
  size_t line = 1;
  while (at < text.size()) {
    const size_t open = std::min(text.find("{{", at), text.size());
    pieces.push_back({false, text.substr(at, open - at), line});
    line += static_cast<size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                           text.begin() + static_cast<std::ptrdiff_t>(open), '\n'));
    if (open == text.size()) break;
    const bool is_comment = text.compare(open + 2, 2, "/*") == 0 || text.compare(open + 2, 4, "- /*") == 0;
    size_t end = is_comment ? text.find("}}", open) : find_end(text, open + 2);
    if (end == std::string::npos) fail(line, "unclosed action");
    std::string inside = text.substr(open + 2, end - open - 2);
    at = end + 2;
    if (inside.size() > 1 && inside[0] == '-' && kBlanks.find(inside[1]) != std::string_view::npos) {
      trim_right(pieces.back().text);
      inside.erase(0, 2);
    }
    if (inside.size() > 1 && inside.back() == '-' &&
        kBlanks.find(inside[inside.size() - 2]) != std::string_view::npos) {
      inside.pop_back();
      at = std::min(text.find_first_not_of(kBlanks, at), text.size());
    }
    if (!is_comment) pieces.push_back({true, inside, line});
  }
  return pieces;
}

// Reads the inside of one action.
class ActionParser {
 public:
  ActionParser(const std::string& text, size_t line) : text_(text), line_(line) {}

  // The word at the front, "" when there is none; taken only by accept().
  std::string peek_word() {
    skip_blanks();
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }

  bool accept(const std::string& word) {
    if (peek_word() != word) return false;
    at_ += word.size();
    return true;
  }

  bool is_at_end() {
    skip_blanks();
    return at_ >= text_.size();
  }

  void expect_end(const std::string& keyword) {
    if (!is_at_end()) fail(line_, "unexpected " + rest() + " in " + keyword);
  }

  Pipeline pipeline() {
    Pipeline out;
    declarations(out);
    while (true) {
      out.calls.push_back(call());
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != '|') break;
      ++at_;
    }
    return out;
  }

  [[nodiscard]] size_t line() const { return line_; }
  [[nodiscard]] std::string rest() const { return "<" + text_.substr(at_) + ">"; }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && kBlanks.find(text_[at_]) != std::string_view::npos) ++at_;
  }

  // "$a := ", "$a, $b := ", "$a = " or nothing.
  void declarations(Pipeline& out) {
    const size_t start = at_;
    std::vector<std::string> names;
    while (true) {
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != '$') break;
      names.push_back(variable());
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != ',') break;
      ++at_;
    }
    const bool declares = text_.compare(at_, 2, ":=") == 0;
    const bool assigns = !declares && text_.compare(at_, 1, "=") == 0;
    if (names.empty() || !(declares || assigns)) {
      at_ = start;
      return;
    }
    if (names.size() > 2) fail(line_, "too many declarations");
    at_ += declares ? 2 : 1;
    out.variables = names;
    out.declares = declares;
  }

  std::string variable() {
    size_t end = at_ + 1;
    while (end < text_.size() && is_word(text_[end])) ++end;
    std::string name = text_.substr(at_, end - at_);
    at_ = end;
    return name;
  }

  Call call() {
    Call out;
    while (true) {
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] == '|' || text_[at_] == ')') break;
      const size_t start = at_;
      out.operands.push_back(operand());
      out.operands.back().source = text_.substr(start, at_ - start);
    }
    if (out.operands.empty()) fail(line_, "missing value for command");
    return out;
  }

  Operand operand() {
    const char c = text_[at_];
    Operand out;
    if (c == '(') {
      out = parenthesised();
    } else if (c == '$') {
      out.kind = Operand::Kind::kVariable;
      out.name = variable();
    } else if (c == '"' || c == '`' || c == '\'') {
      out.kind = Operand::Kind::kLiteral;
      out.literal = string_literal(c);
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+') {
      out.kind = Operand::Kind::kLiteral;
      out.literal = number();
    } else if (is_word(c)) {
      word(out);
    } else if (c != '.') {
      fail(line_, "unexpected " + rest() + " in operand");
    }
    fields(out);
    return out;
  }

  Operand parenthesised() {
    if (++depth_ > kMaxDepth) fail(line_, "too many parentheses");
    ++at_;
    Operand out;
    out.kind = Operand::Kind::kPipeline;
    out.pipeline = std::make_shared<Pipeline>(pipeline());
    if (at_ >= text_.size() || text_[at_] != ')') fail(line_, "unclosed left paren");
    ++at_;
    --depth_;
    return out;
  }

  void word(Operand& out) {
    const std::string name = peek_word();
    at_ += name.size();
    out.kind = Operand::Kind::kLiteral;
    if (name == "true" || name == "false") {
      out.literal = name == "true";
    } else if (name != "nil") {
      if (!is_template_function(name)) fail(line_, "function \"" + name + "\" not defined");
      out.kind = Operand::Kind::kFunction;
      out.name = name;
    }
  }

  void fields(Operand& out) {
    const bool is_dot = out.kind == Operand::Kind::kDot;
    if (is_dot && (at_ + 1 >= text_.size() || !is_word(text_[at_ + 1]))) {
      ++at_;
      return;
    }
    while (at_ + 1 < text_.size() && text_[at_] == '.' && is_word(text_[at_ + 1])) {
      size_t end = at_ + 1;
      while (end < text_.size() && is_word(text_[end])) ++end;
      out.fields.push_back(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end;
    }
  }

  std::string string_literal(char quote) {
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] != '\\' || quote == '`') {
        out += text_[at_];
        continue;
      }
      if (++at_ >= text_.size()) break;
      const char c = text_[at_];
      if (c == 'n')
        out += '\n';
      else if (c == 't')
        out += '\t';
      else if (c == 'r')
        out += '\r';
      else if (c == '"' || c == '\'' || c == '\\')
        out += c;
      else
        fail(line_, std::string("unsupported escape \\") + c);
    }
    if (at_ >= text_.size()) fail(line_, "unterminated quoted string");
    ++at_;
    return out;
  }

  Json::Value number() {
    size_t end = at_ + 1;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.')) ++end;
    const std::string text = text_.substr(at_, end - at_);
    at_ = end;
    const char* const begin = text.data() + (text[0] == '+' ? 1 : 0);
    Json::Int64 whole = 0;
    const auto [stop, error] = std::from_chars(begin, text.data() + text.size(), whole);
    if (error == std::errc() && stop == text.data() + text.size()) return whole;
    char* tail = nullptr;
    const double value = std::strtod(text.c_str(), &tail);
    if (tail != text.c_str() + text.size()) fail(line_, "bad number syntax: \"" + text + "\"");
    return value;
  }

  std::string text_;
  size_t line_;
  size_t at_ = 0;
  int depth_ = 0;
};

class Parser {
 public:
  explicit Parser(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  std::vector<Node> run() {
    std::vector<Node> nodes = list();
    if (at_ < pieces_.size()) fail(pieces_[at_].line, "unexpected {{" + pieces_[at_].text + "}}");
    return nodes;
  }

 private:
  // Nodes up to an {{else}} or {{end}}, which is left there.
  std::vector<Node> list() {
    std::vector<Node> nodes;
    for (; at_ < pieces_.size(); ++at_) {
      const Piece& piece = pieces_[at_];
      if (!piece.is_action) {
        Node node;
        node.text = piece.text;
        nodes.push_back(std::move(node));
        continue;
      }
      ActionParser action(piece.text, piece.line);
      const std::string word = action.peek_word();
      if (word == "else" || word == "end") return nodes;
      nodes.push_back(node(action, word));
    }
    return nodes;
  }

  // After it pieces_[at_] is the last piece of the node.
  Node node(ActionParser& action, const std::string& word) {
    for (const char* unsupported : {"template", "block", "define", "break", "continue"}) {
      if (word == unsupported) fail(action.line(), "{{" + word + "}} is not supported");
    }
    Node out;
    out.kind = word == "if"      ? Node::Kind::kIf
               : word == "range" ? Node::Kind::kRange
               : word == "with"  ? Node::Kind::kWith
                                 : Node::Kind::kAction;
    if (out.kind != Node::Kind::kAction) action.accept(word);
    if (action.is_at_end()) fail(action.line(), "missing value for " + (word.empty() ? "command" : word));
    out.pipeline = action.pipeline();
    action.expect_end(word.empty() ? "command" : word);
    if (out.kind != Node::Kind::kAction) block(out, word);
    return out;
  }

  void block(Node& out, const std::string& word) {
    if (++depth_ > kMaxDepth) fail(pieces_[at_].line, "too many nested blocks");
    ++at_;
    out.body = list();
    ActionParser action = terminator();
    if (action.accept("else")) {
      const std::string next = action.peek_word();
      if (next == "if" || next == "with") {
        // {{else if}} shares the {{end}} of its {{if}}.
        out.otherwise.push_back(node(action, next));
        --depth_;
        return;
      }
      action.expect_end("else");
      ++at_;
      out.otherwise = list();
      action = terminator();
    }
    if (!action.accept("end")) fail(action.line(), "unexpected {{" + pieces_[at_].text + "}} in " + word);
    action.expect_end("end");
    --depth_;
  }

  ActionParser terminator() const {
    if (at_ >= pieces_.size()) fail(pieces_.back().line, "unexpected EOF");
    return {pieces_[at_].text, pieces_[at_].line};
  }

  std::vector<Piece> pieces_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::vector<Node> parse_template(const std::string& text) {
  return Parser(split(text)).run();
}

}  // namespace pouch::cli
