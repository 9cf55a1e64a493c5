#pragma once

#include <string_view>

namespace pouch {

/// Every failure of the engine has exactly one of these. The numbers are those of the C ABI
/// (pouch/error.h) and are never renumbered; new codes go to the end.
enum class Code : int {
  kOk = 0,
  kInternal = -1,
  kInvalidArgument = -2,
  kNotFound = -3,
  kAlreadyExists = -4,
  kConflict = -5,     ///< the object's state forbids it (remove a running container)
  kNotModified = -6,  ///< already as asked (start a running container)
  kPermissionDenied = -7,
  kUnauthenticated = -8,
  kNotImplemented = -9,
  kUnavailable = -10,  ///< a peer (containerd, keeper, pouchd) cannot be reached; retriable
  kDeadlineExceeded = -11,
  kCancelled = -12,
  kResourceExhausted = -13,  ///< a limit of ours or of the host was met
  kDataLoss = -14,           ///< stored or received bytes are damaged
  kForked = -15,             ///< the handle was inherited over fork()
  kClosed = -16,             ///< the client or stream was closed before
  kLagged = -17,             ///< the reader was too slow and was ended
  kOutOfMemory = -18,
};

/// "NotFound" for kNotFound and so on: the name on the wire, in the spec and in every binding.
std::string_view code_name(Code code);
/// The inverse; kInternal for an unknown name.
Code code_from_name(std::string_view name);
/// The one mapping to HTTP; kOk is 200.
int http_status(Code code);
/// For answers of servers that send no code of ours (a stock dockerd).
Code code_from_http(int status);
/// True where the same call may succeed later without change.
bool is_retriable(Code code);

}  // namespace pouch
