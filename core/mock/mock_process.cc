#include "core/mock/mock_process.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "core/base/executor.h"
#include "core/base/text.h"

namespace pouch::mock {
namespace {

constexpr std::array<std::string_view, 13> kPrograms = {
    "true", "false", "echo", "cat", "sleep", "exit", "sh", "printf", "head", "trap", "kill", "read", "stty"};

constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;
constexpr char kErase = 127;

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_known(const std::string& program) {
  return std::find(kPrograms.begin(), kPrograms.end(), base_name(program)) != kPrograms.end();
}

// Words with '…' and "…"; no variables.
std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote_char = 0;
  for (const char c : command) {
    if (quote_char != 0) {
      if (c == quote_char) {
        quote_char = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote_char = c;
      in_word = true;
    } else if (c == ' ' || c == '\n' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(word);
  return words;
}

struct Piece {
  std::string command;
  bool only_if_ok = false;
};

// Splits at ";" and "&&" outside quotes.
std::vector<Piece> pieces_of(const std::string& script) {
  std::vector<Piece> pieces(1);
  char quote_char = 0;
  for (size_t i = 0; i < script.size(); ++i) {
    const char c = script[i];
    if (quote_char != 0) {
      if (c == quote_char) quote_char = 0;
    } else if (c == '\'' || c == '"') {
      quote_char = c;
    } else if (c == ';' || c == '\n') {
      pieces.push_back({});
      continue;
    } else if (script.compare(i, 2, "&&") == 0) {
      pieces.push_back({{}, true});
      ++i;
      continue;
    }
    pieces.back().command += c;
  }
  return pieces;
}

std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char next = text[++i];
    if (next == 'n') {
      out += '\n';
    } else if (next >= '0' && next <= '7') {
      int value = 0;
      for (int digits = 0; digits < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++digits, ++i) {
        value = value * 8 + (text[i] - '0');
      }
      --i;
      out += static_cast<char>(value);
    } else {
      out += next;
    }
  }
  return out;
}

int signal_number(std::string name) {
  if (name.starts_with("SIG")) name = name.substr(3);
  if (name == "TERM") return SIGTERM;
  if (name == "INT") return SIGINT;
  if (name == "HUP") return SIGHUP;
  return std::atoi(name.c_str());
}

}  // namespace

Status MockProcess::check(const std::vector<std::string>& args) {
  if (!args.empty() && is_known(args[0])) return {};
  const std::string program = args.empty() ? "" : args[0];
  const std::string why = program.find('/') == std::string::npos ? "executable file not found in $PATH"
                                                                 : "no such file or directory";
  return invalid_argument(
      "failed to create task for container: OCI runtime create failed: exec: " + quote(program) + ": " + why);
}

MockProcess::MockProcess(std::vector<std::string> args, bool has_stdin, std::optional<TerminalSize> terminal,
                         Hooks hooks)
    : args_(std::move(args)),
      has_terminal_(terminal.has_value()),
      hooks_(std::move(hooks)),
      size_(terminal.value_or(TerminalSize{})),
      stdin_closed_(!has_stdin && !terminal) {}

MockProcess::~MockProcess() {
  signal(SIGKILL);
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // the hooks held the last reference; their end is the thread's last act
  } else {
    thread_.join();
  }
}

void MockProcess::start() {
  thread_ = start_thread([this] {
    int code = run_command(args_);
    // The hooks own the container, which owns this: they must not outlive the process.
    Hooks last;
    {
      const std::lock_guard lock(mutex_);
      if (killed_by_ != 0) code = 128 + killed_by_;
      last = std::exchange(hooks_, {});
    }
    last.exited(code);
  });
}

void MockProcess::write_stdin(const std::string& bytes) {
  if (!has_terminal_) {
    const std::lock_guard lock(mutex_);
    if (!stdin_closed_) stdin_ += bytes;
    changed_.notify_all();
    return;
  }
  for (const char c : bytes) {
    std::unique_lock lock(mutex_);
    const auto show = hooks_.output;
    const Typed typed = type(c);
    lock.unlock();
    // What is typed is shown before anybody can read it and answer, as a kernel's terminal has it.
    if (show && !typed.echo.empty()) show(Channel::kStdout, typed.echo);
    lock.lock();
    stdin_ += typed.readable;
    stdin_closed_ = stdin_closed_ || typed.ends_input;
    lock.unlock();
    changed_.notify_all();
    if (typed.interrupts) signal(SIGINT);
  }
}

MockProcess::Typed MockProcess::type(char c) {
  if (c == '\r') c = '\n';
  if (c == kCtrlC) {
    line_.clear();
    return {.echo = "^C", .interrupts = true};
  }
  if (c == kCtrlD && line_.empty()) return {.ends_input = true};
  if (c == kCtrlD) return {.readable = std::exchange(line_, {})};
  if (c == '\n') return {.echo = "\r\n", .readable = std::exchange(line_, {}) + c};
  if (c == kErase) {
    if (line_.empty()) return {};
    line_.pop_back();
    return {.echo = "\b \b"};
  }
  line_ += c;
  const bool is_control = static_cast<unsigned char>(c) < ' ' && c != '\t';
  return {.echo = is_control ? std::string("^") + static_cast<char>(c + '@') : std::string(1, c)};
}

