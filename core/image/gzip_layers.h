#pragma once

#include <memory>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/ctrd/types.h"
#include "core/image/progress.h"
#include "core/image/stored_image.h"
#include "core/store/engine_context.h"

namespace pouch::image {

// Layers that are made here are plain tars: most images never leave, and nobody waits for a compression then.
// Registries, and who pulls from them, expect compressed ones. So the first push of an image compresses them,
// for good: it has another manifest from then on, with the same config, and the next push finds all as the
// registry has it. What came plain from a registry, or with its digest from a containerd, stays as it is.

/// Compresses the plain layers of an image that is pinned by the client's lease. The image as it is then.
/// Who does the same meanwhile waits, and finds it done; when the image is gone or another meanwhile, what is
/// returned lives as long as the lease.
Result<StoredImage> gzip_layers(EngineContext& context, const Call& call,
                                const std::shared_ptr<ctrd::Client>& leased, StoredImage image,
                                Progress& progress);

/// Whether its media type says that it is a tar without compression.
bool is_plain_layer(const ctrd::Descriptor& layer);
/// Marks a blob to be pushed as it is, compressed or not.
Status keep_as_it_is(const ctrd::Client& client, const Call& call, const Digest& blob);

/// Of a record of containerd that an engine has left amid the change of a manifest: ends that.
Status settle_change(const EngineContext& context, const ctrd::Client& client, const Call& call,
                     const ctrd::ImageRecord& record);

}  // namespace pouch::image
