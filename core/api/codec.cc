#include "core/api/codec.h"

#include <algorithm>
#include <cmath>

#include "core/base/text.h"

namespace pouch::api {
namespace {

std::string_view kind_of(const Json& value) {
  switch (value.type()) {
    case ::Json::nullValue:
      return "null";
    case ::Json::intValue:
    case ::Json::uintValue:
      return "an integer";
    case ::Json::realValue:
      return "a number";
    case ::Json::stringValue:
      return "a string";
    case ::Json::booleanValue:
      return "a boolean";
    case ::Json::arrayValue:
      return "an array";
    case ::Json::objectValue:
      return "an object";
  }
  return "something else";
}

bool is_exact_integer(const Json& in) {
  return in.type() == ::Json::intValue || in.type() == ::Json::uintValue;
}

}  // namespace

std::string JsonPath::to_string() const {
  if (parent_ == nullptr) return {};
  std::string text = parent_->to_string();
  if (is_index_) return text + "[" + std::to_string(index_) + "]";
  if (!text.empty()) text += ".";
  return text + std::string(key_);
}

Status type_error(const JsonPath& path, std::string_view expected, const Json& got) {
  const std::string where = path.to_string();
  const std::string what = "expected " + std::string(expected) + ", got " + std::string(kind_of(got));
  Json details = json_object();
  details["path"] = where;
  return {Code::kInvalidArgument, (where.empty() ? "document" : where) + ": " + what, write_json(details)};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode /*mode*/, bool& out) {
  if (!in.isBool()) return type_error(path, "a boolean", in);
  out = in.asBool();
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode /*mode*/, int64_t& out) {
  if (!is_exact_integer(in) || !in.isInt64()) return type_error(path, "an integer of 64 bits", in);
  out = in.asInt64();
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode /*mode*/, uint64_t& out) {
  if (!is_exact_integer(in) || !in.isUInt64()) return type_error(path, "an unsigned integer of 64 bits", in);
  out = in.asUInt64();
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode /*mode*/, double& out) {
  if (!in.isNumeric()) return type_error(path, "a number", in);
  out = in.asDouble();
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode /*mode*/, std::string& out) {
  if (!in.isString()) return type_error(path, "a string", in);
  out = in.asString();
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Timestamp& out) {
  if (!in.isString()) return type_error(path, "an RFC 3339 time", in);
  const std::string text = in.asString();
  if (text.empty() && mode == DecodeMode::kLenient) {
    out = {};
    return {};
  }
  Result<Timestamp> parsed = Timestamp::parse_rfc3339(text);
  if (!parsed.is_ok()) return parsed.status().prefix(path.to_string());
  out = *parsed;
  return {};
}

Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Duration& out) {
  return decode_value(in, path, mode, out.ns);
}

Json encode_value(bool value) {
  return {value};
}
Json encode_value(int64_t value) {
  return {::Json::Int64{value}};
}
Json encode_value(uint64_t value) {
  return {::Json::UInt64{value}};
}
Json encode_value(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}
Json encode_value(const Timestamp& value) {
  return encode_value(value.to_rfc3339());
}
Json encode_value(const Duration& value) {
  return encode_value(value.ns);
}

Json encode_value(const std::string& value) {
  if (is_valid_utf8(value)) return {value};
  std::string clean;  // foreign bytes must not make the document invalid
  for (size_t i = 0; i < value.size();) {
    size_t length = std::min<size_t>(4, value.size() - i);
    while (length > 0 && !is_valid_utf8(std::string_view(value).substr(i, length))) --length;
    clean += length == 0 ? "\xEF\xBF\xBD" : value.substr(i, length);
    i += std::max<size_t>(1, length);
  }
  return {clean};
}

ObjectReader::ObjectReader(const Json& in, const JsonPath& path, DecodeMode mode)
    : in_(in), path_(path), mode_(mode) {
  if (!in.isObject() && !(in.isNull() && mode == DecodeMode::kLenient))
    status_ = type_error(path, "an object", in);
}

const Json* ObjectReader::take(std::string_view name) {
  known_.push_back(name);
  if (!status_.is_ok() || !in_.isObject()) return nullptr;
  return in_.find(name.data(), name.data() + name.size());
}

void ObjectReader::missing(std::string_view name) {
  if (!status_.is_ok()) return;
  const std::string where = JsonPath(path_, name).to_string();
  Json details = json_object();
  details["path"] = where;
  status_ = Status(Code::kInvalidArgument, where + ": the field is required", write_json(details));
}

Status ObjectReader::finish() {
  if (!status_.is_ok() || mode_ == DecodeMode::kLenient || !in_.isObject()) return status_;
  for (auto member = in_.begin(); member != in_.end(); ++member) {
    const std::string key = member.name();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string where = JsonPath(path_, key).to_string();
    Json details = json_object();
    details["path"] = where;
    return {Code::kInvalidArgument, quote(where) + ": unknown field", write_json(details)};
  }
  return {};
}

}  // namespace pouch::api
