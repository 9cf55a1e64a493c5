#include "core/image/image_config.h"

#include <sys/utsname.h>

#include <array>
#include <utility>

#include "core/base/text.h"

namespace pouch::image {
namespace {

Status bad_config(std::string_view why) {
  return invalid_argument("the image config is invalid: " + std::string(why));
}

// An optional text field of an object.
Status take_text(const Json& object, const char* key, std::string& out) {
  const Json& value = object[key];
  if (value.isNull()) return {};
  if (!value.isString()) return bad_config(std::string(key) + " is not a string");
  out = value.asString();
  return {};
}

Status take_diff_ids(const Json& root, const ImageLimits& limits, std::vector<Digest>& out) {
  const Json& rootfs = root["rootfs"];
  if (!rootfs.isObject()) return bad_config("rootfs is not an object");
  const Json& ids = rootfs["diff_ids"];
  if (ids.isNull()) return {};
  if (!ids.isArray()) return bad_config("rootfs.diff_ids is not an array");
  if (ids.size() > limits.max_layers) {
    return {Code::kResourceExhausted, "the image has " + std::to_string(ids.size()) +
                                          " layers, over the limit of " + std::to_string(limits.max_layers)};
  }
  for (const Json& id : ids) {
    if (!id.isString() || !is_digest(id.asString()))
      return bad_config("rootfs.diff_ids holds no sha256 digest");
    out.emplace_back(id.asString());
  }
  return {};
}

Status take_created(const Json& root, Timestamp& out) {
  std::string text;
  POUCH_RETURN_IF_ERROR(take_text(root, "created", text));
  if (text.empty()) return {};
  auto parsed = Timestamp::parse_rfc3339(text);
  if (!parsed.is_ok()) return bad_config("created: " + parsed.status().message());
  out = *parsed;
  return {};
}

Status take_comment(const Json& root, std::string& out) {
  POUCH_RETURN_IF_ERROR(take_text(root, "comment", out));
  const Json& history = root["history"];
  if (!out.empty() || !history.isArray() || history.empty()) return {};
  // As Moby: without a comment of its own it is that of the last step.
  const Json& last = history[history.size() - 1];
  return last.isObject() ? take_text(last, "comment", out) : Status();
}

Status take_facts(const Json& root, const ImageLimits& limits, ImageConfigFacts& facts) {
  POUCH_RETURN_IF_ERROR(take_text(root, "architecture", facts.architecture));
  POUCH_RETURN_IF_ERROR(take_text(root, "variant", facts.variant));
  POUCH_RETURN_IF_ERROR(take_text(root, "os", facts.os));
  POUCH_RETURN_IF_ERROR(take_text(root, "os.version", facts.os_version));
  POUCH_RETURN_IF_ERROR(take_text(root, "author", facts.author));
  POUCH_RETURN_IF_ERROR(take_text(root, "docker_version", facts.docker_version));
  POUCH_RETURN_IF_ERROR(take_text(root, "container", facts.container));
  POUCH_RETURN_IF_ERROR(take_comment(root, facts.comment));
  POUCH_RETURN_IF_ERROR(take_created(root, facts.created));
  return take_diff_ids(root, limits, facts.diff_ids);
}

}  // namespace

Result<ImageConfigFacts> parse_image_config(std::string_view json, const ImageLimits& limits) {
  auto root = parse_json(json, {limits.max_json_bytes, limits.max_json_depth});
  if (!root.is_ok()) {
    return root.code() == Code::kResourceExhausted ? root.status().prefix("the image config")
                                                   : bad_config(root.status().message());
  }
  if (!root->isObject()) return bad_config("it is not an object");
  ImageConfigFacts facts;
  POUCH_RETURN_IF_ERROR(take_facts(*root, limits, facts));
  if (facts.os.empty()) return bad_config("it names no os");
  if (facts.architecture.empty()) return bad_config("it names no architecture");
  if (const Json& config = (*root)["config"]; !config.isNull()) {
    auto decoded = api::from_json<api::ImageConfig>(config, api::DecodeMode::kLenient);
    if (!decoded.is_ok()) return bad_config("config." + decoded.status().message());
    facts.config = std::move(*decoded);
  }
  return facts;
}

std::vector<ChainId> chain_ids(const std::vector<Digest>& diff_ids) {
  std::vector<ChainId> chain;
  chain.reserve(diff_ids.size());
  for (const Digest& diff : diff_ids) {
    chain.emplace_back(chain.empty() ? diff.str() : sha256_digest(chain.back().str() + " " + diff.str()));
  }
  return chain;
}

api::ContainerConfig to_container_config(const api::ImageConfig& config) {
  api::ContainerConfig out;
  out.user = config.user;
  out.exposed_ports = config.exposed_ports;
  out.env = config.env;
  out.entrypoint = config.entrypoint;
  out.cmd = config.cmd;
  out.volumes = config.volumes;
  out.working_dir = config.working_dir;
  out.labels = config.labels;
  out.stop_signal = config.stop_signal;
  out.args_escaped = config.args_escaped;
  out.healthcheck = config.healthcheck;
  out.on_build = config.on_build;
  out.shell = config.shell;
  return out;
}

api::ImageConfig to_image_config(const api::ContainerConfig& config) {
  api::ImageConfig out;
  out.user = config.user;
  out.exposed_ports = config.exposed_ports;
  out.env = config.env;
  out.entrypoint = config.entrypoint;
  out.cmd = config.cmd;
  out.volumes = config.volumes;
  out.working_dir = config.working_dir;
  out.labels = config.labels;
  out.stop_signal = config.stop_signal;
  out.args_escaped = config.args_escaped;
  out.healthcheck = config.healthcheck;
  out.on_build = config.on_build;
  out.shell = config.shell;
  return out;
}

std::string make_image_config(const ImageConfigFacts& facts, std::string_view comment) {
  Json root = json_object();
  root["architecture"] = facts.architecture;
  if (!facts.variant.empty()) root["variant"] = facts.variant;
  root["os"] = facts.os;
  root["created"] = facts.created.to_rfc3339();
  root["config"] = facts.config ? api::encode_value(*facts.config) : json_object();
  Json& rootfs = root["rootfs"] = json_object();
  rootfs["type"] = "layers";
  rootfs["diff_ids"] = json_array();
  for (const Digest& diff : facts.diff_ids) rootfs["diff_ids"].append(diff.str());
  Json step = json_object();
  step["created"] = facts.created.to_rfc3339();
  step["comment"] = std::string(comment);
  root["history"] = json_array();
  root["history"].append(std::move(step));
  return write_json(root);
}

std::string_view host_architecture() {
  struct Name {
    std::string_view machine;  // uname's
    std::string_view go;
  };
  static constexpr std::array<Name, 9> kNames{{{"x86_64", "amd64"},
                                               {"aarch64", "arm64"},
                                               {"armv7l", "arm"},
                                               {"i686", "386"},
                                               {"ppc64le", "ppc64le"},
                                               {"s390x", "s390x"},
                                               {"riscv64", "riscv64"},
                                               {"mips64", "mips64le"},
                                               {"loongarch64", "loong64"}}};
  utsname host{};
  if (::uname(&host) != 0) return {};
  for (const Name& name : kNames) {
    if (name.machine == host.machine) return name.go;
  }
  return {};
}

api::Platform platform_of(const ImageConfigFacts& facts) {
  api::Platform out;
  out.architecture = facts.architecture;
  out.os = facts.os;
  if (!facts.os_version.empty()) out.os_version = facts.os_version;
  if (!facts.variant.empty()) out.variant = facts.variant;
  return out;
}

}  // namespace pouch::image
