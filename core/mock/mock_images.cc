#include <algorithm>
#include <optional>

#include "core/api/codec.h"
#include "core/api/config_changes.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_registry.h"
#include "core/mock/mock_state.h"

namespace pouch {

using mock::Image;
using mock::with_tag;

namespace {

constexpr size_t kBlock = 512;  // of a tar archive

struct Uploaded {
  std::string digest;                        ///< of all the bytes
  std::optional<std::string> manifest;       ///< manifest.json's text
  std::map<std::string, std::string> jsons;  ///< small files, by name: the configs
  bool is_tar = false;
};

int64_t octal(std::string_view text) {
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') break;
    value = value * 8 + (c - '0');
  }
  return value;
}

// The mock keeps no files: it only wants an archive's small documents.
Result<Uploaded> read_tar(const std::string& bytes) {
  Uploaded out;
  size_t at = 0;
  while (at + kBlock <= bytes.size() && bytes[at] != '\0') {
    const std::string_view header(bytes.data() + at, kBlock);
    if (header.substr(257, 5) != "ustar") return invalid_argument("load image: not a tar archive");
    out.is_tar = true;
    const std::string name(header.data(), ::strnlen(header.data(), 100));
    const auto size = static_cast<size_t>(octal(header.substr(124, 12)));
    if (at + kBlock + size > bytes.size()) return invalid_argument("load image: the archive is truncated");
    if (size < 65536) out.jsons[name] = bytes.substr(at + kBlock, size);
    if (name == "manifest.json") out.manifest = out.jsons[name];
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
  }
  // Blocks of zeros alone are an archive of nothing.
  const bool is_empty = bytes.size() >= 2 * kBlock && bytes.find_first_not_of('\0') == std::string::npos;
  if (!out.is_tar && !is_empty) return invalid_argument("load image: not a tar archive");
  if (at + kBlock > bytes.size()) return invalid_argument("load image: the archive is truncated");
  out.digest = sha256_digest(bytes);
  return out;
}

Result<std::string> read_all(StreamPipe& pipe) {
  std::string all;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const std::string piece, pipe.read_input(65536, Deadline::never()));
    if (piece.empty()) return all;
    all += piece;
  }
}

api::ImageSummary summary_of(const Image& image) {
  api::ImageSummary out;
  out.containers = -1;
  out.shared_size = -1;
  out.id = image.id;
  out.created = image.created.ns / 1'000'000'000;
  out.repo_tags = image.references;
  out.repo_digests = std::vector<std::string>{};
  out.labels.value = image.config.labels;
  return out;
}

std::vector<api::ManifestSummary> manifests_of(const mock::State& state, const Image& image) {
  api::ManifestSummary out;
  out.id = out.descriptor.digest = image.id;
  out.descriptor.media_type = "application/vnd.oci.image.manifest.v1+json";
  out.available = true;
  out.kind = "image";
  api::ImageManifestData& data = out.image_data.emplace();
  data.platform.architecture = image.architecture;
  data.platform.os = "linux";
  out.descriptor.platform = data.platform;
  std::vector<std::string> containers;
  for (const auto& [id, container] : state.containers) {
    if (container->image_id == image.id) containers.push_back(id);
  }
  data.containers = std::move(containers);
  return {std::move(out)};
}

}  // namespace

void MockEngine::store_image(const std::string& digest, const std::vector<std::string>& references,
                             Image image, const std::string& session) {
  const std::lock_guard lock(state_->mutex);
  state_->add_maker("image", digest, session);
  for (const std::string& reference : references) state_->add_maker("reference", reference, session);
  for (auto& [id, other] : state_->images) {
    std::erase_if(other.references, [&](const std::string& old) {
      return std::find(references.begin(), references.end(), old) != references.end();
    });
  }
  Image& stored = state_->images[digest];
  const std::vector<std::string> before = stored.references;
  stored = std::move(image);
  stored.id = digest;
  stored.created = Timestamp::now();
  stored.references = before;
  stored.references.insert(stored.references.end(), references.begin(), references.end());
  state_->add_event("image", "load", digest, {{"name", references.empty() ? digest : references[0]}});
}

