#pragma once

#include <json/value.h>

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace pouch {

/// A JSON value. jsoncpp is used in core/api only; elsewhere it is known by this name.
using Json = ::Json::Value;

struct JsonLimits {
  size_t max_bytes = size_t{16} << 20U;
  int max_depth = 64;
};

/// Strict RFC 8259: no comments, duplicate keys, trailing text, NaN or invalid UTF-8, nor escapes of half a
/// surrogate pair, of which there is no UTF-8; within the limits. InvalidArgument says where.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

/// Compact, one line, no HTML escaping; keys in byte order; non-ASCII as UTF-8.
std::string write_json(const Json& value);

/// The same on several lines, for files that people read too; `indent` is one step of it.
std::string write_indented_json(const Json& value, const std::string& indent);

/// {} rather than null: the start of a document.
Json json_object();
Json json_array();

}  // namespace pouch
