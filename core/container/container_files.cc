#include "core/container/container_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <set>

#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/mounts.h"

namespace pouch::container {
namespace {

constexpr std::string_view kLoopbackHosts =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

constexpr const char* kOwnServer = "127.0.0.11";  // as Docker's
constexpr const char* kPublicServers = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";

using Lines = std::vector<std::string>;

bool is_host_network(const api::HostConfig& host) {
  return host.network_mode.value_or("") == "host";
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : line + ' ') {
    if (c != ' ' && c != '\t' && c != '\r') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1";
}

std::string read_or_empty(const std::string& path) {
  const auto text = sys::read_file(path, size_t{1} << 20);
  return text.is_ok() ? *text : std::string();
}

// Where systemd-resolved is the only one named, the list of the servers that it asks.
std::string read_resolv_conf() {
  std::string text = read_or_empty("/etc/resolv.conf");
  Lines servers;
  for (const std::string& line : split(text, '\n')) {
    const auto words = words_of(line);
    if (words.size() >= 2 && words[0] == "nameserver") servers.push_back(words[1]);
  }
  if (servers != Lines{"127.0.0.53"}) return text;
  const std::string behind = read_or_empty("/run/systemd/resolve/resolv.conf");
  return behind.empty() ? text : behind;
}

// Files of a container are read by its user whatever our umask is.
Status write_plain(const std::string& path, std::string_view text) {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd fd,
                         sys::open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
  if (::fchmod(fd.get(), 0644) != 0) return errno_status(errno, "chmod " + path);
  return sys::write_all(fd.get(), text);
}

Status make_dirs(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return errno_status(errno, "create folder " + quote(part));
    }
    if (at == std::string::npos) return {};
  }
}

}  // namespace

ContainerPaths container_paths(const std::string& root_dir, const ContainerId& id) {
  ContainerPaths paths;
  paths.dir = root_dir + "/containers/" + id.str();
  paths.hostname = paths.dir + "/hostname";
  paths.hosts = paths.dir + "/hosts";
  paths.resolv_conf = paths.dir + "/resolv.conf";
  paths.log = paths.dir + "/" + id.str() + "-json.log";
  return paths;
}

namespace {

// The host's address that the container reaches it by.
std::string gateway_of(const NetworkPlan& network) {
  std::string first;
  for (const NetworkLeg& leg : network.legs) {
    if (leg.is_default4) return leg.gateway;
    if (first.empty()) first = leg.gateway.empty() ? leg.gateway6 : leg.gateway;
  }
  return first;
}

bool has_ipv6(const NetworkPlan& network) {
  return std::any_of(network.legs.begin(), network.legs.end(),
                     [](const NetworkLeg& leg) { return !leg.address6.empty(); });
}

}  // namespace

std::string hosts_text(const api::ContainerConfig& config, const api::HostConfig& host,
                       const NetworkPlan& network, const std::string& host_file) {
  std::string text = is_host_network(host) ? host_file : std::string(kLoopbackHosts);
  if (!text.empty() && text.back() != '\n') text += '\n';
  const std::string gateway = gateway_of(network);
  for (const std::string& entry : host.extra_hosts.value_or(Lines{})) {
    const size_t colon = entry.find(':');
    const std::string address = entry.substr(colon + 1);
    text += (address == "host-gateway" ? gateway : address) + '\t' + entry.substr(0, colon) + '\n';
  }
  const std::string name = config.hostname.value_or("");
  const std::string domain = config.domainname.value_or("");
  for (const auto& [address, names] : network.links) text += address + '\t' + names + '\n';
  for (const NetworkLeg& leg : network.legs) {
    for (const std::string& address : {leg.address, leg.address6}) {
      if (address.empty() || leg.is_last_resort) continue;
      text += address.substr(0, address.find('/')) + '\t';
      text += domain.empty() ? name + '\n' : name + '.' + domain + ' ' + name + '\n';
    }
  }
  return text;
}

namespace {

// The words behind a keyword of resolv.conf; of several lines the last one counts, of options all.
Lines words_behind(const std::string& host_file, std::string_view keyword) {
  Lines found;
  for (const std::string& line : split(host_file, '\n')) {
    auto words = words_of(line);
    if (words.size() < 2 || words.front() != keyword) continue;
    if (keyword != "options") found.clear();
    found.insert(found.end(), words.begin() + 1, words.end());
  }
  return found;
}

// The only server is ours, which asks the others. A name without a dot is first asked for as it is: others in
// the networks are called so.
std::string own_server_text(const api::HostConfig& host, const NetworkPlan& network,
                            const std::string& host_file) {
  Lines search = host.dns_search.value_or(Lines{});
  for (const NetworkLeg& leg : network.legs) {
    if (search.empty()) search = leg.search;
  }
  if (search.empty()) search = words_behind(host_file, "search");
  if (search.empty()) search = words_behind(host_file, "domain");
  Lines options = host.dns_options.value_or(Lines{});
  if (options.empty()) options = words_behind(host_file, "options");
  const bool has_ndots = std::any_of(options.begin(), options.end(),
                                     [](const std::string& option) { return option.starts_with("ndots:"); });
  if (!has_ndots) options.emplace_back("ndots:0");
  std::string text;
  if (!search.empty() && search != Lines{"."}) text += "search " + join(search, " ") + '\n';
  return text + "nameserver " + kOwnServer + "\noptions " + join(options, " ") + '\n';
}

}  // namespace

