/* What every other header needs: status, buffers, cancellation, the library's version. */
#ifndef POUCH_BASE_H
#define POUCH_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define POUCH_BEGIN_DECLS extern "C" {
#define POUCH_END_DECLS }
#else
#define POUCH_BEGIN_DECLS
#define POUCH_END_DECLS
#endif

#if defined(__GNUC__)
#define POUCH_API __attribute__((visibility("default")))
#else
#define POUCH_API
#endif

POUCH_BEGIN_DECLS

/* NOLINTBEGIN(modernize-use-using): this is C */

/** The newest client_options.api_version that these headers describe. */
#define POUCH_API_VERSION 1

/** POUCH_OK, a negative POUCH_ERR_ code (pouch/error.h), or POUCH_EOF or POUCH_AGAIN. */
typedef int32_t pouch_status_t;

#define POUCH_OK 0
/** pouch_stream_next: everything has been read and the operation ended well. */
#define POUCH_EOF 1
/** pouch_stream_next: nothing came within the timeout. */
#define POUCH_AGAIN 2

/** An engine: a local one, a connection to a remote one, or a mock. */
typedef struct pouch_client_t pouch_client_t;
/** A running operation that sends or takes more than one document. */
typedef struct pouch_stream_t pouch_stream_t;
/** Why something failed. Immutable. */
typedef struct pouch_error_t pouch_error_t;
/** The means to give up a call from another thread. Counted by reference. */
typedef struct pouch_cancel_t pouch_cancel_t;

/** Text from the library: `size` bytes and a NUL byte that is not counted. The layout never changes. */
typedef struct pouch_buf_t {
  char *data; /**< NULL when there is nothing */
  size_t size;
} pouch_buf_t;

#define POUCH_BUF_INIT \
  { NULL, 0 }

/** Frees the text and empties the buffer; an empty buffer is left alone.
 *  @threads any @since 1.0 */
POUCH_API void pouch_buf_free(pouch_buf_t *buf);

/** Version of the library in use, "major.minor.patch". Static.
 *  @threads any @since 1.0 */
POUCH_API const char *pouch_version(void);

/** The same as major * 1000000 + minor * 1000 + patch, for comparisons.
 *  @threads any @since 1.0 */
POUCH_API uint32_t pouch_version_number(void);

/** Makes a cancellation token for pouch_call_t.cancel, with one reference. One token may serve many calls.
 *  @return NULL when out of memory
 *  @threads any @since 1.0 */
POUCH_API pouch_cancel_t *pouch_cancel_new(void);

/** Gives up all calls that hold the token, now and later: they answer POUCH_ERR_CANCELLED within 50 ms.
 *  What an engine has begun it finishes or rolls back by itself. A stream already open is not touched.
 *  @threads any @since 1.0 */
POUCH_API void pouch_cancel_fire(pouch_cancel_t *cancel);

/** 1 when the token was fired, else 0.
 *  @threads any @since 1.0 */
POUCH_API int32_t pouch_cancel_is_fired(const pouch_cancel_t *cancel);

/** One more reference; returns its argument.
 *  @threads any @since 1.0 */
POUCH_API pouch_cancel_t *pouch_cancel_ref(pouch_cancel_t *cancel);

/** One reference less; the last one frees the token. Calls in progress hold their own.
 *  @threads any @since 1.0 */
POUCH_API void pouch_cancel_unref(pouch_cancel_t *cancel);

/* NOLINTEND(modernize-use-using) */

POUCH_END_DECLS

#endif
