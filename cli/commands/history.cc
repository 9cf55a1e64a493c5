#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

constexpr size_t kCommandColumns = 45;
constexpr int64_t kSecond = 1'000'000'000;

struct HistoryFlags {
  bool is_human = true;
  bool no_truncate = false;
  bool is_quiet = false;
  std::string format;
  std::string platform;
};

// A command may hold tabs and line breaks.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\t' || c == '\n') c = ' ';
  }
  return text;
}

Row row_of(const Json::Value& step, const HistoryFlags& flags) {
  const int64_t created = step["Created"].asInt64();
  Row row;
  const std::string id = step["Id"].asString();
  const std::string command = one_line(step["CreatedBy"].asString());
  row.fields["ID"] = flags.no_truncate ? id : short_id(id);
  row.fields["CreatedSince"] =
      created <= 0 ? "N/A" : human_duration(wall_clock_ns() / kSecond - created) + " ago";
  row.fields["CreatedAt"] = local_time_rfc3339(created);
  row.fields["CreatedBy"] = flags.no_truncate ? command : ellipsis(command, kCommandColumns);
  const Json::Value& size = step["Size"];
  row.fields["Size"] = flags.is_human ? human_size(size.asDouble()) : std::to_string(size.asInt64());
  row.fields["Comment"] = step["Comment"].asString();
  return row;
}

Listing listing_of(const HistoryFlags& flags) {
  Row titles;
  titles.fields["ID"] = "IMAGE";
  titles.fields["CreatedSince"] = "CREATED";
  titles.fields["CreatedAt"] = "CREATED AT";
  titles.fields["CreatedBy"] = "CREATED BY";
  titles.fields["Size"] = "SIZE";
  titles.fields["Comment"] = "COMMENT";
  if (flags.is_quiet) return {"{{.ID}}", "", titles};
  const std::string created = flags.is_human ? "{{.CreatedSince}}" : "{{.CreatedAt}}";
  return {flags.format, "{{.ID}}\t" + created + "\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}", titles};
}

}  // namespace

int history_command(Context& context, const Invocation& invocation) {
  HistoryFlags flags;
  Options options(invocation.command, "IMAGE", "Show the history of an image", {1, 1});
  options.text("--format", &flags.format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.flag("-H, --human", &flags.is_human,
               "Print sizes and dates in human readable format (default true)");
  options.flag("--no-trunc", &flags.no_truncate, "Don't truncate output");
  options.value("--platform", "string", "Show history for the given platform",
                [&](const std::string& text) { flags.platform = parse_platform(text); });
  options.flag("-q, --quiet", &flags.is_quiet, "Only show image IDs");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const Listing listing = listing_of(flags);
  Json::Value history(Json::objectValue);
  if (!flags.platform.empty()) history["platform"] = flags.platform;
  std::vector<Row> rows;
  for (const Json::Value& step : context.client().call("image.history", {arguments->front()}, history)) {
    rows.push_back(row_of(step, flags));
  }
  context.console().out(listing.render(std::move(rows)));
  return 0;
}

}  // namespace pouch::cli
