#include "cli/attach.h"
#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {

int logs_command(Context& context, const Invocation& invocation) {
  bool follow = false;
  bool timestamps = false;
  bool details = false;
  std::string since;
  std::string until;
  std::string tail = "all";
  Options options(invocation.command, "CONTAINER", "Fetch the logs of a container", {1, 1});
  options.flag("-f, --follow", &follow, "Follow log output");
  options.flag("-t, --timestamps", &timestamps, "Show timestamps");
  options.flag("--details", &details, "Show extra details provided to logs");
  options.text("--since", &since, "string",
               "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m)");
  options.text("--until", &until, "string",
               "Show logs before a timestamp (2013-01-02T13:23:37Z) or relative (42m)");
  options.text("-n, --tail", &tail, "string", "Number of lines to show from the end of the logs");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value logs;
  logs["stdout"] = true;
  logs["stderr"] = true;
  logs["tail"] = tail;
  if (follow) logs["follow"] = true;
  if (timestamps) logs["timestamps"] = true;
  if (details) logs["details"] = true;
  if (!since.empty()) logs["since"] = time_option("since", since);
  if (!until.empty()) logs["until"] = time_option("until", until);
  Stream stream = context.client().open("container.logs", {names->front()}, logs);
  copy_stdio(context.console(), stream, {});
  return 0;
}

}  // namespace pouch::cli
