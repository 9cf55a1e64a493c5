#include <json/writer.h>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/listing.h"

namespace pouch::cli {
namespace {

// For people to read over before they send it.
std::string indented(const Json::Value& document) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "  ";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, document);
}

}  // namespace

int diagnose_command(Context& context, const Invocation& invocation) {
  std::string format;
  Options options(invocation.command, "", "Print what a report of a bug should hold", {0, 0});
  options.text("-f, --format", &format, "string", "'json' or a Go template");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const Json::Value report = context.client().call("system.diagnose");
  if (format.empty()) {
    context.console().out_line(indented(report));
  } else {
    context.console().out_line(format == "json" ? to_text(report)
                                                : execute_format(parse_format(format), report));
  }
  return 0;
}

}  // namespace pouch::cli
