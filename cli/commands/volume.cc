#include <algorithm>
#include <cctype>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"
#include "cli/prompt.h"

namespace pouch::cli {
namespace {

void declare_pairs(Options& options, const std::string& names, Json::Value& document, const char* key,
                   const std::string& help) {
  options.value(names, "list", help, [&document, key](const std::string& text) {
    const auto [name, value] = parse_pair(text);
    document[key][name] = value;
  });
}

std::string labels_text(const Json::Value& labels) {
  std::string out;
  if (!labels.isObject()) return out;
  for (const std::string& name : labels.getMemberNames()) {
    out += (out.empty() ? "" : ",") + name + "=" + labels[name].asString();
  }
  return out;
}

// Numbers in names by their value, as Docker sorts them: v2 before v10.
bool is_before(const std::string& left, const std::string& right) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0;
  size_t j = 0;
  while (i < left.size() && j < right.size()) {
    if (!is_digit(left[i]) || !is_digit(right[j])) {
      if (left[i] != right[j]) return left[i] < right[j];
      ++i;
      ++j;
      continue;
    }
    const auto number = [&](const std::string& text, size_t& at) {
      while (at + 1 < text.size() && text[at] == '0' && is_digit(text[at + 1])) ++at;
      const size_t begin = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string a = number(left, i);
    const std::string b = number(right, j);
    if (a != b) return a.size() != b.size() ? a.size() < b.size() : a < b;
  }
  return left.size() - i < right.size() - j;
}

Row row_of(const Json::Value& volume) {
  Row row;
  Json::Value& fields = row.fields;
  for (const char* name : {"Name", "Driver", "Scope", "Mountpoint"}) fields[name] = volume[name];
  fields["Labels"] = labels_text(volume["Labels"]);
  // Only `system df` measures.
  for (const char* name : {"Links", "Size", "Availability", "Group", "Status"}) fields[name] = "N/A";
  const Json::Value labels = volume["Labels"].isObject() ? volume["Labels"] : Json::Value(Json::objectValue);
  row.methods["Label"] = [labels](const std::vector<Json::Value>& arguments) {
    return arguments.empty() ? Json::Value("") : labels.get(arguments.front().asString(), "");
  };
  return row;
}

Row headers() {
  Row row;
  const std::pair<const char*, const char*> titles[] = {
      {"Name", "VOLUME NAME"}, {"Driver", "DRIVER"}, {"Scope", "SCOPE"}, {"Mountpoint", "MOUNTPOINT"},
      {"Labels", "LABELS"},    {"Links", "LINKS"},   {"Size", "SIZE"},   {"Availability", "AVAILABILITY"},
      {"Group", "GROUP"},      {"Status", "STATUS"}};
  for (const auto& [field, title] : titles) row.fields[field] = title;
  return row;
}

}  // namespace

int volume_create_command(Context& context, const Invocation& invocation) {
  Json::Value config(Json::objectValue);
  std::string driver = "local";
  std::string name;
  Options options(invocation.command, "[VOLUME]", "Create a volume", {0, 1});
  options.text("-d, --driver", &driver, "string", "Specify volume driver name");
  declare_pairs(options, "--label", config, "Labels", "Set metadata for a volume");
  options.text("--name", &name, "string", "Specify volume name");
  declare_pairs(options, "-o, --opt", config, "DriverOpts", "Set driver specific options");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  if (!name.empty() && !arguments->empty()) {
    throw Exit(
        kExitError,
        "conflicting options: cannot specify a volume-name through both --name and as a positional arg");
  }
  if (!arguments->empty()) name = arguments->front();
  if (!name.empty()) config["Name"] = name;
  config["Driver"] = driver;
  const Json::Value made = context.client().call("volume.create", {}, Json::Value(Json::objectValue), config);
  context.console().out_line(made["Name"].asString());
  return 0;
}

int volume_ls_command(Context& context, const Invocation& invocation) {
  bool quiet = false;
  std::string format;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "List volumes", {0, 0});
  declare_filter(options, &filters);
  options.text("--format", &format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.flag("-q, --quiet", &quiet, "Only display volume names");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const bool names_only = quiet && (format.empty() || format == "table");
  const Listing listing =
      names_only ? Listing("{{.Name}}", "", headers()) : Listing(format, "{{.Driver}}\t{{.Name}}", headers());
  Json::Value list(Json::objectValue);
  if (!filters.empty()) list["filters"] = filters;
  const Json::Value found = context.client().call("volume.list", {}, list);
  std::vector<Row> rows;
  for (const Json::Value& volume : found["Volumes"]) rows.push_back(row_of(volume));
  std::stable_sort(rows.begin(), rows.end(), [](const Row& left, const Row& right) {
    return is_before(left.fields["Name"].asString(), right.fields["Name"].asString());
  });
  context.console().out(listing.render(std::move(rows)));
  for (const Json::Value& warning : found["Warnings"])
    context.console().err_line("WARNING: " + sanitised(warning.asString()));
  return 0;
}

int volume_rm_command(Context& context, const Invocation& invocation) {
  bool force = false;
  Options options(invocation.command, "VOLUME [VOLUME...]", "Remove one or more volumes", {.least = 1});
  options.flag("-f, --force", &force, "Force the removal of one or more volumes");
  const std::optional<Words> names = options.parse(invocation.args);
  if (!names) {
    context.console().out(options.help());
    return 0;
  }
  Json::Value remove(Json::objectValue);
  if (force) remove["force"] = true;
  return for_each_name(context, *names, [&](const std::string& name) {
    context.client().call("volume.remove", {name}, remove);
    return name;
  });
}

int volume_prune_command(Context& context, const Invocation& invocation) {
  bool all = false;
  bool force = false;
  Json::Value filters(Json::objectValue);
  Options options(invocation.command, "", "Remove unused local volumes", {0, 0});
  options.flag("-a, --all", &all, "Remove all unused volumes, not just anonymous ones");
  declare_filter(options, &filters, "--filter");
  options.flag("-f, --force", &force, "Do not prompt for confirmation");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  if (all && filters.isMember("all"))
    throw Exit(kExitError, "conflicting options: cannot specify both --all and --filter all=1");
  const char* const warning =
      all ? "WARNING! This will remove all local volumes not used by at least one container."
          : "WARNING! This will remove anonymous local volumes not used by at least one container.";
  if (!force && !confirm(context.console(), warning))
    throw Exit(kExitError, "volume prune has been cancelled");
  if (all) filters["all"].append("true");
  Json::Value prune(Json::objectValue);
  if (!filters.empty()) prune["filters"] = filters;
  const Json::Value result = context.client().call("volume.prune", {}, prune);
  std::string text;
  for (const Json::Value& name : result["VolumesDeleted"]) text += sanitised(name.asString()) + "\n";
  if (!text.empty()) context.console().out("Deleted Volumes:\n" + text + "\n");
  context.console().out_line("Total reclaimed space: " + human_size(result["SpaceReclaimed"].asDouble()));
  return 0;
}

}  // namespace pouch::cli
