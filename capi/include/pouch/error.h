/* Codes and details of failures. */
#ifndef POUCH_ERROR_H
#define POUCH_ERROR_H

#include "pouch/base.h"

POUCH_BEGIN_DECLS

/* The codes are never renumbered; new ones are added at the end. */
#define POUCH_ERR_INTERNAL (-1)
#define POUCH_ERR_INVALID_ARGUMENT (-2)
#define POUCH_ERR_NOT_FOUND (-3)
#define POUCH_ERR_ALREADY_EXISTS (-4)
#define POUCH_ERR_CONFLICT (-5)     /**< the object's state forbids it */
#define POUCH_ERR_NOT_MODIFIED (-6) /**< it is already as asked */
#define POUCH_ERR_PERMISSION_DENIED (-7)
#define POUCH_ERR_UNAUTHENTICATED (-8)
#define POUCH_ERR_NOT_IMPLEMENTED (-9)    /**< the message names the operation or option */
#define POUCH_ERR_UNAVAILABLE (-10)       /**< a peer cannot be reached */
#define POUCH_ERR_DEADLINE_EXCEEDED (-11) /**< pouch_call_t.deadline_ms passed */
#define POUCH_ERR_CANCELLED (-12)
#define POUCH_ERR_RESOURCE_EXHAUSTED (-13) /**< a limit of the engine or of the host was met */
#define POUCH_ERR_DATA_LOSS (-14)          /**< stored or received bytes are damaged */
#define POUCH_ERR_FORKED (-15)             /**< the handle was inherited over fork() */
#define POUCH_ERR_CLOSED (-16)             /**< the client or stream was closed before */
#define POUCH_ERR_LAGGED (-17)             /**< the reader was too slow and was ended */
#define POUCH_ERR_OUT_OF_MEMORY (-18)

/** The POUCH_ERR_ code; POUCH_OK for NULL.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_error_code(const pouch_error_t *error);

/** One line: what was attempted on which object and why it failed, outermost first. "" for NULL. Valid as
 *  long as the error.
 *  @threads any @since 1.0 */
POUCH_API const char *pouch_error_message(const pouch_error_t *error);

/** A JSON object with facts for programs, or "" when there are none. Valid as long as the error.
 *  @threads any @since 1.0 */
POUCH_API const char *pouch_error_details_json(const pouch_error_t *error);

/** 1 when the same call may succeed later without any change, else 0.
 *  @threads any @since 1.0 */
POUCH_API int32_t pouch_error_is_retriable(const pouch_error_t *error);

/** Frees an error.
 *  @threads last @since 1.0 */
POUCH_API void pouch_error_free(pouch_error_t *error);

/** "NotFound" for POUCH_ERR_NOT_FOUND and so on: the name used in documents and in every language; "Ok",
 *  "Eof", "Again"; "Internal" for a number that is none. Static.
 *  @threads any @since 1.0 */
POUCH_API const char *pouch_status_name(pouch_status_t status);

POUCH_END_DECLS

#endif
