#pragma once

#include <string_view>

#include "core/base/status.h"
#include "core/store/engine_options.h"

namespace pouch {

/// The options that an address of the local engine stands for:
///   embed://[/path/to/root][?key=value&…]
/// with the keys run (run folder), containerd (path of its socket), snapshotter, runtime (name of the default
/// one, or an absolute path), keeper (program) and registries (file with mirrors and the like). Values are
/// percent-decoded. InvalidArgument names what is wrong: another scheme, a host, a path that is not absolute,
/// an unknown or repeated key, an empty value.
Result<EngineOptions> parse_embed_uri(std::string_view uri);

}  // namespace pouch
