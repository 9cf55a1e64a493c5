#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/registry/network.h"

namespace pouch::registry {

/// Takes the next bytes of a file of `total` bytes; -1: the server does not tell.
using FileSink = std::function<Status(int64_t total, std::string_view bytes)>;

/// Fetches the file at an http or https URL, which may have an account in it, through redirects. Once: who
/// wants it again asks again. InvalidArgument for what is no such URL; NotFound; PermissionDenied;
/// Unavailable where nobody answers, or not all of it comes. An error of the sink ends it.
Status fetch_file(Network& network, const Call& call, const std::string& url, const FileSink& sink);

}  // namespace pouch::registry
