#include "core/base/status.h"

#include <cerrno>
#include <system_error>

namespace pouch {
namespace {

Code code_from_errno(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case EEXIST:
      return Code::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    case ENOMEM:
      return Code::kOutOfMemory;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

// Function-local and never destroyed: the library has no static destructors.
const std::string& empty_string() {
  static const auto* empty = std::make_unique<std::string>().release();
  return *empty;
}

}  // namespace

Status::Status(Code code, std::string message, std::string details_json) {
  if (code == Code::kOk) return;
  error_ = std::make_shared<const Error>(Error{code, std::move(message), std::move(details_json)});
}

const std::string& Status::message() const {
  return error_ ? error_->message : empty_string();
}

const std::string& Status::details_json() const {
  return error_ ? error_->details_json : empty_string();
}

Status Status::prefix(std::string_view context) const {
  if (is_ok()) return *this;
  return {code(), std::string(context) + ": " + error_->message, error_->details_json};
}

std::string Status::to_string() const {
  return is_ok() ? "Ok" : std::string(code_name(code())) + ": " + error_->message;
}

Status errno_status(int error, std::string_view what) {
  return {code_from_errno(error), std::string(what) + ": " + std::generic_category().message(error)};
}

}  // namespace pouch
