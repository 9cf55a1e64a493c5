#include "core/base/error_code.h"

#include <array>

namespace pouch {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int http;
};

constexpr std::array<Row, 19> kRows = {{
    {Code::kOk, "Ok", 200},
    {Code::kInternal, "Internal", 500},
    {Code::kInvalidArgument, "InvalidArgument", 400},
    {Code::kNotFound, "NotFound", 404},
    {Code::kAlreadyExists, "AlreadyExists", 409},
    {Code::kConflict, "Conflict", 409},
    {Code::kNotModified, "NotModified", 304},
    {Code::kPermissionDenied, "PermissionDenied", 403},
    {Code::kUnauthenticated, "Unauthenticated", 401},
    {Code::kNotImplemented, "NotImplemented", 501},
    {Code::kUnavailable, "Unavailable", 503},
    {Code::kDeadlineExceeded, "DeadlineExceeded", 504},
    {Code::kCancelled, "Cancelled", 499},
    {Code::kResourceExhausted, "ResourceExhausted", 413},
    {Code::kDataLoss, "DataLoss", 500},
    {Code::kForked, "Forked", 500},
    {Code::kClosed, "Closed", 500},
    {Code::kLagged, "Lagged", 500},
    {Code::kOutOfMemory, "OutOfMemory", 500},
}};

}  // namespace

std::string_view code_name(Code code) {
  for (const Row& row : kRows) {
    if (row.code == code) return row.name;
  }
  return "Internal";
}

Code code_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.code;
  }
  return Code::kInternal;
}

int http_status(Code code) {
  for (const Row& row : kRows) {
    if (row.code == code) return row.http;
  }
  return 500;
}

Code code_from_http(int status) {
  if (status >= 200 && status < 300) return Code::kOk;
  if (status == 409) return Code::kConflict;  // HTTP cannot tell it from AlreadyExists
  if (status == 405) return Code::kNotFound;
  for (const Row& row : kRows) {
    if (row.http == status) return row.code;
  }
  return status >= 400 && status < 500 ? Code::kInvalidArgument : Code::kInternal;
}

bool is_retriable(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kLagged;
}

}  // namespace pouch
