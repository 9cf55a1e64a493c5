#pragma once

#include <string>

#include "core/api/image.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/image/byte_source.h"
#include "core/image/limits.h"
#include "core/image/progress.h"
#include "core/image/rootfs_image.h"
#include "core/store/engine_context.h"

namespace pouch::image {

/// What image.import was asked for.
struct ImportRequest {
  RootfsImage wanted;
  std::string url;  ///< of the tar; empty: it is uploaded
};
/// InvalidArgument, NotImplemented.
Result<ImportRequest> parse_import(const api::ImageImportTarOptions& options);

/// image.import_tar.
Result<api::ImageImportResult> import_image(EngineContext& context, const Call& call,
                                            const RootfsImage& wanted, ByteSource& upload, Progress& progress,
                                            const ImageLimits& limits);

}  // namespace pouch::image
