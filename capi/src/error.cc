#include "pouch/error.h"

#include <cstdlib>
#include <string_view>

#include "capi/src/handle.h"

// One block: this struct, then both texts.
struct pouch_error_t {
  pouch_status_t code;
  const char *message;
  const char *details;
};

namespace {

// Exists so that the lack of memory can be told without any.
constinit pouch_error_t kOutOfMemory = {POUCH_ERR_OUT_OF_MEMORY, "out of memory", ""};

static_assert(static_cast<int>(pouch::Code::kInternal) == POUCH_ERR_INTERNAL);
static_assert(static_cast<int>(pouch::Code::kInvalidArgument) == POUCH_ERR_INVALID_ARGUMENT);
static_assert(static_cast<int>(pouch::Code::kNotFound) == POUCH_ERR_NOT_FOUND);
static_assert(static_cast<int>(pouch::Code::kAlreadyExists) == POUCH_ERR_ALREADY_EXISTS);
static_assert(static_cast<int>(pouch::Code::kConflict) == POUCH_ERR_CONFLICT);
static_assert(static_cast<int>(pouch::Code::kNotModified) == POUCH_ERR_NOT_MODIFIED);
static_assert(static_cast<int>(pouch::Code::kPermissionDenied) == POUCH_ERR_PERMISSION_DENIED);
static_assert(static_cast<int>(pouch::Code::kUnauthenticated) == POUCH_ERR_UNAUTHENTICATED);
static_assert(static_cast<int>(pouch::Code::kNotImplemented) == POUCH_ERR_NOT_IMPLEMENTED);
static_assert(static_cast<int>(pouch::Code::kUnavailable) == POUCH_ERR_UNAVAILABLE);
static_assert(static_cast<int>(pouch::Code::kDeadlineExceeded) == POUCH_ERR_DEADLINE_EXCEEDED);
static_assert(static_cast<int>(pouch::Code::kCancelled) == POUCH_ERR_CANCELLED);
static_assert(static_cast<int>(pouch::Code::kResourceExhausted) == POUCH_ERR_RESOURCE_EXHAUSTED);
static_assert(static_cast<int>(pouch::Code::kDataLoss) == POUCH_ERR_DATA_LOSS);
static_assert(static_cast<int>(pouch::Code::kForked) == POUCH_ERR_FORKED);
static_assert(static_cast<int>(pouch::Code::kClosed) == POUCH_ERR_CLOSED);
static_assert(static_cast<int>(pouch::Code::kLagged) == POUCH_ERR_LAGGED);
static_assert(static_cast<int>(pouch::Code::kOutOfMemory) == POUCH_ERR_OUT_OF_MEMORY);

}  // namespace

namespace pouch::capi {

pouch_error_t *out_of_memory_error() noexcept {
  return &kOutOfMemory;
}

pouch_error_t *make_error(const Status &status) noexcept {
  const std::string &message = status.message();
  const std::string &details = status.details_json();
  void *const block = std::malloc(sizeof(pouch_error_t) + message.size() + details.size() + 2);
  if (block == nullptr) return out_of_memory_error();
  char *const texts = static_cast<char *>(block) + sizeof(pouch_error_t);
  std::memcpy(texts, message.c_str(), message.size() + 1);
  std::memcpy(texts + message.size() + 1, details.c_str(), details.size() + 1);
  const auto code = static_cast<pouch_status_t>(status.code());
  return new (block) pouch_error_t{code, texts, texts + message.size() + 1};
}

pouch_status_t report(const Status &status, pouch_error_t **error) noexcept {
  if (status.is_ok()) return POUCH_OK;
  if (error != nullptr) *error = make_error(status);
  return static_cast<pouch_status_t>(status.code());
}

}  // namespace pouch::capi

pouch_status_t pouch_error_code(const pouch_error_t *error) {
  return error == nullptr ? POUCH_OK : error->code;
}

const char *pouch_error_message(const pouch_error_t *error) {
  return error == nullptr ? "" : error->message;
}

const char *pouch_error_details_json(const pouch_error_t *error) {
  return error == nullptr ? "" : error->details;
}

int32_t pouch_error_is_retriable(const pouch_error_t *error) {
  return error != nullptr && pouch::is_retriable(static_cast<pouch::Code>(error->code)) ? 1 : 0;
}

void pouch_error_free(pouch_error_t *error) {
  if (error != &kOutOfMemory) std::free(error);
}

const char *pouch_status_name(pouch_status_t status) {
  if (status == POUCH_EOF) return "Eof";
  if (status == POUCH_AGAIN) return "Again";
  return pouch::code_name(static_cast<pouch::Code>(status)).data();  // a literal, so NUL-terminated
}
