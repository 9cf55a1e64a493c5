#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/commands/list_rows.h"
#include "cli/format/human.h"
#include "cli/format/listing.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

constexpr const char* kNone = "<none>";
constexpr int64_t kSecond = 1'000'000'000;

struct ImagesFlags {
  bool all = false;
  bool digests = false;
  bool no_truncate = false;
  bool quiet = false;
  std::string format;
  Json::Value filters{Json::objectValue};
};

struct Name {
  std::string repository = kNone;
  std::string tag = kNone;
  std::string digest = kNone;
};

Words texts_of(const Json::Value& list, const char* none) {
  Words out;
  for (const Json::Value& item : list) {
    if (item.asString() != none) out.push_back(item.asString());
  }
  return out;
}

// The lines of one image: one per name.
std::vector<Name> names_of(const Json::Value& image, bool with_digests) {
  const Words tags = texts_of(image["RepoTags"], "<none>:<none>");
  const Words digests = texts_of(image["RepoDigests"], "<none>@<none>");
  std::vector<Name> out;
  for (const std::string& tag : tags) {
    const size_t colon = tag.rfind(':');
    Name name{tag.substr(0, colon), tag.substr(colon + 1), kNone};
    const size_t before = out.size();
    for (const std::string& digest : with_digests ? digests : Words()) {
      if (!digest.starts_with(name.repository + "@")) continue;
      name.digest = digest.substr(digest.find('@') + 1);
      out.push_back(name);
    }
    if (out.size() == before) out.push_back(name);
  }
  if (tags.empty()) {
    for (const std::string& digest : digests) {
      const size_t at = digest.find('@');
      out.push_back({digest.substr(0, at), kNone, digest.substr(at + 1)});
    }
  }
  if (out.empty()) out.emplace_back();
  return out;
}

std::string count_text(const Json::Value& number) {
  return number.asInt64() < 0 ? "N/A" : std::to_string(number.asInt64());
}

Row row_of(const Json::Value& image, const Name& name, bool truncate) {
  const int64_t created = image["Created"].asInt64();
  Row row;
  Json::Value& fields = row.fields;
  fields["ID"] = truncate ? short_id(image["Id"].asString()) : image["Id"].asString();
  fields["Repository"] = name.repository;
  fields["Tag"] = name.tag;
  fields["Digest"] = name.digest;
  fields["CreatedSince"] =
      created <= 0 ? "N/A" : human_duration(wall_clock_ns() / kSecond - created) + " ago";
  fields["CreatedAt"] = local_time(created);
  fields["Size"] = human_size(image["Size"].asDouble());
  fields["VirtualSize"] = human_size(image["Size"].asDouble(), 4);
  fields["Containers"] = count_text(image["Containers"]);
  const int64_t shared = image["SharedSize"].asInt64();
  fields["SharedSize"] = shared < 0 ? "N/A" : human_size(image["SharedSize"].asDouble());
  fields["UniqueSize"] =
      shared < 0 ? "N/A" : human_size(image["Size"].asDouble() - image["SharedSize"].asDouble());
  return row;
}

}  // namespace

std::vector<Row> image_rows(const Json::Value& image, bool with_digests, bool truncate) {
  std::vector<Row> rows;
  for (const Name& name : names_of(image, with_digests)) rows.push_back(row_of(image, name, truncate));
  return rows;
}

Row image_headers() {
  Row row;
  const std::pair<const char*, const char*> titles[] = {{"ID", "IMAGE ID"},
                                                        {"Repository", "REPOSITORY"},
                                                        {"Tag", "TAG"},
                                                        {"Digest", "DIGEST"},
                                                        {"CreatedSince", "CREATED"},
                                                        {"CreatedAt", "CREATED AT"},
                                                        {"Size", "SIZE"},
                                                        {"VirtualSize", "SIZE"},
                                                        {"Containers", "CONTAINERS"},
                                                        {"SharedSize", "SHARED SIZE"},
                                                        {"UniqueSize", "UNIQUE SIZE"}};
  for (const auto& [field, title] : titles) row.fields[field] = title;
  return row;
}

namespace {

Listing listing_of(const ImagesFlags& flags) {
  if (flags.quiet) return {"{{.ID}}", "", image_headers()};
  const std::string digest = flags.digests ? "{{.Digest}}\t" : "";
  return {flags.format, "{{.Repository}}\t{{.Tag}}\t" + digest + "{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
          image_headers()};
}

}  // namespace

int images_command(Context& context, const Invocation& invocation) {
  ImagesFlags flags;
  Options options(invocation.command, "[REPOSITORY[:TAG]]", "List images", {0, 1});
  options.flag("-a, --all", &flags.all, "Show all images (default hides intermediate images)");
  options.flag("--digests", &flags.digests, "Show digests");
  declare_filter(options, &flags.filters);
  options.text("--format", &flags.format, "string", "'table', 'table TEMPLATE', 'json' or a Go template");
  options.flag("--no-trunc", &flags.no_truncate, "Don't truncate output");
  options.flag("-q, --quiet", &flags.quiet, "Only show image IDs");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  if (!arguments->empty()) flags.filters["reference"].append(arguments->front());
  const Listing listing = listing_of(flags);
  Json::Value list(Json::objectValue);
  if (flags.all) list["all"] = true;
  if (!flags.filters.empty()) list["filters"] = flags.filters;
  const bool with_digests = flags.digests || (!flags.format.empty() && listing.uses("Digest"));
  std::vector<Row> rows;
  for (const Json::Value& image : context.client().call("image.list", {}, list)) {
    for (Row& row : image_rows(image, with_digests && !flags.quiet, !flags.no_truncate)) {
      rows.push_back(std::move(row));
    }
  }
  context.console().out(listing.render(std::move(rows)));
  return 0;
}

}  // namespace pouch::cli
