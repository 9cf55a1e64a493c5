#include <algorithm>
#include <optional>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/commands/list_rows.h"
#include "cli/format/human.h"
#include "cli/format/table.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr const char* kTable = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
constexpr const char* kImageTable =
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t"
    "{{.Containers}}";
constexpr const char* kContainerTable =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t"
    "{{.Names}}";
constexpr const char* kVolumeTable = "{{.Name}}\t{{.Links}}\t{{.Size}}";
constexpr const char* kCacheTable =
    "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

/// One kind of object: how many there are, how many are in use, and their bytes.
struct Sum {
  int64_t total = 0;
  int64_t active = 0;
  int64_t bytes = 0;
  int64_t reclaimable = 0;
};

Sum sum_images(const Json::Value& usage) {
  Sum sum;
  sum.bytes = sum.reclaimable = usage["LayersSize"].asInt64();
  for (const Json::Value& image : usage["Images"]) {
    ++sum.total;
    if (image["Containers"].asInt64() <= 0) continue;
    ++sum.active;
    sum.reclaimable -= image["Size"].asInt64() - image["SharedSize"].asInt64();
  }
  return sum;
}

Sum sum_containers(const Json::Value& usage) {
  Sum sum;
  for (const Json::Value& container : usage["Containers"]) {
    const std::string state = json_string(container, "State");
    const int64_t bytes = container["SizeRw"].asInt64();
    ++sum.total;
    sum.bytes += bytes;
    if (state == "running" || state == "paused" || state == "restarting") {
      ++sum.active;
    } else {
      sum.reclaimable += bytes;
    }
  }
  return sum;
}

Sum sum_volumes(const Json::Value& usage) {
  Sum sum;
  for (const Json::Value& volume : usage["Volumes"]) {
    const int64_t bytes = std::max<int64_t>(volume["UsageData"]["Size"].asInt64(), 0);
    ++sum.total;
    sum.bytes += bytes;
    if (volume["UsageData"]["RefCount"].asInt64() > 0) {
      ++sum.active;
    } else {
      sum.reclaimable += bytes;
    }
  }
  return sum;
}

Sum sum_cache(const Json::Value& usage) {
  Sum sum;
  for (const Json::Value& record : usage["BuildCache"]) {
    const int64_t bytes = record["Shared"].asBool() ? 0 : record["Size"].asInt64();
    ++sum.total;
    sum.bytes += bytes;
    if (record["InUse"].asBool()) {
      ++sum.active;
    } else {
      sum.reclaimable += bytes;
    }
  }
  return sum;
}

// Of what nothing stands in a container's way, Docker gives no share.
Row row_of(const char* type, const Sum& sum, bool with_share) {
  Row row;
  row.fields["Type"] = type;
  row.fields["TotalCount"] = std::to_string(sum.total);
  row.fields["Active"] = std::to_string(sum.active);
  row.fields["Size"] = human_size(static_cast<double>(sum.bytes));
  std::string reclaimable = human_size(static_cast<double>(sum.reclaimable));
  if (with_share && sum.bytes > 0)
    reclaimable += " (" + std::to_string(sum.reclaimable * 100 / sum.bytes) + "%)";
  row.fields["Reclaimable"] = reclaimable;
  return row;
}

Row titles_of(std::initializer_list<std::pair<const char*, const char*>> titles) {
  Row row;
  for (const auto& [field, title] : titles) row.fields[field] = title;
  return row;
}

Row volume_row(const Json::Value& volume) {
  const auto text = [&](const char* field) {
    const int64_t number = volume["UsageData"][field].asInt64();
    return number < 0 ? std::string("N/A") : std::to_string(number);
  };
  const int64_t bytes = volume["UsageData"]["Size"].asInt64();
  Row row;
  row.fields["Name"] = json_string(volume, "Name");
  row.fields["Driver"] = json_string(volume, "Driver");
  row.fields["Links"] = text("RefCount");
  row.fields["Size"] = bytes < 0 ? "N/A" : human_size(static_cast<double>(bytes));
  return row;
}

std::string since(const Json::Value& record, const char* field) {
  const std::optional<int64_t> time = unix_seconds(json_string(record, field));
  return time ? human_duration(wall_clock_ns() / kSecond - *time) + " ago" : "";
}

