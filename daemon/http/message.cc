#include "daemon/http/message.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "core/base/text.h"

namespace pouch::http {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 24> kReasons = {{
    {100, "Continue"},
    {101, "UPGRADED"},  // Moby's wording; its clients look at the number alone
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Request Entity Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
}};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool has_token(std::string_view list, std::string_view token) {
  for (const std::string& part : split(list, ',')) {
    if (equals_ignore_case(trim(part), token)) return true;
  }
  return false;
}

}  // namespace

bool equals_ignore_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view RequestHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignore_case(key, name)) return value;
  }
  return {};
}

bool RequestHead::wants_upgrade() const {
  return has_token(header("Connection"), "upgrade") && has_token(header("Upgrade"), "tcp");
}

Response json_response(int status, std::string body) {
  body += '\n';
  return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

std::string_view reason_phrase(int status) {
  for (const auto& [value, text] : kReasons) {
    if (value == status) return text;
  }
  return "Unknown";
}

std::string render_head(int status, const Headers& headers) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) + "\r\n";
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  return text + "\r\n";
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text{};
  // By hand and not by strftime: the names must not follow the locale.
  std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                kDays[static_cast<size_t>(parts.tm_wday)], parts.tm_mday,
                kMonths[static_cast<size_t>(parts.tm_mon)], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                parts.tm_sec);
  return text.data();
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const bool whole = i + 2 < text.size();
      const int high = whole ? hex_digit(text[i + 1]) : -1;
      const int low = whole ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return invalid_argument("invalid URL escape in " + quote(text));
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

Result<QueryItems> parse_query(std::string_view query) {
  QueryItems items;
  for (const std::string& part : split(query, '&')) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    POUCH_ASSIGN_OR_RETURN(std::string name, percent_decode(part.substr(0, equals), true));
    std::string value;
    if (equals != std::string::npos) {
      POUCH_ASSIGN_OR_RETURN(value, percent_decode(part.substr(equals + 1), true));
    }
    items.emplace_back(std::move(name), std::move(value));
  }
  return items;
}

}  // namespace pouch::http
