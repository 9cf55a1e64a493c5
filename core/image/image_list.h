#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"
#include "core/registry/reference.h"
#include "core/store/database.h"

namespace pouch::image {

/// image.list, newest first, without the manifests. One consistent view of the database.
Result<std::vector<api::ImageSummary>> list_images(store::Session& session,
                                                   const api::ImageListOptions& options);

/// image.inspect, without the manifests.
Result<api::ImageInspect> inspect_image(store::Session& session, const std::string& name,
                                        const std::optional<api::Platform>& platform);

api::Descriptor descriptor_of(const ctrd::Descriptor& target);

/// Whether a shell pattern (*, ?, [..], none of which matches a slash) fits the familiar form of a name or of
/// its repository; as Moby's filter `reference`.
bool matches_reference(const std::string& pattern, const Reference& reference);

}  // namespace pouch::image
