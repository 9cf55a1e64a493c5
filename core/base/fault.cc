#include "core/base/fault.h"

#ifdef POUCH_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include "core/base/number.h"
#include "core/base/unique_fd.h"

namespace pouch {
namespace {

constexpr char kVariable[] = "POUCH_FAULTS_FILE";

struct Rule {
  int line = 0;
  std::string action;  ///< "kill", "fail", "delay"
  std::string value;   ///< behind the colon
  std::string role;
  std::string point;
  int nth = 1;
  bool is_lasting = false;
  int met = 0;
};

struct Plan {
  std::string record;
  std::vector<Rule> rules;
};

/// What the file says, and which file it was.
struct State {
  std::mutex mutex;
  const pid_t pid = ::getpid();
  std::string path;
  std::string role;
  struct stat seen = {};
  Plan plan;
};

// Both leaked on purpose: points are met while the process exits.
std::atomic<const std::string*>& control_path() {
  static std::atomic<const std::string*> path = [] {
    const char* const named = ::secure_getenv(kVariable);
    return named == nullptr ? nullptr : std::make_unique<std::string>(named).release();
  }();
  return path;
}

std::atomic<State*> current_state{nullptr};

std::string role_of_program() {
  const std::string_view name = program_invocation_short_name;
  if (name == "pouch-keeper") return "keeper";
  return name == "pouchd" ? "pouchd" : "host";
}

// Null: no faults are wanted in this process. A forked child, which may have inherited a
// held lock, makes its own.
State* state() {
  const std::string* const path = control_path().load();
  if (path == nullptr) return nullptr;
  State* found = current_state.load();
  if (found != nullptr && found->pid == ::getpid()) return found;
  auto made = std::make_unique<State>();
  made->path = *path;
  made->role = role_of_program();
  if (current_state.compare_exchange_strong(found, made.get())) return made.release();
  return current_state.load();
}

Rule parse_rule(const std::vector<std::string>& words, int line) {
  Rule rule;
  rule.line = line;
  const size_t colon = words[0].find(':');
  rule.action = words[0].substr(0, colon);
  if (colon != std::string::npos) rule.value = words[0].substr(colon + 1);
  rule.role = words[1];
  rule.point = words[2];
  rule.nth = leading_number(words[3], rule.nth);
  rule.is_lasting = words[3].ends_with('+');
  return rule;
}

Plan parse_plan(const std::string& text) {
  Plan plan;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.size() == 2 && words[0] == "record") plan.record = words[1];
    if (words.size() == 4) plan.rules.push_back(parse_rule(words, number));
  }
  return plan;
}

void refresh(State& state) {
  struct stat now = {};
  if (::stat(state.path.c_str(), &now) != 0) {
    state.plan = {};
    state.seen = {};
    return;
  }
  const bool is_same = now.st_ino == state.seen.st_ino && now.st_size == state.seen.st_size &&
                       now.st_mtim.tv_sec == state.seen.st_mtim.tv_sec &&
                       now.st_mtim.tv_nsec == state.seen.st_mtim.tv_nsec;
  if (is_same) return;
  state.seen = now;
  const UniqueFd fd(::open(state.path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(static_cast<size_t>(now.st_size), '\0');
  const ssize_t got = fd.is_valid() ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  state.plan = parse_plan(text);
}

void record(const State& state, const std::string& name, const char* kind) {
  const UniqueFd fd(::open(state.plan.record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string line = state.role + " " + name + " " + kind + "\n";
  // A lost line is a point that the test believes not to be met, which it tells.
  [[maybe_unused]] const ssize_t put = ::write(fd.get(), line.data(), line.size());
}

bool matches(const Rule& rule, const State& state, const std::string& name) {
  if (rule.role != "*" && rule.role != state.role) return false;
  if (!rule.point.ends_with('*')) return rule.point == name;
  return name.starts_with(std::string_view(rule.point).substr(0, rule.point.size() - 1));
}

// Marks the rule as having acted; false when it acted before and acts only once.
bool claim(const State& state, const Rule& rule, const std::string& name) {
  const std::string mark = state.path + ".fired-" + std::to_string(rule.line);
  const UniqueFd fd(::open(mark.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_valid()) return rule.is_lasting;
  const std::string text = state.role + " " + std::to_string(::getpid()) + " " + name + "\n";
  [[maybe_unused]] const ssize_t put = ::write(fd.get(), text.data(), text.size());
  return true;
}

/// The rule that acts now, if any; "" as its action: none.
Rule due(State& state, const std::string& name, bool can_fail) {
  const std::lock_guard lock(state.mutex);
  refresh(state);
  if (!state.plan.record.empty()) record(state, name, can_fail ? "fail" : "kill");
  for (Rule& rule : state.plan.rules) {
    if (!matches(rule, state, name) || (rule.action == "fail" && !can_fail)) continue;
    ++rule.met;
    const bool is_due = rule.is_lasting ? rule.met >= rule.nth : rule.met == rule.nth;
    if (is_due && claim(state, rule, name)) return rule;
  }
  return {};
}

/// What the test wants to fail, as it is written in the control file; "": nothing.
std::string meet(std::string_view step, std::string_view moment, bool can_fail) {
  State* const current = state();
  if (current == nullptr) return {};
  const int error = errno;
  const Rule rule = due(*current, std::string(step) + "." + std::string(moment), can_fail);
  if (rule.action == "kill") {
    ::kill(::getpid(), SIGKILL);
    while (true) ::pause();
  }
  if (rule.action == "delay") ::poll(nullptr, 0, std::atoi(rule.value.c_str()));
  errno = error;
  return rule.action == "fail" ? rule.value : std::string();
}

constexpr std::array<std::pair<std::string_view, int>, 5> kErrors = {{
    {"ENOSPC", ENOSPC},
    {"EIO", EIO},
    {"EMFILE", EMFILE},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
}};

}  // namespace

bool has_faults() {
  return state() != nullptr;
}

void fault_kill(std::string_view step, std::string_view moment) {
  static_cast<void>(meet(step, moment, false));
}

Status fault_status(std::string_view step, std::string_view moment) {
  const std::string wanted = meet(step, moment, true);
  if (wanted.empty()) return {};
  const std::string what = "injected fault at " + std::string(step) + "." + std::string(moment);
  for (const auto& [name, error] : kErrors) {
    if (name == wanted) return errno_status(error, what);
  }
  return {code_from_name(wanted), what};
}

int fault_errno(std::string_view step, std::string_view moment) {
  const std::string wanted = meet(step, moment, true);
  for (const auto& [name, error] : kErrors) {
    if (name == wanted) return error;
  }
  return wanted.empty() ? 0 : EIO;
}

void set_fault_file(const std::string& path) {
  // What is replaced stays, and stays reachable: a thread may be at a point.
  static auto& replaced = *std::make_unique<std::vector<std::pair<const std::string*, State*>>>().release();
  const std::string* const old =
      control_path().exchange(path.empty() ? nullptr : std::make_unique<std::string>(path).release());
  replaced.emplace_back(old, current_state.exchange(nullptr));
}

std::vector<std::string> fault_environment() {
  const State* const current = state();
  return current == nullptr ? std::vector<std::string>()
                            : std::vector<std::string>{std::string(kVariable) + "=" + current->path};
}

}  // namespace pouch

#endif
