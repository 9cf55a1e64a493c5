#include "core/registry/client.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/api/json.h"
#include "core/base/base64.h"
#include "core/base/executor.h"
#include "core/base/text.h"
#include "core/net/curl_handle.h"
#include "core/registry/blob_stream.h"
#include "core/registry/challenge.h"
#include "core/registry/docker_config.h"
#include "core/registry/endpoints.h"
#include "core/registry/http.h"
#include "core/registry/retry.h"
#include "core/registry/token.h"

namespace pouch::registry {
namespace {

constexpr int kTries = 5;
// A server that cannot be reached is told within 10 s.
constexpr int kConnectTries = 2;
constexpr size_t kMaxManifestBytes = size_t{4} << 20U;
constexpr size_t kMaxTags = 100'000;
constexpr size_t kMaxErrorText = 1'000;

constexpr const char* kAccept =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

// Until `ms` have passed; the call's error when it is over before.
Status pause(const Call& call, int64_t ms) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  Call bounded = call;
  bounded.deadline = call.deadline.earlier(Deadline::after_ms(ms));
  wait_for(lock, never, bounded, [] { return false; }).ignore();
  return call.check();
}

struct RegistryError {
  std::string code;     ///< "MANIFEST_UNKNOWN"
  std::string message;  ///< "manifest unknown: manifest unknown"
};

// {"errors":[{"code","message","detail"}]}; anything else is not repeated.
RegistryError read_error(const HttpAnswer& answer) {
  const Result<Json> json = parse_json(answer.body);
  if (!json.is_ok() || !json->isObject() || !(*json)["errors"].isArray() || (*json)["errors"].empty())
    return {};
  const Json& first = (*json)["errors"][0];
  if (!first.isObject() || !first["code"].isString()) return {};
  RegistryError out{first["code"].asString(), to_lower(first["code"].asString())};
  std::replace(out.message.begin(), out.message.end(), '_', ' ');
  if (first["message"].isString() && !first["message"].asString().empty()) {
    out.message += ": " + first["message"].asString().substr(0, kMaxErrorText);
  }
  return out;
}

bool may_succeed_later(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

std::string trim_link(std::string_view header) {
  // <https://host/v2/x/tags/list?last=b&n=2>; rel="next"
  const size_t begin = header.find('<');
  const size_t end = header.find('>', begin == std::string_view::npos ? 0 : begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return "";
  if (header.substr(end).find("next") == std::string_view::npos) return "";
  return std::string(header.substr(begin + 1, end - begin - 1));
}

// The path of a URL of any host: we stay with the endpoint that we ask.
std::string path_of(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url.starts_with("/") ? url : "";
  const size_t slash = url.find('/', scheme + 3);
  return slash == std::string::npos ? "" : url.substr(slash);
}

}  // namespace

struct Client::Impl {
  explicit Impl(Settings all) : settings(std::move(all)) {}

  const Settings settings;
  net::HandlePool pool;
  TokenCache tokens;
};

struct Repository::Impl {
  Impl(std::shared_ptr<Client::Impl> common, Reference name, std::optional<Credentials> credentials)
      : client(std::move(common)), reference(std::move(name)), account(std::move(credentials)) {}

  const std::shared_ptr<Client::Impl> client;
  const Reference reference;
  const std::optional<Credentials> account;  ///< for the registry itself
  std::vector<Endpoint> endpoints;

  std::mutex mutex;
  // Below protected by mutex.
  size_t first = 0;  ///< the endpoint that answered last: those before it did not
  std::map<std::string, std::string> authorizations;  ///< by host

  Result<HttpAnswer> get(const Call& call, const std::string& path, const HttpRequest& request);
  Exchange ask(const Call& call, const Endpoint& endpoint, const std::string& path,
               const HttpRequest& request);
  Exchange ask_once(const Call& call, const Endpoint& endpoint, const std::string& path, HttpRequest request);
  Result<bool> authorize(const Call& call, const Endpoint& endpoint, const HttpAnswer& answer);
  Result<std::optional<Credentials>> account_for(const Endpoint& endpoint) const;
  Status error_of(const HttpAnswer& answer) const;
  Status unreachable(const std::vector<std::string>& tried) const;
  std::string authorization(const std::string& host);
};

// One endpoint after the other until one has an answer that counts.
Result<HttpAnswer> Repository::Impl::get(const Call& call, const std::string& path,
                                         const HttpRequest& request) {
  std::vector<std::string> tried;
  Status last;
  size_t begin = 0;
  {
    const std::lock_guard lock(mutex);
    begin = first;
  }
  for (size_t i = begin; i < endpoints.size(); ++i) {
    const Endpoint& endpoint = endpoints[i];
    Exchange exchange = ask(call, endpoint, path, request);
    if (exchange.trouble == Trouble::kOurs) return exchange.status;
    if (exchange.trouble != Trouble::kNone) {
      const std::string proxy =
          endpoint.transport.proxy.empty() ? "" : " by the proxy " + endpoint.transport.proxy;
      tried.push_back(endpoint.base + proxy + ": " + exchange.status.message());
      continue;
    }
    if (exchange.answer.status >= 200 && exchange.answer.status < 300) {
      const std::lock_guard lock(mutex);
      first = i;
      return std::move(exchange.answer);
    }
    last = error_of(exchange.answer);
    if (!endpoint.is_mirror) return last;
    tried.push_back(endpoint.base + ": " + last.message());
  }
  return unreachable(tried);
}

Status Repository::Impl::unreachable(const std::vector<std::string>& tried) const {
  return unavailable("reach a registry for " + reference.familiar_repository() + ": " + join(tried, "; "));
}

Exchange Repository::Impl::ask(const Call& call, const Endpoint& endpoint, const std::string& path,
                               const HttpRequest& request) {
  for (int attempt = 1;; ++attempt) {
    Exchange exchange = ask_once(call, endpoint, path, request);
    const bool is_broken = exchange.trouble == Trouble::kBroken && !request.sink;
    const bool retries =
        (exchange.trouble == Trouble::kUnreachable && attempt < kConnectTries) ||
        ((is_broken || (exchange.trouble == Trouble::kNone && may_succeed_later(exchange.answer.status))) &&
         attempt < kTries);
    if (!retries) return exchange;
    const int64_t wait_ms =
        std::max(backoff_ms(attempt + 1),
                 retry_after_ms(exchange.answer.header("retry-after"), Timestamp::now()).value_or(0));
    if (Status status = pause(call, wait_ms); !status.is_ok()) return {Trouble::kOurs, std::move(status), {}};
  }
}

// With what is known of authorization; when the server wants other, it is asked for once.
Exchange Repository::Impl::ask_once(const Call& call, const Endpoint& endpoint, const std::string& path,
                                    HttpRequest request) {
  request.url = endpoint.base + path;
  const size_t plain = request.headers.size();
  for (const bool is_last : {false, true}) {
    request.headers.resize(plain);
    const std::string known = authorization(endpoint.host);
    if (!known.empty()) request.headers.push_back("Authorization: " + known);
    Exchange exchange = http_exchange(client->pool, endpoint.transport, request, call);
    if (is_last || exchange.trouble != Trouble::kNone || exchange.answer.status != 401) return exchange;
    if (!known.empty()) {
      if (known.starts_with("Bearer ")) client->tokens.forget(known.substr(7));
      const std::lock_guard lock(mutex);
      authorizations.erase(endpoint.host);
    }
    Result<bool> authorized = authorize(call, endpoint, exchange.answer);
    if (!authorized.is_ok()) return {Trouble::kOurs, authorized.status(), {}};
    if (!*authorized) return exchange;  // the server's answer stands
  }
  return {};
}

std::string Repository::Impl::authorization(const std::string& host) {
  const std::lock_guard lock(mutex);
  const auto at = authorizations.find(host);
  return at == authorizations.end() ? "" : at->second;
}

// False: there is no challenge that we can meet.
Result<bool> Repository::Impl::authorize(const Call& call, const Endpoint& endpoint,
                                         const HttpAnswer& answer) {
  POUCH_ASSIGN_OR_RETURN(const std::optional<Credentials> who, account_for(endpoint));
  std::string value;
  if (who && !who->registry_token.empty()) {
    value = "Bearer " + who->registry_token;
  } else {
    for (const Challenge& challenge : parse_challenges(answer.header("www-authenticate"))) {
      if (challenge.scheme == "basic" && who && !who->username.empty()) {
        value = "Basic " + base64_encode(who->username + ":" + who->password);
      } else if (challenge.scheme == "bearer") {
        POUCH_ASSIGN_OR_RETURN(const std::string token,
                               client->tokens.get(client->pool, endpoint.transport, challenge, who, call));
        value = "Bearer " + token;
      }
      if (!value.empty()) break;
    }
  }
  if (value.empty()) return false;
  const std::lock_guard lock(mutex);
  authorizations[endpoint.host] = std::move(value);
  return true;
}

// The account that was given is the registry's and not for its mirrors.
Result<std::optional<Credentials>> Repository::Impl::account_for(const Endpoint& endpoint) const {
  if (!endpoint.is_mirror && account) return account;
  POUCH_ASSIGN_OR_RETURN(const DockerConfig config, DockerConfig::load(client->settings));
  return config.account(endpoint.is_mirror ? endpoint.host : reference.domain(), client->settings);
}

// Docker's words, which its users know.
Status Repository::Impl::error_of(const HttpAnswer& answer) const {
  const RegistryError error = read_error(answer);
  const std::string why = error.message.empty() ? "" : ": " + error.message;
  const std::string name = reference.familiar_repository();
  if (error.code == "DENIED" || answer.status == 403) {
    return {Code::kPermissionDenied, "pull access denied for " + name +
                                         ", repository does not exist or may require 'docker login'" + why};
  }
  if (answer.status == 401) {
    const bool is_basic = to_lower(answer.header("www-authenticate")).starts_with("basic");
    return {Code::kUnauthenticated, is_basic && !account ? name + ": no basic auth credentials"
                                                         : name + (why.empty() ? ": unauthorized" : why)};
  }
  if (error.code == "NAME_UNKNOWN") return not_found("repository " + name + " not found" + why);
  if (answer.status == 404) return not_found(name + " not found" + why);
  if (answer.status == 429)
    return {Code::kResourceExhausted, name + ": the registry wants fewer requests (429)" + why};
  return unavailable(name + ": the registry answered " + std::to_string(answer.status) + why);
}

Repository::Repository(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Repository::~Repository() = default;

Result<Manifest> Repository::manifest(const Call& call, const std::string& tag_or_digest) {
  const std::string& path = impl_->reference.path();
  HttpRequest request;
  request.headers = {kAccept};
  request.max_body = kMaxManifestBytes;
  auto answer = impl_->get(call, "/v2/" + path + "/manifests/" + tag_or_digest, request);
  const char joint = is_digest(tag_or_digest) ? '@' : ':';
  const std::string name = impl_->reference.familiar_repository() + joint + tag_or_digest;
  if (answer.code() == Code::kNotFound && answer.status().message().find("repository ") != 0) {
    const std::string& text = answer.status().message();
    const size_t why = text.find(" not found: ");
    return not_found("manifest for " + name + " not found" +
                     (why == std::string::npos ? "" : text.substr(why + 10)));
  }
  if (!answer.is_ok()) return answer.status();
  Manifest out;
  const std::string type = answer->header("content-type");
  out.media_type = std::string(trim(type.substr(0, type.find(';'))));
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

Result<std::vector<std::string>> Repository::tags(const Call& call) {
  std::vector<std::string> tags;
  std::string path = "/v2/" + impl_->reference.path() + "/tags/list";
  while (!path.empty()) {
    POUCH_ASSIGN_OR_RETURN(const HttpAnswer answer, impl_->get(call, path, {}));
    const Result<Json> json = parse_json(answer.body);
    if (!json.is_ok() || !json->isObject())
      return unavailable("list tags: the registry's answer is no JSON object");
    for (const Json& tag : (*json)["tags"]) {
      if (tag.isString()) tags.push_back(tag.asString());
    }
    if (tags.size() > kMaxTags) {
      return Status(Code::kResourceExhausted, "list tags: there are more than " + std::to_string(kMaxTags));
    }
    const std::string next = path_of(trim_link(answer.header("link")));
    path = next == path ? "" : next;
  }
  return tags;
}

Status Repository::fetch_blob(const Call& call, const Digest& digest, int64_t size, int64_t offset,
                              const Sink& sink) {
  BlobStream stream(digest, size, offset, sink);
  const std::string path = "/v2/" + impl_->reference.path() + "/blobs/" + digest.str();
  int fruitless = 0;  // answers in a row that brought nothing
  while (!stream.is_whole() || size == 0) {
    const int64_t before = stream.at();
    HttpRequest request;
    if (before > 0) request.headers = {"Range: bytes=" + std::to_string(before) + "-"};
    stream.begin_answer();
    request.sink = [&stream](const HttpAnswer& head, std::string_view bytes) {
      return stream.take(head, bytes);
    };
    const auto answer = impl_->get(call, path, request);
    POUCH_RETURN_IF_ERROR(stream.sink_status());
    if (answer.is_ok() && size == 0) break;
    const bool may_go_on = answer.is_ok() || answer.code() == Code::kUnavailable;
    if (!may_go_on) return answer.status();
    if (stream.is_whole()) break;
    fruitless = stream.at() > before ? 0 : fruitless + 1;
    if (fruitless >= kTries) {
      return answer.is_ok()
                 ? unavailable("blob " + digest.str() + " ends after " + std::to_string(stream.at()) +
                               " of " + std::to_string(size) + " bytes")
                 : answer.status();
    }
    POUCH_RETURN_IF_ERROR(pause(call, fruitless == 0 ? 0 : backoff_ms(fruitless + 1)));
  }
  return stream.finish();
}

Client::Client(Settings settings) : impl_(std::make_shared<Impl>(std::move(settings))) {}
Client::~Client() = default;

Result<std::unique_ptr<Repository>> Client::open(const Reference& reference,
                                                 const std::optional<Credentials>& credentials) {
  auto impl = std::make_unique<Repository::Impl>(impl_, reference, credentials);
  POUCH_ASSIGN_OR_RETURN(impl->endpoints, endpoints_of(impl_->settings, reference.domain()));
  return std::make_unique<Repository>(std::move(impl));
}

}  // namespace pouch::registry