Result<StreamPtr> MockEngine::image_load(const api::ImageLoadOptions& /*options*/, const Call& call) {
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  executor_.submit([this, pipe, session = call.session] {
    const auto load = [&]() -> Result<std::string> {
      POUCH_ASSIGN_OR_RETURN(const std::string bytes, read_all(*pipe));
      POUCH_RETURN_IF_ERROR(check_session(session));
      POUCH_ASSIGN_OR_RETURN(const Uploaded archive, read_tar(bytes));
      if (!archive.manifest) return invalid_argument("load image: the archive has no manifest.json");
      POUCH_ASSIGN_OR_RETURN(const Json manifest, parse_json(*archive.manifest));
      api::ImageLoadResult result;
      for (const Json& entry : manifest) {
        const std::string config_name = entry["Config"].asString();
        const auto config_text = archive.jsons.find(config_name);
        if (config_text == archive.jsons.end())
          return invalid_argument("load image: the archive lacks " + quote(config_name));
        POUCH_ASSIGN_OR_RETURN(const Json config, parse_json(config_text->second));
        Image image;
        POUCH_ASSIGN_OR_RETURN(image.config,
                               api::from_json<api::ImageConfig>(config["config"], api::DecodeMode::kLenient));
        image.architecture = config["architecture"].asString();
        std::vector<std::string> references;
        for (const Json& tag : entry["RepoTags"]) references.push_back(with_tag(tag.asString()));
        const std::string id = sha256_digest(config_text->second);
        store_image(id, references, std::move(image), session);
        result.ids.push_back(id);
        for (const std::string& reference : references) {
          result.references.push_back(reference);
          api::ProgressMessage message;
          message.stream = "Loaded image: " + reference + "\n";
          POUCH_RETURN_IF_ERROR(pipe->push(Channel::kMessage, api::to_json_text(message)));
        }
      }
      return api::to_json_text(result);
    };
    pipe->finish(load());
  });
  return stream;
}

Result<StreamPtr> MockEngine::image_from_rootfs(const api::ImageFromRootfsOptions& options,
                                                const Call& call) {
  if (options.path) return not_implemented("image.from_rootfs: path: the mock engine reads no folders");
  if (options.reference.empty()) return invalid_argument("image.from_rootfs: reference must not be empty");
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  executor_.submit([this, pipe, options, session = call.session] {
    const auto make = [&]() -> Result<std::string> {
      POUCH_ASSIGN_OR_RETURN(const std::string bytes, read_all(*pipe));
      POUCH_RETURN_IF_ERROR(check_session(session));
      POUCH_ASSIGN_OR_RETURN(const Uploaded archive, read_tar(bytes));
      Image image;
      image.config.cmd = options.cmd;
      image.config.entrypoint = options.entrypoint;
      image.config.env = options.env;
      image.config.working_dir = options.workingdir;
      image.config.user = options.user;
      image.config.labels = options.labels;
      image.architecture = options.architecture.value_or("amd64");
      const api::ImageFromRootfsResult result{archive.digest, with_tag(options.reference)};
      store_image(archive.digest, {result.reference}, std::move(image), session);
      return api::to_json_text(result);
    };
    pipe->finish(make());
  });
  return stream;
}

Result<StreamPtr> MockEngine::image_copy_from(const api::ImageCopyFromOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  if (options.source != "docker" && options.source != "containerd")
    return invalid_argument("source: " + quote(options.source) + " is neither docker nor containerd");
  return unavailable(options.source + ": an engine in memory has no neighbours");
}

Result<StreamPtr> MockEngine::image_import_tar(const api::ImageImportTarOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  const std::string source = options.from_src.value_or("");
  const std::string url = source == "-" ? "" : source;
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, mock::new_names(options.repo, options.tag));
  if (options.platform.value_or("").find(' ') != std::string::npos)
    return invalid_argument("platform " + quote(*options.platform) +
                            ": expected os[/architecture[/variant]]");
  api::ContainerConfig config;
  POUCH_RETURN_IF_ERROR(apply_config_changes(options.changes.value_or(std::vector<std::string>{}), config));
  if (!url.empty()) POUCH_RETURN_IF_ERROR(mock::fetch_refusal(url));
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  executor_.submit([this, pipe, names, config, url, session = call.session] {
    const auto make = [&]() -> Result<std::string> {
      Uploaded archive{sha256_digest(url), {}};  // nothing is fetched
      if (url.empty()) {
        POUCH_ASSIGN_OR_RETURN(const std::string bytes, read_all(*pipe));
        POUCH_ASSIGN_OR_RETURN(archive, read_tar(bytes));
      }
      POUCH_RETURN_IF_ERROR(check_session(session));
      Image image;
      image.config = mock::image_config_of(config);
      image.architecture = "amd64";
      const std::string id = sha256_digest(archive.digest + write_json(api::encode_value(image.config)));
      store_image(id, names, std::move(image), session);
      api::ImageImportResult result;
      result.id = id;
      if (!names.empty()) result.reference = names.front();
      return api::to_json_text(result);
    };
    pipe->finish(make());
  });
  return stream;
}

