#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"

// What strict clients get beyond Moby's wire (docs/wire.md).

namespace pouch::http {

/// {"message":…,"code":…,"details":…}
std::string error_document(const Status& status);
/// {"pouchEnd":{"result":…}} or {"pouchEnd":{"error":…}}; `result_json` may be empty.
std::string end_record(const Status& status, const std::string& result_json);
/// "Pouch-End: <base64>\r\n"
std::string end_trailer(const Status& status, const std::string& result_json);
/// {"pouchLost":n}
std::string lost_record(uint32_t count);

}  // namespace pouch::http
