#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/image/blob_sink.h"
#include "core/image/byte_source.h"

namespace pouch::image::testing {

/// Blobs in memory.
class MemorySink final : public BlobSink {
 public:
  Result<std::unique_ptr<BlobSinkWriter>> create() override;
  Result<std::string> read_all(const Digest& digest, size_t limit) override;
  std::map<Digest, std::string> blobs;
};

/// Text in pieces of `piece` bytes.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, size_t piece = 4096) : text_(std::move(text)), piece_(piece) {}
  Result<std::string_view> next() override {
    const std::string_view out = std::string_view(text_).substr(at_, piece_);
    at_ += out.size();
    return out;
  }

 private:
  std::string text_;
  size_t piece_;
  size_t at_ = 0;
};

/// One entry of a tar, as hostile as wanted: a ustar header is made of exactly these values.
struct RawEntry {
  std::string name;
  std::string data = {};
  char type = '0';
  std::string link = {};
  unsigned mode = 0644;
  unsigned device_major = 0;
  unsigned device_minor = 0;
};

std::string raw_tar(const std::vector<RawEntry>& entries, bool with_end = true);

/// A file of GNU tar's old sparse form: up to four pieces (offset, bytes) of a file of `size` bytes.
std::string sparse_tar(const std::string& name, uint64_t size,
                       const std::vector<std::pair<uint64_t, std::string>>& pieces, bool with_end = true);

struct TarFile {
  char type = '0';  ///< as in RawEntry
  std::string data;
  std::string link;
  unsigned mode = 0;
  int64_t uid = 0;
  int64_t mtime = 0;
  std::map<std::string, std::string> xattrs;
};
/// Entries of a tar by their path, read by libarchive; empty where it cannot be read.
std::map<std::string, TarFile> read_tar(const std::string& tar);

std::string gzip(const std::string& bytes);
std::string zstd(const std::string& bytes);

/// A config document over these diff ids.
std::string config_json(const std::vector<std::string>& diff_ids, const std::string& config = "{}");

/// A `docker save` archive of one image: layers as given (plain or compressed) under their index.
struct DockerImage {
  std::vector<std::string> layers;    ///< bytes as they are in the archive
  std::vector<std::string> diff_ids;  ///< of the layers
  std::vector<std::string> tags;
  std::string config = "{}";
};
std::string docker_archive(const DockerImage& image);
std::string oci_archive(const DockerImage& image);
/// The id that the image gets.
std::string image_id(const DockerImage& image);

}  // namespace pouch::image::testing
