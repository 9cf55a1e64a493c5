#include "core/image/image_import.h"

#include <string>
#include <utility>
#include <vector>

#include "core/api/config_changes.h"
#include "core/base/text.h"
#include "core/image/manifest.h"
#include "core/image/rootfs_tar.h"
#include "core/registry/url.h"

namespace pouch::image {
namespace {

// Moby takes what has no scheme for http.
Result<std::string> url_of(const std::string& source) {
  if (source.empty() || source == "-") return std::string();
  const size_t colon = source.find("://");
  if (colon == std::string::npos) return url_of("http://" + source);
  const std::string scheme = to_lower(source.substr(0, colon));
  if (scheme != "http" && scheme != "https") {
    return not_implemented("image.import_tar: fromSrc: a URL of the scheme " + quote(scheme) +
                           "; http and https are fetched");
  }
  if (!registry::parse_url(source))
    return invalid_argument("fromSrc: no URL: " + quote(registry::without_account(source)));
  return source;
}

}  // namespace

Result<ImportRequest> parse_import(const api::ImageImportTarOptions& options) {
  ImportRequest out;
  POUCH_ASSIGN_OR_RETURN(out.url, url_of(options.from_src.value_or("")));
  RootfsImage& wanted = out.wanted;
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
  const std::string source = out.url.empty() ? "-" : registry::without_account(out.url);
  wanted.comment = message.empty() ? "Imported from " + source : message;
  return out;
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
