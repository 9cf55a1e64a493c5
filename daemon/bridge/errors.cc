#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "daemon/bridge/bridge.h"
#include "daemon/bridge/old_words.h"

namespace pouch::bridge {
namespace {

// What the engine says of an object that is not there, and Moby's words, by which docker-py and others tell
// what is missing.
struct Wording {
  std::string_view ours;  // lower case
  std::string_view moby;
};

constexpr std::array kNotFound = {
    Wording{"no such container", "No such container: "},
    Wording{"no such image", "No such image: "},
    Wording{"no such exec", "No such exec instance: "},
};

// "busybox" is told as "busybox:latest"; a digest or an id stays.
std::string image_text(const std::string& reference) {
  const size_t slash = reference.rfind('/');
  const bool has_tag = reference.find(':', slash == std::string::npos ? 0 : slash) != std::string::npos;
  return has_tag || reference.find('@') != std::string::npos ? reference : reference + ":latest";
}

// Whether it is the image of a mount that is not there.
bool tells_of_mount(const Json& config, const std::string& message) {
  if (!config.isObject() || !config["HostConfig"].isObject()) return false;
  const Json& mounts = config["HostConfig"]["Mounts"];
  if (!mounts.isArray()) return false;
  return std::any_of(mounts.begin(), mounts.end(), [&](const Json& mount) {
    const bool is_image = mount.isObject() && mount["Type"] == "image" && mount["Source"].isString();
    return is_image && mount["Source"] != config["Image"] &&
           message.find(": " + mount["Source"].asString()) != std::string::npos;
  });
}

std::string subject(const api::OpInfo* op, const std::vector<std::string>& ids, const Json& config,
                    std::string_view moby, const std::string& message) {
  const bool is_image = moby.starts_with("No such image");
  if (op != nullptr && op->name == "container.create") {
    if (is_image && tells_of_mount(config, message)) return {};
    const bool named = is_image && config.isObject() && config["Image"].isString();
    return named ? image_text(config["Image"].asString()) : std::string();
  }
  if (ids.empty()) return {};
  return is_image ? image_text(ids[0]) : ids[0];
}

// What Moby puts before "No such …" in some operations.
std::string introduction(const api::OpInfo* op, int minor, const std::vector<std::string>& ids) {
  if (op == nullptr || ids.empty()) return {};
  if (op->name == "container.kill") return "Cannot kill container: " + ids[0] + ": ";
  if (op->name == "image.inspect" && minor < kNewWordsMinor) return "no such image: " + ids[0] + ": ";
  return {};
}

}  // namespace

ErrorAnswer shape_error(const api::OpInfo* op, int minor, const std::vector<std::string>& ids,
                        const Json& config, const Status& error) {
  ErrorAnswer answer = {http_status(error.code()), error.message()};
  if (error.code() == Code::kNotFound) {
    const std::string folded = to_lower(error.message());
    for (const Wording& wording : kNotFound) {
      if (folded.find(wording.ours) == std::string::npos) continue;
      const std::string name = subject(op, ids, config, wording.moby, error.message());
      if (!name.empty()) answer.message = introduction(op, minor, ids) + std::string(wording.moby) + name;
      break;
    }
  }
  if (minor < kNewWordsMinor) answer.message = old_words(std::move(answer.message));
  return answer;
}

std::string stream_error_line(const api::OpInfo& op, const Status& error) {
  if (op.name == "system.events") return {};
  Json line = json_object();
  if (op.name == "container.wait") {
    line["StatusCode"] = -1;
    line["Error"]["Message"] = error.message();
    return write_json(line);
  }
  line["errorDetail"]["message"] = error.message();
  line["error"] = error.message();
  return write_json(line);
}

}  // namespace pouch::bridge
