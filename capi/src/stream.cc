#include "pouch/stream.h"

#include "capi/src/handle.h"

using pouch::Status;
using pouch::capi::check_handle;
using pouch::capi::guarded;

namespace pouch::capi {

std::unique_ptr<pouch_stream_t> wrap_stream(StreamPtr stream, const pouch_client_t *client) {
  auto handle = std::make_unique<pouch_stream_t>();
  handle->stream = std::move(stream);
  if (client != nullptr) {
    handle->engine = client->engine;
    handle->closing = client->closing;
    handle->closing_id = handle->closing->add([inner = handle->stream.get()] { inner->cancel(); });
  }
  return handle;
}

namespace {

Deadline deadline_of(int64_t timeout_ms) {
  return timeout_ms < 0 ? Deadline::never() : Deadline::after_ms(timeout_ms);
}

Status lend_frame(const Frame &from, pouch_frame_t *to) {
  to->channel = static_cast<uint32_t>(from.channel);
  to->flags = from.flags;
  to->reserved = 0;
  to->data = from.data.data();
  to->size = from.data.size();
  return {};
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_stream_next(pouch_stream_t *stream, int64_t timeout_ms, pouch_frame_t *frame,
                                 pouch_error_t **error) {
  pouch_status_t answer = POUCH_OK;
  const pouch_status_t failure = guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(check_handle(stream, "stream"));
    if (frame == nullptr) return pouch::invalid_argument("frame must not be NULL");
    POUCH_RETURN_IF_ERROR(pouch::capi::read_struct<pouch_frame_t>(frame, POUCH_FRAME_INIT, "frame").status());
    stream->frame = {};
    POUCH_ASSIGN_OR_RETURN(const pouch::Next next,
                           stream->stream->next(&stream->frame, pouch::capi::deadline_of(timeout_ms)));
    if (next == pouch::Next::kFrame) return pouch::capi::lend_frame(stream->frame, frame);
    answer = next == pouch::Next::kEof ? POUCH_EOF : POUCH_AGAIN;
    return {};
  });
  return failure != POUCH_OK ? failure : answer;
}

pouch_status_t pouch_stream_write(pouch_stream_t *stream, const void *data, size_t size, int64_t timeout_ms,
                                  size_t *written, pouch_error_t **error) {
  if (written != nullptr) *written = 0;
  return guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(check_handle(stream, "stream"));
    if (written == nullptr) return pouch::invalid_argument("written must not be NULL");
    if (data == nullptr && size > 0) return pouch::invalid_argument("data must not be NULL");
    const std::string_view bytes(static_cast<const char *>(data), size);
    if (bytes.empty()) return {};
    POUCH_ASSIGN_OR_RETURN(*written, stream->stream->write(bytes, pouch::capi::deadline_of(timeout_ms)));
    return {};
  });
}

pouch_status_t pouch_stream_close_write(pouch_stream_t *stream, pouch_error_t **error) {
  return guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(check_handle(stream, "stream"));
    return stream->stream->close_write();
  });
}

pouch_status_t pouch_stream_resize(pouch_stream_t *stream, uint32_t rows, uint32_t cols,
                                   pouch_error_t **error) {
  return guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(check_handle(stream, "stream"));
    return stream->stream->resize(rows, cols);
  });
}

int32_t pouch_stream_pollfd(const pouch_stream_t *stream) {
  if (!check_handle(stream, "stream").is_ok()) return -1;
  return stream->stream->poll_fd();
}

pouch_status_t pouch_stream_finish(pouch_stream_t *stream, pouch_buf_t *result_json, pouch_error_t **error) {
  if (result_json != nullptr) *result_json = POUCH_BUF_INIT;
  return guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(check_handle(stream, "stream"));
    POUCH_ASSIGN_OR_RETURN(const std::string result, stream->stream->finish({}));
    if (result.empty()) return {};
    return pouch::capi::fill_buffer(result, result_json);
  });
}

void pouch_stream_cancel(pouch_stream_t *stream) {
  if (stream == nullptr || stream->pid != ::getpid()) return;
  pouch::capi::guarded_void([&] { stream->stream->cancel(); });
}

void pouch_stream_free(pouch_stream_t *stream) {
  if (stream == nullptr || stream->pid != ::getpid()) return;
  pouch::capi::guarded_void([&] {
    const std::unique_ptr<pouch_stream_t> owned(stream);
    if (owned->closing) owned->closing->remove(owned->closing_id);
    owned->stream.reset();
  });
}
