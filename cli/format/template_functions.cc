#include <algorithm>
#include <cctype>
#include <cstdio>
#include <functional>
#include <map>

#include "cli/api.h"
#include "cli/format/human.h"
#include "cli/format/template_tree.h"

namespace pouch::cli {
namespace {

using Arguments = std::vector<Json::Value>;

struct Function {
  size_t least;
  size_t most;
  std::function<Json::Value(const Arguments&)> body;
};

constexpr size_t kAny = SIZE_MAX;
constexpr Json::ArrayIndex kMaxPad = 10'000;  // columns, so that a template cannot ask for gigabytes

std::string text_of(const Json::Value& value) {
  if (!value.isString()) throw TemplateError("wrong type: expected a string, not " + template_text(value));
  return value.asString();
}

int64_t number_of(const Json::Value& value) {
  if (!value.isInt64()) throw TemplateError("wrong type: expected a number, not " + template_text(value));
  return value.asInt64();
}

int compare(const Json::Value& a, const Json::Value& b) {
  if (a.isString() && b.isString()) return a.asString().compare(b.asString());
  if (!a.isNumeric() || !b.isNumeric()) throw TemplateError("incompatible types for comparison");
  return a < b ? -1 : b < a ? 1 : 0;
}

bool equal(const Json::Value& a, const Json::Value& b) {
  return a.isNumeric() && b.isNumeric() ? compare(a, b) == 0 : a == b;
}

// An element of nested arrays and objects; a key that is not there is "", as in Go's maps of strings.
Json::Value index(const Arguments& arguments) {
  Json::Value value = arguments[0];
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (value.isObject()) {
      const std::string key = text_of(arguments[i]);
      value = value.isMember(key) ? Json::Value(value[key]) : Json::Value("");
    } else if (value.isArray()) {
      const int64_t at = number_of(arguments[i]);
      if (at < 0 || at >= static_cast<int64_t>(value.size())) {
        throw TemplateError("index out of range: " + std::to_string(at));
      }
      value = Json::Value(value[static_cast<Json::ArrayIndex>(at)]);
    } else {
      throw TemplateError("cannot index " + template_text(value));
    }
  }
  return value;
}

Json::Value length(const Arguments& arguments) {
  const Json::Value& value = arguments[0];
  if (value.isString()) return Json::Value::UInt64(value.asString().size());
  if (value.isNull() || value.isArray() || value.isObject()) return value.size();
  throw TemplateError("len of " + template_text(value));
}

Json::Value slice(const Arguments& arguments) {
  const auto size = static_cast<int64_t>(length({arguments[0]}).asUInt64());
  const int64_t from = arguments.size() > 1 ? number_of(arguments[1]) : 0;
  const int64_t to = arguments.size() > 2 ? number_of(arguments[2]) : size;
  if (from < 0 || from > to || to > size) throw TemplateError("slice bounds out of range");
  if (arguments[0].isString()) {
    return arguments[0].asString().substr(static_cast<size_t>(from), static_cast<size_t>(to - from));
  }
  Json::Value out(Json::arrayValue);
  for (int64_t i = from; i < to; ++i) out.append(arguments[0][static_cast<Json::ArrayIndex>(i)]);
  return out;
}

Json::Value join(const Arguments& arguments) {
  std::string out;
  for (const Json::Value& item : arguments[0]) {
    if (&item != &*arguments[0].begin()) out += text_of(arguments[1]);
    out += template_text(item);
  }
  return out;
}

Json::Value split(const Arguments& arguments) {
  const std::string text = text_of(arguments[0]);
  const std::string separator = text_of(arguments[1]);
  if (separator.empty()) throw TemplateError("split by nothing");
  Json::Value out(Json::arrayValue);
  size_t at = 0;
  while (true) {
    const size_t end = text.find(separator, at);
    out.append(text.substr(at, end - at));
    if (end == std::string::npos) return out;
    at = end + separator.size();
  }
}

std::string mapped(const Json::Value& value, int (*change)(int)) {
  std::string text = text_of(value);
  std::transform(text.begin(), text.end(), text.begin(), [&](char c) {
    return static_cast<unsigned char>(c) < 0x80 ? static_cast<char>(change(static_cast<unsigned char>(c)))
                                                : c;
  });
  return text;
}

Json::Value title(const Arguments& arguments) {
  std::string text = text_of(arguments[0]);
  bool starts_word = true;
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (starts_word && byte < 0x80) c = static_cast<char>(std::toupper(byte));
    starts_word = byte < 0x80 && std::isalnum(byte) == 0 && c != '_';
  }
  return text;
}

