#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/image/blob_sink.h"
#include "core/image/byte_source.h"
#include "core/image/limits.h"

namespace pouch::image {

/// A regular file of an archive.
struct StagedFile {
  Digest digest;
  int64_t size = 0;
  std::string head;                  ///< its first bytes (up to 8), to see how it is compressed
  std::optional<std::string> bytes;  ///< of a small one; a large one is in the sink
};

/// The files of an image archive, whose order is free: the small ones in memory, the large ones in a sink.
/// Nothing of the archive is ever written under a name of its own, so names are only keys here.
class ArchiveStage {
 public:
  /// Reads the whole archive. `sink` must outlive the stage. Errors: see TarReader; ResourceExhausted.
  static Result<ArchiveStage> read(ByteSource& source, BlobSink& sink, const ImageLimits& limits);

  /// By its path in the archive, links followed; null when absent.
  const StagedFile* find(std::string_view path) const;
  /// The bytes of a file that is in memory; null when it is in the sink or not there.
  const std::string* bytes_of(const Digest& digest) const;
  /// The whole of a small file: InvalidArgument when it is absent, ResourceExhausted when over the limit.
  Result<std::string> text(std::string_view path) const;
  Result<std::string> text_of(const StagedFile& file, std::string_view name) const;

 private:
  ArchiveStage(BlobSink& sink, const ImageLimits& limits) : sink_(&sink), limits_(limits) {}
  friend class ArchiveStager;

  BlobSink* sink_;
  ImageLimits limits_;
  std::map<std::string, StagedFile, std::less<>> files_;
  std::map<Digest, std::string> in_memory_;                ///< path of a file by its digest
  std::map<std::string, std::string, std::less<>> links_;  ///< path to path, both normalised
};

/// "./a//b/../c" is "a/c"; a path that climbs above the top is empty.
std::string normal_path(std::string_view path);

}  // namespace pouch::image
