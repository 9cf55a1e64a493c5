#pragma once

#include <vector>

#include "core/base/status.h"
#include "core/sys/port_rules.h"

namespace pouch::sys {

/// Makes the kernel forget the flows of datagrams to these ports: it remembers where each was led, or that it
/// was led nowhere, for as long as packets keep coming. Rules of other protocols are left out. Ok where the
/// kernel cannot tell its flows.
Status forget_datagram_flows(const std::vector<PortRule>& rules);

}  // namespace pouch::sys
