#pragma once

#include "core/base/status.h"

namespace pouch::keeper {

/// The name server's main: a process without rights, which is told what to serve, and asks what names mean,
/// over the socket `link` (core/dns/link.h). Until that is closed.
Status serve_names(int link);

}  // namespace pouch::keeper
