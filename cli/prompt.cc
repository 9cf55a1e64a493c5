#include "cli/prompt.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/error.h"

namespace pouch::cli {
namespace {

constexpr size_t kMaxSecret = 64 * 1024;

// A terminal that does not show what is typed while it lives.
class Silence {
 public:
  explicit Silence(int fd) : fd_(fd), is_on_(::tcgetattr(fd, &before_) == 0) {
    if (!is_on_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(fd_, TCSAFLUSH, &quiet);
  }
  ~Silence() {
    if (is_on_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int fd_;
  termios before_{};
  bool is_on_;
};

// False at the end.
bool read_byte(int fd, char& byte) {
  while (true) {
    const ssize_t count = ::read(fd, &byte, 1);
    if (count == 1) return true;
    if (count == 0) return false;
    if (errno != EINTR)
      throw Exit(kExitError, std::string("read the standard input: ") + std::strerror(errno));
  }
}

}  // namespace

bool confirm(const Console& console, const std::string& warning) {
  console.out(warning + "\nAre you sure you want to continue? [y/N] ");
  std::string answer;
  char byte = 0;
  while (read_byte(console.in_fd(), byte) && byte != '\n') answer += byte;
  return answer == "y" || answer == "Y";
}

std::string ask_line(const Console& console, const std::string& question, bool is_secret) {
  console.out(question);
  const Silence silence(is_secret ? console.in_fd() : -1);
  std::string line;
  char byte = 0;
  bool is_whole = false;
  while (!is_whole && line.size() < kMaxSecret && read_byte(console.in_fd(), byte)) {
    is_whole = byte == '\n';
    if (!is_whole) line += byte;
  }
  if (is_secret) console.out("\n");
  if (!is_whole && line.empty()) throw Exit(kExitError, "the standard input ended before an answer");
  return line;
}

std::string read_secret(const Console& console) {
  std::string text;
  char byte = 0;
  while (text.size() < kMaxSecret && read_byte(console.in_fd(), byte)) text += byte;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace pouch::cli
