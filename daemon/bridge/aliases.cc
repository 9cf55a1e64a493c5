#include "core/base/text.h"
#include "daemon/bridge/bridge.h"

namespace pouch::bridge {
namespace {

constexpr std::string_view kImages = "/images/";
constexpr std::string_view kGet = "/get";

// A path's "+" is one; a query's is a blank.
std::string as_query_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '+') {
      out += "%2B";
    } else if (c == '&' || c == '#') {
      out += c == '&' ? "%26" : "%23";
    } else {
      out += c;
    }
  }
  return out;
}

// Whether the query gives the parameter something.
bool has_value(std::string_view query, const std::string& name) {
  for (const std::string& item : split(query, '&')) {
    if (item.starts_with(name + "=") && item.size() > name.size() + 1) return true;
  }
  return false;
}

}  // namespace

void apply_aliases(std::string_view method, std::string& path, std::string& query) {
  if (method == "POST" && path == "/images/create" && has_value(query, "fromSrc")) {
    path = "/images/import";
    return;
  }
  const bool is_get_one = method == "GET" && path.starts_with(kImages) && path.ends_with(kGet) &&
                          path.size() > kImages.size() + kGet.size();
  if (!is_get_one) return;
  const std::string name = path.substr(kImages.size(), path.size() - kImages.size() - kGet.size());
  query += (query.empty() ? "names=" : "&names=") + as_query_value(name);
  path = "/images/get";
}

}  // namespace pouch::bridge