Row cache_row(const Json::Value& record) {
  Row row;
  row.fields["ID"] = ellipsis(json_string(record, "ID"), 12);
  row.fields["CacheType"] = json_string(record, "Type");
  row.fields["Size"] = human_size(record["Size"].asDouble());
  row.fields["CreatedSince"] = since(record, "CreatedAt");
  row.fields["LastUsedSince"] = since(record, "LastUsedAt");
  row.fields["UsageCount"] = record["UsageCount"].asString();
  row.fields["Shared"] = record["Shared"].asBool() ? "true" : "false";
  return row;
}

/// The rows of `df -v`.
struct Details {
  std::vector<Row> images;
  std::vector<Row> containers;
  std::vector<Row> volumes;
  std::vector<Row> cache;
};

Details details_of(const Json::Value& usage) {
  Details out;
  for (const Json::Value& image : usage["Images"]) {
    out.images.push_back(image_rows(image, /*with_digests=*/false, /*truncate=*/true).front());
  }
  for (const Json::Value& container : usage["Containers"]) {
    out.containers.push_back(container_row(container, /*truncate=*/true));
    out.containers.back().fields["Size"] = human_size(container["SizeRw"].asDouble());
  }
  for (const Json::Value& volume : usage["Volumes"]) out.volumes.push_back(volume_row(volume));
  for (const Json::Value& record : usage["BuildCache"]) out.cache.push_back(cache_row(record));
  return out;
}

std::string tables_of(Details details, const Sum& cache) {
  const Row volume_titles = titles_of({{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}});
  const Row cache_titles = titles_of({{"ID", "CACHE ID"},
                                      {"CacheType", "CACHE TYPE"},
                                      {"Size", "SIZE"},
                                      {"CreatedSince", "CREATED"},
                                      {"LastUsedSince", "LAST USED"},
                                      {"UsageCount", "USAGE"},
                                      {"Shared", "SHARED"}});
  return "Images space usage:\n\n" +
         Listing("", kImageTable, image_headers()).render(std::move(details.images)) +
         "\nContainers space usage:\n\n" +
         Listing("", kContainerTable, container_headers()).render(std::move(details.containers)) +
         "\nLocal Volumes space usage:\n\n" +
         Listing("", kVolumeTable, volume_titles).render(std::move(details.volumes)) +
         "\nBuild cache usage: " + human_size(static_cast<double>(cache.bytes)) + "\n\n" +
         Listing("", kCacheTable, cache_titles).render(std::move(details.cache));
}

Json::Value document_of(const Details& details) {
  const auto list = [](const std::vector<Row>& rows) {
    Json::Value out(Json::arrayValue);
    for (const Row& row : rows) out.append(row.fields);
    return out;
  };
  Json::Value out(Json::objectValue);
  out["Images"] = list(details.images);
  out["Containers"] = list(details.containers);
  out["Volumes"] = list(details.volumes);
  out["BuildCache"] = list(details.cache);
  return out;
}

std::string summary_of(const Json::Value& usage, const std::string& format) {
  const Row titles = titles_of({{"Type", "TYPE"},
                                {"TotalCount", "TOTAL"},
                                {"Active", "ACTIVE"},
                                {"Size", "SIZE"},
                                {"Reclaimable", "RECLAIMABLE"}});
  return Listing(format, kTable, titles)
      .render({row_of("Images", sum_images(usage), true), row_of("Containers", sum_containers(usage), true),
               row_of("Local Volumes", sum_volumes(usage), true),
               row_of("Build Cache", sum_cache(usage), false)});
}

}  // namespace

int df_command(Context& context, const Invocation& invocation) {
  bool verbose = false;
  std::string format;
  Options options(invocation.command, "", "Show disk usage of the engine", {0, 0});
  options.text("--format", &format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.flag("-v, --verbose", &verbose, "Show detailed information on space usage");
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  const Json::Value usage = context.client().call("system.df");
  if (!verbose) {
    context.console().out(summary_of(usage, format));
  } else if (format.empty() || format == "table") {
    context.console().out(tables_of(details_of(usage), sum_cache(usage)));
  } else {
    const Template wanted = parse_format(format == "json" ? "{{json .}}" : format);
    context.console().out_line(execute_format(wanted, document_of(details_of(usage))));
  }
  return 0;
}

}  // namespace pouch::cli
