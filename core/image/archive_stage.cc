#include "core/image/archive_stage.h"

#include <archive_entry.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/image/tar_reader.h"

namespace pouch::image {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr int kMaxLinks = 8;  // docker save links equal layers once; a longer chain is a loop or a joke

Status over_limit(std::string_view what, int64_t limit) {
  return {Code::kResourceExhausted,
          "the archive is over the limit of " + std::to_string(limit) + " " + std::string(what)};
}

}  // namespace

std::string normal_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(std::move(part));
    } else if (parts.empty()) {
      return {};
    } else {
      parts.pop_back();
    }
  }
  return join(parts, "/");
}

/// Fills a stage.
class ArchiveStager {
 public:
  ArchiveStager(TarReader& reader, ArchiveStage& stage) : reader_(reader), stage_(stage) {}

  Status run() {
    int64_t entries = 0;
    while (true) {
      POUCH_ASSIGN_OR_RETURN(archive_entry* const entry, reader_.next());
      if (entry == nullptr) return reader_.drain();
      if (++entries > stage_.limits_.max_archive_entries) {
        return over_limit("entries", stage_.limits_.max_archive_entries);
      }
      POUCH_RETURN_IF_ERROR(count(entry));
      POUCH_RETURN_IF_ERROR(take(entry));
    }
  }

 private:
  // What is not kept is read all the same.
  Status count(archive_entry* entry) {
    const int64_t size = ::archive_entry_size(entry);
    if (size < 0) return invalid_argument("the archive is damaged: a negative size");
    if (size > stage_.limits_.max_archive_bytes - total_)
      return over_limit("bytes", stage_.limits_.max_archive_bytes);
    total_ += size;
    for (const char* name :
         {::archive_entry_pathname(entry), ::archive_entry_hardlink(entry), ::archive_entry_symlink(entry)}) {
      if (name != nullptr) names_ += std::string_view(name).size();
    }
    if (names_ <= stage_.limits_.max_name_bytes) return {};
    return over_limit("bytes of names", static_cast<int64_t>(stage_.limits_.max_name_bytes));
  }

  Status take(archive_entry* entry) {
    const char* raw = ::archive_entry_pathname(entry);
    const std::string path = raw == nullptr ? std::string() : normal_path(raw);
    if (path.empty() || path.size() > stage_.limits_.max_path_bytes) return {};
    if (const char* target = ::archive_entry_hardlink(entry); target != nullptr) {
      stage_.links_[path] = normal_path(target);
    } else if (::archive_entry_filetype(entry) == AE_IFLNK) {
      const char* symlink = ::archive_entry_symlink(entry);
      const std::string folder = path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
      if (symlink != nullptr) stage_.links_[path] = normal_path(folder + "/" + symlink);
    } else if (::archive_entry_filetype(entry) == AE_IFREG) {
      POUCH_ASSIGN_OR_RETURN(StagedFile file, take_file(entry));
      stage_.links_.erase(path);
      if (file.bytes) stage_.in_memory_[file.digest] = path;
      stage_.files_[path] = std::move(file);
    }
    return {};
  }

  Result<StagedFile> take_file(archive_entry* entry) {
    StagedFile file;
    Sha256 hash;
    std::unique_ptr<BlobSinkWriter> writer;
    const int64_t size = ::archive_entry_size(entry);
    const auto announced = static_cast<uint64_t>(size);
    if (announced <= stage_.limits_.max_json_bytes &&
        memory_used_ + announced <= stage_.limits_.max_memory_bytes) {
      file.bytes.emplace();
    } else {
      POUCH_ASSIGN_OR_RETURN(writer, stage_.sink_->create());
    }
    while (true) {
      POUCH_ASSIGN_OR_RETURN(const std::string_view piece, reader_.read());
      if (piece.empty()) break;
      if (static_cast<int64_t>(piece.size()) > size - file.size)
        return invalid_argument("the archive is damaged: a file has more data than its size");
      if (file.head.size() < kHeadBytes) file.head.append(piece.substr(0, kHeadBytes - file.head.size()));
      hash.update(piece);
      file.size += static_cast<int64_t>(piece.size());
      if (writer != nullptr) {
        POUCH_RETURN_IF_ERROR(writer->write(piece));
      } else {
        file.bytes->append(piece);
      }
    }
    file.digest = hash.finish();
    if (writer != nullptr) POUCH_RETURN_IF_ERROR(writer->commit(file.digest, file.size));
    if (file.bytes) memory_used_ += file.bytes->size();
    return file;
  }

  TarReader& reader_;
  ArchiveStage& stage_;
  int64_t total_ = 0;  ///< bytes of all entries, by their headers
  size_t names_ = 0;   ///< bytes
  size_t memory_used_ = 0;
};

Result<ArchiveStage> ArchiveStage::read(ByteSource& source, BlobSink& sink, const ImageLimits& limits) {
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<TarReader> reader, TarReader::open(source));
  ArchiveStage stage(sink, limits);
  POUCH_RETURN_IF_ERROR(ArchiveStager(*reader, stage).run());
  return stage;
}

const StagedFile* ArchiveStage::find(std::string_view path) const {
  std::string at = normal_path(path);
  for (int i = 0; i <= kMaxLinks; ++i) {
    if (const auto file = files_.find(at); file != files_.end()) return &file->second;
    const auto link = links_.find(at);
    if (link == links_.end()) return nullptr;
    at = link->second;
  }
  return nullptr;
}

const std::string* ArchiveStage::bytes_of(const Digest& digest) const {
  const auto path = in_memory_.find(digest);
  if (path == in_memory_.end()) return nullptr;
  const auto file = files_.find(path->second);
  // A later entry of the same path may have replaced it.
  if (file == files_.end() || file->second.digest != digest || !file->second.bytes) return nullptr;
  return &*file->second.bytes;
}

Result<std::string> ArchiveStage::text(std::string_view path) const {
  const StagedFile* file = find(path);
  if (file == nullptr) return invalid_argument("the archive has no file " + quote(path));
  return text_of(*file, path);
}

Result<std::string> ArchiveStage::text_of(const StagedFile& file, std::string_view name) const {
  if (file.size > static_cast<int64_t>(limits_.max_json_bytes)) {
    return Status(Code::kResourceExhausted, "the archive's file " + quote(name) + " has " +
                                                std::to_string(file.size) + " bytes, over the limit of " +
                                                std::to_string(limits_.max_json_bytes));
  }
  if (file.bytes) return *file.bytes;
  return sink_->read_all(file.digest, limits_.max_json_bytes);
}

}  // namespace pouch::image
