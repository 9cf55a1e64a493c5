#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/base/error_code.h"

namespace pouch {

/// Success, or a code with a one-line message. Success is one null pointer; copies of an error share it.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, std::string details_json = {});

  static Status ok() { return {}; }

  bool is_ok() const { return error_ == nullptr; }
  Code code() const { return error_ ? error_->code : Code::kOk; }
  const std::string& message() const;
  /// A JSON object with facts for programs, or empty.
  const std::string& details_json() const;

  /// The same error with `context` in front: "start container \"x\": no such image".
  Status prefix(std::string_view context) const;
  /// "NotFound: message", for logs and tests.
  std::string to_string() const;
  /// For the rare place where a failure is knowingly of no consequence.
  void ignore() const {}

 private:
  struct Error {
    Code code;
    std::string message;
    std::string details_json;
  };
  std::shared_ptr<const Error> error_;
};

/// A value or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Status status)
      : state_(std::in_place_index<1>, std::move(status)) {  // NOLINT(google-explicit-constructor)
    if (std::get<1>(state_).is_ok())
      std::get<1>(state_) = Status(Code::kInternal, "ok status used as an error");
  }

  bool is_ok() const { return state_.index() == 0; }
  /// Ok, or the error.
  Status status() const { return is_ok() ? Status() : std::get<1>(state_); }
  Code code() const { return is_ok() ? Code::kOk : std::get<1>(state_).code(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::variant<T, Status> state_;
};

inline Status invalid_argument(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}
inline Status not_found(std::string message) {
  return {Code::kNotFound, std::move(message)};
}
inline Status not_implemented(std::string message) {
  return {Code::kNotImplemented, std::move(message)};
}
inline Status conflict(std::string message) {
  return {Code::kConflict, std::move(message)};
}
inline Status internal_error(std::string message) {
  return {Code::kInternal, std::move(message)};
}
inline Status unavailable(std::string message) {
  return {Code::kUnavailable, std::move(message)};
}

/// Internal (or PermissionDenied, NotFound, ResourceExhausted where errno says so): "what: strerror".
Status errno_status(int error, std::string_view what);

}  // namespace pouch

#define POUCH_CONCAT_INNER(a, b) a##b
#define POUCH_CONCAT(a, b) POUCH_CONCAT_INNER(a, b)

/// Returns from the function when the expression is an error.
#define POUCH_RETURN_IF_ERROR(expr)                                                \
  do {                                                                             \
    if (auto pouch_status_ = (expr); !pouch_status_.is_ok()) return pouch_status_; \
  } while (false)

/// POUCH_ASSIGN_OR_RETURN(auto x, f()): x, or a return of f's error.
#define POUCH_ASSIGN_OR_RETURN(lhs, expr) \
  POUCH_ASSIGN_OR_RETURN_INNER(POUCH_CONCAT(pouch_result_, __LINE__), lhs, expr)
#define POUCH_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                 \
  if (!tmp.is_ok()) return tmp.status();             \
  lhs = std::move(tmp).value()
