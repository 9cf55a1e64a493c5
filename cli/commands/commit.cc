#include "cli/commands/commands.h"
#include "cli/commands/common.h"

namespace pouch::cli {
namespace {

struct CommitFlags {
  Words changes;
  std::string author;
  std::string message;
  bool pause = true;
  bool no_pause = false;
};

}  // namespace

int commit_command(Context& context, const Invocation& invocation) {
  CommitFlags flags;
  Options options(invocation.command, "CONTAINER [REPOSITORY[:TAG]]",
                  "Create a new image from a container's changes", {1, 2});
  options.text("-a, --author", &flags.author, "string",
               "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")");
  options.list("-c, --change", &flags.changes, "Apply Dockerfile instruction to the created image");
  options.text("-m, --message", &flags.message, "string", "Commit message");
  options.flag("-p, --pause", &flags.pause, "Pause container during commit (default true)");
  options.flag("--no-pause", &flags.no_pause, "Disable pausing container during commit");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value commit(Json::objectValue);
  commit["container"] = arguments->front();
  if (arguments->size() > 1) commit["repo"] = arguments->back();
  if (!flags.author.empty()) commit["author"] = flags.author;
  if (!flags.message.empty()) commit["comment"] = flags.message;
  if (!flags.pause || flags.no_pause) commit["pause"] = false;
  for (const std::string& change : flags.changes) commit["changes"].append(change);
  const Json::Value result = context.client().call("container.commit", {}, commit);
  context.console().out_line(sanitised(result["Id"].asString()));
  return 0;
}

}  // namespace pouch::cli
