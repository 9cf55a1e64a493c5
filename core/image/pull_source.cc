#include "core/image/pull_source.h"

#include <utility>

#include "core/base/text.h"
#include "core/ctrd/content.h"
#include "core/image/blob_origins.h"
#include "core/image/gzip_layers.h"

namespace pouch::image {
namespace {

constexpr size_t kMaxManifestBytes = size_t{4} << 20U;  // as of a registry

}  // namespace

Result<registry::Manifest> RegistrySource::manifest(const Call& call, const std::string& tag_or_digest) {
  return repository_->manifest(call, tag_or_digest);
}

Result<std::vector<std::string>> RegistrySource::tags(const Call& call) {
  return repository_->tags(call);
}

Status RegistrySource::fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                                  const registry::Sink& sink) {
  return repository_->fetch_blob(call, digest, size, offset, sink);
}

void RegistrySource::stored(const ctrd::Client& client, const Call& call, const Digest& digest) {
  // Without it a push has more to do.
  note_blob_origin(client, call, digest, name_).ignore();
}

Status ContainerdSource::missing(const Digest& digest) const {
  return not_found("containerd at " + quote(client_->socket_path()) + " has not all of image " +
                   name_.familiar() + ": the blob " + digest.str() + " is not there");
}

Result<registry::Manifest> ContainerdSource::manifest(const Call& call, const std::string& tag_or_digest) {
  registry::Manifest out;
  // Of an index its entries are asked for next.
  const bool is_of_entry = is_digest(tag_or_digest) && tag_or_digest != name_.digest().str();
  const Digest digest = is_of_entry ? Digest(tag_or_digest) : target_;
  auto bytes = client_->content().read_all(call, digest, kMaxManifestBytes);
  if (bytes.code() == Code::kNotFound) return missing(digest);
  POUCH_ASSIGN_OR_RETURN(out.bytes, std::move(bytes));
  out.digest = digest.str();
  return out;
}

Result<std::vector<std::string>> ContainerdSource::tags(const Call& /*call*/) {
  return not_implemented("containerd: all tags of a repository");
}

Status ContainerdSource::fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                                    const registry::Sink& sink) {
  if (offset == size) return {};
  const Status read = client_->content().read(call, digest, offset, size - offset, sink);
  return read.code() == Code::kNotFound ? missing(digest) : read;
}

void ContainerdSource::stored(const ctrd::Client& client, const Call& call, const Digest& digest) {
  // Else a plain layer is compressed by a push, and the image has not the digest any more that it has there.
  keep_as_it_is(client, call, digest).ignore();
}

}  // namespace pouch::image
