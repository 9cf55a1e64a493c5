#pragma once

#include <string>
#include <string_view>

#include "core/base/error_code.h"
#include "core/base/status.h"

namespace pouch::ctrd {

/// gRPC's status number (0 to 16) as our code; FailedPrecondition and Aborted are Conflict, Unknown is
/// Internal.
Code code_of_grpc(int status);
/// The same with the message; ResourceExhausted where it tells of a full disk.
Status status_of_grpc(int status, std::string message);
/// The grpc-message header: bytes outside of printable ASCII come as %XX.
std::string percent_decode(std::string_view text);

}  // namespace pouch::ctrd
