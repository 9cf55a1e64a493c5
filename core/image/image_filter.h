#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/filters.h"
#include "core/base/status.h"
#include "core/image/image_config.h"
#include "core/image/image_store.h"

namespace pouch::image {

/// The filters of image.list and image.prune: reference, dangling, label, label!, before, since, until.
/// Values of one key are OR-ed (labels AND-ed), keys AND-ed, as Moby does.
class ImageFilter {
 public:
  /// InvalidArgument: a key that is not of `known`, a bad value, or the absent image of before or since.
  static Result<ImageFilter> make(store::Session& session, const std::optional<FilterMap>& filters,
                                  std::span<const std::string_view> known);

  std::optional<bool> dangling() const { return dangling_; }
  /// Takes from `names` those that a reference filter leaves out.
  bool admits(const ImageRow& row, const ImageConfigFacts& facts, std::vector<NameRow>& names) const;

 private:
  Status add(store::Session& session, const std::string& key, const std::vector<std::string>& values);

  std::optional<bool> dangling_;
  std::vector<std::string> references_;  ///< patterns
  std::vector<std::string> labels_;      ///< "key" or "key=value"
  std::vector<std::string> no_labels_;   ///< none of them
  std::optional<Timestamp> before_;      ///< made before this
  std::optional<Timestamp> since_;       ///< made after this
};

inline constexpr std::array<std::string_view, 6> kListFilters{"before",    "dangling", "label",
                                                              "reference", "since",    "until"};
inline constexpr std::array<std::string_view, 4> kPruneFilters{"dangling", "label", "label!", "until"};

}  // namespace pouch::image
