#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/sys/links.h"

namespace pouch::network {

/// Those that go through the leg, in the namespace where `links` was opened.
Status set_default_routes(sys::Links& links, const NetworkLeg& leg);

/// The leg's link as it is to be: addresses, up, default routes. In the thread's namespace.
Status configure_link(const NetworkLeg& leg);

/// More addresses of a link that is as it is to be otherwise, with or without prefixes. In the thread's
/// namespace.
Status add_link_local(const std::string& link, const std::vector<std::string>& link_local);

}  // namespace pouch::network
