#pragma once

#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/sys/links.h"

namespace pouch::network {

/// Those that go through the leg, in the namespace where `links` was opened.
Status set_default_routes(sys::Links& links, const NetworkLeg& leg);

/// The leg's link as it is to be: addresses, up, default routes. In the thread's namespace.
Status configure_link(const NetworkLeg& leg);

}  // namespace pouch::network
