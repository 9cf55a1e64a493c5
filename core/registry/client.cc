#include "core/registry/client.h"

#include <utility>

#include "core/api/json.h"
#include "core/base/executor.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/registry/blob_stream.h"
#include "core/registry/download.h"
#include "core/registry/retry.h"
#include "core/registry/retrying.h"
#include "core/registry/session.h"

namespace pouch::registry {
namespace {

constexpr int kFruitless = 5;  // answers in a row that brought nothing
constexpr size_t kMaxManifestBytes = size_t{4} << 20U;
constexpr size_t kMaxTags = 100'000;
constexpr int kMaxTagPages = 10'000;

constexpr const char* kAccept =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

std::string trim_link(std::string_view header) {
  // <https://host/v2/x/tags/list?last=b&n=2>; rel="next"
  const size_t begin = header.find('<');
  const size_t end = header.find('>', begin == std::string_view::npos ? 0 : begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return "";
  if (header.substr(end).find("next") == std::string_view::npos) return "";
  return std::string(header.substr(begin + 1, end - begin - 1));
}

// The path of the next page on whatever host: we stay with the endpoint that we ask.
std::string next_page(const HttpAnswer& answer, const std::string& before) {
  const std::string link = trim_link(answer.header("link"));
  const std::optional<Url> here = parse_url(answer.url);
  const std::optional<Url> next = here && !link.empty() ? resolve_location(*here, link) : std::nullopt;
  if (!next) return "";
  // A mirror's own path comes before that of the API.
  const size_t api = next->target.find("/v2/");
  const std::string path = api == std::string::npos ? "" : next->target.substr(api);
  return path == before ? "" : path;
}

Status manifest_error(const Status& error, const std::string& name) {
  const std::string& text = error.message();
  if (error.code() != Code::kNotFound || text.starts_with("repository ")) return error;
  const size_t why = text.find(" not found: ");
  return not_found("manifest for " + name + " not found" +
                   (why == std::string::npos ? "" : text.substr(why + 10)));
}

std::string media_type_of(const HttpAnswer& answer) {
  const std::string type = answer.header("content-type");
  return std::string(trim(type.substr(0, type.find(';'))));
}

HttpRequest manifest_request(const char* method) {
  HttpRequest request;
  request.method = method;
  request.headers = {kAccept};
  request.max_body = kMaxManifestBytes;
  return request;
}

std::string name_of(const Session& session, const std::string& tag_or_digest) {
  const char joint = is_digest(tag_or_digest) ? '@' : ':';
  return session.reference().familiar_repository() + joint + tag_or_digest;
}

}  // namespace

Repository::Repository(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Repository::~Repository() = default;

Result<Manifest> Repository::manifest(const Call& call, const std::string& tag_or_digest) {
  const std::string name = name_of(*session_, tag_or_digest);
  auto answer = session_->get(call, session_->path() + "/manifests/" + tag_or_digest,
                              [] { return manifest_request("GET"); });
  if (!answer.is_ok()) return manifest_error(answer.status(), name);
  Manifest out;
  out.media_type = media_type_of(*answer);
  out.digest = sha256_digest(answer->body);
  out.bytes = std::move(answer->body);
  const std::string told = answer->header("docker-content-digest");
  if (is_digest(tag_or_digest) && out.digest != tag_or_digest) {
    return Status(Code::kDataLoss, "manifest for " + name + ": what came has the digest " + out.digest);
  }
  if (is_digest(told) && told != out.digest) {
    return Status(Code::kDataLoss, "manifest for " + name + ": the registry says it has the digest " + told +
                                       ", but what came has " + out.digest);
  }
  return out;
}

Result<Descriptor> Repository::head_manifest(const Call& call, const std::string& tag_or_digest) {
  const auto answer = session_->get(call, session_->path() + "/manifests/" + tag_or_digest,
                                    [] { return manifest_request("HEAD"); });
  const bool may_be_got = answer.is_ok() || answer.code() == Code::kNotImplemented;
  if (!may_be_got) return manifest_error(answer.status(), name_of(*session_, tag_or_digest));
  if (answer.is_ok()) {
    const Descriptor out{media_type_of(*answer), answer->header("docker-content-digest"),
                         leading_number(answer->header("content-length"), int64_t{-1})};
    const bool is_other = is_digest(tag_or_digest) && out.digest != tag_or_digest;
    if (is_digest(out.digest) && !is_other && out.size >= 0) return out;
  }
  // Some registries do not tell so much, or do not know HEAD.
  POUCH_ASSIGN_OR_RETURN(const Manifest whole, manifest(call, tag_or_digest));
  return Descriptor{whole.media_type, whole.digest, static_cast<int64_t>(whole.bytes.size())};
}

Result<std::vector<std::string>> Repository::tags(const Call& call) {
  std::vector<std::string> tags;
  std::string path = session_->path() + "/tags/list";
  for (int page = 0; !path.empty(); ++page) {
    POUCH_ASSIGN_OR_RETURN(const HttpAnswer answer, session_->get(call, path, [] { return HttpRequest(); }));
    const Result<Json> json = parse_json(answer.body);
    if (!json.is_ok() || !json->isObject())
      return unavailable("list tags: the registry's answer is no JSON object");
    for (const Json& tag : (*json)["tags"]) {
      if (tag.isString()) tags.push_back(tag.asString());
    }
    if (tags.size() > kMaxTags || page > kMaxTagPages) {
      return Status(Code::kResourceExhausted, "list tags: there are more than " + std::to_string(kMaxTags));
    }
    path = next_page(answer, path);
  }
  return tags;
}

Status Repository::fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                              const Sink& sink) {
  BlobStream stream(digest, size, offset, sink);
  bool has_ranges = true;
  const auto make = [&stream, &has_ranges] {
    HttpRequest request;
    if (stream.at() > 0 && has_ranges)
      request.headers = {"Range: bytes=" + std::to_string(stream.at()) + "-"};
    stream.begin_answer();
    request.sink = [&stream](const HttpAnswer& head, std::string_view bytes) {
      return stream.take(head, bytes);
    };
    return request;
  };
  int fruitless = 0;
  while (!stream.is_whole() || size == 0) {
    const int64_t before = stream.at();
    Trouble trouble = Trouble::kNone;
    const auto answer = session_->get(call, session_->path() + "/blobs/" + digest.str(), make, &trouble);
    POUCH_RETURN_IF_ERROR(stream.sink_status());
    if (answer.is_ok() && size == 0) break;
    if (stream.is_whole()) break;
    // Some fronts refuse any range. If it is shorter indeed, the whole one tells.
    if (answer.code() == Code::kDataLoss && std::exchange(has_ranges, false)) continue;
    // Who was there a moment ago may come back.
    const bool may_go_on = answer.is_ok() || trouble == Trouble::kBroken || trouble == Trouble::kStalled ||
                           (trouble == Trouble::kUnreachable && stream.at() > offset);
    if (!may_go_on) return answer.status();
    fruitless = stream.at() > before ? 0 : fruitless + 1;
    if (fruitless >= kFruitless) {
      return answer.is_ok() ? Status(Code::kDataLoss, "blob " + digest.str() + " ends after " +
                                                          std::to_string(stream.at()) + " of " +
                                                          std::to_string(size) + " bytes")
                            : answer.status();
    }
    POUCH_RETURN_IF_ERROR(pause(call, fruitless == 0 ? 0 : backoff_ms(fruitless + 1)));
  }
  return stream.finish();
}

Client::Client(Settings settings) : common_(std::make_shared<Common>(std::move(settings))) {}
Client::~Client() = default;

Result<std::unique_ptr<Repository>> Client::open(const Reference& reference,
                                                 const std::optional<Credentials>& credentials) {
  POUCH_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, Session::make(common_, reference, credentials));
  return std::make_unique<Repository>(std::move(session));
}

Status Client::fetch_file(const Call& call, const std::string& url, const FileSink& sink) {
  return registry::fetch_file(common_->network, call, url, sink);
}

}  // namespace pouch::registry
