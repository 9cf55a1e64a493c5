#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/human.h"
#include "cli/prompt.h"

namespace pouch::cli {

int image_prune_command(Context& context, const Invocation& invocation) {
  bool all = false;
  bool force = false;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "Remove unused images", {0, 0});
  options.flag("-a, --all", &all, "Remove all unused images, not just dangling ones");
  declare_filter(options, &filters, "--filter");
  options.flag("-f, --force", &force, "Do not prompt for confirmation");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const char* const warning =
      all ? "WARNING! This will remove all images without at least one container associated to them."
          : "WARNING! This will remove all dangling images.";
  if (!force && !confirm(context.console(), warning))
    throw Exit(kExitError, "image prune has been cancelled");
  filters["dangling"] = Json::Value(Json::arrayValue);
  filters["dangling"].append(all ? "false" : "true");
  Json::Value prune(Json::objectValue);
  prune["filters"] = filters;
  const Json::Value result = context.client().call("image.prune", {}, prune);
  std::string text;
  for (const Json::Value& item : result["ImagesDeleted"]) {
    if (item.isMember("Untagged")) text += "untagged: " + sanitised(item["Untagged"].asString()) + "\n";
    if (item.isMember("Deleted")) text += "deleted: " + sanitised(item["Deleted"].asString()) + "\n";
  }
  if (!text.empty()) context.console().out("Deleted Images:\n" + text + "\n");
  context.console().out_line("Total reclaimed space: " + human_size(result["SpaceReclaimed"].asDouble()));
  return 0;
}

}  // namespace pouch::cli
