#include "core/api/config_changes.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "core/api/json.h"
#include "core/base/go_duration.h"
#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view kBlanks = " \t";
constexpr int kMaxPort = 65535;

bool is_name_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return out;
}

std::pair<std::string_view, std::string_view> first_word(std::string_view text) {
  text = trim(text);
  const size_t end = text.find_first_of(kBlanks);
  if (end == std::string_view::npos) return {text, {}};
  return {text.substr(0, end), trim(text.substr(end))};
}

// Words as the shell would split them: quotes and backslashes taken off, variables put in, but for those in
// single quotes.
class WordSplitter {
 public:
  explicit WordSplitter(const api::ContainerConfig& config) : config_(config) {}

  Result<Words> split(std::string_view text) {
    Words words;
    std::string word;
    bool is_open = false;
    char quote = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (quote == 0 && kBlanks.find(c) != std::string_view::npos) {
        if (is_open) words.push_back(std::exchange(word, {}));
        is_open = false;
        continue;
      }
      is_open = true;
      if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
        word += text[++i];
      } else if ((c == '"' || c == '\'') && (quote == 0 || quote == c)) {
        quote = quote == 0 ? c : '\0';
      } else if (c == '$' && quote != '\'') {
        i = put_variable(text, i, word);
      } else {
        word += c;
      }
    }
    if (quote != 0) return invalid_argument("a quote is not closed");
    if (is_open) words.push_back(std::move(word));
    return words;
  }

  /// The same for text that is one word, blanks and all.
  std::string expand(std::string_view text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '$') {
        i = put_variable(text, i, out);
      } else {
        out += text[i];
      }
    }
    return out;
  }

 private:
  // The index of its last character.
  size_t put_variable(std::string_view text, size_t at, std::string& word) const {
    const bool in_braces = at + 1 < text.size() && text[at + 1] == '{';
    size_t end = at + (in_braces ? 2 : 1);
    const size_t begin = end;
    while (end < text.size() && is_name_char(text[end])) ++end;
    const std::string name(text.substr(begin, end - begin));
    const bool is_whole = !name.empty() && (!in_braces || (end < text.size() && text[end] == '}'));
    if (!is_whole) {
      word += '$';
      return at;
    }
    for (const std::string& entry : config_.env.value_or(Words())) {
      if (entry.starts_with(name + "=")) word += entry.substr(name.size() + 1);
    }
    return in_braces ? end : end - 1;
  }

  const api::ContainerConfig& config_;
};

// ["a", "b"]; nothing where it is no such array.
std::optional<Words> json_words(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  const Result<Json> json = parse_json(text);
  if (!json.is_ok() || !json->isArray()) return std::nullopt;
  Words words;
  for (const Json& word : *json) {
    if (!word.isString()) return std::nullopt;
    words.push_back(word.asString());
  }
  return words;
}

Words command_of(std::string_view text) {
  if (std::optional<Words> words = json_words(text)) return std::move(*words);
  return {"/bin/sh", "-c", std::string(text)};
}