Json::Value pad(const Arguments& arguments) {
  const std::string text = text_of(arguments[0]);
  if (text.empty()) return text;
  const auto blanks = [](const Json::Value& count) {
    return std::string(static_cast<size_t>(std::clamp<int64_t>(number_of(count), 0, kMaxPad)), ' ');
  };
  return blanks(arguments[1]) + text + blanks(arguments[2]);
}

Json::Value truncate(const Arguments& arguments) {
  const int64_t limit = std::max<int64_t>(number_of(arguments[1]), 0);
  return text_of(arguments[0]).substr(0, static_cast<size_t>(limit));
}

// Like Go: blanks between all (println), or only where neither side is a string (print).
std::string printed(const Arguments& arguments, bool always) {
  std::string out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && (always || (!arguments[i].isString() && !arguments[i - 1].isString()))) out += ' ';
    out += template_text(arguments[i]);
  }
  return out;
}

// What stands between "%" and the verb: "-", "0", width and precision.
struct Flags {
  explicit Flags(std::string text) {
    left = text.starts_with("-");
    if (left) text.erase(0, 1);
    zeros = text.starts_with("0");
    const size_t dot = text.find('.');
    width = number(text.substr(0, dot));
    if (dot != std::string::npos) precision = static_cast<int>(number(text.substr(dot + 1)));
  }

  [[nodiscard]] std::string padded(std::string text, bool is_number) const {
    if (text.size() >= width) return text;
    const bool fill = zeros && is_number && !left;
    text.insert(left                            ? text.size()
                : fill && text.starts_with("-") ? 1
                                                : 0,
                width - text.size(), fill ? '0' : ' ');
    return text;
  }

  bool left = false;
  bool zeros = false;
  size_t width = 0;
  int precision = -1;

 private:
  static size_t number(const std::string& text) {
    if (text.empty()) return 0;
    if (text.size() > 4 || text.find_first_not_of("0123456789") != std::string::npos) {
      throw TemplateError("printf: bad width or precision " + text);
    }
    return std::stoul(text);
  }
};

std::string format_number(const Flags& flags, char verb, const Json::Value& value) {
  if (!value.isNumeric()) throw TemplateError("printf: not a number: " + template_text(value));
  const int digits = flags.precision < 0 ? 6 : std::min(flags.precision, 100);
  const double number = value.asDouble();
  char text[512];
  if (verb == 'f') {
    std::snprintf(text, sizeof text, "%.*f", digits, number);
  } else if (verb == 'e') {
    std::snprintf(text, sizeof text, "%.*e", digits, number);
  } else if (verb == 'g') {
    std::snprintf(text, sizeof text, "%.*g", digits, number);
  } else if (!value.isInt64()) {
    throw TemplateError("printf: not a whole number: " + template_text(value));
  } else if (verb == 'x') {
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value.asInt64()));
  } else {
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(value.asInt64()));
  }
  return flags.padded(text, true);
}

std::string format_one(const Flags& flags, char verb, const Json::Value& value) {
  const std::string text = template_text(value);
  switch (verb) {
    case 'd':
    case 'e':
    case 'f':
    case 'g':
    case 'x':
      return format_number(flags, verb, value);
    case 'q':
      return flags.padded(quoted(text), false);
    case 's':
    case 't':
    case 'v':
      return flags.padded(flags.precision < 0 ? text : text.substr(0, static_cast<size_t>(flags.precision)),
                          false);
    default:
      throw TemplateError(std::string("printf: %") + verb + " is not supported");
  }
}

