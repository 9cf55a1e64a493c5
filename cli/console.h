#pragma once

#include <string>
#include <string_view>

namespace pouch::cli {

/// Where a command reads and writes. Writes are whole and unbuffered, and may come from several threads.
class Console {
 public:
  Console(int in, int out, int err) : in_(in), out_(out), err_(err) {}

  /// Throws Exit when the text cannot be written.
  void out(std::string_view text) const;
  /// Best effort.
  void err(std::string_view text) const;
  void out_line(std::string_view text) const { out(std::string(text) + "\n"); }
  void err_line(std::string_view text) const { err(std::string(text) + "\n"); }

  [[nodiscard]] int in_fd() const { return in_; }
  [[nodiscard]] int out_fd() const { return out_; }
  [[nodiscard]] bool in_is_terminal() const;
  [[nodiscard]] bool out_is_terminal() const;

 private:
  int in_;
  int out_;
  int err_;
};

/// Text of others made safe for a terminal: control characters and invalid UTF-8 are shown as \xNN.
std::string sanitised(std::string_view text);

}  // namespace pouch::cli
