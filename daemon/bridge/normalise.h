#pragma once

#include "core/api/json.h"
#include "core/base/status.h"
#include "daemon/bridge/schema.h"

namespace pouch::bridge {

/// What Go's encoding/json takes for a document of this schema, in its canonical form: names matched without
/// case, nulls and unknown names dropped, zero values for nulls in lists and maps, and a string for the lists
/// that Moby also takes as one (Cmd, Entrypoint, …). Wrong types stay as they are: the decoder names them.
void normalise_document(const SchemaInfo& schema, Json& document);

/// {"label":{"a=b":true}} and {"label":["a=b"]} to the latter; InvalidArgument for anything else.
Status normalise_filters(Json& filters);

}  // namespace pouch::bridge
