#include "capi/src/engine_factory.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/api/json.h"
#include "core/base/text.h"
#include "core/remote/remote_engine.h"
#ifdef POUCH_HAVE_EMBED
#include "core/engine/embed_uri.h"
#include "core/engine/local_engine.h"
#endif
#ifdef POUCH_HAVE_MOCK
#include "core/mock/mock_engine.h"
#endif

namespace pouch::capi {
namespace {

constexpr const char *kDefaultUri = "unix:///var/run/pouchd.sock";

std::string environment(const char *name) {
  const char *const value = ::secure_getenv(name);
  return value == nullptr ? "" : value;
}

// "" when there is no such file or it names no host.
Result<std::string> host_of_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::string();
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  POUCH_ASSIGN_OR_RETURN(const Json config, [&]() -> Result<Json> {
    Result<Json> parsed = parse_json(text);
    if (!parsed.is_ok()) return parsed.status().prefix("configuration file " + quote(path));
    return parsed;
  }());
  if (!config.isObject()) return invalid_argument("configuration file " + quote(path) + ": not an object");
  if (!config.isMember("host")) return std::string();
  if (!config["host"].isString()) {
    return invalid_argument("configuration file " + quote(path) + ": host is not a string");
  }
  return config["host"].asString();
}

template <class T>
Result<std::shared_ptr<Engine>> shared(Result<T> engine) {
  if (!engine.is_ok()) return engine.status();
  return std::shared_ptr<Engine>(std::move(*engine));
}

Result<std::shared_ptr<Engine>> open_embedded([[maybe_unused]] const std::string &uri) {
#ifdef POUCH_HAVE_EMBED
  POUCH_ASSIGN_OR_RETURN(const EngineOptions options, parse_embed_uri(uri));
  return shared(LocalEngine::open(options));
#else
  return not_implemented(
      "open " + quote(uri) +
      ": this libpouch was built without the local engine (-DPOUCH_EMBED=OFF); use unix:// "
      "or tcp://");
#endif
}

Result<std::shared_ptr<Engine>> open_mock([[maybe_unused]] const std::string &uri) {
#ifdef POUCH_HAVE_MOCK
  return shared(MockEngine::open(uri));
#else
  return not_implemented("open " + quote(uri) + ": this libpouch was built without the mock engine");
#endif
}

}  // namespace

Result<std::string> resolve_uri(const std::string &uri) {
  if (!uri.empty()) return uri;
  if (std::string host = environment("POUCH_HOST"); !host.empty()) return host;
  std::string folder = environment("XDG_CONFIG_HOME");
  if (folder.empty() && !environment("HOME").empty()) folder = environment("HOME") + "/.config";
  if (!folder.empty()) {
    POUCH_ASSIGN_OR_RETURN(std::string host, host_of_file(folder + "/pouch/config.json"));
    if (!host.empty()) return host;
  }
  POUCH_ASSIGN_OR_RETURN(std::string host, host_of_file("/etc/pouch/client.json"));
  if (!host.empty()) return host;
  return std::string(kDefaultUri);
}

Result<std::shared_ptr<Engine>> open_engine(const std::string &uri) {
  const std::string scheme = uri.substr(0, uri.find("://"));
  if (scheme == "embed") return open_embedded(uri);
  if (scheme == "mock") return open_mock(uri);
  if (scheme == "unix" || scheme == "tcp" || scheme == "http") return shared(remote::RemoteEngine::open(uri));
  if (scheme == "https") {
    return not_implemented("open " + quote(uri) +
                           ": https is not supported by this version; use unix:// or tcp://");
  }
  return invalid_argument("open " + quote(uri) +
                          ": an address starts with embed://, unix://, tcp:// or mock://");
}

}  // namespace pouch::capi
