#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/ctrd/client.h"
#include "core/registry/client.h"
#include "core/registry/reference.h"

namespace pouch::image {

/// Where the images of one repository are pulled from. Thread-safe. Errors as of registry::Repository.
class PullSource {
 public:
  virtual ~PullSource() = default;

  /// A manifest or index by tag or digest.
  virtual Result<registry::Manifest> manifest(const Call& call, const std::string& tag_or_digest) = 0;
  virtual Result<std::vector<std::string>> tags(const Call& call) = 0;
  /// Hands the blob's bytes from `offset` on to `sink`, in order.
  virtual Status fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                            const registry::Sink& sink) = 0;
  /// Remembers, with the blob that now is in our content store, where it was.
  virtual void stored(const ctrd::Client& client, const Call& call, const Digest& digest) = 0;
};

/// A repository of a registry.
class RegistrySource final : public PullSource {
 public:
  RegistrySource(Reference name, std::unique_ptr<registry::Repository> repository)
      : name_(std::move(name)), repository_(std::move(repository)) {}

  Result<registry::Manifest> manifest(const Call& call, const std::string& tag_or_digest) override;
  Result<std::vector<std::string>> tags(const Call& call) override;
  Status fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                    const registry::Sink& sink) override;
  void stored(const ctrd::Client& client, const Call& call, const Digest& digest) override;

 private:
  const Reference name_;
  const std::unique_ptr<registry::Repository> repository_;
};

/// An image in a namespace of a containerd: of another one, or of another user of ours.
class ContainerdSource final : public PullSource {
 public:
  /// `target` is what the image's record points to.
  ContainerdSource(std::shared_ptr<ctrd::Client> client, Reference name, Digest target)
      : client_(std::move(client)), name_(std::move(name)), target_(std::move(target)) {}

  Result<registry::Manifest> manifest(const Call& call, const std::string& tag_or_digest) override;
  Result<std::vector<std::string>> tags(const Call& call) override;
  Status fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                    const registry::Sink& sink) override;
  void stored(const ctrd::Client& client, const Call& call, const Digest& digest) override;

 private:
  Status missing(const Digest& digest) const;

  const std::shared_ptr<ctrd::Client> client_;
  const Reference name_;
  const Digest target_;
};

}  // namespace pouch::image
