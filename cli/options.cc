#include "cli/options.h"

#include <algorithm>
#include <charconv>

namespace pouch::cli {

struct Options::Flag {
  std::vector<std::string> names;  ///< with dashes
  std::string shown;               ///< "-m, --memory"
  std::string type;                ///< "" for a flag without value
  std::string help;
  std::function<void(const std::string&)> set;
};

namespace {

constexpr size_t kMaxColumn = 36;  // of the help's left column

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < names.size()) {
    const size_t end = std::min(names.find_first_of(",|", at), names.size());
    const size_t begin = names.find_first_not_of(' ', at);
    out.push_back(names.substr(begin, end - begin));
    at = end + 1;
  }
  return out;
}

}  // namespace

Options::Options(std::string command, std::string synopsis, std::string summary, Arguments arguments)
    : command_(std::move(command)),
      synopsis_(std::move(synopsis)),
      summary_(std::move(summary)),
      arguments_(arguments) {}

Options::~Options() = default;

void Options::value(const std::string& names, const std::string& type, const std::string& help,
                    std::function<void(const std::string&)> set) {
  auto flag = std::make_unique<Flag>();
  flag->names = split_names(names);
  flag->shown = names.substr(0, names.find('|'));
  flag->type = type;
  flag->help = help;
  flag->set = std::move(set);
  flags_.push_back(std::move(flag));
}

void Options::flag(const std::string& names, bool* target, const std::string& help) {
  value(names, "", help, [target](const std::string& text) { *target = parse_bool(text); });
}

void Options::text(const std::string& names, std::string* target, const std::string& type,
                   const std::string& help) {
  value(names, type, help, [target](const std::string& text) { *target = text; });
}

void Options::given_text(const std::string& names, std::optional<std::string>* target,
                         const std::string& type, const std::string& help) {
  value(names, type, help, [target](const std::string& text) { *target = text; });
}

void Options::integer(const std::string& names, std::optional<int64_t>* target, const std::string& help) {
  value(names, "int", help, [target](const std::string& text) { *target = parse_integer(text); });
}

void Options::list(const std::string& names, std::vector<std::string>* target, const std::string& help) {
  value(names, "list", help, [target](const std::string& text) { target->push_back(text); });
}

const Options::Flag* Options::find(const std::string& name) const {
  for (const auto& flag : flags_) {
    if (std::find(flag->names.begin(), flag->names.end(), name) != flag->names.end()) return flag.get();
  }
  return nullptr;
}

void Options::apply(const Flag& flag, const std::string& value) const {
  try {
    flag.set(value);
  } catch (const BadValue& bad) {
    throw bad_flag("invalid argument \"" + value + "\" for \"" + flag.shown + "\" flag: " + bad.what());
  }
}

// Both take functions return how many further arguments the flag has used.
size_t Options::take_long(const std::vector<std::string>& args, size_t at) {
  const size_t equals = args[at].find('=');
  const std::string name = args[at].substr(0, equals);
  const Flag* flag = find(name);
  if (flag == nullptr && name == "--help") {
    wants_help_ = true;
    return 0;
  }
  if (flag == nullptr) throw bad_flag("unknown flag: " + name);
  if (equals != std::string::npos) {
    apply(*flag, args[at].substr(equals + 1));
    return 0;
  }
  if (flag->type.empty()) {
    apply(*flag, "true");
    return 0;
  }
  if (at + 1 >= args.size()) throw bad_flag("flag needs an argument: " + name);
  apply(*flag, args[at + 1]);
  return 1;
}

size_t Options::take_short(const std::vector<std::string>& args, size_t at) {
  const std::string& bundle = args[at];
  for (size_t i = 1; i < bundle.size(); ++i) {
    const std::string name = std::string("-") + bundle[i];
    const Flag* flag = find(name);
    if (flag == nullptr && name == "-h") {
      wants_help_ = true;
      return 0;
    }
    if (flag == nullptr) {
      throw bad_flag(std::string("unknown shorthand flag: '") + bundle[i] + "' in " + bundle);
    }
    const bool has_value = i + 1 < bundle.size() && bundle[i + 1] == '=';
    if (flag->type.empty() && !has_value) {
      apply(*flag, "true");
      continue;
    }
    if (i + 1 < bundle.size()) {
      apply(*flag, bundle.substr(has_value ? i + 2 : i + 1));
      return 0;
    }
    if (at + 1 >= args.size()) {
      throw bad_flag(std::string("flag needs an argument: '") + bundle[i] + "' in " + bundle);
    }
    apply(*flag, args[at + 1]);
    return 1;
  }
  return 0;
}

