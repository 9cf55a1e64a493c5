#include "core/registry/client.h"
#include "core/registry/session.h"
#include "core/registry/upload.h"

namespace pouch::registry {
namespace {

HttpRequest empty_request(const char* method) {
  HttpRequest request;
  request.method = method;
  if (request.method != "HEAD") request.body = "";
  return request;
}

// The upload that a registry begins when it cannot mount.
void cancel_upload(Session& session, const Call& call, const HttpAnswer& answer) {
  const std::optional<Url> here = parse_url(answer.url);
  const auto place = here ? resolve_location(*here, answer.header("location")) : std::nullopt;
  if (place) session.ask_registry(call, place->str(), empty_request("DELETE")).status().ignore();
}

}  // namespace

Result<bool> Repository::has_blob(const Call& call, const Digest& digest) {
  POUCH_ASSIGN_OR_RETURN(
      const HttpAnswer answer,
      session_->ask_registry(call, session_->path() + "/blobs/" + digest.str(), empty_request("HEAD")));
  if (answer.status == 404) return false;
  if (answer.status / 100 != 2) return session_->error_of(answer, Action::kPush);
  return true;
}

Result<bool> Repository::mount_blob(const Call& call, const Digest& digest, const std::string& from_path) {
  std::string place = with_parameter(session_->path() + "/blobs/uploads/", "mount", digest.str());
  place = with_parameter(place, "from", from_path);
  POUCH_ASSIGN_OR_RETURN(const HttpAnswer answer, session_->ask_registry(call, place, empty_request("POST")));
  if (answer.status == 201) return true;
  if (answer.status == 202) cancel_upload(*session_, call, answer);
  const bool is_other = answer.status == 202 || (answer.status / 100 == 4 && answer.status != 429);
  if (!is_other) return session_->error_of(answer, Action::kPush);
  return false;
}

Status Repository::upload_blob(const Call& call, const Digest& digest, int64_t size, const Source& source) {
  if (size < 0) return invalid_argument("upload blob " + digest.str() + ": a negative size");
  return Upload(*session_, call, digest, size, source).run();
}

Result<std::string> Repository::put_manifest(const Call& call, const std::string& tag_or_digest,
                                             const std::string& media_type, const std::string& bytes) {
  const std::string digest = sha256_digest(bytes);
  const std::string what = "manifest " + tag_or_digest + " of " + session_->reference().familiar_repository();
  if (is_digest(tag_or_digest) && tag_or_digest != digest)
    return invalid_argument(what + ": it has the digest " + digest);
  if (media_type.find_first_of("\r\n") != std::string::npos)
    return invalid_argument(what + ": a line break in the media type");
  HttpRequest request = empty_request("PUT");
  request.headers = {"Content-Type: " + media_type};
  request.body = bytes;
  POUCH_ASSIGN_OR_RETURN(
      const HttpAnswer answer,
      session_->ask_registry(call, session_->path() + "/manifests/" + tag_or_digest, request));
  if (answer.status / 100 != 2) return session_->error_of(answer, Action::kPush).prefix(what);
  const std::string told = answer.header("docker-content-digest");
  // Anything may answer 200.
  const bool is_taken = answer.status == 201 || answer.status == 202 || is_digest(told);
  if (!is_taken) return session_->error_of(answer, Action::kPush).prefix(what + ": it was not taken");
  if (is_digest(told) && told != digest) {
    return Status(Code::kDataLoss, what + ": the registry says it has the digest " + told +
                                       ", but what was sent has " + digest);
  }
  return digest;
}

}  // namespace pouch::registry
