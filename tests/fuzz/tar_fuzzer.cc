// Archives: layers, root file systems and image archives. The first byte tells what is done to the rest
// before it is read (see Shape), as no mutation guesses a checksum.
//
// Inflating gives the same in pieces of any size, and what was compressed; entries of layers and of root file
// systems have paths that stay below their root; a copied root file system is copied to the same bytes;
// the images of an archive are what their digests say. Nothing costs more than the limits allow.

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/image/archive_images.h"
#include "core/image/archive_stage.h"
#include "core/image/inflate_source.h"
#include "core/image/layer_entry.h"
#include "core/image/rootfs_tar.h"
#include "core/image/tar_reader.h"
#include "core/image/testing_support.h"
#include "tests/fuzz/fuzz.h"

namespace pouch::fuzz {
namespace {

using namespace image;
using image::testing::MemorySink;
using image::testing::TextSource;

constexpr size_t kBlock = 512;
constexpr size_t kMaxBytes = size_t{4} << 20U;  // of what an input may grow to
constexpr std::string_view kGzip = "\x1f\x8b";
constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";
constexpr std::array<size_t, 4> kPieces{7, 512, 1000, 1U << 20U};

bool is_compressed(std::string_view bytes) {
  return bytes.starts_with(kGzip) || bytes.starts_with(kZstd);
}

// What the first byte says.
struct Shape {
  explicit Shape(uint8_t byte)
      : piece(kPieces[byte & 3U]),
        is_gzip((byte & 4U) != 0),
        is_zstd((byte & 8U) != 0),
        has_sums((byte & 16U) != 0),
        is_tight((byte & 32U) != 0),
        has_platform((byte & 64U) != 0) {}

