#pragma once

#include <string>
#include <utility>

#include "core/base/cancel.h"
#include "core/net/curl_handle.h"
#include "core/registry/http.h"
#include "core/registry/settings.h"

namespace pouch::registry {

/// Requests by the settings' certificates and proxies, with redirects followed. Thread-safe.
class Network {
 public:
  explicit Network(Settings settings) : settings_(std::move(settings)) {}

  const Settings& settings() const { return settings_; }

  /// `home` is the host (with port) of the registry on whose behalf it is asked. An Authorization header goes
  /// to the URL's own origin only, never to where that redirects. Trouble behind a redirect names the place.
  Exchange send(const std::string& home, HttpRequest request, const Call& call);

 private:
  const Settings settings_;
  net::HandlePool pool_;
};

}  // namespace pouch::registry
