#include "core/registry/endpoints.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "core/base/text.h"

namespace pouch::registry {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHub = "docker.io";
constexpr const char* kHubHost = "registry-1.docker.io";
// Go's clients never ask a proxy for these.
constexpr const char* kNeverProxied = "localhost,127.0.0.0/8,::1";

struct Address {
  std::array<uint8_t, 16> bytes{};
  int bits = 0;  ///< 32 or 128
};

std::optional<Address> parse_address(const std::string& text) {
  Address out;
  if (::inet_pton(AF_INET, text.c_str(), out.bytes.data()) == 1) {
    out.bits = 32;
    return out;
  }
  if (::inet_pton(AF_INET6, text.c_str(), out.bytes.data()) != 1) return std::nullopt;
  out.bits = 128;
  return out;
}

// "10.0.0.0/8" holds "10.1.2.3".
bool is_within(const Address& address, const std::string& cidr) {
  const size_t slash = cidr.find('/');
  if (slash == std::string::npos) return false;
  const std::optional<Address> net = parse_address(cidr.substr(0, slash));
  int bits = 0;
  const char* const end = cidr.data() + cidr.size();
  const auto [at, error] = std::from_chars(cidr.data() + slash + 1, end, bits);
  if (!net || error != std::errc() || at != end || net->bits != address.bits || bits < 0 || bits > net->bits)
    return false;
  for (int i = 0; i < bits; ++i) {
    const auto index = static_cast<size_t>(i / 8);
    const auto mask = static_cast<uint8_t>(0x80U >> static_cast<unsigned>(i % 8));
    if ((net->bytes[index] & mask) != (address.bytes[index] & mask)) return false;
  }
  return true;
}

// "[::1]:5000" is "::1", "host:5000" is "host".
std::string name_of(const std::string& host) {
  if (host.starts_with("[")) return host.substr(1, host.find(']') - 1);
  const size_t colon = host.rfind(':');
  return colon == std::string::npos || host.find(':') != colon ? host : host.substr(0, colon);
}

std::string environment(const char* lower, const char* upper) {
  for (const char* const name : {lower, upper}) {
    if (const char* const value = ::secure_getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "";
}

void set_proxy(const Settings& settings, bool is_tls, Transport& transport) {
  // Like Go and curl: HTTP_PROXY in capitals could be set by a CGI's client.
  transport.proxy = is_tls ? settings.https_proxy.value_or(environment("https_proxy", "HTTPS_PROXY"))
                           : settings.http_proxy.value_or(environment("http_proxy", "HTTP_PROXY"));
  transport.no_proxy = kNeverProxied;
  const std::string listed = settings.no_proxy.value_or(environment("no_proxy", "NO_PROXY"));
  if (listed == "*") transport.proxy.clear();
  if (!listed.empty()) transport.no_proxy += "," + listed;
}

Result<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return unavailable("read " + path.string() + ": it cannot be read");
  return text.str();
}

// Docker's rules: every *.crt is a CA, every *.cert has its *.key beside it.
Status read_certificates(const std::string& folder, Transport& transport) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    if (path.extension() == ".crt") {
      POUCH_ASSIGN_OR_RETURN(const std::string pem, read_text(path));
      transport.ca_pem += pem + "\n";
    } else if (path.extension() == ".cert" && transport.cert_file.empty()) {
      fs::path key = path;
      key.replace_extension(".key");
      if (!fs::exists(key, error)) {
        return invalid_argument("missing key " + key.filename().string() + " for client certificate " +
                                path.filename().string() + " in " + folder);
      }
      transport.cert_file = path;
      transport.key_file = key;
    }
  }
  return {};
}

Status add(const Settings& settings, const std::string& host, const std::string& path, bool is_tls,
           bool is_mirror, bool verify, std::vector<Endpoint>& out) {
  Endpoint endpoint{(is_tls ? "https://" : "http://") + host + path, host, is_mirror, {}};
  endpoint.transport.verify = verify;
  set_proxy(settings, is_tls, endpoint.transport);
  if (is_tls) {
    for (const std::string& folder : settings.certs_dirs) {
      POUCH_RETURN_IF_ERROR(read_certificates(folder + "/" + host, endpoint.transport));
    }
  }
  out.push_back(std::move(endpoint));
  return {};
}

Status add_mirror(const Settings& settings, const std::string& url, std::vector<Endpoint>& out) {
  const bool is_tls = url.starts_with("https://");
  if (!is_tls && !url.starts_with("http://"))
    return invalid_argument("mirror " + quote(url) + ": it is no http or https URL");
  std::string rest = url.substr(is_tls ? 8 : 7);
  while (rest.ends_with("/")) rest.pop_back();
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string host = rest.substr(0, slash);
  if (host.empty()) return invalid_argument("mirror " + quote(url) + ": it has no host");
  return add(settings, host, rest.substr(slash), is_tls, /*is_mirror=*/true,
             !is_insecure(host, settings.insecure), out);
}

}  // namespace

bool is_insecure(const std::string& host, const std::vector<std::string>& list) {
  const std::string name = name_of(host);
  const std::optional<Address> address = parse_address(name);
  if (name == "localhost" ||
      (address && (is_within(*address, "127.0.0.0/8") || is_within(*address, "::1/128"))))
    return true;
  return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
    return entry == host || entry == name || (address && is_within(*address, entry));
  });
}

Result<std::vector<Endpoint>> endpoints_of(const Settings& settings, const std::string& domain) {
  std::vector<Endpoint> out;
  if (const auto mirrors = settings.mirrors.find(domain); mirrors != settings.mirrors.end()) {
    for (const std::string& url : mirrors->second) POUCH_RETURN_IF_ERROR(add_mirror(settings, url, out));
  }
  const std::string host = domain == kHub ? kHubHost : domain;
  const bool open = is_insecure(host, settings.insecure);
  POUCH_RETURN_IF_ERROR(add(settings, host, "", /*is_tls=*/true, /*is_mirror=*/false, !open, out));
  if (open) POUCH_RETURN_IF_ERROR(add(settings, host, "", /*is_tls=*/false, /*is_mirror=*/false, false, out));
  return out;
}

}  // namespace pouch::registry
