#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/registry/reference.h"
#include "core/registry/settings.h"

/// A client of the OCI distribution API: what `docker pull` and `docker push` speak with registries.
namespace pouch::registry {

/// A manifest or an index, with the bytes that its digest is of.
struct Manifest {
  std::string media_type;  ///< as the server says
  std::string digest;      ///< "sha256:…"
  std::string bytes;
};

using Sink = std::function<Status(std::string_view bytes)>;

/// One repository, with the account it was opened with. Thread-safe: blobs are fetched by several threads at
/// once.
///
/// Errors of all calls: NotFound, PermissionDenied, Unauthenticated with the registry's own words;
/// Unavailable when nobody answers, naming whom it asked; DataLoss when what came is not what it should be;
/// the call's Cancelled and DeadlineExceeded. What may succeed later (broken connections, 429, 5xx) is tried
/// again, with growing pauses.
class Repository {
 public:
  struct Impl;
  explicit Repository(std::unique_ptr<Impl> impl);
  ~Repository();
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  /// At most 4 MiB. One that was asked for by digest has it.
  Result<Manifest> manifest(const Call& call, const std::string& tag_or_digest);
  /// All tags, in the registry's order.
  Result<std::vector<std::string>> tags(const Call& call);
  /// Hands the blob's bytes from `offset` on to `sink`, in order, on this thread. What breaks on the way is
  /// resumed where it broke, also with servers that do not know ranges. From offset 0 the digest is compared;
  /// of less only the size is: whoever has the beginning must compare. An error of the sink ends it.
  Status fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset, const Sink& sink);

 private:
  std::unique_ptr<Impl> impl_;
};

/// The common ground of all repositories: connections, tokens. Thread-safe.
class Client {
 public:
  struct Impl;
  explicit Client(Settings settings);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Asks nobody yet. Without credentials those of Docker's config.json for the registry are used, if any.
  /// The repository may outlive the client.
  Result<std::unique_ptr<Repository>> open(const Reference& reference,
                                           const std::optional<Credentials>& credentials);

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace pouch::registry
