#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/error.h"

namespace pouch::cli {

/// The value of a flag is not what it must be; Options tells which flag it was.
class BadValue : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The flags of one command, parsed as Docker's CLI does (GNU style with bundles of short flags, "-n5",
/// "-n=5",
/// "--name=x", "--"). Messages and exit codes are Docker's, too.
class Options {
 public:
  /// How many arguments the command takes beside its flags.
  struct Arguments {
    size_t least = 0;
    size_t most = SIZE_MAX;
  };
  struct Flag;

  /// `command` "pouch rm", `synopsis` "CONTAINER [CONTAINER...]", `summary` one line for the help.
  Options(std::string command, std::string synopsis, std::string summary, Arguments arguments);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// `names` is "-q, --quiet" or "--quiet" or "-q", more of them after a bar are not shown in the help
  /// ("--network|--net"). The targets must outlive parse().
  void flag(const std::string& names, bool* target, const std::string& help);
  void text(const std::string& names, std::string* target, const std::string& type, const std::string& help);
  void given_text(const std::string& names, std::optional<std::string>* target, const std::string& type,
                  const std::string& help);
  void integer(const std::string& names, std::optional<int64_t>* target, const std::string& help);
  void list(const std::string& names, std::vector<std::string>* target, const std::string& help);
  /// `set` takes each value as it comes, and throws BadValue.
  void value(const std::string& names, const std::string& type, const std::string& help,
             std::function<void(const std::string&)> set);

  /// Flags end at the first argument, as the command of a container follows.
  void stop_at_first_argument() { interspersed_ = false; }

  /// The arguments beside the flags; nothing when help was asked for: print help() and end. Throws Exit.
  std::optional<std::vector<std::string>> parse(const std::vector<std::string>& args);

  [[nodiscard]] std::string help() const;
  /// "pouch: <message>\n\nRun 'pouch run --help' for more information", the form of the errors of run.
  [[nodiscard]] std::string with_hint(const std::string& message) const;
  [[nodiscard]] const std::string& command() const { return command_; }

 private:
  size_t take_long(const std::vector<std::string>& args, size_t at);
  size_t take_short(const std::vector<std::string>& args, size_t at);
  const Flag* find(const std::string& name) const;
  void apply(const Flag& flag, const std::string& value) const;
  void check_count(size_t count) const;
  [[nodiscard]] std::string usage() const;
  [[nodiscard]] Exit bad_flag(const std::string& problem) const;

  std::string command_;
  std::string synopsis_;
  std::string summary_;
  Arguments arguments_;
  bool interspersed_ = true;
  bool wants_help_ = false;
  std::vector<std::unique_ptr<Flag>> flags_;
};

/// A whole decimal number. Throws BadValue.
int64_t parse_integer(const std::string& text);
/// What Go takes for a truth value: 1 t T true TRUE True and their counterparts. Throws BadValue.
bool parse_bool(const std::string& text);

}  // namespace pouch::cli
