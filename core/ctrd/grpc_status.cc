#include "core/ctrd/grpc_status.h"

#include <array>
#include <utility>

namespace pouch::ctrd {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Code code_of_grpc(int status) {
  // By gRPC's numbers, 0 to 16.
  static constexpr std::array kCodes{Code::kOk,
                                     Code::kCancelled,
                                     Code::kInternal,
                                     Code::kInvalidArgument,
                                     Code::kDeadlineExceeded,
                                     Code::kNotFound,
                                     Code::kAlreadyExists,
                                     Code::kPermissionDenied,
                                     Code::kResourceExhausted,
                                     Code::kConflict,
                                     Code::kConflict,
                                     Code::kInvalidArgument,
                                     Code::kNotImplemented,
                                     Code::kInternal,
                                     Code::kUnavailable,
                                     Code::kDataLoss,
                                     Code::kUnauthenticated};
  if (status < 0 || static_cast<size_t>(status) >= kCodes.size()) return Code::kInternal;
  return kCodes[static_cast<size_t>(status)];
}

Status status_of_grpc(int status, std::string message) {
  Code code = code_of_grpc(status);
  const auto has = [&message](std::string_view words) { return message.find(words) != std::string::npos; };
  // containerd says Unknown. (A control group without CPUs gives the same words.)
  const bool is_full = (has("no space left on device") || has("disk quota exceeded")) && !has("cgroup");
  if (code == Code::kInternal && is_full) code = Code::kResourceExhausted;
  return {code, std::move(message)};
}

std::string percent_decode(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      plain += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace pouch::ctrd
