#include "core/image/testing_support.h"

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "core/api/json.h"
#include "core/base/id.h"
#include "core/image/tar_reader.h"

namespace pouch::image::testing {
namespace {

constexpr size_t kBlock = 512;

class MemoryWriter final : public BlobSinkWriter {
 public:
  explicit MemoryWriter(MemorySink& sink) : sink_(sink) {}
  Status write(std::string_view bytes) override {
    bytes_.append(bytes);
    return {};
  }
  Status commit(const Digest& digest, int64_t size) override {
    if (static_cast<int64_t>(bytes_.size()) != size) return internal_error("size differs");
    if (sha256_digest(bytes_) != digest.str()) return internal_error("digest differs");
    sink_.blobs[digest] = std::move(bytes_);
    return {};
  }

 private:
  MemorySink& sink_;
  std::string bytes_;
};

void put_octal(std::string& block, size_t at, size_t width, uint64_t value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(width - 1),
                static_cast<unsigned long long>(value));
  block.replace(at, width - 1, text.data(), width - 1);
}

std::string compress(const std::string& bytes, int (*add_filter)(archive*)) {
  std::string out(bytes.size() + 65536, '\0');
  size_t used = 0;
  archive* writer = ::archive_write_new();
  ::archive_write_set_format_raw(writer);
  add_filter(writer);
  // The same bytes each time, whatever the clock says.
  ::archive_write_set_filter_option(writer, "gzip", "timestamp", nullptr);
  ::archive_write_set_bytes_in_last_block(writer, 1);
  ::archive_write_open_memory(writer, out.data(), out.size(), &used);
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_write_header(writer, entry);
  ::archive_write_data(writer, bytes.data(), bytes.size());
  ::archive_entry_free(entry);
  ::archive_write_close(writer);
  ::archive_write_free(writer);
  out.resize(used);
  return out;
}

TarFile tar_file(archive_entry* entry) {
  TarFile file;
  switch (::archive_entry_filetype(entry)) {
    case AE_IFDIR:
      file.type = '5';
      break;
    case AE_IFLNK:
      file.type = '2';
      file.link = ::archive_entry_symlink(entry);
      break;
    case AE_IFCHR:
      file.type = '3';
      break;
    case AE_IFIFO:
      file.type = '6';
      break;
    default:
      break;
  }
  if (const char* target = ::archive_entry_hardlink(entry); target != nullptr) {
    file.type = '1';
    file.link = target;
  }
  file.mode = ::archive_entry_perm(entry);
  file.uid = ::archive_entry_uid(entry);
  file.mtime = ::archive_entry_mtime(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  ::archive_entry_xattr_reset(entry);
  while (::archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    file.xattrs[name] = std::string(static_cast<const char*>(value), size);
  }
  return file;
}

}  // namespace

Result<std::unique_ptr<BlobSinkWriter>> MemorySink::create() {
  return std::unique_ptr<BlobSinkWriter>(std::make_unique<MemoryWriter>(*this));
}

Result<std::string> MemorySink::read_all(const Digest& digest, size_t limit) {
  const auto at = blobs.find(digest);
  if (at == blobs.end()) return not_found("no blob " + digest.str());
  if (at->second.size() > limit) return Status(Code::kResourceExhausted, "too large");
  return at->second;
}

std::string raw_tar(const std::vector<RawEntry>& entries, bool with_end) {
  std::string tar;
  for (const RawEntry& entry : entries) {
    std::string block(kBlock, '\0');
    block.replace(0, std::min<size_t>(entry.name.size(), 100), entry.name, 0, 100);
    put_octal(block, 100, 8, entry.mode);
    put_octal(block, 108, 8, 0);
    put_octal(block, 116, 8, 0);
    put_octal(block, 124, 12, entry.data.size());
    put_octal(block, 136, 12, 1);
    block.replace(148, 8, 8, ' ');
    block[156] = entry.type;
    block.replace(157, entry.link.size(), entry.link);
    block.replace(257, 8, std::string("ustar\00000", 8));
    put_octal(block, 329, 8, entry.device_major);
    put_octal(block, 337, 8, entry.device_minor);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put_octal(block, 148, 7, sum);
    block[154] = '\0';
    tar += block + entry.data;
    tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock, '\0');
  }
  if (with_end) tar.append(2 * kBlock, '\0');
  return tar;
}

