#include "daemon/pouchd/options.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/base/text.h"
#include "daemon/bridge/bridge.h"

namespace pouch::pouchd {
namespace {

constexpr const char* kDefaultConfig = "/etc/pouch/config.json";
constexpr const char* kDefaultListen = "unix:///var/run/pouchd.sock";

// What CLI11 fills in.
struct Given {
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> flags;
  std::string config_file = kDefaultConfig;
};

struct Definition {
  const char* key;  // in the config file; the long option
  const char* names;
  const char* help;
};

constexpr Definition kTextOptions[] = {
    {"containerd", "-c,--containerd", "Path of containerd's socket"},
    {"default-runtime", "--default-runtime", "OCI runtime of containers that ask for none (runc)"},
    {"exec-root-dir", "--exec-root-dir,--exec-root", "Folder of sockets and FIFOs (/run/pouch/<root id>)"},
    {"group", "--group", "Group that may use the unix sockets, by name or number"},
    {"home-dir", "--home-dir,--data-root", "Folder of the lasting state (/var/lib/pouch)"},
    {"pidfile", "--pidfile", "File that gets the process id"},
    {"registries-file", "--registries-file", "JSON file with mirrors, proxies and the like"},
    {"snapshotter", "--snapshotter", "containerd's snapshotter (overlayfs)"},
};
constexpr Definition kListOptions[] = {
    {"add-runtime", "--add-runtime", "Register an OCI runtime, name=path; repeatable"},
    {"insecure-registries", "--insecure-registry",
     "Registry without trusted TLS: host, host:port, CIDR; repeatable"},
    {"listen", "-l,--listen,-H,--host", "Listen on unix:///path or tcp://host:port; repeatable"},
    {"registry-mirrors", "--registry-mirror", "Mirror of Docker Hub, a URL; repeatable"},
};
constexpr Definition kFlags[] = {
    {"debug", "-D,--debug", "Log more"},
    {"mock", "--mock", "Serve an engine in memory, for tests of clients"},
};

std::unique_ptr<CLI::App> make_parser(Given& given) {
  auto app =
      std::make_unique<CLI::App>("Container engine daemon: Moby's API over the Pouch engine.", "pouchd");
  for (const Definition& option : kTextOptions) {
    app->add_option(option.names, given.values[option.key], option.help)->type_name("TEXT")->expected(1);
  }
  for (const Definition& option : kListOptions) {
    app->add_option(option.names, given.values[option.key], option.help)
        ->type_name("TEXT")
        ->allow_extra_args(false);
  }
  for (const Definition& flag : kFlags) app->add_flag(flag.names, given.flags[flag.key], flag.help);
  app->add_option("--config-file", given.config_file, "JSON file with the same options")
      ->capture_default_str();
  app->set_version_flag("-v,--version",
                        "pouchd " POUCH_VERSION " (API " + bridge::version_text(bridge::kMaxMinor) + ")");
  return app;
}

OptionValues given_values(const Given& given) {
  OptionValues values;
  for (const auto& [key, list] : given.values) {
    if (!list.empty()) values[key] = list;
  }
  for (std::string& address : values["listen"]) {
    if (address.starts_with('=')) address.erase(0, 1);  // "-H=unix://…", as dockerd's users write it
  }
  if (values["listen"].empty()) values.erase("listen");
  for (const auto& [key, is_set] : given.flags) {
    if (is_set) values[key] = {"true"};
  }
  return values;
}

// A missing default file is none.
Result<OptionValues> read_config(const std::string& path, bool is_default) {
  std::ifstream file(path);
  if (!file) {
    if (is_default && errno == ENOENT) return OptionValues();
    return errno_status(errno, "read config file " + quote(path));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_config(text.str());
}

Result<Options> merge(const OptionValues& line, const OptionValues& file) {
  for (const auto& [key, value] : line) {
    if (file.contains(key)) {
      return invalid_argument("option " + key + " is given on the command line and in the config file");
    }
  }
  Options options;
  POUCH_RETURN_IF_ERROR(apply_values(file, options));
  POUCH_RETURN_IF_ERROR(apply_values(line, options));
  if (options.listen.empty()) options.listen = {kDefaultListen};
  return options;
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  Given given;
  const std::unique_ptr<CLI::App> app = make_parser(given);
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return CommandLine{.options = {}, .is_done = true};
  } catch (const CLI::CallForHelp&) {
    std::cout << app->help();
    return CommandLine{.options = {}, .is_done = true};
  } catch (const CLI::ParseError& error) {
    return invalid_argument(error.what());
  }
  const bool is_default = app->count("--config-file") == 0;
  POUCH_ASSIGN_OR_RETURN(const OptionValues file, read_config(given.config_file, is_default));
  CommandLine line;
  POUCH_ASSIGN_OR_RETURN(line.options, merge(given_values(given), file));
  return line;
}

}  // namespace pouch::pouchd
