#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"

namespace pouch::cli {
namespace {

std::string remove_image(Client& client, const std::string& name, const Json::Value& options) {
  std::string lines;
  for (const Json::Value& item : client.call("image.remove", {name}, options)) {
    for (const char* what : {"Untagged", "Deleted"}) {
      if (!item.isMember(what)) continue;
      lines += (lines.empty() ? "" : "\n") + std::string(what) + ": " + sanitised(item[what].asString());
    }
  }
  return lines;
}

}  // namespace

int rm_command(Context& context, const Invocation& invocation) {
  bool force = false;
  bool link = false;
  bool volumes = false;
  Options options(invocation.command, "CONTAINER [CONTAINER...]", "Remove one or more containers",
                  {.least = 1});
  options.flag("-f, --force", &force, "Force the removal of a running container (uses SIGKILL)");
  options.flag("-l, --link", &link, "Remove the specified link");
  options.flag("-v, --volumes", &volumes, "Remove anonymous volumes associated with the container");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value remove(Json::objectValue);
  if (force) remove["force"] = true;
  if (link) remove["link"] = true;
  if (volumes) remove["v"] = true;
  bool failed = false;
  for_each_name(context, *names, [&](const std::string& name) {
    try {
      context.client().call("container.remove", {name}, remove);
    } catch (const ApiError& error) {
      // What is not there needs no force to be gone.
      failed = failed || !force || error.status() != POUCH_ERR_NOT_FOUND;
      throw;
    }
    return name;
  });
  return failed ? kExitError : 0;
}

int rmi_command(Context& context, const Invocation& invocation) {
  bool force = false;
  bool no_prune = false;
  Words platforms;
  Options options(invocation.command, "IMAGE [IMAGE...]", "Remove one or more images", {.least = 1});
  options.flag("-f, --force", &force, "Force removal of the image");
  options.flag("--no-prune", &no_prune, "Do not delete untagged parents");
  options.value("--platform", "string", "Remove only the given platform variant",
                [&](const std::string& text) { platforms.push_back(parse_platform(text)); });
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value remove(Json::objectValue);
  if (force) remove["force"] = true;
  if (no_prune) remove["noprune"] = true;
  for (const std::string& platform : platforms) remove["platforms"].append(platform);
  bool failed = false;
  for (const std::string& name : *names) {
    try {
      context.console().out_line(remove_image(context.client(), name, remove));
    } catch (const ApiError& error) {
      context.console().err_line(error.what());
      failed = failed || !force || error.status() != POUCH_ERR_NOT_FOUND;
    }
  }
  return failed ? kExitError : 0;
}

int rename_command(Context& context, const Invocation& invocation) {
  Options options(invocation.command, "CONTAINER NEW_NAME", "Rename a container", {2, 2});
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value rename;
  rename["name"] = names->back();
  try {
    context.client().call("container.rename", {names->front()}, rename);
  } catch (const ApiError& error) {
    throw Exit(kExitError,
               std::string(error.what()) + "\nError: failed to rename container named " + names->front());
  }
  return 0;
}

int tag_command(Context& context, const Invocation& invocation) {
  Options options(invocation.command, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                  "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", {2, 2});
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  const std::string& target = names->back();
  const size_t colon = target.rfind(':');
  // A colon before a slash belongs to the port of a registry.
  const bool has_tag = colon != std::string::npos && target.find('/', colon) == std::string::npos;
  Json::Value tag;
  tag["repo"] = has_tag ? target.substr(0, colon) : target;
  if (has_tag) tag["tag"] = target.substr(colon + 1);
  context.client().call("image.tag", {names->front()}, tag);
  return 0;
}

}  // namespace pouch::cli
