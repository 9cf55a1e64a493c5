#include "core/remote/dockerd.h"

#include <array>
#include <charconv>

#include "core/api/container.gen.h"
#include "core/api/system.gen.h"
#include "core/base/id.h"
#include "core/base/text.h"

namespace pouch::remote {
namespace {

struct Addition {
  std::string_view op;
  std::string_view option;
  ApiVersion since;
};

// From Moby's docs/api/version-history.md.
constexpr std::array kAdditions = {
    Addition{"container.create", "platform", {1, 41}}, Addition{"container.stop", "signal", {1, 42}},
    Addition{"image.inspect", "manifests", {1, 48}},   Addition{"image.inspect", "platform", {1, 49}},
    Addition{"image.list", "manifests", {1, 47}},      Addition{"image.list", "shared-size", {1, 42}},
    Addition{"image.load", "platform", {1, 48}},       Addition{"image.remove", "platforms", {1, 50}},
    Addition{"image.history", "platform", {1, 48}},    Addition{"image.push", "platform", {1, 46}},
    Addition{"image.save", "platform", {1, 48}},       Addition{"system.df", "type", {1, 42}},
};

// What Moby never had.
constexpr std::array<std::string_view, 5> kOurOperations = {
    "image.copy_from", "image.from_rootfs", "system.check", "system.diagnose", "system.session"};

bool is_asked_for(const Json* options, const std::string& name) {
  if (options == nullptr || !options->isObject() || !options->isMember(name)) return false;
  const Json& value = (*options)[name];
  return !value.isNull() && !(value.isBool() && !value.asBool());
}

// Before it a prune took all volumes, and there was no filter to say so.
constexpr ApiVersion kAnonymousPrune{1, 42};

bool prunes_all(const Json* options) {
  if (options == nullptr || !options->isObject() || !(*options)["filters"].isObject()) return false;
  const Json& all = (*options)["filters"]["all"];
  return all.isArray() && !all.empty() && (all[0] == "true" || all[0] == "1");
}

template <class T>
Result<std::string> canonical(std::string_view line) {
  const Result<T> document = api::parse_document<T>(line, api::DecodeMode::kLenient);
  if (!document.is_ok()) return document.status();
  return api::to_json_text(*document);
}

// A push tells all its errors in its stream.
Code code_of_push(const std::string& text) {
  const std::string folded = to_lower(text);
  const auto has = [&folded](std::string_view part) { return folded.find(part) != std::string::npos; };
  if (has("does not exist locally") || has("tag does not exist")) return Code::kNotFound;
  if (has("no basic auth credentials") || has("authentication required") || has("unauthorized"))
    return Code::kUnauthenticated;
  return has("denied") ? Code::kPermissionDenied : Code::kInternal;
}

}  // namespace

ApiVersion ApiVersion::parse(std::string_view text) {
  ApiVersion out;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, out.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return {};
  const auto minor = std::from_chars(major.ptr + 1, end, out.minor);
  return minor.ec == std::errc() ? out : ApiVersion{};
}

Status check_dockerd_knows(const api::OpInfo& op, const Json* options, ApiVersion version) {
  for (const std::string_view ours : kOurOperations) {
    if (op.name == ours)
      return not_implemented(std::string(op.name) + ": a stock dockerd has no such operation");
  }
  if (op.name == "image.pull" && is_asked_for(options, "all-tags")) {
    return not_implemented("image.pull: option all-tags: a stock dockerd does not tell what it pulled");
  }
  if (op.name == "image.push" && is_asked_for(options, "index"))
    return not_implemented("image.push: option index: a stock dockerd makes no index");
  if (op.name == "volume.prune" && version < kAnonymousPrune && !prunes_all(options)) {
    return not_implemented("volume.prune: without the filter all: needs API " + kAnonymousPrune.str() +
                           ", this dockerd has " + version.str());
  }
  for (const Addition& addition : kAdditions) {
    if (op.name != addition.op || version >= addition.since) continue;
    if (!is_asked_for(options, std::string(addition.option))) continue;
    return not_implemented(std::string(op.name) + ": option " + std::string(addition.option) +
                           ": needs API " + addition.since.str() + ", this dockerd has " + version.str());
  }
  return {};
}

Status check_dockerd_mounts(const api::OpInfo& op, const Json* config, ApiVersion version) {
  if (op.name != "container.create" || config == nullptr || !config->isObject()) return {};
  const Json& host = (*config)["HostConfig"];
  if (!host.isObject() || !host["Mounts"].isArray()) return {};
  for (const Json& mount : host["Mounts"]) {
    if (!mount.isObject()) continue;
    const Json& options = mount["VolumeOptions"];
    const bool has_subpath = options.isObject() && options.isMember("Subpath");
    if (mount["Type"] == "image" && version < ApiVersion{1, 48})
      return not_implemented("HostConfig.Mounts: type image needs API 1.48, this dockerd has " +
                             version.str());
    const Json& bind = mount["BindOptions"];
    for (const char* const name : {"ReadOnlyNonRecursive", "ReadOnlyForceRecursive"}) {
      if (!is_asked_for(&bind, name) || version >= ApiVersion{1, 44}) continue;
      return not_implemented(std::string("HostConfig.Mounts: ") + name +
                             " needs API 1.44, this dockerd has " + version.str());
    }
    if (has_subpath && version < ApiVersion{1, 45})
      return not_implemented("HostConfig.Mounts: Subpath needs API 1.45, this dockerd has " + version.str());
  }
  return {};
}

std::string_view path_for_dockerd(const api::OpInfo& op) {
  return op.name == "image.import_tar" ? "/images/create" : op.path;
}

Json options_for_dockerd(const api::OpInfo& op, ApiVersion version, std::vector<std::string>& ids,
                         const Json* options) {
  Json out = options == nullptr || options->isNull() ? json_object() : *options;
  const bool is_import = op.name == "image.import_tar";
  if (is_import && (!out["fromSrc"].isString() || out["fromSrc"].asString().empty())) out["fromSrc"] = "-";
  if (op.name == "volume.prune" && version < kAnonymousPrune) out["filters"].removeMember("all");
  if (op.name != "image.pull" && op.name != "image.push") return out;
  const bool all_tags = is_asked_for(&out, "all-tags");
  out.removeMember("all-tags");
  if (op.name == "image.push") {
    std::string& name = ids.front();
    const size_t colon = name.find(':', name.rfind('/') == std::string::npos ? 0 : name.rfind('/'));
    if (colon != std::string::npos && !is_asked_for(&out, "tag")) {
      out["tag"] = name.substr(colon + 1);
      name.erase(colon);
    }
    if (!all_tags && !is_asked_for(&out, "tag")) out["tag"] = "latest";
    // Without the header older ones refuse it.
    if (!is_asked_for(&out, "auth")) out["auth"] = json_object();
    return out;
  }
  const std::string name = out["fromImage"].isString() ? out["fromImage"].asString() : "";
  const std::string last = name.substr(name.rfind('/') + 1);
  const bool has_tag = last.find_first_of(":@") != std::string::npos;
  if (!has_tag && !is_asked_for(&out, "tag")) out["tag"] = "latest";
  return out;
}

Result<std::string> canonical_message(std::string_view op, std::string_view line) {
  if (op == "container.wait") return canonical<api::WaitResult>(line);
  if (op == "system.events") return canonical<api::EventMessage>(line);
  POUCH_ASSIGN_OR_RETURN(const Json json, parse_json(line));
  if (json.isObject() && json.isMember("errorDetail")) {
    const Json& detail = json["errorDetail"];
    const Json& message = detail.isObject() ? detail["message"] : detail;
    const std::string text(trim(message.isString() ? message.asString() : json["error"].asString()));
    return Status(op == "image.push" ? code_of_push(text) : Code::kInternal, text);
  }
  return canonical<api::ProgressMessage>(line);
}

void LoadedImages::take(std::string_view message) {
  const Result<Json> json = parse_json(message);
  if (!json.is_ok() || !json->isObject()) return;
  const std::string status = (*json)["status"].isString() ? (*json)["status"].asString() : "";
  constexpr std::string_view kDigest = "Digest: ";
  if (status.starts_with(kDigest)) digest_ = status.substr(kDigest.size());
  if (status.starts_with("Status: Downloaded")) is_new_ = true;
  if (is_digest(status)) ids_.push_back(status);  // of an import
  if (const Json& aux = (*json)["aux"]; aux.isObject() && aux.isMember("Tag")) {
    pushed_.push_back({aux["Tag"].asString(), aux["Digest"].asString(), aux["Size"].asInt64()});
  }
  if (!(*json)["stream"].isString()) return;
  const std::string text((*json)["stream"].asString());
  constexpr std::string_view kById = "Loaded image ID: ";
  constexpr std::string_view kByName = "Loaded image: ";
  if (text.starts_with(kById)) ids_.emplace_back(trim(std::string_view(text).substr(kById.size())));
  if (text.starts_with(kByName))
    references_.emplace_back(trim(std::string_view(text).substr(kByName.size())));
}

}  // namespace pouch::remote
