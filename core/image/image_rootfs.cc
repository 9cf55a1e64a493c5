#include "core/image/image_rootfs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "core/base/text.h"
#include "core/image/image_importer.h"
#include "core/image/rootfs_image.h"
#include "core/image/rootfs_tar.h"
#include "core/image/tar_reader.h"
#include "core/image/tar_writer.h"

namespace pouch::image {
namespace {

Result<Reference> image_name(const api::ImageFromRootfsOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const Reference reference, Reference::parse(options.reference));
  if (!reference.digest().empty()) {
    return invalid_argument("reference: a new image cannot be named by a digest: " +
                            quote(options.reference));
  }
  return reference.with_default_tag();
}

Status copy_path(const Call& call, const std::string& path, TarWriter& layer, const ImageLimits& limits) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return errno_status(errno, "open " + quote(path));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return errno_status(errno, "stat " + quote(path));
  if (S_ISDIR(info.st_mode)) {
    return copy_rootfs_folder(call, file.get(), layer, limits).prefix("folder " + quote(path));
  }
  if (!S_ISREG(info.st_mode))
    return invalid_argument("path: " + quote(path) + " is neither a folder nor a file");
  FileSource source(std::move(file));
  return copy_rootfs_tar(source, layer, limits).prefix("tar " + quote(path));
}

ImageConfigFacts new_facts(const api::ImageFromRootfsOptions& options) {
  ImageConfigFacts facts;
  facts.architecture = options.architecture.value_or(std::string(host_architecture()));
  facts.os = "linux";
  facts.created = Timestamp::now();
  api::ImageConfig& config = facts.config.emplace();
  config.cmd = options.cmd;
  config.entrypoint = options.entrypoint;
  config.env = options.env;
  config.working_dir = options.workingdir;
  config.user = options.user;
  config.labels = options.labels;
  return facts;
}

}  // namespace

Status check_rootfs_options(const api::ImageFromRootfsOptions& options) {
  POUCH_RETURN_IF_ERROR(image_name(options).status());
  if (options.path && !options.path->starts_with('/')) {
    return invalid_argument("path: " + quote(*options.path) + " is not absolute");
  }
  if (options.workingdir && !options.workingdir->empty() && !options.workingdir->starts_with('/')) {
    return invalid_argument("workingdir: " + quote(*options.workingdir) + " is not absolute");
  }
  if (options.architecture && options.architecture->empty())
    return invalid_argument("architecture: it is empty");
  for (const std::string& variable : options.env.value_or(std::vector<std::string>())) {
    const size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos || variable.find('\0') != std::string::npos) {
      return invalid_argument("env: a variable is not name=value");  // values may be secret
    }
  }
  return {};
}

Result<api::ImageFromRootfsResult> image_from_rootfs(EngineContext& context, const Call& call,
                                                     const api::ImageFromRootfsOptions& options,
                                                     ByteSource& upload, Progress& progress,
                                                     const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(Reference name, image_name(options));
  const RootfsImage wanted{std::move(name), new_facts(options), "Imported from a root file system"};
  POUCH_ASSIGN_OR_RETURN(const ImportedImage image,
                         make_rootfs_image(context, call, wanted, [&](TarWriter& layer) {
                           return options.path ? copy_path(call, *options.path, layer, limits)
                                               : copy_rootfs_tar(upload, layer, limits);
                         }));
  api::ImageFromRootfsResult result;
  result.id = image.row.id.str();
  result.reference = image.names.front().familiar();
  progress.result(result.id);
  return result;
}

}  // namespace pouch::image
