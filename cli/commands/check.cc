#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"

namespace pouch::cli {
namespace {

constexpr const char* kTable = "{{.Level}}\t{{.Name}}\t{{.Message}}";

// A finding as one line: what was found, and what mends it.
Row row_of(const Json::Value& finding) {
  Row row;
  row.fields = finding;
  const std::string fix = json_string(finding, "Fix");
  row.fields["Fix"] = fix;
  if (!fix.empty()) row.fields["Message"] = json_string(finding, "Message") + "; " + fix;
  return row;
}

Row headers() {
  Row row;
  row.fields["Level"] = "LEVEL";
  row.fields["Name"] = "NAME";
  row.fields["Message"] = "FINDING";
  row.fields["Fix"] = "FIX";
  return row;
}

}  // namespace

int check_command(Context& context, const Invocation& invocation) {
  std::string format;
  Options options(invocation.command, "", "Check that the engine has all that containers need", {0, 0});
  options.text("-f, --format", &format, "string", "'json', 'table TEMPLATE' or a Go template per finding");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const Json::Value report = check_engine(context.host());
  if (format == "json") {
    context.console().out(to_text(report) + "\n");
  } else {
    std::vector<Row> rows;
    for (const Json::Value& finding : report["Findings"]) rows.push_back(row_of(finding));
    context.console().out(Listing(format, kTable, headers()).render(std::move(rows)));
  }
  return report["Ok"].asBool() ? 0 : kExitError;
}

}  // namespace pouch::cli
