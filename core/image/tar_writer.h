#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/image/blob_sink.h"

struct archive;

namespace pouch::image {

enum class TarType { kFile, kFolder, kSymlink, kHardlink, kCharDevice, kBlockDevice, kFifo };

/// One entry of a layer; all that is written is here.
struct TarEntry {
  TarType type = TarType::kFile;
  std::string path;    ///< relative, without "." and ".."; empty: the root folder
  std::string target;  ///< of a symlink as it is, of a hard link a path like `path`
  uint32_t mode = 0;   ///< permission bits, set-id bits and sticky bit
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t size = 0;           ///< bytes of data that follow; files only
  int64_t modified_s = 0;     ///< seconds since the epoch
  uint32_t device_major = 0;  ///< devices only
  uint32_t device_minor = 0;
  std::map<std::string, std::string> xattrs;
};

/// Writes a plain tar (pax where needed) into a blob; the same entries give the same bytes. Not thread-safe;
/// wants a Utf8Locale.
class TarWriter {
 public:
  static Result<std::unique_ptr<TarWriter>> create(std::unique_ptr<BlobSinkWriter> sink);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  Status add(const TarEntry& entry);
  /// Data of the last file added; in all exactly its size.
  Status write(std::string_view bytes);

  struct Blob {
    Digest digest;
    int64_t size = 0;
  };
  /// Ends the tar and commits the blob.
  Result<Blob> finish();

 private:
  explicit TarWriter(std::unique_ptr<BlobSinkWriter> sink) : sink_(std::move(sink)) {}
  Status error(std::string_view what);
  static ssize_t write_callback(archive* writer, void* self, const void* buffer, size_t size);

  struct Free {
    void operator()(archive* writer) const;
  };
  // What the callback uses stands before the archive, whose end calls it.
  std::unique_ptr<BlobSinkWriter> sink_;
  Status sink_error_;
  Sha256 hash_;
  int64_t size_ = 0;
  bool is_abandoned_ = false;
  std::unique_ptr<archive, Free> archive_;
};

}  // namespace pouch::image
