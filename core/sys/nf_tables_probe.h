#pragma once

#include "core/base/status.h"

namespace pouch::sys {

/// Ok when the kernel's nf_tables answers (asking loads its module). PermissionDenied without CAP_NET_ADMIN;
/// else the message is the reason alone.
Status probe_nf_tables();

}  // namespace pouch::sys
