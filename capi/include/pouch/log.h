/* What the library has to say about itself. By default it says nothing to the program or its terminal; errors and
 * warnings about a local root are lines in <root>/log/pouch.log (two files of 1 MiB at most). */
#ifndef POUCH_LOG_H
#define POUCH_LOG_H

#include "pouch/base.h"
#include "pouch/error.h"
#include "pouch/stream.h"

POUCH_BEGIN_DECLS

#define POUCH_LOG_ERROR 1
#define POUCH_LOG_WARNING 2
#define POUCH_LOG_INFO 3
#define POUCH_LOG_DEBUG 4
#define POUCH_LOG_TRACE 5

/** Opens a stream of the records of this process, of all clients, up to `level`. Each MESSAGE frame is
 *  {"time": RFC 3339, "level": "error|warning|info|debug|trace", "component": string, "message": string,
 *  "pid": integer} and, where known, "root" (id of the engine root), "object" (a container, an image, …) and
 *  "request_id" (pouch_call_t.request_id of the call that it belongs to). A reader too slow loses records:
 *  the frame after a gap carries their number in `flags`. It ends when it is cancelled or freed.
 *
 *  Independent of this, the environment POUCH_LOG=level or POUCH_LOG=level:/path/to/file, read when the
 *  first client is opened, writes the records as lines to stderr or to the end of that file.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_log_open(uint32_t level, pouch_stream_t **out, pouch_error_t **error);

POUCH_END_DECLS

#endif