  size_t piece;       // the source gives so many bytes at once
  bool is_gzip;       // it is compressed before it is read
  bool is_zstd;       // likewise, unless by gzip
  bool has_sums;      // the checksums of its headers are made right
  bool is_tight;      // the limits are so low that files go to the sink
  bool has_platform;  // images of one platform are wanted
};

ImageLimits limits(const Shape& shape) {
  ImageLimits limits;
  limits.max_archive_entries = limits.max_rootfs_entries = 64;
  limits.max_archive_bytes = limits.max_rootfs_bytes = kMaxBytes;
  limits.max_images = 3;
  limits.max_layers = 3;
  limits.max_names = 4;
  if (shape.is_tight) {
    limits.max_memory_bytes = 700;
    limits.max_json_bytes = 2000;
    limits.max_path_bytes = 120;
  }
  return limits;
}

size_t octal(std::string_view text) {
  size_t out = 0;
  for (const char c : text)
    if (c >= '0' && c <= '7') out = (out * 8 + static_cast<size_t>(c - '0')) % kMaxBytes;
  return out;
}

void make_sums(std::string& tar) {
  constexpr size_t kSum = 148;
  constexpr size_t kSumBytes = 8;
  for (size_t at = 0; at + kBlock <= tar.size();) {
    const std::string_view header = std::string_view(tar).substr(at, kBlock);
    if (header.find_first_not_of('\0') == std::string_view::npos) return;
    const size_t data = octal(header.substr(124, 12));
    tar.replace(at + kSum, kSumBytes, kSumBytes, ' ');
    unsigned sum = 0;
    for (const char c : tar.substr(at, kBlock)) sum += static_cast<unsigned char>(c);
    std::string text(6, '0');
    for (size_t i = text.size(); i-- > 0; sum /= 8) text[i] = static_cast<char>('0' + sum % 8);
    tar.replace(at + kSum, kSumBytes, text + '\0' + ' ');
    at += kBlock + (data + kBlock - 1) / kBlock * kBlock;
  }
}

struct Inflated {
  Status status;
  std::string bytes;
  bool is_whole = false;
};

Inflated inflate(const std::string& bytes, size_t piece) {
  TextSource source(bytes, piece);
  InflateSource inflated(source);
  Inflated out;
  while (out.bytes.size() < kMaxBytes) {
    const auto next = inflated.next();
    if (!next.is_ok()) {
      out.status = next.status();
      return out;
    }
    if (next->empty()) {
      out.is_whole = true;
      expect(inflated.digest().str() == sha256_digest(out.bytes), "the digest is that of what came out");
      return out;
    }
    out.bytes += *next;
  }
  return out;
}

// What libarchive makes of it; none where it is damaged or larger than the limit.
std::optional<std::string> inflate_otherwise(const std::string& bytes) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(::archive_read_new(), &::archive_read_free);
  ::archive_read_support_filter_gzip(reader.get());
  ::archive_read_support_filter_zstd(reader.get());
  ::archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (::archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK ||
      ::archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    return std::nullopt;
  }
  static std::string room(kMaxBytes, '\0');  // once: to get it anew each time takes longer than all the rest
  const ssize_t got = ::archive_read_data(reader.get(), room.data(), room.size());
  if (got < 0 || static_cast<size_t>(got) == room.size()) return std::nullopt;
  return room.substr(0, static_cast<size_t>(got));
}

// Both read the same. What one refuses the other may take (gzip: bytes behind the end, a wrong sum), but that
// whole frames of zstd are refused.
void check_against(const Inflated& ours, const std::string& bytes) {
  const std::optional<std::string> theirs = inflate_otherwise(bytes);
  if (!theirs || is_compressed(ours.bytes)) return;  // libarchive undoes the inner compression too
  if (ours.status.is_ok()) {
    expect(*theirs == ours.bytes, "libarchive inflates to the same");
  } else {
    expect(!bytes.starts_with(kZstd), "what libarchive inflates of zstd is not damaged");
  }
}

void check_inflate(const std::string& bytes, const Shape& shape, const std::string& plain) {
  const Inflated whole = inflate(bytes, bytes.size() + 1);
  if (!is_compressed(bytes)) {
    expect(whole.is_whole && whole.bytes == bytes, "what is not compressed stays as it is");
    return;
  }
  const Inflated pieces = inflate(bytes, shape.piece);
  expect(whole.status.code() == pieces.status.code(), "inflating ends the same way in pieces of any size");
  expect(!whole.status.is_ok() || whole.bytes == pieces.bytes,
         "inflating gives the same in pieces of any size");
  expect(whole.status.is_ok() || whole.status.code() == Code::kInvalidArgument, "damage is InvalidArgument");
  check_against(whole, bytes);
  if (shape.is_gzip || shape.is_zstd)
    expect(whole.is_whole && whole.bytes == plain, "what was compressed comes out");
}

bool is_inside(std::string_view path) {
  if (path.empty()) return true;
  for (const std::string& part : split(path, '/'))
    if (part.empty() || part == "." || part == "..") return false;
  return true;
}

void check_entry(archive_entry* raw, const ImageLimits& limits) {
  const auto entry = read_layer_entry(raw, limits);
  if (!entry.is_ok()) {
    expect(entry.code() == Code::kInvalidArgument, "a bad entry is InvalidArgument");
    return;
  }
  expect(is_inside(entry->path) && entry->path.size() <= limits.max_path_bytes,
         "a path stays below the root");
  expect((entry->parent.empty() ? entry->name : entry->parent + "/" + entry->name) == entry->path,
         "a path is its parent and its name");
  expect(!entry->is_hard_link || is_inside(entry->target), "a hard link stays below the root");
  expect(entry->kind != S_IFLNK || !entry->target.empty(), "a symbolic link has a target");
  expect(entry->kind != S_IFCHR || entry->device != 0, "no device is a whiteout");
  expect(entry->attributes.uid != static_cast<uid_t>(-1) && entry->attributes.gid != static_cast<gid_t>(-1),
         "an owner is not \"unchanged\"");
  for (const timespec& time : {entry->attributes.accessed, entry->attributes.modified})
    expect(time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000, "a time can be set");
  for (const auto& [name, value] : entry->attributes.xattrs)
    expect(!name.starts_with("trusted."), "no attribute steers the overlay");
}

// As a layer is read: inflated by us, its entries one by one.
void check_layer(const std::string& bytes, const Shape& shape) {
  TextSource source(bytes, shape.piece);
  InflateSource inflated(source);
  const auto tar = TarReader::open_plain(inflated);
  if (!tar.is_ok()) return;
  size_t total = 0;
  for (int i = 0; i < limits(shape).max_rootfs_entries; ++i) {
    const auto entry = (*tar)->next();
    if (!entry.is_ok()) {
      expect(entry.code() == Code::kInvalidArgument, "damage is InvalidArgument");
      return;
    }
    if (*entry == nullptr) {
      (*tar)->drain().ignore();
      return;
    }
    check_entry(*entry, limits(shape));
    while (total < kMaxBytes) {
      const auto piece = (*tar)->read();
      if (!piece.is_ok() || piece->empty()) break;
      total += piece->size();
    }
  }
}

void check_image(const ImageContent& image, const ImageLimits& limits) {
  expect(image.config.digest.str() == sha256_digest(image.config_json), "a config is what its digest says");
  expect(image.manifest.digest.str() == sha256_digest(image.manifest_json),
         "a manifest is what its digest says");
  expect(image.layers.size() == image.facts.diff_ids.size(), "each layer has its diff id");
  expect(image.layers.size() <= limits.max_layers, "an image is within the limit");
  for (const ImageLayer& layer : image.layers)
    expect(is_digest(layer.blob.digest.str()), "a layer has a digest");
  for (const Reference& name : image.names) expect(!name.tag().empty(), "a name has a tag");
}

bool is_foreign_error(const Status& status) {
  return status.code() == Code::kInvalidArgument || status.code() == Code::kNotImplemented ||
         status.code() == Code::kResourceExhausted || status.code() == Code::kDataLoss;
}

// As an image archive is loaded.
void check_images(const std::string& bytes, const Shape& shape) {
  TextSource source(bytes, shape.piece);
  MemorySink sink;
  const ImageLimits bounds = limits(shape);
  const auto stage = ArchiveStage::read(source, sink, bounds);
  if (!stage.is_ok()) {
    expect(is_foreign_error(stage.status()), "a bad archive is the fault of who made it");
    return;
  }
  size_t total = 0;
  for (const auto& [digest, blob] : sink.blobs) {
    total += blob.size();
    expect(stage->bytes_of(digest) == nullptr || *stage->bytes_of(digest) == blob,
           "equal digests, equal bytes");
  }
  expect(total <= kMaxBytes, "the sink takes no more than the limit");
  std::optional<api::Platform> platform;
  if (shape.has_platform) {
    platform.emplace();
    platform->os = "linux";
    platform->architecture = "amd64";
  }
  const auto images = find_images(*stage, platform, bounds);
  if (!images.is_ok()) {
    expect(is_foreign_error(images.status()), "a bad archive is the fault of who made it");
    return;
  }
  expect(!images->empty() && images->size() <= bounds.max_images, "an archive is within the limit");
  for (const ImageContent& image : *images) check_image(image, bounds);
}

// The copy of a root file system; none where it cannot be copied.
std::optional<std::string> copy(const std::string& bytes, const Shape& shape, const ImageLimits& bounds) {
  TextSource source(bytes, shape.piece);
  MemorySink sink;
  auto writer = TarWriter::create(*sink.create());
  expect(writer.is_ok(), "a tar can be written");
  const Status copied = copy_rootfs_tar(source, **writer, bounds);
  if (!copied.is_ok()) {
    expect(is_foreign_error(copied), "a bad root file system is the fault of who made it");
    return std::nullopt;
  }
  const auto blob = (*writer)->finish();
  expect(blob.is_ok(), "what was copied can be ended");
  return sink.blobs.at(blob->digest);
}

void check_rootfs(const std::string& bytes, const Shape& shape) {
  const ImageLimits bounds = limits(shape);
  const std::optional<std::string> once = copy(bytes, shape, bounds);
  if (!once) return;
  const std::optional<std::string> twice = copy(*once, shape, bounds);
  expect(twice && *twice == *once, "a copied root file system is copied to the same bytes");
  TextSource source(*once);
  const auto tar = TarReader::open_plain(source);
  expect(tar.is_ok(), "a copied root file system can be read");
  while (true) {
    const auto entry = (*tar)->next();
    expect(entry.is_ok(), "each entry of a copied root file system can be read");
    if (*entry == nullptr) return;
    check_entry(*entry, bounds);
    const auto safe = checked_path(::archive_entry_pathname(*entry), bounds);
    expect(safe.is_ok() && is_inside(*safe), "each path of a copied root file system is safe");
  }
}

}  // namespace
}  // namespace pouch::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pouch::fuzz;
  static const pouch::image::Utf8Locale kLocale;
  Input input(data, size);
  const Shape shape(input.byte());
  std::string plain(input.rest());
  if (shape.has_sums) make_sums(plain);
  const std::string bytes = shape.is_gzip   ? pouch::image::testing::gzip(plain)
                            : shape.is_zstd ? pouch::image::testing::zstd(plain)
                                            : plain;
  check_inflate(bytes, shape, plain);
  check_layer(bytes, shape);
  check_images(bytes, shape);
  check_rootfs(bytes, shape);
  return 0;
}
