#include "cli/attach.h"

#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {
namespace {

struct AttachFlags {
  bool no_stdin = false;
  bool signal_proxy = true;
  std::string detach_keys;
};

// What cannot be attached to.
void check_state(const Json::Value& state) {
  if (!state["Running"].asBool()) {
    throw Exit(kExitError, "You cannot attach to a stopped container, start it first");
  }
  if (state["Paused"].asBool()) {
    throw Exit(kExitError, "You cannot attach to a paused container, unpause it first");
  }
  if (state["Restarting"].asBool()) {
    throw Exit(kExitError, "You cannot attach to a restarting container, wait until it is running");
  }
}

int attach(Context& context, const std::string& name, const AttachFlags& flags) {
  Client& client = context.client();
  const Json::Value container = client.call("container.inspect", {name});
  check_state(container["State"]);
  const bool terminal = container["Config"]["Tty"].asBool();
  check_terminal(context.console(), !flags.no_stdin, terminal);
  const std::string id = container["Id"].asString();
  std::optional<SignalForwarder> forwarder;
  if (flags.signal_proxy && !terminal) forwarder.emplace(kill_with(client, id));
  const bool with_input = !flags.no_stdin && container["Config"]["OpenStdin"].asBool();
  Stream wait = client.open("container.wait", {id});
  Stream stream = client.open("container.attach", {id}, attach_options(with_input, flags.detach_keys));
  const Json::Value end =
      copy_stdio(context.console(), stream, {.input = with_input, .terminal = terminal, .redraw = true});
  if (end["Detached"].asBool()) throw Exit(kExitError, kLeft);
  return exit_code_of(wait);
}

}  // namespace

int attach_command(Context& context, const Invocation& invocation) {
  AttachFlags flags;
  Options options(invocation.command, "CONTAINER",
                  "Attach local standard input, output, and error streams to a running container",
                  {.least = 1, .most = 1});
  options.text("--detach-keys", &flags.detach_keys, "string",
               "Override the key sequence for detaching a container");
  options.flag("--no-stdin", &flags.no_stdin, "Do not attach STDIN");
  options.flag("--sig-proxy", &flags.signal_proxy, "Proxy all received signals to the process");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  return attach(context, names->front(), flags);
}

}  // namespace pouch::cli