Result<std::vector<api::ImageSummary>> MockEngine::image_list(const api::ImageListOptions& options,
                                                              const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  std::vector<api::ImageSummary> out;
  for (const auto& [id, image] : state_->images) {
    bool matches = true;
    for (const auto& [key, values] :
         options.filters.value_or(std::map<std::string, std::vector<std::string>>{})) {
      if (key != "reference") return invalid_argument("invalid filter '" + key + "'");
      matches = std::any_of(values.begin(), values.end(), [&image = image](const std::string& value) {
        return std::any_of(
            image.references.begin(), image.references.end(), [&](const std::string& reference) {
              return reference == with_tag(value) || reference.substr(0, reference.rfind(':')) == value;
            });
      });
    }
    if (!matches) continue;
    out.push_back(summary_of(image));
    if (options.shared_size.value_or(false)) out.back().shared_size = 0;
    if (options.manifests.value_or(false)) out.back().manifests = manifests_of(*state_, image);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.created > b.created; });
  return out;
}

Result<api::ImageInspect> MockEngine::image_inspect(const std::string& name,
                                                    const api::ImageInspectOptions& options,
                                                    const Call& /*call*/) {
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const Image* image, state_->find_image(name));
  POUCH_ASSIGN_OR_RETURN(const bool is_for_platform, mock::is_own_platform(options.platform));
  if (!is_for_platform) return not_found("image " + name + " is for another platform");
  api::ImageInspect out;
  if (options.manifests.value_or(false)) out.manifests = manifests_of(*state_, *image);
  out.id = image->id;
  out.repo_tags = image->references;
  out.repo_digests = std::vector<std::string>{};
  out.created = image->created;
  out.config = image->config;
  out.architecture = image->architecture;
  out.os = "linux";
  out.graph_driver.name = "mock";
  out.root_fs.type = "layers";
  out.root_fs.layers = std::vector<std::string>{image->id};
  return out;
}

Status MockEngine::image_tag(const std::string& name, const api::ImageTagOptions& options, const Call& call) {
  const std::lock_guard lock(state_->mutex);
  POUCH_RETURN_IF_ERROR(state_->check_session(call.session));
  const auto found = state_->find_image(name);
  if (!found.is_ok()) return found.status();
  const auto is_bad = [](char c) { return (c >= 'A' && c <= 'Z') || c == ' ' || c == '@'; };
  if (options.repo.empty() || std::any_of(options.repo.begin(), options.repo.end(), is_bad)) {
    return invalid_argument("invalid reference format: " + quote(options.repo));
  }
  const std::string tag = options.tag.value_or("");
  const std::string reference = with_tag(tag.empty() ? options.repo : options.repo + ":" + tag);
  for (auto& [id, image] : state_->images) std::erase(image.references, reference);
  (*found)->references.push_back(reference);
  state_->add_maker("reference", reference, call.session);
  state_->add_event("image", "tag", (*found)->id, {{"name", reference}});
  return {};
}

Result<std::vector<api::ImageDeleteItem>> MockEngine::image_remove(const std::string& name,
                                                                   const api::ImageRemoveOptions& options,
                                                                   const Call& /*call*/) {
  if (options.platforms && !options.platforms->empty()) {
    return not_implemented("image.remove: platforms is not supported");
  }
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(Image * image, state_->find_image(name));
  std::vector<api::ImageDeleteItem> out;
  const std::string reference = with_tag(name);
  const bool by_reference =
      std::find(image->references.begin(), image->references.end(), reference) != image->references.end();
  if (!by_reference && image->references.size() > 1 && !options.force.value_or(false)) {
    return conflict("conflict: unable to delete " + image->id.substr(7, 12) +
                    " (must be forced) - image is referenced in multiple repositories");
  }
  const bool last = !by_reference || image->references.size() == 1;
  for (const auto& [id, container] : state_->containers) {
    if (!last || container->image_id != image->id || options.force.value_or(false)) continue;
    return conflict("conflict: unable to remove repository reference " + quote(name) +
                    " (must force) - container " + id.substr(0, 12) + " is using its referenced image " +
                    image->id.substr(7, 12));
  }
  for (const std::string& old : by_reference ? std::vector<std::string>{reference} : image->references) {
    out.push_back({.untagged = old, .deleted = {}});
    state_->makers.erase("reference " + old);
    state_->add_event("image", "untag", image->id, {{"name", old}});
  }
  if (by_reference) std::erase(image->references, reference);
  if (last) {
    const std::string id = image->id;
    out.push_back({.untagged = {}, .deleted = id});
    state_->images.erase(id);
    state_->makers.erase("image " + id);
    state_->add_event("image", "delete", id, {{"name", id}});
  }
  return out;
}

}  // namespace pouch
