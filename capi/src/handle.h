#pragma once

#include <cxxabi.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "core/api/engine.gen.h"
#include "core/api/json.h"
#include "core/api/stream.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "pouch.h"

// What stands behind the opaque types of the C ABI, and what every entry point is wrapped in.

/// Counted by hand because it crosses a C boundary.
struct pouch_cancel_t {
  std::atomic<uint32_t> references{1};
  pid_t pid = ::getpid();
  pouch::CancelPtr token = std::make_shared<pouch::CancelToken>();
};

struct pouch_client_t {
  pid_t pid = ::getpid();
  std::string uri;
  std::shared_ptr<pouch::Engine> engine;
  pouch::CancelPtr closing = std::make_shared<pouch::CancelToken>();  ///< fired by close
  int log_sink = 0;                                                   ///< 0: none
  std::string session;                                                ///< id; "": none
  pouch::StreamPtr session_end;  ///< system.session; its cancel ends the session
};

struct pouch_stream_t {
  pid_t pid = ::getpid();
  // The engine outlives its streams, in whatever order the caller frees the handles.
  std::shared_ptr<pouch::Engine> engine;
  pouch::StreamPtr stream;
  pouch::Frame frame;  ///< what the last pouch_stream_next lent out
  pouch::CancelPtr closing;
  int closing_id = 0;
};

namespace pouch::capi {

/// An owned error for `status`, or the static one when there is no memory for it.
pouch_error_t *make_error(const Status &status) noexcept;
pouch_error_t *out_of_memory_error() noexcept;
/// A malloc'd copy of `text`, NUL byte added. OutOfMemory leaves `out` empty.
Status fill_buffer(const std::string &text, pouch_buf_t *out);

/// Hands `status` to the C caller: its code, and the details when wanted.
pouch_status_t report(const Status &status, pouch_error_t **error) noexcept;

/// The exception barrier. `body` returns Status.
template <class F>
pouch_status_t guarded(pouch_error_t **error, F body) {
  if (error != nullptr) *error = nullptr;
  try {
    return report(body(), error);
  } catch (const std::bad_alloc &) {
    if (error != nullptr) *error = out_of_memory_error();
    return POUCH_ERR_OUT_OF_MEMORY;
  } catch (abi::__forced_unwind &) {
    throw;  // pthread_cancel of the caller's thread must go through
  } catch (const std::exception &failure) {
    return report(internal_error(std::string("unexpected exception: ") + failure.what()), error);
  } catch (...) {
    return report(internal_error("unexpected exception"), error);
  }
}

/// For functions that have no way to report.
template <class F>
void guarded_void(F body) {
  try {
    body();
  } catch (abi::__forced_unwind &) {
    throw;
  } catch (...) {  // NOLINT(bugprone-empty-catch): nothing to tell it to
  }
}

/// InvalidArgument for NULL, Forked for a handle that another process made.
template <class T>
Status check_handle(const T *handle, std::string_view what) {
  if (handle == nullptr) return invalid_argument(std::string(what) + " must not be NULL");
  if (handle->pid != ::getpid()) {
    return {Code::kForked, "this " + std::string(what) +
                               " was made before fork(); open a client of your own in the child process"};
  }
  return {};
}

/// The size of the struct in the first release, of which no program has less.
template <class T>
inline constexpr size_t kFirstSize = sizeof(T);
template <>
inline constexpr size_t kFirstSize<pouch_client_options_t> = offsetof(pouch_client_options_t, session);

/// The caller's struct as this library knows it: the smaller of both sizes is copied over `defaults`.
template <class T>
Result<T> read_struct(const T *from, T defaults, std::string_view what) {
  if (from == nullptr) return defaults;
  if (from->struct_size < kFirstSize<T>) {
    return invalid_argument(std::string(what) + ".struct_size is " + std::to_string(from->struct_size) +
                            ": initialize it with its _INIT macro");
  }
  std::memcpy(&defaults, from, std::min<size_t>(from->struct_size, sizeof(T)));
  return defaults;
}

/// What of a call lives as long as it: the engine's Call, and links from the caller's token and from
/// pouch_client_close to the one that the engine sees.
class CallScope {
 public:
  CallScope() = default;
  ~CallScope();
  CallScope(const CallScope &) = delete;
  CallScope &operator=(const CallScope &) = delete;

  Status begin(const pouch_client_t &client, const pouch_call_t *options) {
    call_.session = client.session;
    return begin(client.closing, options);
  }
  /// For a call without a client: `closing` is a token that nobody fires.
  Status begin(const CancelPtr &closing, const pouch_call_t *options);
  const Call &call() const { return call_; }
  /// `status` with Cancelled turned into Closed where a close of the client is the reason.
  Status explain(Status status) const;

 private:
  Call call_;
  CancelPtr closing_;
  CancelPtr user_;
  int closing_id_ = 0;
  int user_id_ = 0;
};

/// Wraps a stream for the C caller.
std::unique_ptr<pouch_stream_t> wrap_stream(StreamPtr stream, const pouch_client_t *client);

/// A document of the caller: null when absent. InvalidArgument names it.
Result<Json> parse_argument(const char *text, std::string_view what);

/// POUCH_LOG, read once; InvalidArgument when it makes no sense.
Status start_environment_log();
/// A sink that writes lines to stderr.
int add_stderr_log(uint32_t level);

}  // namespace pouch::capi