std::string resolv_conf_text(const api::HostConfig& host, const NetworkPlan& network,
                             const std::string& host_file) {
  if (network.has_names) return own_server_text(host, network, host_file);
  const Lines servers = host.dns.value_or(Lines{});
  const Lines search = host.dns_search.value_or(Lines{});
  const Lines options = host.dns_options.value_or(Lines{});
  const bool as_host = is_host_network(host);
  if (as_host && servers.empty() && search.empty() && options.empty()) return host_file;
  const auto is_useless = [&](const std::string& server) {
    return !as_host && (is_loopback(server) || (!network.legs.empty() && !has_ipv6(network) &&
                                                server.find(':') != std::string::npos));
  };
  std::string text;
  bool has_server = false;
  for (const std::string& line : split(host_file, '\n')) {
    const auto words = words_of(line);
    if (words.size() < 2) continue;
    const bool is_server = words[0] == "nameserver";
    if (is_server && (!servers.empty() || is_useless(words[1]))) continue;
    if ((words[0] == "search" || words[0] == "domain") && !search.empty()) continue;
    if (words[0] == "options" && !options.empty()) continue;
    if (words[0].starts_with('#') || words[0].starts_with(';')) continue;
    has_server = has_server || is_server;
    text += join(words, " ") + '\n';
  }
  if (!search.empty() && search != Lines{"."}) text += "search " + join(search, " ") + '\n';
  for (const std::string& server : servers) text += "nameserver " + server + '\n';
  if (!network.legs.empty() && !has_server && servers.empty()) text += kPublicServers;
  if (!options.empty()) text += "options " + join(options, " ") + '\n';
  return text;
}

Status write_hosts_file(const ContainerPaths& paths, const api::ContainerConfig& config,
                        const api::HostConfig& host, const NetworkPlan& network) {
  const std::string hosts = is_host_network(host) ? read_or_empty("/etc/hosts") : std::string();
  return write_plain(paths.hosts, hosts_text(config, host, network, hosts));
}

Status write_container_files(const ContainerPaths& paths, const api::ContainerConfig& config,
                             const api::HostConfig& host, const NetworkPlan& network) {
  POUCH_RETURN_IF_ERROR(write_plain(paths.hostname, config.hostname.value_or("") + "\n"));
  POUCH_RETURN_IF_ERROR(write_hosts_file(paths, config, host, network));
  return write_resolv_conf(paths, host, network);
}

Status write_resolv_conf(const ContainerPaths& paths, const api::HostConfig& host,
                         const NetworkPlan& network) {
  const bool as_host = is_host_network(host) || network.has_names;
  const std::string resolv = as_host ? read_or_empty("/etc/resolv.conf") : read_resolv_conf();
  return write_plain(paths.resolv_conf, resolv_conf_text(host, network, resolv));
}

bool asks_own_server(const ContainerPaths& paths) {
  return read_or_empty(paths.resolv_conf).find(std::string("nameserver ") + kOwnServer + "\n") !=
         std::string::npos;
}

std::vector<spec::BindMount> file_mounts(const ContainerPaths& paths, const spec::MountPlan& plan,
                                         bool read_only_root) {
  const auto taken = [&plan](const std::string& destination) {
    return std::any_of(plan.binds.begin(), plan.binds.end(),
                       [&](const auto& bind) { return bind.destination == destination; });
  };
  std::vector<spec::BindMount> mounts;
  const auto add = [&](const std::string& source, const std::string& destination) {
    if (taken(destination)) return;
    spec::BindMount mount;
    mount.source = source;
    mount.destination = destination;
    mount.read_only = read_only_root;
    mount.propagation = "rprivate";
    mounts.push_back(std::move(mount));
  };
  add(paths.resolv_conf, "/etc/resolv.conf");
  add(paths.hostname, "/etc/hostname");
  add(paths.hosts, "/etc/hosts");
  return mounts;
}

Status prepare_bind_sources(const spec::MountPlan& plan, bool create) {
  for (const spec::BindMount& bind : plan.binds) {
    struct stat info {};
    if (::stat(bind.source.c_str(), &info) == 0) continue;
    if (errno != ENOENT) return errno_status(errno, "bind source path " + quote(bind.source));
    if (!bind.create_source) {
      return invalid_argument("invalid mount config for type \"bind\": bind source path does not exist: " +
                              bind.source);
    }
    if (create) POUCH_RETURN_IF_ERROR(make_dirs(bind.source));
  }
  return {};
}

Status check_propagations(const spec::MountPlan& plan) {
  for (const spec::BindMount& bind : plan.binds) {
    const bool shared = bind.propagation.ends_with("shared");
    if (!shared && !bind.propagation.ends_with("slave")) continue;
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(bind.source.c_str(), nullptr), ::free);
    if (!real) return errno_status(errno, "bind source path " + quote(bind.source));
    POUCH_ASSIGN_OR_RETURN(const sys::MountEntry mount, sys::mount_of(real.get()));
    const auto has = [&mount](std::string_view what) {
      return mount.propagation.find(what) != std::string::npos;
    };
    if (has("shared:") || (!shared && has("master:"))) continue;
    return invalid_argument("path " + bind.source + " is mounted on " + mount.mount_point +
                            " but it is not a shared" + (shared ? "" : " or slave") + " mount");
  }
  return {};
}

}  // namespace pouch::container
