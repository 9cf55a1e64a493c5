#include <algorithm>
#include <array>

#include "cli/commands/commands.h"

namespace pouch::cli {
namespace {

struct Command {
  const char* group;  ///< "" for the top level
  const char* name;
  const char* summary;  ///< "" for an alias, which the help leaves out
  int (*run)(Context&, const Invocation&);
};

constexpr const char* kCheck = "Check that the engine has all that containers need";
constexpr const char* kCommit = "Create a new image from a container's changes";
constexpr const char* kCreate = "Create a new container";
constexpr const char* kExec = "Execute a command in a running container";
constexpr const char* kExport = "Export a container's filesystem as a tar archive";
constexpr const char* kHistory = "Show the history of an image";
constexpr const char* kImport = "Import the contents from a tarball to create a filesystem image";
constexpr const char* kInspect = "Return low-level information on objects";
constexpr const char* kKill = "Kill one or more running containers";
constexpr const char* kLoad = "Load an image from a tar archive or STDIN";
constexpr const char* kLogs = "Fetch the logs of a container";
constexpr const char* kPort = "List port mappings or a specific mapping for the container";
constexpr const char* kPs = "List containers";
constexpr const char* kPull = "Download an image from a registry";
constexpr const char* kPush = "Upload an image to a registry";
constexpr const char* kRename = "Rename a container";
constexpr const char* kRm = "Remove one or more containers";
constexpr const char* kAttach =
    "Attach local standard input, output, and error streams to a running container";
constexpr const char* kRmi = "Remove one or more images";
constexpr const char* kRun = "Create and run a new container from an image";
constexpr const char* kSave = "Save one or more images to a tar archive (streamed to STDOUT by default)";
constexpr const char* kStart = "Start one or more stopped containers";
constexpr const char* kStop = "Stop one or more running containers";
constexpr const char* kTag = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE";
constexpr const char* kWait = "Block until one or more containers stop, then print their exit codes";

constexpr Command kCommands[] = {
    {"", "attach", kAttach, attach_command},
    {"", "check", kCheck, check_command},
    {"", "commit", kCommit, commit_command},
    {"", "create", kCreate, create_command},
    {"", "events", "Get real time events from the engine", events_command},
    {"", "exec", kExec, exec_command},
    {"", "export", kExport, export_command},
    {"", "history", kHistory, history_command},
    {"", "images", "List images", images_command},
    {"", "import", kImport, import_command},
    {"", "info", "Display system-wide information", info_command},
    {"", "inspect", kInspect, inspect_command},
    {"", "kill", kKill, kill_command},
    {"", "load", kLoad, load_command},
    {"", "login", "Authenticate to a registry", login_command},
    {"", "logout", "Log out from a registry", logout_command},
    {"", "logs", kLogs, logs_command},
    {"", "port", kPort, port_command},
    {"", "ps", kPs, ps_command},
    {"", "pull", kPull, pull_command},
    {"", "push", kPush, push_command},
    {"", "rename", kRename, rename_command},
    {"", "rm", kRm, rm_command},
    {"", "rmi", kRmi, rmi_command},
    {"", "run", kRun, run_command},
    {"", "save", kSave, save_command},
    {"", "start", kStart, start_command},
    {"", "stop", kStop, stop_command},
    {"", "tag", kTag, tag_command},
    {"", "version", "Show the version information", version_command},
    {"", "wait", kWait, wait_command},
    {"container", "attach", kAttach, attach_command},
    {"container", "commit", kCommit, commit_command},
    {"container", "create", kCreate, create_command},
    {"container", "exec", kExec, exec_command},
    {"container", "export", kExport, export_command},
    {"container", "inspect", "Display detailed information on one or more containers",
     inspect_container_command},
    {"container", "kill", kKill, kill_command},
    {"container", "list", "", ps_command},
    {"container", "logs", kLogs, logs_command},
    {"container", "ls", kPs, ps_command},
    {"container", "port", kPort, port_command},
    {"container", "ps", "", ps_command},
    {"container", "remove", "", rm_command},
    {"container", "rename", kRename, rename_command},
    {"container", "rm", kRm, rm_command},
    {"container", "run", kRun, run_command},
    {"container", "start", kStart, start_command},
    {"container", "stop", kStop, stop_command},
    {"container", "wait", kWait, wait_command},
    {"image", "copy-from", "Copy images that docker or containerd has on the engine's host",
     copy_from_command},
    {"image", "from-rootfs", "Make an image from a root filesystem", from_rootfs_command},
    {"image", "history", kHistory, history_command},
    {"image", "import", kImport, import_command},
    {"image", "inspect", "Display detailed information on one or more images", inspect_image_command},
    {"image", "list", "", images_command},
    {"image", "load", kLoad, load_command},
    {"image", "ls", "List images", images_command},
    {"image", "prune", "Remove unused images", image_prune_command},
    {"image", "pull", kPull, pull_command},
    {"image", "push", kPush, push_command},
    {"image", "remove", "", rmi_command},
    {"image", "rm", kRmi, rmi_command},
    {"image", "save", kSave, save_command},
    {"image", "tag", kTag, tag_command},
    {"network", "connect", "Connect a container to a network", network_connect_command},
    {"network", "create", "Create a network", network_create_command},
    {"network", "disconnect", "Disconnect a container from a network", network_disconnect_command},
    {"network", "inspect", "Display detailed information on one or more networks", network_inspect_command},
    {"network", "list", "", network_ls_command},
    {"network", "ls", "List networks", network_ls_command},
    {"network", "prune", "Remove all unused networks", network_prune_command},
    {"network", "remove", "", network_rm_command},
    {"network", "rm", "Remove one or more networks", network_rm_command},
    {"system", "check", kCheck, check_command},
    {"system", "df", "Show disk usage of the engine", df_command},
    {"system", "diagnose", "Print what a report of a bug should hold", diagnose_command},
    {"system", "reset", "Remove a root of this host with all that it owns", reset_command},
    {"system", "events", "Get real time events from the engine", events_command},
    {"system", "info", "Display system-wide information", info_command},
    {"volume", "create", "Create a volume", volume_create_command},
    {"volume", "inspect", "Display detailed information on one or more volumes", volume_inspect_command},
    {"volume", "list", "", volume_ls_command},
    {"volume", "ls", "List volumes", volume_ls_command},
    {"volume", "prune", "Remove unused local volumes", volume_prune_command},
    {"volume", "remove", "", volume_rm_command},
    {"volume", "rm", "Remove one or more volumes", volume_rm_command},
};

struct Group {
  const char* name;
  const char* summary;
};
constexpr Group kGroups[] = {{"container", "Manage containers"},
                             {"image", "Manage images"},
                             {"network", "Manage networks"},
                             {"system", "Manage Pouch"},
                             {"volume", "Manage volumes"}};

constexpr const char* kGlobalOptions =
    "\nGlobal Options:\n"
    "  -D, --debug              Enable debug mode\n"
    "  -H, --host uri           Engine: embed:///root?run=DIR&containerd=SOCKET, unix:///socket, "
    "tcp://host:port,\n"
    "                           mock://; default: $POUCH_HOST, the config files, "
    "unix:///var/run/pouchd.sock\n"
    "      --log-level string   Log to stderr: \"debug\", \"info\", \"warn\", \"error\", \"fatal\"\n"
    "      --session            Remove all that the command makes when it ends, however it ends\n"
    "  -v, --version            Print version information and quit\n";

const Group* find_group(const std::string& name) {
  const auto* const found = std::find_if(std::begin(kGroups), std::end(kGroups),
                                         [&](const Group& group) { return name == group.name; });
  return found == std::end(kGroups) ? nullptr : found;
}

std::string help_of(const std::string& group, const std::string& intro) {
  std::string out = intro + "\n\nCommands:\n";
  for (const Command& command : kCommands) {
    if (group != command.group || *command.summary == '\0') continue;
    std::string name = command.name;
    name.resize(std::max<size_t>(name.size(), 12), ' ');
    out += "  " + name + command.summary + "\n";
  }
  return out;
}

std::string top_help() {
  std::string out =
      help_of("", "Usage:  pouch [OPTIONS] COMMAND\n\nA container engine that is a library first");
  out += "\nManagement Commands:\n";
  for (const Group& group : kGroups) {
    std::string name = group.name;
    name.resize(12, ' ');
    out += "  " + name + group.summary + "\n";
  }
  return out + kGlobalOptions + "\nRun 'pouch COMMAND --help' for more information on a command.\n";
}

bool is_help(const std::string& word) {
  return word == "--help" || word == "-h" || word == "help";
}

int run_in_group(Context& context, const std::string& group, const std::string& prefix,
                 const std::vector<std::string>& words) {
  for (const Command& command : kCommands) {
    if (group != command.group || words.front() != command.name) continue;
    return command.run(context, {prefix + " " + words.front(), {words.begin() + 1, words.end()}});
  }
  throw Exit(kExitError, "pouch: unknown command: " + prefix + " " + sanitised(words.front()) + "\n\nRun '" +
                             prefix + " --help' for more information");
}

}  // namespace

int dispatch(Context& context, const std::vector<std::string>& words) {
  if (words.empty() || is_help(words.front())) {
    context.console().out(top_help());
    return 0;
  }
  const Group* const group = find_group(words.front());
  if (group == nullptr) return run_in_group(context, "", "pouch", words);
  const std::string prefix = std::string("pouch ") + group->name;
  if (words.size() == 1 || is_help(words[1])) {
    context.console().out(help_of(group->name, "Usage:  " + prefix + " COMMAND\n\n" + group->summary));
    return 0;
  }
  return run_in_group(context, group->name, prefix, {words.begin() + 1, words.end()});
}

}  // namespace pouch::cli