void MockProcess::resize(TerminalSize size) {
  const std::lock_guard lock(mutex_);
  if (has_terminal_) size_ = size;
}

void MockProcess::close_stdin() {
  const std::lock_guard lock(mutex_);
  stdin_closed_ = true;
  changed_.notify_all();
}

void MockProcess::signal(int number) {
  const std::lock_guard lock(mutex_);
  const bool ignored = std::find(ignored_.begin(), ignored_.end(), number) != ignored_.end();
  const bool harmless = number == SIGCHLD || number == SIGWINCH || number == SIGCONT || number == SIGURG;
  if (number != SIGKILL && (ignored || harmless)) return;
  if (killed_by_ == 0) killed_by_ = number;
  changed_.notify_all();
}

bool MockProcess::is_killed() {
  const std::lock_guard lock(mutex_);
  return killed_by_ != 0;
}

void MockProcess::emit(Channel channel, std::string bytes) {
  if (bytes.empty() || is_killed()) return;
  if (!has_terminal_) return hooks_.output(channel, std::move(bytes));
  std::string shown;
  for (const char c : bytes) {
    if (c == '\n') shown += '\r';
    shown += c;
  }
  hooks_.output(Channel::kStdout, std::move(shown));
}

int MockProcess::read_line() {
  std::unique_lock lock(mutex_);
  const auto ready = [this] {
    return killed_by_ != 0 || stdin_closed_ || stdin_.find('\n') != std::string::npos;
  };
  changed_.wait(lock, ready);
  const size_t end = stdin_.find('\n');
  stdin_.erase(0, end == std::string::npos ? end : end + 1);
  return end == std::string::npos ? 1 : 0;
}

// As busybox has it, which knows no size of 0.
int MockProcess::stty(Channel channel) {
  std::unique_lock lock(mutex_);
  const TerminalSize size = size_;
  lock.unlock();
  if (size.rows == 0 && size.columns == 0) {
    emit(Channel::kStderr, "stty: standard input\n");
    return 1;
  }
  emit(channel, std::to_string(size.rows) + " " + std::to_string(size.columns) + "\n");
  return 0;
}

bool MockProcess::sleep_for(double seconds) {
  std::unique_lock lock(mutex_);
  const auto killed = [this] { return killed_by_ != 0; };
  return !changed_.wait_for(lock, std::chrono::duration<double>(seconds), killed);
}

int MockProcess::cat(Channel channel) {
  while (true) {
    std::string bytes;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return killed_by_ != 0 || stdin_closed_ || !stdin_.empty(); });
      if (killed_by_ != 0 || stdin_.empty()) return 0;
      bytes.swap(stdin_);
    }
    emit(channel, std::move(bytes));
  }
}

int MockProcess::run_script(const std::string& script) {
  int code = 0;
  for (const Piece& piece : pieces_of(script)) {
    if (exiting_ || is_killed()) break;
    if (piece.only_if_ok && code != 0) continue;
    auto words = words_of(piece.command);
    if (!words.empty()) code = run_command(std::move(words));
  }
  return code;
}

int MockProcess::run_command(std::vector<std::string> words) {
  Channel channel = Channel::kStdout;
  if (words.back() == ">&2" || words.back() == "1>&2") {
    channel = Channel::kStderr;
    words.pop_back();
  }
  if (words.empty()) return 0;
  const std::string program = base_name(words[0]);
  const std::string first = words.size() > 1 ? words[1] : "";
  if (program == "sh") {
    if (first == "-c" && words.size() > 2) return run_script(words[2]);
    return cat(channel);
  }
  if (program == "false") return 1;
  if (program == "cat") return cat(channel);
  if (program == "read") return read_line();
  if (program == "stty") return stty(channel);
  if (program == "sleep") return sleep_for(std::atof(first.c_str())) ? 0 : 1;
  if (program == "exit") {
    exiting_ = true;
    return std::atoi(first.c_str()) & 0xff;
  }
  if (program == "echo") {
    const bool no_newline = first == "-n";
    const std::vector<std::string> rest(words.begin() + (no_newline ? 2 : 1), words.end());
    emit(channel, join(rest, " ") + (no_newline ? "" : "\n"));
  } else if (program == "printf") {
    emit(channel, unescape(first));
  } else if (program == "head" && words.size() > 2) {  // head -c N /dev/zero
    for (int64_t left = std::atoll(words[2].c_str()); left > 0 && !is_killed(); left -= 65536) {
      emit(channel, std::string(static_cast<size_t>(std::min<int64_t>(left, 65536)), '\0'));
    }
  } else if (program == "trap" && words.size() > 2) {
    const std::lock_guard lock(mutex_);
    ignored_.push_back(signal_number(words[2]));
  } else if (!is_known(program)) {
    emit(Channel::kStderr, "sh: " + program + ": not found\n");
    return 127;
  }
  return 0;
}

}  // namespace pouch::mock
