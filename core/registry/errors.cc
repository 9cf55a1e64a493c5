#include "core/registry/errors.h"

#include <algorithm>

#include "core/api/json.h"
#include "core/base/text.h"
#include "core/registry/challenge.h"

namespace pouch::registry {
namespace {

constexpr size_t kMaxText = 1'000;

struct RegistryError {
  std::string code;     ///< "MANIFEST_UNKNOWN"
  std::string message;  ///< "manifest unknown: manifest unknown"
};

// Foreign text on one line of ours; it is valid UTF-8.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  if (text.size() <= kMaxText) return text;
  size_t end = kMaxText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end) + "…";
}

// Anything but the specified document is not repeated.
RegistryError read_error(const HttpAnswer& answer) {
  const Result<Json> json = parse_json(answer.body);
  if (!json.is_ok() || !json->isObject() || !(*json)["errors"].isArray() || (*json)["errors"].empty())
    return {};
  const Json& first = (*json)["errors"][0];
  if (!first.isObject() || !first["code"].isString()) return {};
  RegistryError out{one_line(first["code"].asString()), to_lower(one_line(first["code"].asString()))};
  std::replace(out.message.begin(), out.message.end(), '_', ' ');
  if (first["message"].isString() && !first["message"].asString().empty()) {
    out.message += ": " + one_line(first["message"].asString());
  }
  return out;
}

// A token that is good and does not allow this: what Docker Hub says of repositories that do not exist.
bool is_scope_too_small(const HttpAnswer& answer) {
  const auto challenges = parse_challenges(answer.header("www-authenticate"));
  return std::any_of(challenges.begin(), challenges.end(), [](const Challenge& challenge) {
    const auto error = challenge.parameters.find("error");
    return error != challenge.parameters.end() && error->second == "insufficient_scope";
  });
}

Status denied(const std::string& name, Action action, const std::string& why) {
  if (action == Action::kPush) {
    return {Code::kPermissionDenied,
            "push access denied for " + name + ", repository does not exist or may require authorization" +
                (why.empty() ? ": requested access to the resource is denied" : why)};
  }
  return {Code::kPermissionDenied, "pull access denied for " + name +
                                       ", repository does not exist or may require 'docker login'" + why};
}

Status unauthenticated(const HttpAnswer& answer, const std::string& name, bool has_account,
                       const std::string& why) {
  const bool is_basic = to_lower(answer.header("www-authenticate")).starts_with("basic");
  if (is_basic && !has_account) return {Code::kUnauthenticated, name + ": no basic auth credentials"};
  return {Code::kUnauthenticated, name + (why.empty() ? ": unauthorized" : why)};
}

}  // namespace

Status answer_error(const HttpAnswer& answer, const std::string& name, Action action, bool has_account) {
  const RegistryError error = read_error(answer);
  const std::string why = error.message.empty() ? "" : ": " + error.message;
  const bool is_too_small = answer.status == 401 && is_scope_too_small(answer);
  if (error.code == "DENIED" || answer.status == 403 || is_too_small) return denied(name, action, why);
  if (answer.status == 401) return unauthenticated(answer, name, has_account, why);
  if (error.code == "NAME_UNKNOWN") return not_found("repository " + name + " not found" + why);
  switch (answer.status) {
    case 404:
      return not_found(name + " not found" + why);
    case 400:
      return invalid_argument(name + ": the registry refuses it" + why);
    case 405:
    case 501:
      return not_implemented(name + ": the registry does not support it" + why);
    case 413:
      return {Code::kResourceExhausted, name + ": too large for the registry" + why};
    case 416:
      return {Code::kDataLoss, name + ": the registry has fewer bytes than it should" + why};
    case 429:
      return {Code::kResourceExhausted, name + ": the registry wants fewer requests (429)" + why};
    default:
      return unavailable(name + ": the registry answered " + std::to_string(answer.status) + why);
  }
}

std::string error_code_of(const HttpAnswer& answer) {
  return read_error(answer).code;
}

}  // namespace pouch::registry
