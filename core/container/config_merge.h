#pragma once

#include <string>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch::container {

/// The host-independent part of a create request.
api::ContainerConfig config_of(const api::ContainerCreateConfig& request);

/// What the request leaves out is taken from the image, by Docker's rules: an entrypoint of the request's
/// drops the image's command; environment, labels, ports and volumes are united with the request's winning.
/// InvalidArgument when there is no command in the end.
Status merge_image_config(api::ContainerConfig& config, const api::ContainerConfig& image);

/// Entrypoint and command in one: what is run.
std::vector<std::string> command_line(const api::ContainerConfig& config);

}  // namespace pouch::container