std::string sparse_tar(const std::string& name, uint64_t size,
                       const std::vector<std::pair<uint64_t, std::string>>& pieces, bool with_end) {
  std::string data;
  for (const auto& [offset, bytes] : pieces) data += bytes;
  std::string tar = raw_tar({{.name = name, .data = data, .type = 'S'}}, with_end);
  tar.replace(257, 8, std::string("ustar  \0", 8));
  const auto put = [&tar](size_t at, uint64_t value) {  // to base 256, which has room for all
    tar[at] = static_cast<char>(0x80);
    for (size_t i = 0; i < 8; ++i) tar[at + 11 - i] = static_cast<char>(value >> (8 * i));
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    put(386 + 24 * i, pieces[i].first);
    put(386 + 24 * i + 12, pieces[i].second.size());
  }
  put(483, size);
  tar.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(tar[i]);
  put_octal(tar, 148, 7, sum);
  tar[154] = '\0';
  return tar;
}

std::map<std::string, TarFile> read_tar(const std::string& tar) {
  std::map<std::string, TarFile> files;
  TextSource source(tar);
  auto reader = TarReader::open(source);
  if (!reader.is_ok()) return files;
  while (true) {
    auto entry = (*reader)->next();
    if (!entry.is_ok() || *entry == nullptr) return files;
    const std::string path = ::archive_entry_pathname(*entry);
    TarFile file = tar_file(*entry);
    while (true) {
      auto piece = (*reader)->read();
      if (!piece.is_ok() || piece->empty()) break;
      file.data.append(*piece);
    }
    files[path] = std::move(file);
  }
}

std::string gzip(const std::string& bytes) {
  return compress(bytes, &::archive_write_add_filter_gzip);
}

std::string zstd(const std::string& bytes) {
  return compress(bytes, &::archive_write_add_filter_zstd);
}

std::string config_json(const std::vector<std::string>& diff_ids, const std::string& config) {
  std::string ids;
  for (const std::string& id : diff_ids) ids += (ids.empty() ? "\"" : ",\"") + id + "\"";
  return R"({"architecture":"amd64","os":"linux","created":"2024-01-02T03:04:05Z","config":)" + config +
         R"(,"rootfs":{"type":"layers","diff_ids":[)" + ids + "]}}";
}

std::string image_id(const DockerImage& image) {
  return sha256_digest(config_json(image.diff_ids, image.config));
}

std::string docker_archive(const DockerImage& image) {
  const std::string config = config_json(image.diff_ids, image.config);
  const std::string config_name = sha256_digest(config).substr(7) + ".json";
  Json item = json_object();
  item["Config"] = config_name;
  item["RepoTags"] = json_array();
  for (const std::string& tag : image.tags) item["RepoTags"].append(tag);
  item["Layers"] = json_array();
  std::vector<RawEntry> entries;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    const std::string folder = "layer" + std::to_string(i);
    entries.push_back({.name = folder + "/", .type = '5'});
    entries.push_back({.name = folder + "/layer.tar", .data = image.layers[i]});
    item["Layers"].append(folder + "/layer.tar");
  }
  entries.push_back({.name = config_name, .data = config});
  Json manifest = json_array();
  manifest.append(item);
  entries.push_back({.name = "manifest.json", .data = write_json(manifest)});
  return raw_tar(entries);
}

std::string oci_archive(const DockerImage& image) {
  std::vector<RawEntry> entries;
  const auto blob = [&](const std::string& bytes, const std::string& type) {
    entries.push_back({.name = "blobs/sha256/" + sha256_digest(bytes).substr(7), .data = bytes});
    Json out = json_object();
    out["mediaType"] = type;
    out["digest"] = sha256_digest(bytes);
    out["size"] = Json::UInt64{bytes.size()};
    return out;
  };
  Json manifest = json_object();
  manifest["schemaVersion"] = 2;
  manifest["layers"] = json_array();
  for (const std::string& layer : image.layers) {
    const bool is_gzip = layer.starts_with("\x1f\x8b");
    manifest["layers"].append(
        blob(layer, std::string("application/vnd.oci.image.layer.v1.tar") + (is_gzip ? "+gzip" : "")));
  }
  manifest["config"] =
      blob(config_json(image.diff_ids, image.config), "application/vnd.oci.image.config.v1+json");
  Json index = json_object();
  index["schemaVersion"] = 2;
  index["manifests"] = json_array();
  const Json descriptor = blob(write_json(manifest), "application/vnd.oci.image.manifest.v1+json");
  for (const std::string& tag : image.tags) {
    Json named = descriptor;
    named["annotations"]["io.containerd.image.name"] = tag;
    index["manifests"].append(named);
  }
  if (image.tags.empty()) index["manifests"].append(descriptor);
  entries.insert(entries.begin(), {.name = "index.json", .data = write_json(index)});
  entries.push_back({.name = "oci-layout", .data = R"({"imageLayoutVersion":"1.0.0"})"});
  return raw_tar(entries);
}

}  // namespace pouch::image::testing
