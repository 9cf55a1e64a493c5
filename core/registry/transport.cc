#include "core/registry/transport.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "core/registry/network_address.h"
#include "core/registry/proxy.h"

namespace pouch::registry {
namespace {

namespace fs = std::filesystem;

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
    fs::path key = path;
    key.replace_extension(".key");
    fs::path certificate = path;
    certificate.replace_extension(".cert");
    if (path.extension() == ".crt") {
      POUCH_ASSIGN_OR_RETURN(const std::string pem, read_text(path));
      transport.ca_pem += pem + "\n";
    } else if (path.extension() == ".cert") {
      if (!fs::exists(key, error)) {
        return invalid_argument("missing key " + key.filename().string() + " for client certificate " +
                                path.filename().string() + " in " + folder);
      }
      if (!transport.cert_file.empty()) continue;  // the first is shown
      transport.cert_file = path;
      transport.key_file = key;
    } else if (path.extension() == ".key" && !fs::exists(certificate, error)) {
      return invalid_argument("missing client certificate " + certificate.filename().string() + " for key " +
                              path.filename().string() + " in " + folder);
    }
  }
  return {};
}

// "[::1]:5000" is "::1", "host:5000" is "host".
std::string name_of(const std::string& host) {
  const std::optional<Url> url = parse_url("https://" + host);
  return url ? url->name() : host;
}

}  // namespace

Result<Transport> transport_of(const Settings& settings, const Url& url, const std::string& home) {
  Transport out;
  out.proxy = proxy_for(settings, url);
  if (!url.is_tls()) return out;
  out.verify = !is_insecure(url.host, settings.insecure);
  for (const std::string& folder : settings.certs_dirs) {
    POUCH_RETURN_IF_ERROR(read_certificates(folder + "/" + url.host, out));
    if (url.host != home) POUCH_RETURN_IF_ERROR(read_certificates(folder + "/" + home, out));
  }
  return out;
}

bool is_insecure(const std::string& host, const std::vector<std::string>& list) {
  const std::string name = name_of(host);
  const std::optional<NetworkAddress> address = parse_address(name);
  if (name == "localhost" || (address && address->is_loopback())) return true;
  return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
    return entry == host || entry == name || (address && is_within(*address, entry));
  });
}

}  // namespace pouch::registry
