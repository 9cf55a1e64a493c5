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

/// What a registry has under a name, without the bytes.
struct Descriptor {
  std::string media_type;
  std::string digest;
  int64_t size = 0;
};

using Sink = std::function<Status(std::string_view bytes)>;
/// Puts bytes from `offset` on into the buffer of `size` bytes, and tells how many: at least one. Offsets
/// grow, but go back where something has to be sent again.
using Source = std::function<Result<size_t>(int64_t offset, char* buffer, size_t size)>;

class Session;
struct Common;

/// One repository, with the account it was opened with. Thread-safe: blobs are fetched and pushed by several
/// threads at once. It is read from the mirrors of its registry, if there are any, and written to the
/// registry.
///
/// Errors of all calls: NotFound, PermissionDenied, Unauthenticated, InvalidArgument with the registry's own
/// words; NotImplemented for what it does not support; ResourceExhausted when it wants fewer requests;
/// Unavailable when nobody answers (within 10 s), naming whom it asked and by which proxy; DataLoss when what
/// came is not what it should be; the call's Cancelled and DeadlineExceeded. What may succeed later (broken
/// and stalled connections, 429, 5xx) is tried again, with growing pauses.
class Repository {
 public:
  explicit Repository(std::unique_ptr<Session> session);
  ~Repository();
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  /// At most 4 MiB. One that was asked for by digest has it.
  Result<Manifest> manifest(const Call& call, const std::string& tag_or_digest);
  /// The same without its bytes, where the registry tells that.
  Result<Descriptor> head_manifest(const Call& call, const std::string& tag_or_digest);
  /// All tags, in the registry's order.
  Result<std::vector<std::string>> tags(const Call& call);
  /// Hands the blob's bytes from `offset` on to `sink`, in order, on this thread. What breaks on the way is
  /// resumed where it broke, also with servers that do not know ranges. From offset 0 the digest is compared;
  /// of less only the size is: whoever has the beginning must compare. An error of the sink ends it.
  Status fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset, const Sink& sink);

  /// Whether the registry has the blob in this repository.
  Result<bool> has_blob(const Call& call, const Digest& digest);
  /// Has the registry take a blob over from another repository of its own ("library/busybox"). False: it is
  /// not there, or may not be read, or the registry does not do that; it must be uploaded.
  Result<bool> mount_blob(const Call& call, const Digest& digest, const std::string& from_path);
  /// Uploads a blob in pieces (Settings::chunk_bytes), reading `source` on this thread; what breaks is
  /// resumed where the registry says, or begun anew. What was not finished is cancelled there. An error of
  /// the source ends it.
  Status upload_blob(const Call& call, const Digest& digest, int64_t size, const Source& source);
  /// Puts a manifest or index whose parts are there. Its digest, which the registry has confirmed.
  Result<std::string> put_manifest(const Call& call, const std::string& tag_or_digest,
                                   const std::string& media_type, const std::string& bytes);

 private:
  const std::unique_ptr<Session> session_;
};

/// The common ground of all repositories: connections, tokens. Thread-safe.
class Client {
 public:
  explicit Client(Settings settings);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Asks nobody yet. Without credentials those of Docker's config.json for the registry are used, if any.
  /// The repository may outlive the client.
  Result<std::unique_ptr<Repository>> open(const Reference& reference,
                                           const std::optional<Credentials>& credentials);
  /// A file of any server, at an http or https URL; see fetch_file in download.h.
  Status fetch_file(const Call& call, const std::string& url,
                    const std::function<Status(int64_t total, std::string_view bytes)>& sink);
  /// Asks a registry ("docker.io", "localhost:5000", "https://index.docker.io/v1/") whether it takes the
  /// account, and gives what is to be kept of it: an identity token in place of the password where there is
  /// one. Nothing is stored. Unauthenticated when it does not; else as Repository's calls.
  Result<Credentials> login(const Call& call, const std::string& registry, const Credentials& account);
  /// The account that is kept for a registry, if any.
  Result<std::optional<Credentials>> find_account(const std::string& registry);
  /// Keeps an account for a registry: with the credential helper of Docker's config.json, or in that file.
  /// What else stands there stays. Errors name the file or the helper.
  Status store_account(const Call& call, const std::string& registry, const Credentials& account);
  /// Forgets it. False: there was none.
  Result<bool> erase_account(const Call& call, const std::string& registry);

 private:
  const std::shared_ptr<Common> common_;
};

}  // namespace pouch::registry
