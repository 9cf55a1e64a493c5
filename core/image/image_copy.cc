#include "core/image/image_copy.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/api/codec.h"
#include "core/base/text.h"
#include "core/ctrd/client.h"
#include "core/ctrd/images.h"
#include "core/image/byte_source.h"
#include "core/image/image_load.h"
#include "core/image/image_pull.h"
#include "core/image/manifest.h"
#include "core/image/pull_source.h"
#include "core/image/pull_target.h"

namespace pouch::image {
namespace {

constexpr const char* kDockerUri = "unix:///var/run/docker.sock";
constexpr const char* kContainerdSocket = "/run/containerd/containerd.sock";
constexpr const char* kContainerdNamespace = "default";
constexpr int64_t kConnectMs = 5'000;
constexpr int64_t kLookMs = 250;  // how soon a copy that stands still notices that nobody wants it

// The bytes of another engine's stream.
class StreamSource final : public ByteSource {
 public:
  StreamSource(StreamPtr stream, const Call& call) : stream_(std::move(stream)), call_(call) {}
  ~StreamSource() override { stream_->cancel(); }
  StreamSource(const StreamSource&) = delete;
  StreamSource& operator=(const StreamSource&) = delete;

  Result<std::string_view> next() override {
    while (true) {
      POUCH_RETURN_IF_ERROR(call_.check());
      POUCH_ASSIGN_OR_RETURN(const Next what, stream_->next(&frame_, Deadline::after_ms(kLookMs)));
      if (what == Next::kEof) return std::string_view();
      if (what == Next::kFrame && !frame_.data.empty()) return std::string_view(frame_.data);
    }
  }