// "k=v k2=v2", or the old form "k the rest".
Result<std::vector<std::pair<std::string, std::string>>> pairs_of(std::string_view text,
                                                                  WordSplitter& splitter) {
  const auto [name, rest] = first_word(text);
  std::vector<std::pair<std::string, std::string>> pairs;
  if (name.find('=') == std::string_view::npos) {
    if (name.empty() || rest.empty()) return invalid_argument("it must have two arguments");
    pairs.emplace_back(name, splitter.expand(rest));
    return pairs;
  }
  POUCH_ASSIGN_OR_RETURN(const Words words, splitter.split(text));
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return invalid_argument("syntax error - can't find = in " + quote(word));
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

void set_variable(api::ContainerConfig& config, const std::string& name, const std::string& value) {
  if (!config.env) config.env.emplace();
  std::string entry = name + "=" + value;
  for (std::string& old : *config.env) {
    if (!old.starts_with(name + "=")) continue;
    old = std::move(entry);
    return;
  }
  config.env->push_back(std::move(entry));
}

std::optional<int> port_number(std::string_view text) {
  const auto number = whole_number<int>(text);
  return number && *number > 0 && *number <= kMaxPort ? number : std::nullopt;
}

// "80", "80/udp", "8000-8010/tcp".
Status expose(api::ContainerConfig& config, const std::string& port) {
  const size_t slash = port.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : to_lower(port.substr(slash + 1));
  const std::string span = port.substr(0, slash);
  const size_t dash = span.find('-');
  const auto first = port_number(span.substr(0, dash));
  const auto last = dash == std::string::npos ? first : port_number(span.substr(dash + 1));
  const bool is_protocol = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
  if (!first || !last || *last < *first || !is_protocol)
    return invalid_argument("Invalid containerPort: " + port);
  if (!config.exposed_ports) config.exposed_ports.emplace();
  for (int number = *first; number <= *last; ++number)
    (*config.exposed_ports)[std::to_string(number) + "/" + protocol] = {};
  return {};
}

Status set_health_flag(api::HealthConfig& health, std::string_view flag) {
  const size_t equals = flag.find('=');
  const std::string_view name = flag.substr(0, equals);
  const std::string value(equals == std::string_view::npos ? "" : flag.substr(equals + 1));
  if (name == "--retries") {
    const auto retries = whole_number<int64_t>(value);
    if (!retries || *retries < 0)
      return invalid_argument("--retries: expected a number, got " + quote(value));
    health.retries = *retries;
    return {};
  }
  using Field = std::optional<Duration> api::HealthConfig::*;
  static constexpr std::array<std::pair<std::string_view, Field>, 4> kTimes{
      {{"--interval", &api::HealthConfig::interval},
       {"--timeout", &api::HealthConfig::timeout},
       {"--start-period", &api::HealthConfig::start_period},
       {"--start-interval", &api::HealthConfig::start_interval}}};
  for (const auto& [known, field] : kTimes) {
    if (name != known) continue;
    const std::optional<int64_t> ns = parse_go_duration(value);
    if (!ns) return invalid_argument(std::string(name) + ": expected a duration, got " + quote(value));
    health.*field = Duration{*ns};
    return {};
  }
  return invalid_argument("unknown flag: " + quote(flag));
}

Status set_health(api::ContainerConfig& config, std::string_view text) {
  api::HealthConfig health;
  auto [word, rest] = first_word(text);
  while (word.starts_with("--")) {
    POUCH_RETURN_IF_ERROR(set_health_flag(health, word));
    std::tie(word, rest) = first_word(rest);
  }
  const std::string kind = upper(word);
  if (kind == "NONE" && rest.empty()) {
    health.test = Words{"NONE"};
  } else if (kind == "CMD" && !rest.empty()) {
    std::optional<Words> words = json_words(rest);
    health.test = words ? Words{"CMD"} : Words{"CMD-SHELL", std::string(rest)};
    if (words) health.test->insert(health.test->end(), words->begin(), words->end());
  } else {
    return invalid_argument("expected NONE or CMD and a command");
  }
  config.healthcheck = std::move(health);
  return {};
}

class Changes {
 public:
  explicit Changes(api::ContainerConfig& config) : config_(config), splitter_(config) {}

  Status apply(const std::string& line) {
    const auto [word, rest] = first_word(line);
    const std::string name = upper(word);
    if (name.empty()) return invalid_argument("it is empty");
    if (rest.empty() && is_known(name)) return invalid_argument(name + wants(name));
    if (name == "CMD") return set_command(rest);
    if (name == "ENTRYPOINT") return set_entrypoint(rest);
    if (name == "ENV") return set_environment(rest);
    if (name == "LABEL") return set_labels(rest);
    if (name == "EXPOSE") return set_ports(rest);
    if (name == "VOLUME") return set_volumes(rest);
    if (name == "HEALTHCHECK") return set_health(config_, rest);
    if (name == "ONBUILD") return set_trigger(rest);
    return set_text(name, rest);
  }

 private:
  static bool takes_one(std::string_view name) {
    return name == "USER" || name == "WORKDIR" || name == "STOPSIGNAL";
  }

  static bool is_known(std::string_view name) {
    static constexpr std::array<std::string_view, 8> kMany{"CMD",    "ENTRYPOINT",  "ENV",    "LABEL",
                                                           "EXPOSE", "HEALTHCHECK", "VOLUME", "ONBUILD"};
    return takes_one(name) || std::find(kMany.begin(), kMany.end(), name) != kMany.end();
  }

  static std::string wants(std::string_view name) {
    return takes_one(name) ? " requires exactly one argument" : " requires at least one argument";
  }

  Status set_command(std::string_view text) {
    config_.cmd = command_of(text);
    is_command_set_ = true;
    return {};
  }

  Status set_entrypoint(std::string_view text) {
    config_.entrypoint = command_of(text);
    if (!is_command_set_) config_.cmd.reset();
    return {};
  }

  Status set_environment(std::string_view text) {
    POUCH_ASSIGN_OR_RETURN(const auto pairs, pairs_of(text, splitter_));
    for (const auto& [name, value] : pairs) set_variable(config_, name, value);
    return {};
  }

  Status set_labels(std::string_view text) {
    POUCH_ASSIGN_OR_RETURN(const auto pairs, pairs_of(text, splitter_));
    if (!config_.labels) config_.labels.emplace();
    for (const auto& [name, value] : pairs) (*config_.labels)[name] = value;
    return {};
  }

  Status set_ports(std::string_view text) {
    POUCH_ASSIGN_OR_RETURN(const Words words, splitter_.split(text));
    for (const std::string& port : words) POUCH_RETURN_IF_ERROR(expose(config_, port));
    return {};
  }

  Status set_volumes(std::string_view text) {
    std::optional<Words> words = json_words(text);
    if (!words) {
      POUCH_ASSIGN_OR_RETURN(words, splitter_.split(text));
    }
    if (!config_.volumes) config_.volumes.emplace();
    for (const std::string& path : *words) {
      if (trim(path).empty()) return invalid_argument("VOLUME specified can not be an empty string");
      (*config_.volumes)[path] = {};
    }
    return {};
  }

  Status set_trigger(std::string_view text) {
    const std::string inner = upper(first_word(text).first);
    if (inner == "ONBUILD") return invalid_argument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (inner == "FROM" || inner == "MAINTAINER")
      return invalid_argument(inner + " isn't allowed as an ONBUILD trigger");
    if (!config_.on_build) config_.on_build.emplace();
    config_.on_build->emplace_back(text);
    return {};
  }

  Status set_text(const std::string& name, std::string_view text) {
    const std::string value = splitter_.expand(text);
    if (name == "USER") {
      config_.user = value;
    } else if (name == "STOPSIGNAL") {
      config_.stop_signal = value;
    } else if (name == "WORKDIR") {
      const std::filesystem::path before = config_.working_dir.value_or("");
      config_.working_dir = ("/" / before / value).lexically_normal().string();
    } else {
      return invalid_argument(to_lower(name) + " is not a valid change command");
    }
    return {};
  }

  api::ContainerConfig& config_;
  WordSplitter splitter_;
  bool is_command_set_ = false;
};

}  // namespace

Status apply_config_changes(const std::vector<std::string>& changes, api::ContainerConfig& config) {
  Changes all(config);
  for (const std::string& line : changes) POUCH_RETURN_IF_ERROR(all.apply(line));
  return {};
}

}  // namespace pouch
