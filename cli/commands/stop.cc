#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {

int stop_command(Context& context, const Invocation& invocation) {
  std::string signal;
  std::optional<int64_t> seconds;
  Options options(invocation.command, "CONTAINER [CONTAINER...]", "Stop one or more running containers",
                  {.least = 1});
  options.text("-s, --signal", &signal, "string", "Signal to send to the container");
  options.integer("-t, --timeout|--time", &seconds, "Seconds to wait before killing the container");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value stop(Json::objectValue);
  if (!signal.empty()) stop["signal"] = signal;
  if (seconds) stop["t"] = Json::Int64(*seconds);
  return for_each_name(context, *names, [&](const std::string& name) {
    try {
      context.client().call("container.stop", {name}, stop);
    } catch (const ApiError& error) {
      if (error.status() != POUCH_ERR_NOT_MODIFIED) throw;  // it does not run, which is what was wanted
    }
    return name;
  });
}

int kill_command(Context& context, const Invocation& invocation) {
  std::string signal = "KILL";
  Options options(invocation.command, "CONTAINER [CONTAINER...]", "Kill one or more running containers",
                  {.least = 1});
  options.text("-s, --signal", &signal, "string", "Signal to send to the container");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value kill;
  kill["signal"] = signal;
  return for_each_name(context, *names, [&](const std::string& name) {
    context.client().call("container.kill", {name}, kill);
    return name;
  });
}

}  // namespace pouch::cli
