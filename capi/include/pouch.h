/*
 * libpouch: a container engine as a library.
 *
 *   pouch_client_t *client = NULL;
 *   pouch_error_t *error = NULL;
 *   if (pouch_client_open("unix:///var/run/pouchd.sock", NULL, &client, &error) != POUCH_OK) {
 *     fprintf(stderr, "%s\n", pouch_error_message(error));
 *     pouch_error_free(error);
 *     return 1;
 *   }
 *   pouch_buf_t list = POUCH_BUF_INIT;
 *   if (pouch_container_list(client, "{\"all\":true}", NULL, &list, NULL) == POUCH_OK) puts(list.data);
 *   pouch_buf_free(&list);
 *   pouch_client_free(client);
 *
 * Conventions, true of every function unless its comment says otherwise:
 *
 * - Text is UTF-8 and ends with a NUL byte; documents are JSON of the published schema. Unknown fields, wrong
 *   types and duplicate keys are POUCH_ERR_INVALID_ARGUMENT, which names the place.
 * - Arguments come in the order client, ids, documents, call, outputs, error. NULL may stand for a document
 *   that has no required part, for `call`, for an output that is not wanted, and for `error`.
 * - A function returns POUCH_OK (0) or a negative POUCH_ERR_ code; only pouch_stream_next() knows the positive
 *   POUCH_EOF and POUCH_AGAIN. With an error, *error is set to an object that the caller frees; else to NULL.
 *   What *error held before is never looked at.
 * - Outputs are set to nothing (NULL, an empty buffer) before anything else: they may be freed after an error.
 * - What the caller gives is copied before the function returns; what it is given is freed by the function
 *   named beside it. _free functions take NULL.
 * - The program may fork() at any moment, also while its threads are in calls. The parent goes on undisturbed. In the
 *   child, functions of an inherited handle answer POUCH_ERR_FORKED and its _free function does nothing; the child
 *   may open a client of its own.
 * - The library starts threads (all signals blocked on them) not before the first call, installs no signal
 *   handler, prints nothing, and never ends the process.
 * - `@threads` says what may be called at the same time: "any": from any thread at any time; "reader",
 *   "writer": from one thread each at a time; "last": when no other call on the object runs or will come.
 *
 * Structs that may grow start with their size and are made by their _INIT macro. No other layout ever changes.
 */
#ifndef POUCH_H
#define POUCH_H

#include "pouch/account.h"   /* IWYU pragma: export */
#include "pouch/base.h"      /* IWYU pragma: export */
#include "pouch/client.h"    /* IWYU pragma: export */
#include "pouch/container.h" /* IWYU pragma: export */
#include "pouch/error.h"     /* IWYU pragma: export */
#include "pouch/exec.h"      /* IWYU pragma: export */
#include "pouch/image.h"     /* IWYU pragma: export */
#include "pouch/log.h"       /* IWYU pragma: export */
#include "pouch/network.h"   /* IWYU pragma: export */
#include "pouch/stream.h"    /* IWYU pragma: export */
#include "pouch/system.h"    /* IWYU pragma: export */
#include "pouch/volume.h"    /* IWYU pragma: export */

#endif
