#include "daemon/http/query.h"

#include <charconv>

#include "core/base/base64.h"
#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::http {
namespace {

using api::ParamType;

Status bad_value(std::string_view name, std::string_view expected, std::string_view got) {
  Json details = json_object();
  details["path"] = std::string(name);
  return {Code::kInvalidArgument,
          std::string(name) + ": expected " + std::string(expected) + ", got " + quote(got),
          write_json(details)};
}

Result<Json> bool_value(std::string_view name, const std::string& text, bool is_strict) {
  if (is_strict) {
    if (text != "1" && text != "0") return bad_value(name, "1 or 0", text);
    return Json(text == "1");
  }
  const std::string value = to_lower(trim(text));
  return Json(!(value.empty() || value == "0" || value == "no" || value == "false" || value == "none"));
}

template <class T>
Result<Json> integer_value(std::string_view name, const std::string& text) {
  const auto value = whole_number<T>(text);
  if (!value) return bad_value(name, "an integer", text);
  return api::encode_value(*value);
}

Result<Json> double_value(std::string_view name, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end) return bad_value(name, "a number", text);
  return Json(value);
}

Result<Json> time_value(std::string_view name, const std::string& text, bool is_strict) {
  Result<Timestamp> time = Timestamp::parse_unix_decimal(text);
  if (!time.is_ok() && !is_strict) time = Timestamp::parse_rfc3339(text);
  if (!time.is_ok()) return bad_value(name, "seconds since 1970, with up to nine decimals", text);
  return api::encode_value(*time);
}

Result<Json> json_value(std::string_view name, const std::string& text) {
  Result<Json> value = parse_json(text);
  if (!value.is_ok()) return value.status().prefix(std::string(name));
  return value;
}

Result<Json> param_value(const api::ParamInfo& param, const std::string& text, bool is_strict) {
  switch (param.type) {
    case ParamType::kBool:
      return bool_value(param.name, text, is_strict);
    case ParamType::kInt64:
    case ParamType::kDuration:
      return integer_value<int64_t>(param.name, text);
    case ParamType::kUint64:
      return integer_value<uint64_t>(param.name, text);
    case ParamType::kDouble:
      return double_value(param.name, text);
    case ParamType::kTime:
      return time_value(param.name, text, is_strict);
    case ParamType::kJson:
      return json_value(param.name, text);
    case ParamType::kString:
    case ParamType::kStringList:
      break;
  }
  if (!is_valid_utf8(text)) return bad_value(param.name, "UTF-8 text", text);
  return Json(text);
}

const api::ParamInfo* find_param(const api::OpInfo& op, const std::string& name) {
  for (const api::ParamInfo& param : op.options) {
    if (param.name == name && param.header.empty()) return &param;
  }
  return nullptr;
}

}  // namespace

Result<Json> options_from_query(const api::OpInfo& op, const QueryItems& query, bool is_strict) {
  Json options = json_object();
  for (const auto& [name, text] : query) {
    const api::ParamInfo* param = find_param(op, name);
    if (param == nullptr) {
      if (is_strict) return invalid_argument(std::string(op.name) + ": unknown option " + quote(name));
      continue;
    }
    const bool is_list = param->type == ParamType::kStringList;
    if (!is_list && options.isMember(name)) {
      if (is_strict) return invalid_argument(name + ": given twice");
      continue;
    }
    if (!is_strict && text.empty()) continue;
    POUCH_ASSIGN_OR_RETURN(Json value, param_value(*param, text, is_strict));
    if (is_list) {
      options[name].append(std::move(value));
    } else {
      options[name] = std::move(value);
    }
  }
  return options;
}

Status add_options_from_headers(const api::OpInfo& op, const RequestHead& head, bool is_strict,
                                Json& options) {
  for (const api::ParamInfo& param : op.options) {
    if (param.header.empty() || head.header(param.header).empty()) continue;
    const std::optional<std::string> text = base64_decode(trim(head.header(param.header)));
    const Result<Json> value = parse_json(text.value_or(""));
    if (value.is_ok() && value->isObject()) {
      options[std::string(param.name)] = *value;
    } else if (is_strict) {
      return invalid_argument("header " + std::string(param.header) +
                              ": expected a JSON object in base64url");
    }
  }
  return {};
}

}  // namespace pouch::http
