#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/output_file.h"

namespace pouch::cli {

namespace {

void write_archive(Context& context, Stream stream, std::optional<OutputFile>& file) {
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (file) {
      file->write(frame->data);
    } else {
      context.console().out(frame->data);
    }
  }
  stream.finish();
  if (file) file->keep();
}

}  // namespace

int export_command(Context& context, const Invocation& invocation) {
  std::string output;
  Options options(invocation.command, "CONTAINER", "Export a container's filesystem as a tar archive",
                  {1, 1});
  options.text("-o, --output", &output, "string", "Write to a file, instead of STDOUT");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  if (output.empty() && context.console().out_is_terminal()) {
    throw Exit(kExitError, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
  std::optional<OutputFile> file;
  if (!output.empty()) file.emplace(output);
  write_archive(context, context.client().open("container.export", {names->front()}), file);
  return 0;
}

int save_command(Context& context, const Invocation& invocation) {
  std::string output;
  std::string platform;
  Options options(invocation.command, "IMAGE [IMAGE...]",
                  "Save one or more images to a tar archive (streamed to STDOUT by default)", {.least = 1});
  options.text("-o, --output", &output, "string", "Write to a file, instead of STDOUT");
  options.value("--platform", "string", "Save only the given platform variant",
                [&](const std::string& text) { platform = parse_platform(text); });
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  if (output.empty() && context.console().out_is_terminal()) {
    throw Exit(kExitError, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
  Json::Value save(Json::objectValue);
  for (const std::string& name : *names) save["names"].append(name);
  if (!platform.empty()) save["platform"] = platform;
  std::optional<OutputFile> file;
  if (!output.empty()) file.emplace(output);
  write_archive(context, context.client().open("image.save", {}, save), file);
  return 0;
}

}  // namespace pouch::cli
