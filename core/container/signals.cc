#include "core/container/signals.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::container {
namespace {

constexpr std::array<std::pair<std::string_view, int>, 34> kSignals{{
    {"ABRT", SIGABRT},     {"ALRM", SIGALRM},   {"BUS", SIGBUS},   {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},
    {"CONT", SIGCONT},     {"FPE", SIGFPE},     {"HUP", SIGHUP},   {"ILL", SIGILL},   {"INT", SIGINT},
    {"IO", SIGIO},         {"IOT", SIGIOT},     {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},
    {"PROF", SIGPROF},     {"PWR", SIGPWR},     {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP},     {"SYS", SIGSYS},     {"TERM", SIGTERM}, {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},   {"URG", SIGURG},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
    {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
}};

// Numbers of the real-time signals as programs see them: the C library keeps the first two for itself.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

std::optional<int> parse_realtime(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return std::nullopt;
  name.remove_prefix(5);
  int offset = 0;
  if (!name.empty()) {
    if (name.front() != (from_min ? '+' : '-')) return std::nullopt;
    const auto number = whole_number<int>(name.substr(1));
    if (!number || *number < 0 || *number > kRtMax - kRtMin) return std::nullopt;
    offset = *number;
  }
  return from_min ? kRtMin + offset : kRtMax - offset;
}

std::optional<int> find_signal(std::string_view text) {
  if (const auto number = whole_number<int>(text)) {
    return *number >= 1 && *number <= kRtMax ? number : std::nullopt;
  }
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  std::string_view plain = name;
  if (plain.starts_with("SIG")) plain.remove_prefix(3);
  for (const auto& [known, number] : kSignals) {
    if (known == plain && number > 0) return number;
  }
  return parse_realtime(plain);
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (const auto number = find_signal(text)) return *number;
  const std::string quoted = quote(text);
  return invalid_argument("Invalid signal: " +
                          (quoted == '"' + std::string(text) + '"' ? std::string(text) : quoted));
}

}  // namespace pouch::container
