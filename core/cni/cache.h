#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/cni/attachment.h"
#include "core/cni/network_list.h"

namespace pouch::cni {

/// What was attached, with which list and result: a file NETWORK-CONTAINER-IFNAME each, in the format that
/// libcni has ("cniCacheV1"), so that one can be read by the other. Thread-safe.
class Cache {
 public:
  explicit Cache(std::string folder) : folder_(std::move(folder)) {}

  /// Writes the entry anew. Without an outcome it tells that an ADD is under way. With one it is on the disk
  /// before the answer: plugins keep what they gave away on the disk, too. Conflict where another
  /// attachment's names make the same file name.
  Status write(const NetworkList& list, const Attachment& attachment, const Outcome* outcome) const;
  /// Nothing where there is none; DataLoss for a file that is no entry.
  Result<std::optional<CachedAttachment>> read(const std::string& network, const AttachmentKey& key) const;
  /// Ok when it is not there.
  Status remove(const std::string& network, const AttachmentKey& key) const;
  /// In order of the files' names.
  Result<std::vector<CachedAttachment>> list(const std::string& network) const;

 private:
  std::string path_of(const std::string& network, const AttachmentKey& key) const;

  const std::string folder_;
};

}  // namespace pouch::cni
