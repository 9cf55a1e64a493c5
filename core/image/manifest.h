#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/api/common.gen.h"
#include "core/base/status.h"
#include "core/ctrd/types.h"
#include "core/image/limits.h"

namespace pouch::image {

/// One entry of an index.
struct IndexEntry {
  ctrd::Descriptor descriptor;
  std::optional<api::Platform> platform;
  bool is_attestation = false;  ///< about another entry, not an image
};

/// A manifest or an index (OCI's, or Docker's schema 2), as its JSON says. Nothing it refers to was looked
/// at.
struct Manifest {
  std::string media_type;  ///< empty: it does not say
  bool is_index = false;
  std::vector<IndexEntry> entries;       ///< of an index
  ctrd::Descriptor config;               ///< of a manifest
  std::vector<ctrd::Descriptor> layers;  ///< of a manifest, lowest first
};

/// `what` names it in messages: "manifest sha256:…". InvalidArgument "<what> is invalid: <why>" where it is
/// not as the formats want it, NotImplemented for Docker's schema 1, ResourceExhausted over a limit.
Result<Manifest> parse_manifest(std::string_view json, const std::string& what, const ImageLimits& limits);

/// The platform that this program runs on.
api::Platform host_platform();
/// "linux", "linux/amd64" or "linux/arm64/v8"; "amd64" alone, too. The rest is the host's. InvalidArgument
/// for anything else.
Result<api::Platform> parse_platform_text(std::string_view text);
/// "linux/arm64/v8".
std::string platform_text(const api::Platform& platform);

/// Whether the two are one: of variants those that are what their architecture is without one are none.
bool is_same_platform(const api::Platform& a, const api::Platform& b);

/// The entries with images for the platform, best first: those of its very variant, then those that name
/// none.
std::vector<const IndexEntry*> entries_for(const std::vector<IndexEntry>& entries,
                                           const api::Platform& platform);

}  // namespace pouch::image
