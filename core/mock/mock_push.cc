#include <utility>

#include "core/api/codec.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_registry.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace {

Result<std::string> pushed_name(const std::string& name, const api::ImagePushOptions& options) {
  if (name.find('@') != std::string::npos) return invalid_argument("cannot push a digest reference");
  const bool has_index = options.index && !options.index->empty();
  if (options.all_tags.value_or(false) && has_index)
    return invalid_argument("all-tags: an index has one tag");
  if (options.all_tags.value_or(false))
    return not_implemented("image.push: all-tags: the mock pushes one tag");
  const std::string tag = options.tag.value_or("");
  const std::string reference = mock::with_tag(tag.empty() ? name : name + ":" + tag);
  POUCH_RETURN_IF_ERROR(mock::repository_of(reference).status());
  return reference;
}

}  // namespace

Result<StreamPtr> MockEngine::image_push(const std::string& name, const api::ImagePushOptions& options,
                                         const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const std::string reference, pushed_name(name, options));
  POUCH_ASSIGN_OR_RETURN(const bool is_for_platform, mock::is_own_platform(options.platform));
  const std::vector<std::string> index = options.index.value_or(std::vector<std::string>());
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kLatest);
  StreamPtr stream = pipe->open();
  const auto push = [&]() -> Result<std::string> {
    POUCH_ASSIGN_OR_RETURN(const std::string repository, mock::repository_of(reference));
    mock::say(*pipe, "1", "", "The push refers to repository [" + repository + "]").ignore();
    {
      const std::lock_guard lock(state_->mutex);
      for (const std::string& member : index) POUCH_RETURN_IF_ERROR(state_->find_image(member).status());
      // All of the mock's images are for one platform.
      if (index.size() > 1)
        return invalid_argument("index: " + index[0] + " and " + index[1] + " are both for linux/amd64");
      if (!index.empty() && !is_for_platform)
        return invalid_argument("index: " + index[0] + " is for linux/amd64");
      if (index.empty() && !state_->find_image(reference).is_ok())
        return not_found("tag does not exist: " + reference);
      if (!is_for_platform) return not_found("image " + reference + " is for another platform");
    }
    POUCH_RETURN_IF_ERROR(mock::push_refusal(repository, mock::has_account(options.auth)));
    api::PushedImage pushed{reference, sha256_digest("manifest " + reference), 512};
    mock::say(*pipe, "2", "",
              reference.substr(repository.size() + 1) + ": digest: " + pushed.digest + " size: 512")
        .ignore();
    api::ImagePushResult result;
    result.images.push_back(std::move(pushed));
    return api::to_json_text(result);
  };
  pipe->finish(push());
  return stream;
}

Result<api::DistributionInspect> MockEngine::image_distribution(const std::string& name,
                                                                const api::ImageDistributionOptions& options,
                                                                const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::string reference = mock::with_tag(name);
  POUCH_ASSIGN_OR_RETURN(const std::string repository, mock::repository_of(reference));
  const Status refusal = mock::pull_refusal(repository, reference, mock::has_account(options.auth));
  // What is no image of containers can be asked for.
  if (refusal.code() != Code::kNotImplemented) POUCH_RETURN_IF_ERROR(refusal);
  const size_t at = reference.find('@');
  api::DistributionInspect out;
  out.descriptor.media_type = "application/vnd.oci.image.manifest.v1+json";
  out.descriptor.digest =
      at == std::string::npos ? sha256_digest("manifest " + reference) : reference.substr(at + 1);
  out.descriptor.size = 512;
  api::Platform platform;
  platform.os = "linux";
  platform.architecture = "amd64";
  out.platforms = std::vector<api::Platform>{std::move(platform)};
  return out;
}

Result<api::LoginResult> MockEngine::system_login(const api::AuthConfig& config, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const bool is_empty = config.username.value_or("").empty() && config.identitytoken.value_or("").empty() &&
                        config.registrytoken.value_or("").empty() && config.auth.value_or("").empty();
  if (is_empty) return invalid_argument("login: the account has neither user nor token");
  if (mock::has_account(config)) return api::LoginResult{"Login Succeeded", ""};
  return Status(Code::kUnauthenticated, "login attempt to https://" +
                                            config.serveraddress.value_or("registry-1.docker.io") +
                                            "/v2/ failed with status: 401 Unauthorized");
}

}  // namespace pouch
