#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"

namespace pouch::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// "2024-01-01T10:00:00.000000000Z container start 0123… (image=busybox, name=a)"
std::string line_of(const Json::Value& event) {
  int64_t time = event["timeNano"].asInt64();
  if (time == 0) time = event["time"].asInt64() * kSecond;
  std::string out = local_time_nano(time) + " " + json_string(event, "Type") + " " +
                    json_string(event, "Action") + " " + json_string(event["Actor"], "ID");
  std::string attributes;
  const Json::Value& all = event["Actor"]["Attributes"];
  for (auto attribute = all.begin(); attribute != all.end(); ++attribute) {
    attributes += (attributes.empty() ? "" : ", ") + attribute.name() + "=" + attribute->asString();
  }
  if (!attributes.empty()) out += " (" + attributes + ")";
  return sanitised(out);
}

// With the names that Docker's templates use.
Json::Value template_data(const Json::Value& event) {
  Json::Value out = event;
  const bool has_id = json_string(event, "Type") == "container" || json_string(event, "Type") == "image";
  out["ID"] = has_id ? event["Actor"]["ID"] : Json::Value("");
  out["Status"] = json_string(event, "Action");
  out["From"] = json_string(event["Actor"]["Attributes"], "image");
  out["Scope"] = json_string(event, "scope");
  out["Time"] = event["time"];
  out["TimeNano"] = event["timeNano"];
  return out;
}

}  // namespace

int events_command(Context& context, const Invocation& invocation) {
  std::string since;
  std::string until;
  std::string format;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "Get real time events from the engine", {0, 0});
  declare_filter(options, &filters);
  options.text("--format", &format, "string", "'json' or a Go template");
  options.text("--since", &since, "string", "Show all events created since timestamp");
  options.text("--until", &until, "string", "Stream events until this timestamp");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const Template own = parse_format(format == "json" ? "" : format);
  Json::Value events(Json::objectValue);
  if (!filters.empty()) events["filters"] = filters;
  if (!since.empty()) events["since"] = time_option("since", since);
  if (!until.empty()) events["until"] = time_option("until", until);
  Stream stream = context.client().open("system.events", {}, events);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (frame->lost > 0) {
      context.console().err_line("WARNING: " + std::to_string(frame->lost) + " events were lost");
    }
    const Json::Value event = to_json(frame->data);
    if (format == "json") {
      context.console().out_line(to_text(event));
    } else if (format.empty()) {
      context.console().out_line(line_of(event));
    } else {
      context.console().out_line(execute_format(own, template_data(event)));
    }
  }
  return 0;
}

}  // namespace pouch::cli
