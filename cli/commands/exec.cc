#include "cli/attach.h"
#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/terminal.h"

namespace pouch::cli {
namespace {

struct ExecFlags {
  bool detach = false;
  bool interactive = false;
  bool privileged = false;
  bool tty = false;
  std::string detach_keys;
  std::string user;
  std::string folder;
  Words env;
  Words env_files;
};

Json::Value config_of(const ExecFlags& flags, const Words& arguments) {
  Json::Value config;
  for (size_t i = 1; i < arguments.size(); ++i) config["Cmd"].append(arguments[i]);
  for (const std::string& file : flags.env_files) {
    for (const std::string& line : read_lines(file, true)) config["Env"].append(line);
  }
  for (const std::string& variable : flags.env) config["Env"].append(variable);
  if (!flags.user.empty()) config["User"] = flags.user;
  if (!flags.folder.empty()) config["WorkingDir"] = flags.folder;
  if (!flags.detach_keys.empty()) config["DetachKeys"] = flags.detach_keys;
  if (flags.privileged) config["Privileged"] = true;
  if (flags.tty) config["Tty"] = true;
  config["AttachStdin"] = flags.interactive && !flags.detach;
  config["AttachStdout"] = !flags.detach;
  config["AttachStderr"] = !flags.detach;
  return config;
}

int run_exec(Context& context, const ExecFlags& flags, const Words& arguments) {
  Client& client = context.client();
  const std::string id =
      client.call("exec.create", {arguments.front()}, {}, config_of(flags, arguments))["Id"].asString();
  Json::Value start;
  start["Detach"] = flags.detach;
  start["Tty"] = flags.tty;
  const std::optional<TerminalSize> size = terminal_size(context.console());
  if (flags.tty && size) {
    start["ConsoleSize"].append(size->rows);
    start["ConsoleSize"].append(size->columns);
  }
  Stream stream = client.open("exec.start", {id}, {}, start);
  const bool attached = !flags.detach;
  const Json::Value result = copy_stdio(
      context.console(), stream, {.input = flags.interactive && attached, .terminal = flags.tty && attached});
  if (flags.detach) return 0;
  if (!result.isMember("ExitCode")) throw Exit(kExitError, kLeft);
  return result["ExitCode"].asInt();
}

}  // namespace

int exec_command(Context& context, const Invocation& invocation) {
  ExecFlags flags;
  Options options(invocation.command, "CONTAINER COMMAND [ARG...]",
                  "Execute a command in a running container", {.least = 2});
  options.stop_at_first_argument();
  options.flag("-d, --detach", &flags.detach, "Detached mode: run command in the background");
  options.text("--detach-keys", &flags.detach_keys, "string",
               "Override the key sequence for detaching a container");
  options.value("-e, --env", "list", "Set environment variables",
                [&](const std::string& text) { flags.env.push_back(parse_env(text)); });
  options.list("--env-file", &flags.env_files, "Read in a file of environment variables");
  options.flag("-i, --interactive", &flags.interactive, "Keep STDIN open even if not attached");
  options.flag("--privileged", &flags.privileged, "Give extended privileges to the command");
  options.flag("-t, --tty", &flags.tty, "Allocate a pseudo-TTY");
  options.text("-u, --user", &flags.user, "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")");
  options.text("-w, --workdir", &flags.folder, "string", "Working directory inside the container");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  check_terminal(context.console(), flags.interactive && !flags.detach, flags.tty);
  return run_exec(context, flags, *arguments);
}

}  // namespace pouch::cli
