#include "cli/pull.h"

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/image_name.h"

namespace pouch::cli {
int pull_command(Context& context, const Invocation& invocation) {
  PullWish wish;
  Options options(invocation.command, "NAME[:TAG|@DIGEST]", "Download an image from a registry", {1, 1});
  options.flag("-a, --all-tags", &wish.all_tags, "Download all tagged images in the repository");
  options.text("--platform", &wish.platform, "string", "Set platform if server is multi-platform capable");
  options.flag("-q, --quiet", &wish.is_quiet, "Suppress verbose output");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  wish.image = arguments->front();
  const bool is_bare = !has_tag_or_digest(wish.image);
  if (wish.all_tags && !is_bare) throw Exit(kExitError, "tag can't be used with --all-tags/-a");
  if (!wish.all_tags && is_bare) {
    wish.image += ":latest";
    if (!wish.is_quiet) context.console().out_line("Using default tag: latest");
  }
  pull_image(context.client(), context.console(), wish);
  context.console().out_line(full_name(wish.image));
  return 0;
}

}  // namespace pouch::cli
