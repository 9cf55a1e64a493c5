#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/registry/settings.h"
#include "core/registry/url.h"

namespace pouch::registry {

/// One place where a repository may be got.
struct Endpoint {
  Url base;  ///< its target is a path without a slash at its end
  bool is_mirror = false;
};

/// Where images of a domain are, in the order in which to ask: mirrors, then the registry itself. An insecure
/// one stands there twice, first with TLS. InvalidArgument for a bad mirror URL.
Result<std::vector<Endpoint>> endpoints_of(const Settings& settings, const std::string& domain);

}  // namespace pouch::registry
