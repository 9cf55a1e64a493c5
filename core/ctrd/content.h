#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

/// Writes one blob. Not thread-safe. Dropped without commit() it leaves what was written under its ref, to
/// be resumed by a later open_writer() with the same ref, or ended by Content::abort().
class BlobWriter {
 public:
  struct State;
  explicit BlobWriter(std::unique_ptr<State> state);
  ~BlobWriter();
  BlobWriter(BlobWriter&&) noexcept;
  BlobWriter& operator=(BlobWriter&&) noexcept;

  /// The blob is there already: nothing to write; write() and commit() are then ok and do no harm.
  bool exists() const;
  /// Bytes that containerd has: go on from here.
  int64_t offset() const;
  /// Appends; any size, sent in pieces of 1 MiB.
  Status write(const Call& call, std::string_view bytes);
  /// Ends the blob and sets its labels (also where it exists already). `size` is the whole blob's; containerd
  /// compares size and digest with what it got: Conflict (size) or an error naming both digests, and the
  /// bytes stay under the ref: abort it before trying anew.
  Status commit(const Call& call, int64_t size, const Digest& expected, const Labels& labels = {});

 private:
  std::unique_ptr<State> state_;
};

/// containerd's blob store. Threads and errors: see Client. Blobs without lease, label or image are taken by
/// the garbage collector: work under Client::with_lease().
class Content : public Service {
 public:
  using Service::Service;

  Result<ContentInfo> info(const Call& call, const Digest& digest) const;
  /// Sets these labels and keeps the others; an empty value removes a label.
  Result<ContentInfo> update_labels(const Call& call, const Digest& digest, const Labels& labels) const;
  Result<std::vector<ContentInfo>> list(const Call& call, const Filters& filters = {}) const;
  /// NotFound when absent.
  Status remove(const Call& call, const Digest& digest) const;

  /// Opens (or resumes) the ingest `ref`, e.g. "layer-sha256:…". `total` 0 and an empty digest: not known
  /// yet. While another writer has the ref: waits for it within the deadline, then Unavailable or
  /// DeadlineExceeded.
  Result<BlobWriter> open_writer(const Call& call, const std::string& ref, int64_t total,
                                 const Digest& expected) const;
  /// A whole small blob in one call; ok with labels set where it exists already.
  Status write_blob(const Call& call, const std::string& ref, const Descriptor& descriptor,
                    std::string_view bytes, const Labels& labels = {}) const;
  Result<IngestStatus> status(const Call& call, const std::string& ref) const;
  Result<std::vector<IngestStatus>> list_ingests(const Call& call, const Filters& filters = {}) const;
  /// Drops an ingest; NotFound when there is none.
  Status abort(const Call& call, const std::string& ref) const;

  using Sink = std::function<Status(std::string_view piece)>;
  /// Hands the blob to `sink` in order, from `offset`, `size` bytes (0: to the end). An error of the sink
  /// ends the read and is returned. No deadline unless the call has one.
  Status read(const Call& call, const Digest& digest, int64_t offset, int64_t size, const Sink& sink) const;
  /// A whole small blob (manifest, config); ResourceExhausted when it is larger than `limit` bytes.
  Result<std::string> read_all(const Call& call, const Digest& digest, size_t limit) const;
};

}  // namespace pouch::ctrd
