#include "core/mock/mock_registry.h"

#include <algorithm>

#include "core/base/text.h"

namespace pouch::mock {
namespace {

// "absent-one" of "host:5000/team/absent-one".
std::string last_part(const std::string& repository) {
  return repository.substr(repository.rfind('/') + 1);
}

Status no_account(const std::string& repository) {
  return {Code::kUnauthenticated, repository + ": no basic auth credentials"};
}

}  // namespace

Result<std::string> repository_of(const std::string& reference) {
  const bool has_digest = reference.find('@') != std::string::npos;
  const std::string repository = reference.substr(0, reference.rfind(has_digest ? '@' : ':'));
  const auto is_bad = [](char c) { return (c >= 'A' && c <= 'Z') || c == ' '; };
  if (repository.empty() || std::any_of(repository.begin(), repository.end(), is_bad))
    return invalid_argument("invalid reference format: " + quote(reference));
  return repository;
}

bool has_account(const std::optional<api::AuthConfig>& auth) {
  return auth && auth->password == "secret";
}

Status pull_refusal(const std::string& repository, const std::string& reference, bool has_account) {
  const std::string part = last_part(repository);
  if (part.starts_with("absent")) return not_found("manifest for " + reference + " not found");
  if (part.starts_with("private") && !has_account) return no_account(repository);
  if (part.starts_with("denied")) return {Code::kPermissionDenied, "pull access denied for " + repository};
  if (part.starts_with("broken")) return {Code::kDataLoss, "a blob of " + reference + " has another digest"};
  if (part.starts_with("artifact")) return not_implemented(quote(reference) + " is no image of containers");
  if (part.starts_with("huge"))
    return {Code::kResourceExhausted, "the image config of " + reference + " is too large"};
  return {};
}

Status push_refusal(const std::string& repository, bool has_account) {
  const std::string part = last_part(repository);
  if (part.starts_with("private") && !has_account) return no_account(repository);
  if (part.starts_with("denied")) return {Code::kPermissionDenied, "push access denied for " + repository};
  if (part.starts_with("broken")) return {Code::kDataLoss, "the registry says it has another digest"};
  return {};
}

Status fetch_refusal(const std::string& url) {
  const std::string part = last_part(url);
  const size_t scheme = url.find("://");
  if (scheme != std::string::npos && !url.starts_with("http://") && !url.starts_with("https://"))
    return not_implemented("image.import_tar: fromSrc: a URL of the scheme " + quote(url.substr(0, scheme)));
  if (part.starts_with("absent")) return not_found("fetch " + url + ": the server answered 404");
  if (part.starts_with("denied"))
    return {Code::kPermissionDenied, "fetch " + url + ": the server answered 403"};
  return {};
}

Status say(StreamPipe& pipe, const std::string& key, const std::string& id, const std::string& status) {
  api::ProgressMessage message;
  if (!id.empty()) message.id = id;
  message.status = status;
  return pipe.push_latest(key, api::to_json_text(message));
}

}  // namespace pouch::mock
