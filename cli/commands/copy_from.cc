#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/pull.h"

namespace pouch::cli {

int copy_from_command(Context& context, const Invocation& invocation) {
  std::string address;
  std::string name_space;
  std::string platform;
  bool is_quiet = false;
  Options options(invocation.command, "docker|containerd [IMAGE...]",
                  "Copy images that another engine of the engine's host has", {.least = 1});
  options.text("--address", &address, "string",
               "Of docker (unix:///var/run/docker.sock), or containerd's socket "
               "(/run/containerd/containerd.sock)");
  options.text("-n, --namespace", &name_space, "string", "Namespace of containerd (default)");
  options.text("--platform", &platform, "string", "Platform of containerd's images");
  options.flag("-q, --quiet", &is_quiet, "Only show what was copied");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value wish(Json::objectValue);
  wish["source"] = arguments->front();
  if (!address.empty()) wish["address"] = address;
  if (!name_space.empty()) wish["namespace"] = name_space;
  if (!platform.empty()) wish["platform"] = platform;
  for (size_t i = 1; i < arguments->size(); ++i) wish["names"].append((*arguments)[i]);
  Stream stream = context.client().open("image.copy_from", {}, wish);
  ProgressDisplay display(context.console(), /*to_err=*/false);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (!is_quiet) display.show(to_json(frame->data));
  }
  const Json::Value result = stream.finish();
  for (const Json::Value& name : result["References"]) context.console().out_line(sanitised(name.asString()));
  return 0;
}

}  // namespace pouch::cli
