#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/api/common.gen.h"
#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"
#include "core/image/limits.h"
#include "core/image/manifest.h"
#include "core/image/pull_source.h"
#include "core/registry/client.h"
#include "core/registry/reference.h"

namespace pouch::image {

/// What image.pull was asked for.
struct PullRequest {
  Reference name;  ///< with tag or digest, but for all tags
  bool all_tags = false;
  api::Platform platform;
  std::optional<registry::Credentials> credentials;
};

/// InvalidArgument for what does not fit together.
Result<PullRequest> parse_pull(const api::ImagePullOptions& options);

/// What a registry has under a name, down to the manifest of one platform.
struct PullTarget {
  Reference name;             ///< with tag or digest
  ctrd::Descriptor root;      ///< the index or manifest that the name stands for
  ctrd::Descriptor manifest;  ///< the same as root where there is no index
  std::string manifest_json;
  Manifest content;  ///< of the manifest
};

/// A manifest or index as a registry has it.
struct RemoteDocument {
  ctrd::Descriptor descriptor;
  std::string json;
  Manifest content;
};

/// What the registry has under the tag or digest of the name.
Result<RemoteDocument> fetch_document(PullSource& source, const Call& call, const Reference& name,
                                      const ImageLimits& limits);
/// By the type of its config; else it is an artifact of another kind.
bool is_container_image(const Manifest& manifest);

/// Asks the registry. NotFound where an index has nothing for the platform; NotImplemented for what is no
/// image of containers.
Result<PullTarget> resolve_target(PullSource& source, const Call& call, const Reference& name,
                                  const api::Platform& platform, const ImageLimits& limits);

/// The targets of a request: one, or one for each tag of the repository. Tags of what is no image are left
/// out of several.
Result<std::vector<PullTarget>> resolve_targets(PullSource& source, const Call& call,
                                                const PullRequest& request, const ImageLimits& limits);

}  // namespace pouch::image
