#include "cli/attach.h"
#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {
namespace {

struct StartFlags {
  bool attach = false;
  bool interactive = false;
  bool signal_proxy = true;
  std::string detach_keys;
};

bool is_not_modified(const ApiError& error) {
  return error.status() == POUCH_ERR_NOT_MODIFIED;
}

void start(Client& client, const std::string& name, const std::string& detach_keys) {
  Json::Value options(Json::objectValue);
  if (!detach_keys.empty()) options["detachKeys"] = detach_keys;
  try {
    client.call("container.start", {name}, options);
  } catch (const ApiError& error) {
    if (!is_not_modified(error)) throw;
  }
}

int start_all(Context& context, const Words& names, const std::string& detach_keys) {
  std::string failed;
  const int code = for_each_name(context, names, [&](const std::string& name) {
    try {
      start(context.client(), name, detach_keys);
    } catch (const ApiError&) {
      failed += (failed.empty() ? "" : ", ") + name;
      throw;
    }
    return name;
  });
  if (code != 0) context.console().err_line("Error: failed to start containers: " + failed);
  return code;
}

int start_attached(Context& context, const std::string& name, const StartFlags& flags) {
  Client& client = context.client();
  const Json::Value container = client.call("container.inspect", {name});
  const std::string id = container["Id"].asString();
  const bool terminal = container["Config"]["Tty"].asBool();
  std::optional<SignalForwarder> forwarder;
  if (flags.signal_proxy && !terminal) forwarder.emplace(kill_with(client, id));
  const bool with_input = flags.interactive && container["Config"]["OpenStdin"].asBool();
  Stream attached = client.open("container.attach", {id}, attach_options(with_input, flags.detach_keys));
  Json::Value wait_options;
  wait_options["condition"] = container["HostConfig"]["AutoRemove"].asBool() ? "removed" : "next-exit";
  Stream wait = client.open("container.wait", {id}, wait_options);
  client.call("container.start", {id});
  const Json::Value end =
      copy_stdio(context.console(), attached, {.input = with_input, .terminal = terminal});
  return end["Detached"].asBool() ? 0 : exit_code_of(wait);
}

}  // namespace

int start_command(Context& context, const Invocation& invocation) {
  StartFlags flags;
  Options options(invocation.command, "CONTAINER [CONTAINER...]", "Start one or more stopped containers",
                  {.least = 1});
  options.flag("-a, --attach", &flags.attach, "Attach STDOUT/STDERR and forward signals");
  options.flag("-i, --interactive", &flags.interactive, "Attach container's STDIN");
  options.text("--detach-keys", &flags.detach_keys, "string",
               "Override the key sequence for detaching a container");
  options.flag("--sig-proxy", &flags.signal_proxy, "Proxy received signals to the process");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  if (!flags.attach && !flags.interactive) return start_all(context, *names, flags.detach_keys);
  if (names->size() > 1) throw Exit(kExitError, "you cannot start and attach multiple containers at once");
  return start_attached(context, names->front(), flags);
}

int wait_command(Context& context, const Invocation& invocation) {
  Options options(invocation.command, "CONTAINER [CONTAINER...]",
                  "Block until one or more containers stop, then print their exit codes", {.least = 1});
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  return for_each_name(context, *names, [&](const std::string& name) {
    Stream wait = context.client().open("container.wait", {name});
    return std::to_string(exit_code_of(wait));
  });
}

}  // namespace pouch::cli
