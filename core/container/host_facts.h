#pragma once

#include "core/spec/oci_spec.h"

namespace pouch::container {

/// What the spec has to know of this host, as this process sees it. Read once per open root.
spec::HostFacts read_spec_facts();

}  // namespace pouch::container
