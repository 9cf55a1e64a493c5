#pragma once

#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"

namespace pouch::image {

// The blobs of a pull stay, marked, when it fails or its process dies, so that the next one need not fetch
// them again: containerd's collector would take them with the lease. An hour later they go; at once where the
// fault is the image's own, or the disk is full.

/// What marks a blob that is about to be stored.
ctrd::Labels kept_labels();

/// Takes the marks off the blobs of layers: they belong to an image now, or shall go.
void release_blobs(const ctrd::Client& client, const Call& call, const std::vector<ctrd::Descriptor>& layers);

/// Takes the marks off those that have had them for an hour, or off all; how many.
Result<int> release_kept(const ctrd::Client& client, const Call& call, bool all);

}  // namespace pouch::image