Json::Value print_formatted(const Arguments& arguments) {
  const std::string format = text_of(arguments[0]);
  std::string out;
  size_t next = 1;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const size_t verb = format.find_first_not_of("-0123456789.", i + 1);
    if (verb == std::string::npos) throw TemplateError("printf: no verb after %");
    if (format[verb] == '%') {
      out += '%';
    } else {
      if (next >= arguments.size()) throw TemplateError("printf: too few arguments");
      out += format_one(Flags(format.substr(i + 1, verb - i - 1)), format[verb], arguments[next++]);
    }
    i = verb;
  }
  if (next != arguments.size()) throw TemplateError("printf: too many arguments");
  return out;
}

const std::map<std::string, Function>& functions() {
  static const auto* const kFunctions = new std::map<std::string, Function>{
      {"and",
       {1, kAny,
        [](const Arguments& a) {
          const auto no = std::find_if_not(a.begin(), a.end(), template_truth);
          return no == a.end() ? a.back() : *no;
        }}},
      {"or",
       {1, kAny,
        [](const Arguments& a) {
          const auto yes = std::find_if(a.begin(), a.end(), template_truth);
          return yes == a.end() ? a.back() : *yes;
        }}},
      {"not", {1, 1, [](const Arguments& a) { return Json::Value(!template_truth(a[0])); }}},
      {"eq",
       {2, kAny,
        [](const Arguments& a) {
          return Json::Value(
              std::any_of(a.begin() + 1, a.end(), [&](const auto& b) { return equal(a[0], b); }));
        }}},
      {"ne", {2, 2, [](const Arguments& a) { return Json::Value(!equal(a[0], a[1])); }}},
      {"lt", {2, 2, [](const Arguments& a) { return Json::Value(compare(a[0], a[1]) < 0); }}},
      {"le", {2, 2, [](const Arguments& a) { return Json::Value(compare(a[0], a[1]) <= 0); }}},
      {"gt", {2, 2, [](const Arguments& a) { return Json::Value(compare(a[0], a[1]) > 0); }}},
      {"ge", {2, 2, [](const Arguments& a) { return Json::Value(compare(a[0], a[1]) >= 0); }}},
      {"index", {1, kAny, index}},
      {"slice", {1, 3, slice}},
      {"len", {1, 1, length}},
      {"json", {1, 1, [](const Arguments& a) { return Json::Value(to_text(a[0])); }}},
      {"join", {2, 2, join}},
      {"split", {2, 2, split}},
      {"lower", {1, 1, [](const Arguments& a) { return Json::Value(mapped(a[0], std::tolower)); }}},
      {"upper", {1, 1, [](const Arguments& a) { return Json::Value(mapped(a[0], std::toupper)); }}},
      {"title", {1, 1, title}},
      {"pad", {3, 3, pad}},
      {"truncate", {2, 2, truncate}},
      {"print", {0, kAny, [](const Arguments& a) { return Json::Value(printed(a, false)); }}},
      {"println", {0, kAny, [](const Arguments& a) { return Json::Value(printed(a, true) + "\n"); }}},
      {"printf", {1, kAny, print_formatted}},
  };
  return *kFunctions;
}

}  // namespace

bool is_template_function(const std::string& name) {
  return functions().contains(name);
}

Json::Value call_template_function(const std::string& name, const Arguments& arguments) {
  const Function& function = functions().at(name);
  if (arguments.size() < function.least || arguments.size() > function.most) {
    throw TemplateError("wrong number of arguments for " + name + ": " + std::to_string(arguments.size()));
  }
  return function.body(arguments);
}

bool template_truth(const Json::Value& value) {
  if (value.isBool()) return value.asBool();
  if (value.isNumeric()) return value.asDouble() != 0;
  if (value.isString()) return !value.asString().empty();
  return !value.empty();
}

std::string template_text(const Json::Value& value) {
  if (value.isNull()) return "<nil>";
  if (value.isString()) return value.asString();
  if (value.isObject()) {
    std::string out;
    for (auto entry = value.begin(); entry != value.end(); ++entry) {
      out += (out.empty() ? "" : " ") + entry.name() + ":" + template_text(*entry);
    }
    return "map[" + out + "]";
  }
  if (value.isArray()) {
    std::string out;
    for (const Json::Value& item : value) {
      if (&item != &*value.begin()) out += ' ';
      out += template_text(item);
    }
    return "[" + out + "]";
  }
  return to_text(value);
}

}  // namespace pouch::cli
