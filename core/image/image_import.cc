#include "core/image/image_import.h"

#include <string>
#include <utility>
#include <vector>

#include "core/api/config_changes.h"
#include "core/base/text.h"
#include "core/image/manifest.h"
#include "core/image/rootfs_tar.h"

namespace pouch::image {

Result<RootfsImage> parse_import(const api::ImageImportTarOptions& options) {
  const std::string source = options.from_src.value_or("-");
  if (source != "-")
    return not_implemented("image.import_tar: fromSrc: only \"-\", the upload, not " + quote(source));
  RootfsImage wanted;
  POUCH_ASSIGN_OR_RETURN(wanted.name, name_of_new_image(options.repo, options.tag));
  api::Platform platform = host_platform();
  if (const std::string text = options.platform.value_or(""); !text.empty()) {
    POUCH_ASSIGN_OR_RETURN(platform, parse_platform_text(text));
  }
  wanted.facts.architecture = platform.architecture;
  wanted.facts.os = platform.os;
  wanted.facts.variant = platform.variant.value_or("");
  wanted.facts.created = Timestamp::now();
  api::ContainerConfig config;
  POUCH_RETURN_IF_ERROR(apply_config_changes(options.changes.value_or(std::vector<std::string>()), config));
  wanted.facts.config = to_image_config(config);
  const std::string message = options.message.value_or("");
  wanted.comment = message.empty() ? "Imported from -" : message;
  return wanted;
}

Result<api::ImageImportResult> import_image(EngineContext& context, const Call& call,
                                            const RootfsImage& wanted, ByteSource& upload, Progress& progress,
                                            const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const ImportedImage image,
                         make_rootfs_image(context, call, wanted, [&](TarWriter& layer) {
                           return copy_rootfs_tar(upload, layer, limits);
                         }));
  api::ImageImportResult result;
  result.id = image.row.id.str();
  if (wanted.name) result.reference = wanted.name->familiar();
  progress.result(result.id);
  return result;
}

}  // namespace pouch::image
