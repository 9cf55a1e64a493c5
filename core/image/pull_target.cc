#include "core/image/pull_target.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/image/archive_images.h"
#include "core/image/credentials.h"

namespace pouch::image {
namespace {

constexpr const char* kDockerConfigType = "application/vnd.docker.container.image.v1+json";
constexpr std::array<std::string_view, 2> kConfigTypes = {kOciConfigType, kDockerConfigType};
// BuildKit's caches and the first images of Docker have these, and are what they say nevertheless.
constexpr std::array<std::string_view, 2> kLooseConfigTypes = {"", "application/octet-stream"};

Result<RemoteDocument> fetch(PullSource& source, const Call& call, const Reference& name,
                             const std::string& tag_or_digest, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(registry::Manifest answer, source.manifest(call, tag_or_digest));
  RemoteDocument out;
  out.descriptor.digest = Digest(answer.digest);
  out.descriptor.size = static_cast<int64_t>(answer.bytes.size());
  POUCH_ASSIGN_OR_RETURN(
      out.content,
      parse_manifest(answer.bytes,
                     "manifest for " + name.familiar() + ", " + out.descriptor.digest.str() + ",", limits));
  // What the document says of itself counts: a proxy may have lost the header.
  out.descriptor.media_type = out.content.media_type.empty() ? answer.media_type : out.content.media_type;
  if (out.descriptor.media_type.empty() || out.descriptor.media_type == "application/json") {
    out.descriptor.media_type = out.content.is_index ? kOciIndexType : kOciManifestType;
  }
  out.json = std::move(answer.bytes);
  return out;
}

Status check_is_image(const Reference& name, const Manifest& manifest) {
  if (is_container_image(manifest)) return {};
  return not_implemented(quote(name.familiar()) + " is no image of containers: its config is of the type " +
                         quote(manifest.config.media_type));
}

Result<Reference> name_of(const api::ImagePullOptions& options) {
  const std::string& tag = options.tag.value_or("");
  if (tag.empty()) return Reference::parse(options.from_image);
  POUCH_ASSIGN_OR_RETURN(const Reference bare, Reference::parse(options.from_image));
  if (!bare.is_name_only())
    return invalid_argument("tag: " + quote(options.from_image) + " has a tag or digest already");
  return Reference::parse(options.from_image + (is_digest(tag) ? "@" : ":") + tag);
}

}  // namespace

bool is_container_image(const Manifest& manifest) {
  const auto has = [&](const auto& types) {
    return std::find(types.begin(), types.end(), manifest.config.media_type) != types.end();
  };
  return has(kConfigTypes) || has(kLooseConfigTypes);
}

Result<RemoteDocument> fetch_document(PullSource& source, const Call& call, const Reference& name,
                                      const ImageLimits& limits) {
  return fetch(source, call, name, name.digest().empty() ? name.tag() : name.digest().str(), limits);
}

Result<PullRequest> parse_pull(const api::ImagePullOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const Reference name, name_of(options));
  POUCH_ASSIGN_OR_RETURN(std::optional<registry::Credentials> credentials, credentials_of(options.auth));
  const bool all_tags = options.all_tags.value_or(false);
  if (all_tags && !name.is_name_only())
    return invalid_argument("all-tags: tag can't be used with --all-tags/-a");
  api::Platform platform = host_platform();
  if (options.platform && !options.platform->empty()) {
    POUCH_ASSIGN_OR_RETURN(platform, parse_platform_text(*options.platform));
  }
  // Beside a digest a tag says nothing.
  const Reference one = name.digest().empty() ? name.with_default_tag() : name.with_digest(name.digest());
  return PullRequest{all_tags ? name : one, all_tags, std::move(platform), std::move(credentials)};
}

Result<std::vector<PullTarget>> resolve_targets(PullSource& source, const Call& call,
                                                const PullRequest& request, const ImageLimits& limits) {
  std::vector<PullTarget> targets;
  if (!request.all_tags) {
    POUCH_ASSIGN_OR_RETURN(PullTarget target,
                           resolve_target(source, call, request.name, request.platform, limits));
    targets.push_back(std::move(target));
    return targets;
  }
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> tags, source.tags(call));
  if (tags.size() > limits.max_names) {
    return Status(Code::kResourceExhausted, quote(request.name.familiar()) + " has more than " +
                                                std::to_string(limits.max_names) + " tags");
  }
  for (const std::string& tag : tags) {
    POUCH_ASSIGN_OR_RETURN(const Reference name, Reference::parse(request.name.repository() + ":" + tag));
    auto target = resolve_target(source, call, name, request.platform, limits);
    if (target.code() == Code::kNotImplemented) continue;
    if (!target.is_ok()) return target.status();
    targets.push_back(std::move(*target));
  }
  if (targets.empty()) return not_found("no images with tags in " + quote(request.name.familiar()));
  return targets;
}

Result<PullTarget> resolve_target(PullSource& source, const Call& call, const Reference& name,
                                  const api::Platform& platform, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(RemoteDocument document, fetch_document(source, call, name, limits));
  PullTarget target{name, document.descriptor, {}, {}, {}};
  for (int depth = 0; document.content.is_index; ++depth) {
    if (depth >= limits.max_index_depth)
      return invalid_argument("manifest for " + name.familiar() + ": too many indexes inside indexes");
    const std::vector<const IndexEntry*> entries = entries_for(document.content.entries, platform);
    if (entries.empty()) {
      return not_found("no matching manifest for " + platform_text(platform) +
                       " in the manifest list entries");
    }
    POUCH_ASSIGN_OR_RETURN(
        document, fetch(source, call, name, std::string(entries.front()->descriptor.digest.str()), limits));
  }
  POUCH_RETURN_IF_ERROR(check_is_image(name, document.content));
  target.manifest = document.descriptor;
  target.manifest_json = std::move(document.json);
  target.content = std::move(document.content);
  return target;
}

}  // namespace pouch::image
