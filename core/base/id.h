#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace pouch {

/// A string that cannot be mixed up with another kind of string.
template <class Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend bool operator==(const StrongId&, const StrongId&) = default;
  friend auto operator<=>(const StrongId&, const StrongId&) = default;

 private:
  std::string value_;
};

using ContainerId = StrongId<struct ContainerIdTag>;  ///< 64 hex digits
using ExecId = StrongId<struct ExecIdTag>;            ///< 64 hex digits
using RootId = StrongId<struct RootIdTag>;            ///< 12 hex digits, "" for the system root's plain name
using Digest = StrongId<struct DigestTag>;            ///< "sha256:" and 64 hex digits
using ChainId = StrongId<struct ChainIdTag>;          ///< a Digest over the layers below and this one

/// `bytes` random bytes (getrandom) as lower-case hex.
std::string random_hex(size_t bytes);
/// 64 hex digits, never all decimal in the first 12 (a hostname of digits alone is not a valid one).
std::string new_object_id();
bool is_hex(std::string_view text);

/// SHA-256 of `data` as "sha256:<hex>".
std::string sha256_digest(std::string_view data);
/// "sha256:" and 64 lower-case hex digits.
bool is_digest(std::string_view text);

}  // namespace pouch

template <class Tag>
struct std::hash<pouch::StrongId<Tag>> {
  size_t operator()(const pouch::StrongId<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};
