#pragma once

#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/ctrd/service.h"
#include "core/ctrd/types.h"

namespace pouch::ctrd {

struct DiffOptions {
  std::string media_type{};  ///< of the layer to make; empty: gzip-compressed OCI layer
  std::string ref{};         ///< ingest name; empty: containerd makes one
  Labels labels{};           ///< of the blob
};

/// Unpacks layers and makes them. Threads and errors: see Client. No deadline unless the call has one.
class Diff : public Service {
 public:
  using Service::Service;

  /// Unpacks the blob into the mounts; the descriptor of the uncompressed tar, whose digest the caller must
  /// compare with the diff id.
  Result<Descriptor> apply(const Call& call, const Descriptor& layer, const std::vector<Mount>& mounts) const;
  /// Writes what `right` changes against `left` as a layer blob.
  Result<Descriptor> diff(const Call& call, const std::vector<Mount>& left, const std::vector<Mount>& right,
                          const DiffOptions& options = {}) const;
};

}  // namespace pouch::ctrd