std::optional<std::vector<std::string>> Options::parse(const std::vector<std::string>& args) {
  std::vector<std::string> arguments;
  for (size_t at = 0; at < args.size(); ++at) {
    const std::string& word = args[at];
    if (word == "--") {
      arguments.insert(arguments.end(), args.begin() + static_cast<std::ptrdiff_t>(at) + 1, args.end());
      break;
    }
    if (word.size() > 2 && word.starts_with("--")) {
      at += take_long(args, at);
    } else if (word.size() > 1 && word[0] == '-') {
      at += take_short(args, at);
    } else if (interspersed_) {
      arguments.push_back(word);
    } else {
      arguments.insert(arguments.end(), args.begin() + static_cast<std::ptrdiff_t>(at), args.end());
      break;
    }
    if (wants_help_) return std::nullopt;
  }
  check_count(arguments.size());
  return arguments;
}

void Options::check_count(size_t count) const {
  if (count >= arguments_.least && count <= arguments_.most) return;
  const size_t wanted = count < arguments_.least ? arguments_.least : arguments_.most;
  const std::string number = std::to_string(wanted) + (wanted == 1 ? " argument" : " arguments");
  std::string problem = "requires " + number;
  if (arguments_.most == 0) {
    problem = "accepts no arguments";
  } else if (arguments_.most == SIZE_MAX) {
    problem = "requires at least " + number;
  } else if (arguments_.most != arguments_.least) {
    problem = (count < arguments_.least ? "requires at least " : "requires at most ") + number;
  }
  throw Exit(kExitError, "pouch: '" + command_ + "' " + problem + "\n\n" + usage() +
                             (arguments_.most == SIZE_MAX ? "\n\nSee '" : "\n\nRun '") + command_ +
                             " --help' for more information");
}

std::string Options::usage() const {
  return "Usage:  " + command_ + " [OPTIONS]" + (synopsis_.empty() ? "" : " ") + synopsis_;
}

Exit Options::bad_flag(const std::string& problem) const {
  return {kExitUsage, problem + "\n\n" + usage() + "\n\nRun '" + command_ + " --help' for more information"};
}

std::string Options::with_hint(const std::string& message) const {
  return "pouch: " + message + "\n\nRun '" + command_ + " --help' for more information";
}

std::string Options::help() const {
  std::string out = usage() + "\n\n" + summary_ + "\n";
  if (flags_.empty()) return out;
  std::vector<const Flag*> sorted;
  for (const auto& flag : flags_) sorted.push_back(flag.get());
  const auto key = [](const Flag* flag) {
    const size_t dashes = flag->shown.find("--");
    return flag->shown.substr(dashes == std::string::npos ? 1 : dashes + 2);
  };
  std::sort(sorted.begin(), sorted.end(), [&](const Flag* a, const Flag* b) { return key(a) < key(b); });
  out += "\nOptions:\n";
  for (const Flag* flag : sorted) {
    std::string left = (flag->shown.starts_with("--") ? "      " : "  ") + flag->shown;
    if (!flag->type.empty()) left += " " + flag->type;
    left.append(left.size() < kMaxColumn ? kMaxColumn - left.size() : 2, ' ');
    out += left + flag->help + "\n";
  }
  return out;
}

int64_t parse_integer(const std::string& text) {
  const char* const begin = text.data() + (text.starts_with("+") ? 1 : 0);
  const char* const end = text.data() + text.size();
  int64_t number = 0;
  const auto [at, error] = std::from_chars(begin, end, number);
  if (error == std::errc::result_out_of_range) throw BadValue("value out of range");
  if (error != std::errc() || at != end) throw BadValue("not a whole number");
  return number;
}

bool parse_bool(const std::string& text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  throw BadValue("neither true nor false");
}

}  // namespace pouch::cli
