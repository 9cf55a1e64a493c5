#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/error.h"
#include "cli/format/human.h"

namespace pouch::cli {
namespace {

// The first byte that is no blank decides, as with docker's prune commands.
bool is_confirmed(Context& context, const std::string& host) {
  context.console().out(
      "WARNING! This will remove all containers, images, volumes and networks of\n  " + sanitised(host) +
      "\nand everything else that is kept there.\nAre you sure you want to continue? [y/N] ");
  std::string answer;
  char byte = 0;
  while (::read(context.console().in_fd(), &byte, 1) == 1 && byte != '\n') answer += byte;
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

int reset_command(Context& context, const Invocation& invocation) {
  bool is_sure = false;
  bool in_use = false;
  bool incomplete = false;
  Options options(invocation.command, "", "Remove a root of this host with all that it owns", {0, 0});
  options.flag("-f, --force", &is_sure, "Do not prompt for confirmation");
  options.flag("--in-use", &in_use, "Although other processes have it open");
  options.flag("--incomplete", &incomplete, "Also when something of it cannot be removed");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const std::string host = context.host();
  if (host.empty())
    throw Exit(kExitError, "Error: name the root to remove: pouch -H embed:///path system reset");
  if (!is_sure && !is_confirmed(context, host)) return 0;
  Json::Value given(Json::objectValue);
  given["InUse"] = in_use;
  given["Force"] = incomplete;
  const Json::Value gone = reset_root(host, given);
  context.console().out_line("Removed root " + sanitised(json_string(gone, "Root")) + ": " +
                             gone["Containers"].asString() + " containers, " + gone["Images"].asString() +
                             " images");
  return 0;
}

}  // namespace pouch::cli
