#include "core/remote/target.h"

#include "core/base/base64.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

using api::ParamType;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string encode_id(const std::string& id, bool keep_slashes) {
  // A dot segment would be resolved away on the way.
  if (id == ".") return "%2E";
  if (id == "..") return "%2E%2E";
  return percent_encode(id, keep_slashes);
}

std::string path_of(const api::OpInfo& op, const std::vector<std::string>& ids) {
  std::string path(op.path);
  for (size_t i = 0; i < op.ids.size() && i < ids.size(); ++i) {
    const std::string place = "{" + std::string(op.ids[i]) + "}";
    if (const size_t at = path.find(place); at != std::string::npos) {
      path.replace(at, place.size(), encode_id(ids[i], op.id_has_slashes));
    }
  }
  return path;
}

Result<std::string> text_of(const api::ParamInfo& parameter, const Json& value) {
  switch (parameter.type) {
    case ParamType::kBool:
      return std::string(value.asBool() ? "1" : "0");
    case ParamType::kTime: {
      POUCH_ASSIGN_OR_RETURN(const Timestamp time, Timestamp::parse_rfc3339(value.asString()));
      return time.to_unix_decimal();
    }
    case ParamType::kJson:
      return write_json(value);
    default:
      return value.isString() ? value.asString() : write_json(value);
  }
}

void add(std::string& query, std::string_view name, const std::string& text) {
  query += query.empty() ? '?' : '&';
  query += percent_encode(name) + "=" + percent_encode(text);
}

}  // namespace

std::string percent_encode(std::string_view text, bool keep_slashes) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slashes && c == '/')) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

Result<std::string> request_target(const api::OpInfo& op, std::string_view version,
                                   const std::vector<std::string>& ids, const Json* options) {
  std::string query;
  for (const api::ParamInfo& parameter : op.options) {
    const std::string name(parameter.name);
    if (options == nullptr || !options->isObject() || !options->isMember(name)) continue;
    const Json& value = (*options)[name];
    if (value.isNull() || !parameter.header.empty()) continue;
    if (parameter.type == ParamType::kStringList) {
      for (const Json& item : value) add(query, name, item.asString());
      continue;
    }
    Result<std::string> text = text_of(parameter, value);
    if (!text.is_ok()) return text.status().prefix(std::string(op.name) + ": " + name);
    add(query, name, *text);
  }
  const std::string prefix = version.empty() ? "" : "/v" + std::string(version);
  return prefix + path_of(op, ids) + query;
}

std::vector<std::string> option_headers(const api::OpInfo& op, const Json* options) {
  std::vector<std::string> headers;
  for (const api::ParamInfo& parameter : op.options) {
    const std::string name(parameter.name);
    if (parameter.header.empty() || options == nullptr || !options->isObject()) continue;
    if (!options->isMember(name) || (*options)[name].isNull()) continue;
    headers.push_back(std::string(parameter.header) + ": " + base64url_encode(write_json((*options)[name])));
  }
  return headers;
}

}  // namespace pouch::remote
