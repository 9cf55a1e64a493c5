#include <optional>

#include "core/api/codec.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_registry.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace {

struct Pulled {
  std::string reference;  ///< "busybox:latest", "busybox@sha256:…"
  std::string digest;
};

Result<Pulled> find_in_registry(const api::ImagePullOptions& options) {
  if (options.from_image.empty()) return invalid_argument("invalid reference format");
  if (options.all_tags.value_or(false))
    return not_implemented("image.pull: all-tags: the mock's registry has no list");
  const std::string tag = options.tag.value_or("");
  const char* const joint = is_digest(tag) ? "@" : ":";
  const std::string reference =
      mock::with_tag(tag.empty() ? options.from_image : options.from_image + joint + tag);
  POUCH_ASSIGN_OR_RETURN(const std::string repository, mock::repository_of(reference));
  const std::string platform = options.platform.value_or("");
  if (platform.find_first_of(" \t") != std::string::npos) {
    return invalid_argument("platform " + quote(platform) + ": expected os[/architecture[/variant]]");
  }
  POUCH_RETURN_IF_ERROR(mock::pull_refusal(repository, reference, mock::has_account(options.auth)));
  const size_t at = reference.find('@');
  return Pulled{reference,
                at == std::string::npos ? sha256_digest("manifest " + reference) : reference.substr(at + 1)};
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
  mock::say(*pipe, "1", pulled.reference, "Pulling from mock").ignore();
  mock::say(*pipe, "2", "", "Digest: " + result.digest).ignore();
  mock::say(*pipe, "3", "",
            (result.is_new ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") +
                result.reference)
      .ignore();
  api::ImagePullResult answer;
  answer.images.push_back(std::move(result));
  pipe->finish(api::to_json_text(answer));
  return stream;
}

}  // namespace pouch
