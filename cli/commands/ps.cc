#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/commands/list_rows.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"
#include "cli/format/ports.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

constexpr size_t kCommandWidth = 20;
constexpr size_t kMountWidth = 15;
constexpr int64_t kSecond = 1'000'000'000;

constexpr const char* kTable =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

struct PsFlags {
  bool all = false;
  bool latest = false;
  bool quiet = false;
  bool size = false;
  std::optional<int64_t> last;
  std::string format;
  Json::Value filters{Json::objectValue};
};

std::string joined(const std::string& list, const std::string& item, const char* separator) {
  return list.empty() ? item : list + separator + item;
}

std::string names_of(const Json::Value& container, bool truncate) {
  std::string out;
  for (const Json::Value& item : container["Names"]) {
    std::string name = item.asString();
    if (name.starts_with("/")) name.erase(0, 1);
    // A name of a link belongs to another container.
    if (truncate && name.find('/') != std::string::npos) continue;
    out = joined(out, name, ",");
  }
  return out;
}

std::string image_of(const Json::Value& container, bool truncate) {
  const std::string image = json_string(container, "Image");
  if (image.empty()) return "<no image>";
  if (!truncate) return image;
  if (image.starts_with("sha256:") || short_id(json_string(container, "ImageID")) == short_id(image)) {
    return short_id(image);
  }
  return image.substr(0, image.find('@'));
}

std::string mounts_of(const Json::Value& container, bool truncate) {
  std::string out;
  for (const Json::Value& mount : container["Mounts"]) {
    std::string name = json_string(mount, "Name");
    if (name.empty()) name = json_string(mount, "Source");
    out = joined(out, truncate ? ellipsis(name, kMountWidth) : name, ",");
  }
  return out;
}

std::string volumes_of(const Json::Value& container) {
  int count = 0;
  for (const Json::Value& mount : container["Mounts"])
    count += json_string(mount, "Driver") == "local" ? 1 : 0;
  return std::to_string(count);
}

std::string labels_of(const Json::Value& container) {
  std::string out;
  const Json::Value& labels = container["Labels"];
  for (auto label = labels.begin(); label != labels.end(); ++label) {
    out = joined(out, label.name() + "=" + label->asString(), ",");
  }
  return out;
}

std::string networks_of(const Json::Value& container) {
  std::string out;
  for (const std::string& name : container["NetworkSettings"]["Networks"].isObject()
                                     ? container["NetworkSettings"]["Networks"].getMemberNames()
                                     : Words()) {
    out = joined(out, name, ",");
  }
  return out;
}

std::string size_of(const Json::Value& container) {
  const std::string written = human_size(container["SizeRw"].asDouble());
  if (container["SizeRootFs"].asInt64() <= 0) return written;
  return written + " (virtual " + human_size(container["SizeRootFs"].asDouble()) + ")";
}

}  // namespace

Row container_row(const Json::Value& container, bool truncate) {
  const int64_t created = container["Created"].asInt64();
  const std::string command = json_string(container, "Command");
  Row row;
  Json::Value& fields = row.fields;
  fields["ID"] = truncate ? short_id(container["Id"].asString()) : container["Id"].asString();
  fields["Names"] = names_of(container, truncate);
  fields["Image"] = image_of(container, truncate);
  fields["Command"] = quoted(truncate ? ellipsis(command, kCommandWidth) : command);
  fields["CreatedAt"] = local_time(created);
  fields["RunningFor"] = human_duration(wall_clock_ns() / kSecond - created) + " ago";
  fields["Ports"] = shown_ports(container["Ports"]);
  fields["State"] = json_string(container, "State");
  fields["Status"] = json_string(container, "Status");
  fields["Size"] = size_of(container);
  fields["Labels"] = labels_of(container);
  fields["Mounts"] = mounts_of(container, truncate);
  fields["LocalVolumes"] = volumes_of(container);
  fields["Networks"] = networks_of(container);
  row.methods["Label"] = [labels = container["Labels"]](const std::vector<Json::Value>& arguments) {
    if (arguments.size() != 1 || !arguments[0].isString()) throw TemplateError("Label takes one name");
    return Json::Value(json_string(labels, arguments[0].asCString()));
  };
  return row;
}

Row container_headers() {
  Row row;
  const std::pair<const char*, const char*> titles[] = {{"ID", "CONTAINER ID"},
                                                        {"Names", "NAMES"},
                                                        {"Image", "IMAGE"},
                                                        {"Command", "COMMAND"},
                                                        {"CreatedAt", "CREATED AT"},
                                                        {"RunningFor", "CREATED"},
                                                        {"Ports", "PORTS"},
                                                        {"State", "STATE"},
                                                        {"Status", "STATUS"},
                                                        {"Size", "SIZE"},
                                                        {"Labels", "LABELS"},
                                                        {"Mounts", "MOUNTS"},
                                                        {"LocalVolumes", "LOCAL VOLUMES"},
                                                        {"Networks", "NETWORKS"}};
  for (const auto& [field, title] : titles) row.fields[field] = title;
  row.methods["Label"] = [](const std::vector<Json::Value>& arguments) {
    return arguments.empty() ? Json::Value("LABEL") : arguments[0];
  };
  return row;
}

namespace {

std::string table_of(const PsFlags& flags) {
  if (flags.quiet) return "{{.ID}}";
  return flags.size ? std::string(kTable) + "\t{{.Size}}" : kTable;
}

Json::Value list_options(const PsFlags& flags, bool wants_size) {
  Json::Value options(Json::objectValue);
  if (flags.all) options["all"] = true;
  if (flags.latest) options["limit"] = 1;
  if (flags.last && *flags.last >= 0) options["limit"] = Json::Int64(*flags.last);
  if (wants_size) options["size"] = true;
  if (!flags.filters.empty()) options["filters"] = flags.filters;
  return options;
}

}  // namespace

int ps_command(Context& context, const Invocation& invocation) {
  PsFlags flags;
  bool no_truncate = false;
  Options options(invocation.command, "", "List containers", {0, 0});
  options.flag("-a, --all", &flags.all, "Show all containers (default shows just running)");
  declare_filter(options, &flags.filters);
  options.text("--format", &flags.format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.integer("-n, --last", &flags.last, "Show n last created containers (includes all states)");
  options.flag("-l, --latest", &flags.latest, "Show the latest created container (includes all states)");
  options.flag("--no-trunc", &no_truncate, "Don't truncate output");
  options.flag("-q, --quiet", &flags.quiet, "Only display container IDs");
  options.flag("-s, --size", &flags.size, "Display total file sizes");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  if (flags.quiet && !flags.format.empty()) {
    context.console().err_line("WARNING: Ignoring custom format, because both --format and --quiet are set.");
  }
  const Listing listing(flags.quiet ? table_of(flags) : flags.format, table_of(flags), container_headers());
  const bool wants_size = flags.size || (!flags.format.empty() && listing.uses("Size"));
  std::vector<Row> rows;
  for (const Json::Value& item :
       context.client().call("container.list", {}, list_options(flags, wants_size))) {
    rows.push_back(container_row(item, !no_truncate));
  }
  context.console().out(listing.render(std::move(rows)));
  return 0;
}

}  // namespace pouch::cli
