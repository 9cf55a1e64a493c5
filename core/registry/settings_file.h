#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// What a JSON document says about registries; each key may be missing:
///
///     {"registry-mirrors":    ["https://mirror.example"],                     of docker.io, as for dockerd
///      "mirrors":             {"ghcr.io": ["https://ghcr.mirror.example"]},   of any registry
///      "insecure-registries": ["registry.example:5000", "10.0.0.0/8"],
///      "certs-dirs":          ["/etc/pouch/certs.d"],
///      "http-proxy": "http://proxy.example:3128", "https-proxy": "…", "no-proxy": "example.com,10.0.0.0/8"}
///
/// Empty text is an empty document. InvalidArgument names the key that is unknown or wrong.
Result<Settings> parse_settings(std::string_view json);

/// The same of a file; one that is not there says nothing. Errors name the file.
Result<Settings> load_settings(const std::string& path);

/// Adds mirrors of docker.io, behind those that are there, and insecure registries. InvalidArgument as above.
Status add_settings(Settings& settings, const std::vector<std::string>& hub_mirrors,
                    const std::vector<std::string>& insecure);

}  // namespace pouch::registry