 private:
  StreamPtr stream_;
  const Call& call_;
  Frame frame_;
};

Result<std::vector<std::string>> names_in_docker(Engine& docker, const Call& call,
                                                 const std::vector<Reference>& wanted) {
  std::vector<std::string> names;
  for (const Reference& name : wanted) {
    // Of an image that is missing a dockerd's save does not tell the name.
    POUCH_RETURN_IF_ERROR(docker.image_inspect(name.familiar(), {}, call).status());
    names.push_back(name.familiar());
  }
  if (!names.empty()) return names;
  POUCH_ASSIGN_OR_RETURN(const auto images, docker.image_list({}, call));
  for (const api::ImageSummary& image : images) {
    if (!image.repo_tags.value) continue;
    for (const std::string& tag : *image.repo_tags.value) {
      if (tag != "<none>:<none>") names.push_back(tag);
    }
  }
  return names;
}

// The images that have a name of their own: containerd's clients keep records under digests and ids, too.
std::vector<std::pair<Reference, Digest>> named_images(const std::vector<ctrd::ImageRecord>& records) {
  std::vector<std::pair<Reference, Digest>> out;
  for (const ctrd::ImageRecord& record : records) {
    const auto name = Reference::parse(record.name);
    if (name.is_ok() && !name->tag().empty() && name->str() == record.name)
      out.emplace_back(*name, record.target.digest);
  }
  return out;
}

Result<std::vector<std::pair<Reference, Digest>>> images_in_containerd(const ctrd::Client& client,
                                                                       const Call& call,
                                                                       const CopyRequest& request) {
  std::vector<std::pair<Reference, Digest>> out;
  if (request.names.empty()) {
    POUCH_ASSIGN_OR_RETURN(const auto records, client.images().list(call));
    return named_images(records);
  }
  for (const Reference& name : request.names) {
    const auto record = client.images().get(call, name.str());
    if (record.code() == Code::kNotFound) {
      return not_found("containerd at " + quote(client.socket_path()) + " has no image " + name.familiar() +
                       " in its namespace " + quote(request.ns));
    }
    if (!record.is_ok()) return record.status();
    out.emplace_back(name, record->target.digest);
  }
  return out;
}

Result<api::PulledImage> copy_one(EngineContext& context, const Call& call,
                                  const std::shared_ptr<ctrd::Client>& from, const Reference& name,
                                  const Digest& target, const CopyRequest& request, Progress& progress,
                                  const ImageLimits& limits) {
  ContainerdSource source(from, name, target);
  POUCH_ASSIGN_OR_RETURN(const PullTarget found,
                         resolve_target(source, call, name, request.platform, limits));
  POUCH_ASSIGN_OR_RETURN(api::ImagePullResult result, pull_images(context, call, source, {found},
                                                                  /*all_tags=*/false, progress, limits));
  return std::move(result.images.front());
}

}  // namespace

Result<CopyRequest> parse_copy(const api::ImageCopyFromOptions& options) {
  CopyRequest out;
  out.is_docker = options.source == "docker";
  if (!out.is_docker && options.source != "containerd")
    return invalid_argument("source: " + quote(options.source) + " is neither docker nor containerd");
  if (out.is_docker && options.namespace_) return invalid_argument("namespace: docker has none");
  if (out.is_docker && options.platform) return invalid_argument("platform: a dockerd has one of each image");
  out.address = options.address.value_or(out.is_docker ? kDockerUri : kContainerdSocket);
  if (!out.is_docker && !out.address.starts_with('/'))
    return invalid_argument("address: " + quote(out.address) + " is no absolute path of a socket");
  out.ns = options.namespace_.value_or(kContainerdNamespace);
  out.platform = host_platform();
  if (options.platform && !options.platform->empty()) {
    POUCH_ASSIGN_OR_RETURN(out.platform, parse_platform_text(*options.platform));
  }
  for (const std::string& text : options.names.value_or(std::vector<std::string>())) {
    POUCH_ASSIGN_OR_RETURN(const Reference name, Reference::parse(text));
    out.names.push_back(name.with_default_tag());
  }
  return out;
}

Result<api::ImageLoadResult> copy_from_docker(EngineContext& context, const DockerOpener& open,
                                              const Call& call, const CopyRequest& request,
                                              Progress& progress, const ImageLimits& limits) {
  const std::string where = "docker at " + quote(request.address);
  auto docker = open(request.address);
  if (!docker.is_ok()) return docker.status().prefix(where);
  auto names = names_in_docker(**docker, call, request.names);
  if (!names.is_ok()) return names.status().prefix(where);
  if (names->empty()) return api::ImageLoadResult();
  api::ImageSaveOptions wanted;
  wanted.names = std::move(*names);
  auto stream = (*docker)->image_save(wanted, call);
  if (!stream.is_ok()) return stream.status().prefix(where);
  StreamSource source(std::move(*stream), call);
  return load_images(context, call, source, std::nullopt, progress, limits);
}

Result<api::ImageLoadResult> copy_from_containerd(EngineContext& context, const Call& call,
                                                  const CopyRequest& request, Progress& progress,
                                                  const ImageLimits& limits) {
  // A containerd of ours may be about to come; this one is there, or not.
  if (::access(request.address.c_str(), F_OK) != 0)
    return unavailable(errno_status(errno, "containerd at " + quote(request.address)).message());
  const Deadline deadline = call.deadline.earlier(Deadline::after_ms(kConnectMs));
  POUCH_ASSIGN_OR_RETURN(const std::shared_ptr<ctrd::Client> from,
                         ctrd::Client::connect(request.address, request.ns, deadline));
  POUCH_ASSIGN_OR_RETURN(const auto images, images_in_containerd(*from, call, request));
  api::ImageLoadResult result;
  for (const auto& [name, target] : images) {
    const auto copied = copy_one(context, call, from, name, target, request, progress, limits);
    const bool is_other = copied.code() == Code::kNotImplemented || copied.code() == Code::kNotFound;
    if (request.names.empty() && is_other) {
      progress.line("Passed over " + name.familiar() + ": " + copied.status().message());
      continue;
    }
    if (!copied.is_ok()) return copied.status();
    result.ids.push_back(copied->id);
    result.references.push_back(copied->reference);
  }
  return result;
}

}  // namespace pouch::image
