#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/op.h"
#include "core/base/status.h"

// What differs when the server is a stock dockerd.

namespace pouch::remote {

/// "1.41" as {1, 41}; {0, 0} for what is no version.
struct ApiVersion {
  int major = 0;
  int minor = 0;

  static ApiVersion parse(std::string_view text);
  std::string str() const { return std::to_string(major) + "." + std::to_string(minor); }
  friend auto operator<=>(const ApiVersion&, const ApiVersion&) = default;  // NOLINT(modernize-use-nullptr)
};

/// The version of the routes that we speak.
inline constexpr ApiVersion kOurVersion{1, 50};

/// NotImplemented naming the operation or the option that a dockerd of this version would not know, and would
/// ignore in silence.
Status check_dockerd_knows(const api::OpInfo& op, const Json* options, ApiVersion version);
/// The same for the mounts of a container.create: an older one would pass over what it does not know.
Status check_dockerd_mounts(const api::OpInfo& op, const Json* config, ApiVersion version);

/// Where dockerd has the operation.
std::string_view path_for_dockerd(const api::OpInfo& op);

/// The options as dockerd takes them: to it a pull or push without a tag is one of all tags, and the tag of
/// what is pushed, which leaves `ids`, stands among them.
Json options_for_dockerd(const api::OpInfo& op, ApiVersion version, std::vector<std::string>& ids,
                         const Json* options);

/// A line of a message stream in the spec's form; the error when it tells of one.
Result<std::string> canonical_message(std::string_view op, std::string_view line);

struct PushedTag {
  std::string tag;
  std::string digest;
  int64_t size = 0;
};

/// Collects what an image.load, image.pull or image.push says it has done, for the result that dockerd does
/// not give.
class LoadedImages {
 public:
  void take(std::string_view message);
  const std::vector<std::string>& references() const { return references_; }
  const std::vector<std::string>& ids() const { return ids_; }
  const std::string& digest() const { return digest_; }  ///< of what was pulled
  const std::vector<PushedTag>& pushed() const { return pushed_; }
  bool is_new() const { return is_new_; }  ///< what was pulled was not here

 private:
  std::vector<std::string> references_;
  std::vector<std::string> ids_;
  std::string digest_;
  std::vector<PushedTag> pushed_;
  bool is_new_ = false;
};

}  // namespace pouch::remote
