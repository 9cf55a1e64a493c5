/* One type for logs, events, attach, exec, wait and uploads: the reader pulls. */
#ifndef POUCH_STREAM_H
#define POUCH_STREAM_H

#include "pouch/base.h"
#include "pouch/error.h"

POUCH_BEGIN_DECLS

/* NOLINTBEGIN(modernize-use-using): this is C */

/* pouch_frame_t.channel */
#define POUCH_CHANNEL_STDIN 0
#define POUCH_CHANNEL_STDOUT 1
#define POUCH_CHANNEL_STDERR 2
#define POUCH_CHANNEL_DATA 3    /**< bytes */
#define POUCH_CHANNEL_MESSAGE 4 /**< one whole JSON document */

/** One piece of a stream. May grow at its end. */
typedef struct pouch_frame_t {
  uint32_t struct_size; /**< sizeof(pouch_frame_t), set by POUCH_FRAME_INIT */
  uint32_t channel;     /**< POUCH_CHANNEL_ */
  uint32_t flags;       /**< how many frames before this one were dropped because the reader was slow */
  uint32_t reserved;    /**< 0 */
  const char *data; /**< borrowed: valid until the next call of a reader on this stream; not text but bytes */
  size_t size;
} pouch_frame_t;

#define POUCH_FRAME_INIT \
  { (uint32_t)sizeof(pouch_frame_t), 0, 0, 0, NULL, 0 }

/** Takes the next frame.
 *  @param timeout_ms how long to wait; 0: not at all; negative: without limit
 *  @param frame filled on POUCH_OK only
 *  @return POUCH_OK, POUCH_EOF, POUCH_AGAIN when nothing came in time, or an error: that of the operation
 *      once all frames before it are read, POUCH_ERR_CANCELLED after pouch_stream_cancel, POUCH_ERR_LAGGED
 *      when the operation ended this reader because it was too slow
 *  @threads reader @since 1.0 */
POUCH_API pouch_status_t pouch_stream_next(pouch_stream_t *stream, int64_t timeout_ms, pouch_frame_t *frame,
                                           pouch_error_t **error);

/** Gives bytes to the operation (a process's input, an upload).
 *  @param timeout_ms how long to wait for room; 0: not at all; negative: without limit
 *  @param written how many bytes were taken, from the front; 0 when there was no room in time. Required.
 *  POUCH_ERR_CLOSED: after pouch_stream_close_write, or the operation takes no more.
 *  @threads writer @since 1.0 */
POUCH_API pouch_status_t pouch_stream_write(pouch_stream_t *stream, const void *data, size_t size,
                                            int64_t timeout_ms, size_t *written, pouch_error_t **error);

/** Ends the writing side; what the operation sends goes on. A second time is no error.
 *  @threads writer @since 1.0 */
POUCH_API pouch_status_t pouch_stream_close_write(pouch_stream_t *stream, pouch_error_t **error);

/** Tells the terminal of an attached process its size. POUCH_ERR_CONFLICT: the stream has no terminal.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_stream_resize(pouch_stream_t *stream, uint32_t rows, uint32_t cols,
                                             pouch_error_t **error);

/** A descriptor that is readable exactly when pouch_stream_next would not answer POUCH_AGAIN. For poll,
 *  epoll and event loops; never read from it or close it; it is valid until pouch_stream_free. -1 in a
 *  forked child or for NULL.
 *  @threads any @since 1.0 */
POUCH_API int32_t pouch_stream_pollfd(const pouch_stream_t *stream);

/** Waits for the end of the operation and discards what is unread. pouch_stream_cancel from another thread
 *  wakes it.
 *  @param result_json the operation's result (an exit code, loaded images); empty when it has none;
 *      pouch_buf_free
 *  @return POUCH_OK, or the error that ended the operation
 *  @threads reader @since 1.0 */
POUCH_API pouch_status_t pouch_stream_finish(pouch_stream_t *stream, pouch_buf_t *result_json,
                                             pouch_error_t **error);

/** Ends the operation; wakes pouch_stream_next, _write and _finish with POUCH_ERR_CANCELLED. A second time
 *  is no error. Containers and processes go on.
 *  @threads any @since 1.0 */
POUCH_API void pouch_stream_cancel(pouch_stream_t *stream);

/** Frees a stream. Without a cancel before, an operation that changes something (a load whose upload is
 *  complete) goes on to its end.
 *  @threads last @since 1.0 */
POUCH_API void pouch_stream_free(pouch_stream_t *stream);

/* NOLINTEND(modernize-use-using) */

POUCH_END_DECLS

#endif
