#include <algorithm>
#include <optional>

#include "core/api/codec.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace {

struct Pulled {
  std::string reference;  ///< "busybox:latest", "busybox@sha256:…"
  std::string digest;
};

// The last part of a repository's name: "absent-one" of "host:5000/team/absent-one".
std::string last_part(const std::string& repository) {
  return repository.substr(repository.rfind('/') + 1);
}

// By the repository's name, so that programs can be tested against each error.
Status refusal(const std::string& repository, const std::string& reference, bool has_account) {
  const std::string part = last_part(repository);
  if (part.starts_with("absent")) return not_found("manifest for " + reference + " not found");
  if (part.starts_with("private") && !has_account) {
    return {Code::kUnauthenticated, repository + ": no basic auth credentials"};
  }
  if (part.starts_with("denied")) return {Code::kPermissionDenied, "pull access denied for " + repository};
  if (part.starts_with("broken")) return {Code::kDataLoss, "a blob of " + reference + " has another digest"};
  if (part.starts_with("artifact")) return not_implemented(quote(reference) + " is no image of containers");
  if (part.starts_with("huge"))
    return {Code::kResourceExhausted, "the image config of " + reference + " is too large"};
  return {};
}

Result<Pulled> find_in_registry(const api::ImagePullOptions& options) {
  if (options.from_image.empty()) return invalid_argument("invalid reference format");
  if (options.all_tags.value_or(false))
    return not_implemented("image.pull: all-tags: the mock's registry has no list");
  const std::string tag = options.tag.value_or("");
  const char* const joint = is_digest(tag) ? "@" : ":";
  const std::string reference =
      mock::with_tag(tag.empty() ? options.from_image : options.from_image + joint + tag);
  const auto is_bad = [](char c) { return (c >= 'A' && c <= 'Z') || c == ' '; };
  const std::string repository =
      reference.substr(0, reference.rfind(reference.find('@') < reference.size() ? '@' : ':'));
  if (std::any_of(repository.begin(), repository.end(), is_bad)) {
    return invalid_argument("invalid reference format: " + quote(reference));
  }
  const std::string platform = options.platform.value_or("");
  if (platform.find_first_of(" \t") != std::string::npos) {
    return invalid_argument("platform " + quote(platform) + ": expected os[/architecture[/variant]]");
  }
  const bool has_account = options.auth && options.auth->password == "secret";
  POUCH_RETURN_IF_ERROR(refusal(repository, reference, has_account));
  const size_t at = reference.find('@');
  return Pulled{reference,
                at == std::string::npos ? sha256_digest("manifest " + reference) : reference.substr(at + 1)};
}

Status say(StreamPipe& pipe, const std::string& key, const std::string& id, const std::string& status) {
  api::ProgressMessage message;
  if (!id.empty()) message.id = id;
  message.status = status;
  return pipe.push_latest(key, api::to_json_text(message));
}

}  // namespace

Result<StreamPtr> MockEngine::image_pull(const api::ImagePullOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const Pulled pulled, find_in_registry(options));
  POUCH_RETURN_IF_ERROR(check_session(call.session));
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kLatest);
  StreamPtr stream = pipe->open();
  api::PulledImage result;
  result.id = sha256_digest("config " + pulled.reference);
  result.digest = pulled.digest;
  result.reference = pulled.reference;
  {
    const std::lock_guard lock(state_->mutex);
    result.is_new = !state_->find_image(pulled.reference).is_ok();
  }
  mock::Image image;
  image.config.cmd = std::vector<std::string>{"sh"};
  image.architecture = "amd64";
  if (result.is_new) store_image(result.id, {pulled.reference}, std::move(image), call.session);
  say(*pipe, "1", pulled.reference, "Pulling from mock").ignore();
  say(*pipe, "2", "", "Digest: " + result.digest).ignore();
  say(*pipe, "3", "",
      (result.is_new ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
          result.reference)
      .ignore();
  api::ImagePullResult answer;
  answer.images.push_back(std::move(result));
  pipe->finish(api::to_json_text(answer));
  return stream;
}

}  // namespace pouch
