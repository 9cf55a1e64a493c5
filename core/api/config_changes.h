#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/api/container.gen.h"
#include "core/base/status.h"

namespace pouch {

/// Applies instructions of a Dockerfile (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD,
/// STOPSIGNAL, USER, VOLUME, WORKDIR) in their order. $NAME and ${NAME} stand for what `config.env` has under
/// that name, as in Moby's commit. An ENTRYPOINT takes a CMD that was not changed by these instructions away.
/// InvalidArgument in Docker's words.
Status apply_config_changes(const std::vector<std::string>& changes, api::ContainerConfig& config);

}  // namespace pouch
