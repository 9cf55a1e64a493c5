#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/api/codec.h"
#include "core/api/config_changes.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace {

constexpr size_t kBlock = 512;  // of a tar archive

// One file of a ustar archive.
std::string tar_file(const std::string& name, const std::string& bytes) {
  std::string header(kBlock, '\0');
  const auto put = [&header](size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%011zo", bytes.size());
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, size.data());
  put(136, "00000000000");
  put(148, "        ");
  put(156, "0");
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  put(148, std::string(text.data()) + std::string("\0 ", 2));
  return header + bytes + std::string((kBlock - bytes.size() % kBlock) % kBlock, '\0');
}

Json item_of(const mock::Image& image, const std::vector<std::string>& names, std::string& files) {
  Json config = json_object();
  config["architecture"] = image.architecture;
  config["os"] = "linux";
  config["config"] = api::encode_value(image.config);
  config["rootfs"]["type"] = "layers";
  config["rootfs"]["diff_ids"] = json_array();
  const std::string text = write_json(config);
  Json item = json_object();
  item["Config"] = sha256_digest(text).substr(7) + ".json";
  item["RepoTags"] = Json();
  for (const std::string& name : names) item["RepoTags"].append(name);
  item["Layers"] = json_array();
  files += tar_file(item["Config"].asString(), text);
  return item;
}

}  // namespace

Result<api::CommitResult> MockEngine::container_commit(const api::ContainerConfig& config,
                                                       const api::ContainerCommitOptions& options,
                                                       const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_RETURN_IF_ERROR(check_session(call.session));
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, mock::new_names(options.repo, options.tag));
  api::ContainerConfig wanted = config;
  POUCH_RETURN_IF_ERROR(apply_config_changes(options.changes.value_or(std::vector<std::string>{}), wanted));
  mock::Image image;
  image.architecture = "amd64";
  std::string id;
  {
    const std::lock_guard lock(state_->mutex);
    POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<mock::Container> container,
                           state_->find_container(options.container));
    mock::merge(wanted, container->config);
    image.config = mock::image_config_of(wanted);
    id = sha256_digest(container->id + std::to_string(Timestamp::now().ns));
    state_->add_container_event(*container, "commit", {{"imageID", id}});
  }
  store_image(id, names, std::move(image), call.session);
  return api::CommitResult{id};
}

Result<StreamPtr> MockEngine::container_export(const std::string& id, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  std::string tar;
  {
    const std::lock_guard lock(state_->mutex);
    POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<mock::Container> container, state_->find_container(id));
    tar = tar_file("etc/hostname", container->id.substr(0, 12) + "\n") + std::string(2 * kBlock, '\0');
    state_->add_container_event(*container, "export");
  }
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  pipe->push(Channel::kData, std::move(tar)).ignore();
  pipe->finish(std::string());
  return stream;
}

Result<StreamPtr> MockEngine::image_save(const api::ImageSaveOptions& options, const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  if (options.names.empty()) return invalid_argument("image.save: names: no image is named");
  POUCH_ASSIGN_OR_RETURN(const bool is_for_platform, mock::is_own_platform(options.platform));
  std::string files;
  Json manifest = json_array();
  {
    const std::lock_guard lock(state_->mutex);
    for (const std::string& name : options.names) {
      POUCH_ASSIGN_OR_RETURN(const mock::Image* image, state_->find_image(name));
      if (!is_for_platform) return not_found("image " + name + " is for another platform");
      const std::string tagged = mock::with_tag(name);
      const bool is_name = std::ranges::find(image->references, tagged) != image->references.end();
      manifest.append(
          item_of(*image, is_name ? std::vector<std::string>{tagged} : std::vector<std::string>{}, files));
    }
  }
  files += tar_file("manifest.json", write_json(manifest)) + std::string(2 * kBlock, '\0');
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  pipe->push(Channel::kData, std::move(files)).ignore();
  pipe->finish(std::string());
  return stream;
}

Result<std::vector<api::ImageHistoryItem>> MockEngine::image_history(const std::string& name,
                                                                     const api::ImageHistoryOptions& options,
                                                                     const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  POUCH_ASSIGN_OR_RETURN(const bool is_for_platform, mock::is_own_platform(options.platform));
  const std::lock_guard lock(state_->mutex);
  POUCH_ASSIGN_OR_RETURN(const mock::Image* image, state_->find_image(name));
  if (!is_for_platform) return not_found("image " + name + " is for another platform");
  api::ImageHistoryItem item;
  item.id = image->id;
  item.created = image->created.ns / 1'000'000'000;
  item.comment = "made by the mock";
  if (!image->references.empty()) item.tags = image->references;
  return std::vector<api::ImageHistoryItem>{std::move(item)};
}

Result<api::ImagePruneResult> MockEngine::image_prune(const api::ImagePruneOptions& options,
                                                      const Call& call) {
  POUCH_RETURN_IF_ERROR(call.check());
  bool is_dangling_only = true;
  for (const auto& [key, values] :
       options.filters.value_or(std::map<std::string, std::vector<std::string>>{})) {
    if (key != "dangling") return invalid_argument("Invalid filter '" + key + "'");
    for (const std::string& value : values) {
      if (value != "true" && value != "false" && value != "1" && value != "0")
        return invalid_argument("Invalid filter 'dangling=[" + value + "]'");
      is_dangling_only = value == "true" || value == "1";
    }
  }
  std::vector<api::ImageDeleteItem> deleted;
  const std::lock_guard lock(state_->mutex);
  for (auto at = state_->images.begin(); at != state_->images.end();) {
    const mock::Image& image = at->second;
    const bool is_used = std::ranges::any_of(
        state_->containers, [&](const auto& entry) { return entry.second->image_id == image.id; });
    if (is_used || (is_dangling_only && !image.references.empty())) {
      ++at;
      continue;
    }
    for (const std::string& name : image.references) {
      deleted.push_back({.untagged = name, .deleted = {}});
      state_->makers.erase("reference " + name);
    }
    deleted.push_back({.untagged = {}, .deleted = image.id});
    state_->makers.erase("image " + image.id);
    state_->add_event("image", "delete", image.id, {{"name", image.id}});
    at = state_->images.erase(at);
  }
  state_->add_event("image", "prune", "", {{"reclaimed", "0"}});
  api::ImagePruneResult result;
  if (!deleted.empty()) result.images_deleted = std::move(deleted);
  return result;
}

}  // namespace pouch
