#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/api/engine.gen.h"
#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/registry/reference.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// Opens a dockerd by its address.
using DockerOpener = std::function<Result<std::unique_ptr<Engine>>(const std::string& uri)>;

/// What image.copy_from was asked for.
struct CopyRequest {
  bool is_docker = false;        ///< else containerd
  std::string address;           ///< an engine's URI, or the path of containerd's socket
  std::string ns;                ///< of containerd
  std::vector<Reference> names;  ///< empty: all that have one
  api::Platform platform;        ///< of containerd's images
};

/// With the defaults filled in. InvalidArgument for what does not fit together.
Result<CopyRequest> parse_copy(const api::ImageCopyFromOptions& options);

/// Copies images of a dockerd, as its `save` gives them. Nothing is left when it fails.
Result<api::ImageLoadResult> copy_from_docker(EngineContext& context, const DockerOpener& open,
                                              const Call& call, const CopyRequest& request,
                                              Progress& progress, const ImageLimits& limits);

/// Copies images of a containerd as a pull would, with the digests that they have there. Those that are there
/// already stay when a later one fails. When all are copied, what is no image of containers, or not all there
/// for the platform, is passed over.
Result<api::ImageLoadResult> copy_from_containerd(EngineContext& context, const Call& call,
                                                  const CopyRequest& request, Progress& progress,
                                                  const ImageLimits& limits);

}  // namespace pouch::image
