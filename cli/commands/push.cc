#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/image_name.h"
#include "cli/pull.h"

namespace pouch::cli {

int push_command(Context& context, const Invocation& invocation) {
  bool all_tags = false;
  bool is_quiet = false;
  std::string platform;
  Words index;
  Options options(invocation.command, "NAME[:TAG]", "Upload an image to a registry", {1, 1});
  options.flag("-a, --all-tags", &all_tags, "Push all tags of an image to the repository");
  options.list("--index", &index, "Push an index of that name with this image in it (repeatable)");
  options.value("--platform", "string", "Push a platform-specific manifest as a single-platform image",
                [&](const std::string& text) { platform = parse_platform(text); });
  options.flag("-q, --quiet", &is_quiet, "Suppress verbose output");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const std::string& image = arguments->front();
  const bool is_bare = !has_tag_or_digest(image);
  if (all_tags && !is_bare) throw Exit(kExitError, "tag can't be used with --all-tags/-a");
  if (!all_tags && is_bare && !is_quiet) context.console().out_line("Using default tag: latest");
  Json::Value push(Json::objectValue);
  if (all_tags) push["all-tags"] = true;
  for (const std::string& member : index) push["index"].append(member);
  if (!platform.empty()) push["platform"] = platform;
  add_account(context.console(), registry_of(image), push);
  Stream stream = context.client().open("image.push", {image}, push);
  ProgressDisplay display(context.console(), /*to_err=*/false);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (!is_quiet) display.show(to_json(frame->data));
  }
  stream.finish();
  if (is_quiet) context.console().out_line(full_name(image) + (is_bare && !all_tags ? ":latest" : ""));
  return 0;
}

}  // namespace pouch::cli
