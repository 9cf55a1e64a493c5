#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"
#include "core/registry/reference.h"

namespace pouch::image {

// Which repositories have a blob, in labels that containerd and its other clients know, too:
// "containerd.io/distribution.source.<registry>" = "library/busybox,team/app".

/// The paths of the repositories of `domain` that the labels name.
std::vector<std::string> blob_origins(const ctrd::Labels& labels, const std::string& domain);

/// Remembers that the repository of `name` has the blob. Of very many the oldest are forgotten.
Status note_blob_origin(const ctrd::Client& client, const Call& call, const Digest& blob,
                        const Reference& name);

}  // namespace pouch::image
