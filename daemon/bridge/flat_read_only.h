#pragma once

#include "core/api/json.h"

namespace pouch::bridge {

// Until 1.43 a read-only bind did not reach what is mounted below its source.

/// Says so in a HostConfig of such a client.
void ask_for_flat_read_only(Json& host);
/// Takes that out of what such a client sees of a container: of container.inspect, and of container.list.
void hide_flat_read_only(Json& container);

}  // namespace pouch::bridge
