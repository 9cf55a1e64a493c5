#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/api/image.gen.h"
#include "core/api/stream_pipe.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/image/limits.h"
#include "core/image/stored_image.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// An image that goes into an archive, with those of its names that do.
struct SavedImage {
  StoredImage image;
  std::vector<Reference> names;
};

/// The images that were asked for, each once, and pinned by the client's lease: they may be removed, or get
/// another manifest, while they are written. See image.save for the errors.
Result<std::vector<SavedImage>> find_saved(EngineContext& context, const Call& call,
                                           const ctrd::Client& leased, const api::ImageSaveOptions& options,
                                           const ImageLimits& limits);

/// Writes the archive into the pipe: OCI layout, and manifest.json as `docker save` writes it. The same
/// images give the same bytes. Cancelled or Closed when nobody reads any more.
Status save_images(EngineContext& context, const Call& call, const std::vector<SavedImage>& images,
                   StreamPipe& pipe);

/// Writes a tar of a folder into the pipe; what changes meanwhile is of one moment or another. As
/// save_images.
Status export_folder(const Call& call, int folder, StreamPipe& pipe, const ImageLimits& limits);

}  // namespace pouch::image
