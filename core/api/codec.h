#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/api/json.h"
#include "core/base/clock.h"
#include "core/base/status.h"

// What the generated codecs (*.gen.cc) are made of.

namespace pouch::api {

/// A field that is always on the wire and may be null, as opposed to std::optional: absent.
template <class T>
struct Nullable {
  std::optional<T> value;

  Nullable() = default;
  Nullable(T v) : value(std::move(v)) {}  // NOLINT(google-explicit-constructor)
  bool has_value() const { return value.has_value(); }
  T& operator*() { return *value; }
  const T& operator*() const { return *value; }
  T* operator->() { return &*value; }
  const T* operator->() const { return &*value; }
  friend bool operator==(const Nullable&, const Nullable&) = default;
};

/// Strict: unknown fields and nulls are errors that name the path. Lenient: for answers of other versions and
/// of other servers: unknown fields are skipped, null or absent required fields are their empty value.
enum class DecodeMode { kStrict, kLenient };

/// Where in the document the decoder is: "HostConfig.Mounts[2].Type". Lives on the stack.
class JsonPath {
 public:
  JsonPath() = default;
  JsonPath(const JsonPath& parent, std::string_view key) : parent_(&parent), key_(key) {}
  JsonPath(const JsonPath& parent, size_t index) : parent_(&parent), index_(index), is_index_(true) {}
  std::string to_string() const;

 private:
  const JsonPath* parent_ = nullptr;
  std::string_view key_;
  size_t index_ = 0;
  bool is_index_ = false;
};

/// InvalidArgument "HostConfig.Memory: expected an integer, got a string".
Status type_error(const JsonPath& path, std::string_view expected, const Json& got);

Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, bool& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, int64_t& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, uint64_t& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, double& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, std::string& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Timestamp& out);
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Duration& out);

Json encode_value(bool value);
Json encode_value(int64_t value);
Json encode_value(uint64_t value);
Json encode_value(double value);
Json encode_value(const std::string& value);
Json encode_value(const Timestamp& value);
Json encode_value(const Duration& value);

template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, std::vector<T>& out);
template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, std::map<std::string, T>& out);
template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Nullable<T>& out);
template <class T>
Json encode_value(const std::vector<T>& value);
template <class T>
Json encode_value(const std::map<std::string, T>& value);
template <class T>
Json encode_value(const Nullable<T>& value);

template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, std::vector<T>& out) {
  if (!in.isArray()) return type_error(path, "an array", in);
  out.clear();
  out.reserve(in.size());
  for (unsigned i = 0; i < in.size(); ++i) {
    T element{};
    POUCH_RETURN_IF_ERROR(decode_value(in[i], JsonPath(path, i), mode, element));
    out.push_back(std::move(element));
  }
  return {};
}

template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, std::map<std::string, T>& out) {
  if (!in.isObject()) return type_error(path, "an object", in);
  out.clear();
  for (auto member = in.begin(); member != in.end(); ++member) {
    const std::string key = member.name();
    POUCH_RETURN_IF_ERROR(decode_value(*member, JsonPath(path, key), mode, out[key]));
  }
  return {};
}

template <class T>
Status decode_value(const Json& in, const JsonPath& path, DecodeMode mode, Nullable<T>& out) {
  out.value.reset();
  if (in.isNull()) return {};
  return decode_value(in, path, mode, out.value.emplace());
}

template <class T>
Json encode_value(const std::vector<T>& value) {
  Json out = json_array();
  for (const T& element : value) out.append(encode_value(element));
  return out;
}

// std::vector<bool> has no references.
inline Json encode_value(const std::vector<bool>& value) {
  Json out = json_array();
  for (const bool element : value) out.append(Json(element));
  return out;
}

template <class T>
Json encode_value(const std::map<std::string, T>& value) {
  Json out = json_object();
  for (const auto& [key, element] : value) out[key] = encode_value(element);
  return out;
}

template <class T>
Json encode_value(const Nullable<T>& value) {
  return value.has_value() ? encode_value(*value) : Json();
}

/// Decodes one object field by field; the first error wins, finish() reports it or a field nobody asked for.
class ObjectReader {
 public:
  ObjectReader(const Json& in, const JsonPath& path, DecodeMode mode);

  template <class T>
  void required(std::string_view name, T& out) {
    const Json* member = take(name);
    if (member == nullptr || (member->isNull() && mode_ == DecodeMode::kLenient)) {
      if (mode_ == DecodeMode::kStrict) missing(name);
      return;
    }
    decode_member(name, *member, out);
  }

  template <class T>
  void required(std::string_view name, Nullable<T>& out) {
    const Json* member = take(name);
    if (member != nullptr) {
      decode_member(name, *member, out);
    } else if (mode_ == DecodeMode::kStrict) {
      missing(name);
    }
  }

  template <class T>
  void optional(std::string_view name, std::optional<T>& out) {
    const Json* member = take(name);
    if (member == nullptr || (member->isNull() && mode_ == DecodeMode::kLenient)) return;
    decode_member(name, *member, out.emplace());
  }

  Status finish();

 private:
  template <class T>
  void decode_member(std::string_view name, const Json& member, T& out) {
    if (Status status = decode_value(member, JsonPath(path_, name), mode_, out);
        !status.is_ok() && status_.is_ok()) {
      status_ = std::move(status);
    }
  }
  const Json* take(std::string_view name);
  void missing(std::string_view name);

  const Json& in_;
  const JsonPath& path_;
  const DecodeMode mode_;
  Status status_;
  std::vector<std::string_view> known_;
};

/// Whole-document helpers over the generated overloads.
template <class T>
Result<T> from_json(const Json& in, DecodeMode mode) {
  T out{};
  const JsonPath root;
  POUCH_RETURN_IF_ERROR(decode_value(in, root, mode, out));
  return out;
}

template <class T>
Result<T> parse_document(std::string_view text, DecodeMode mode = DecodeMode::kStrict) {
  POUCH_ASSIGN_OR_RETURN(const Json json, parse_json(text));
  return from_json<T>(json, mode);
}

template <class T>
std::string to_json_text(const T& value) {
  return write_json(encode_value(value));
}

}  // namespace pouch::api
