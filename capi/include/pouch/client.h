/* Opening an engine, and the two generic ways to use it. */
#ifndef POUCH_CLIENT_H
#define POUCH_CLIENT_H

#include "pouch/base.h"
#include "pouch/error.h"

POUCH_BEGIN_DECLS

/* NOLINTBEGIN(modernize-use-using): this is C */

/** How to open a client. May grow at its end. */
typedef struct pouch_client_options_t {
  uint32_t struct_size; /**< sizeof(pouch_client_options_t), set by POUCH_CLIENT_OPTIONS_INIT */
  uint32_t api_version; /**< the POUCH_API_VERSION that the program was written for */
  uint32_t log_level; /**< records up to this POUCH_LOG_ level go to stderr while the client lives; 0: none */
  uint32_t flags;     /**< must be 0 */
  uint32_t
      session; /**< 1: whatever this client makes (containers, execs, images, names) is removed when it is
                           closed, or when its process ends, however that may be; else 0 */
} pouch_client_options_t;

#define POUCH_CLIENT_OPTIONS_INIT \
  { (uint32_t)sizeof(pouch_client_options_t), POUCH_API_VERSION, 0, 0, 0 }

/** What goes with one call. May grow at its end. */
typedef struct pouch_call_t {
  uint32_t struct_size;   /**< sizeof(pouch_call_t), set by POUCH_CALL_INIT */
  uint32_t flags;         /**< must be 0 */
  int64_t deadline_ms;    /**< milliseconds from now after which the caller no longer waits; 0: no limit;
                               negative: it has passed, the call answers POUCH_ERR_DEADLINE_EXCEEDED */
  pouch_cancel_t *cancel; /**< gives the call up when fired; NULL: cannot be given up. Not consumed. */
  const char
      *request_id; /**< name of the call in the logs of this process, the keeper, and the pouchd, to which it
                               goes along (printable ASCII, up to 64 bytes); NULL: one is made up. Copied. */
} pouch_call_t;

#define POUCH_CALL_INIT \
  { (uint32_t)sizeof(pouch_call_t), 0, 0, NULL, NULL }

/** Opens an engine by its address:
 *
 *    embed:///path/to/root         in this process; needs root. May be followed by
 *                                  ?run=DIR&containerd=SOCKET&runtime=NAME&snapshotter=NAME&registries=FILE;
 *                                  without a SOCKET (or "private") the root has a containerd of its own;
 *                                  FILE tells of mirrors and the like (/etc/pouch/registries.json)
 *    embed://                      the same with the system's root, /var/lib/pouch
 *    unix:///path/to/socket        a pouchd, or a stock dockerd
 *    tcp://host:port               the same over TCP
 *    mock://                       in memory, for unit tests
 *
 *  NULL or "" takes the first that is set of $POUCH_HOST, "host" in $XDG_CONFIG_HOME/pouch/config.json
 *  (~/.config/pouch/config.json), "host" in /etc/pouch/client.json, and unix:///var/run/pouchd.sock. It
 *  never falls back from one address to another. Remote addresses are not contacted before the first call,
 *  but for a session (options.session), which is opened at once; a stock dockerd has none and answers
 *  POUCH_ERR_NOT_IMPLEMENTED.
 *  POUCH_ERR_INVALID_ARGUMENT: a bad address. POUCH_ERR_NOT_IMPLEMENTED: this build of the library, or this
 *  version of it, lacks what the address or the options need. Others: what opening a local root meets.
 *  @param out the client; required; pouch_client_free
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_client_open(const char *uri, const pouch_client_options_t *options,
                                           pouch_client_t **out, pouch_error_t **error);

/** Ends a client without freeing it: its calls in progress are given up, later ones answer
 *  POUCH_ERR_CLOSED, its streams are cancelled. Containers go on, but those of a session, which are removed
 *  soon after. A second time is no error.
 *  @threads any @since 1.0 */
POUCH_API void pouch_client_close(pouch_client_t *client);

/** Closes and frees a client. Its streams stay valid handles that must be freed on their own.
 *  @threads last @since 1.0 */
POUCH_API void pouch_client_free(pouch_client_t *client);

/** The address that was opened, after resolution of a NULL. Valid as long as the client; "" for NULL.
 *  @threads any @since 1.0 */
POUCH_API const char *pouch_client_uri(const pouch_client_t *client);

/** 1 when this library and this kind of client know the operation ("container.stop"), else 0. Contacts
 *  nobody; an older server may still answer POUCH_ERR_NOT_IMPLEMENTED.
 *  @threads any @since 1.0 */
POUCH_API int32_t pouch_client_supports(const pouch_client_t *client, const char *op);

/** Looks whether the engine at an address has all that containers need: rights, programs, kernel features,
 *  space, limits; works also where pouch_client_open fails, and says why it would. Changes nothing and takes
 *  about a second at most. The same as the operation system.check of an open client.
 *  @param uri as for pouch_client_open
 *  @param options_json none as yet; NULL
 *  @param result_json CheckReport: {"Ok": bool, "Findings": [{"Name": string, "Level": "ok|warning|error",
 *      "Message": string, "Fix": string}]}; "Fix" is absent when nothing is to be mended; pouch_buf_free
 *  POUCH_ERR_INVALID_ARGUMENT: a bad address. That something is missing is a finding and no error.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_check(const char *uri, const char *options_json, const pouch_call_t *call,
                                     pouch_buf_t *result_json, pouch_error_t **error);

/** Removes a root of this host with all that it owns: containers and their tasks, images, volumes, networks,
 *  its namespace in containerd or its private containerd, its keeper, its control groups, its run folder,
 *  and its files in the root folder, which goes too when nothing else is in it. A reset that was broken off
 *  can be repeated, and until then nobody opens the root. Caller's deadline and cancel end it between steps.
 *  @param uri embed:///path/to/root, as for pouch_client_open; required
 *  @param options_json {"InUse": bool, "Force": bool}; NULL: neither. "InUse": although other processes have
 *      it open; what they do with it from then on fails. "Force": also when something cannot be removed, for
 *      example because a containerd that was named is gone.
 *  @param result_json {"RootId": string, "Root": string, "Containers": int, "Images": int}: what is gone;
 *      may be NULL; pouch_buf_free
 *  POUCH_ERR_NOT_FOUND: there is no root. POUCH_ERR_CONFLICT: processes have it open; the message names them.
 *  POUCH_ERR_INVALID_ARGUMENT: a bad address or option. POUCH_ERR_PERMISSION_DENIED: not root, or not in the
 *  namespaces of its keeper. POUCH_ERR_NOT_IMPLEMENTED: the address of something else than a root here.
 *  POUCH_ERR_UNAVAILABLE: its containerd cannot be reached.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_reset(const char *uri, const char *options_json, const pouch_call_t *call,
                                     pouch_buf_t *result_json, pouch_error_t **error);

/** Runs an operation that has at most one answer.
 *  @param op its name, for example "container.stop"
 *  @param ids the objects it is about, in the order of the reference page; NULL when id_count is 0
 *  @param config_json the document of operations that take one, else NULL
 *  @param options_json options by name; NULL: all at their defaults
 *  @param result_json the answer; empty for operations without one; pouch_buf_free
 *  POUCH_ERR_INVALID_ARGUMENT: no such operation, or one to be opened with pouch_open.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_call(pouch_client_t *client, const char *op, const char *const *ids,
                                    size_t id_count, const char *config_json, const char *options_json,
                                    const pouch_call_t *call, pouch_buf_t *result_json,
                                    pouch_error_t **error);

/** Opens an operation that is a stream (pouch/stream.h). Arguments as for pouch_call; deadline and
 *  cancellation of `call` are about the opening, not about the stream.
 *  @param out the stream; required; pouch_stream_free
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_open(pouch_client_t *client, const char *op, const char *const *ids,
                                    size_t id_count, const char *config_json, const char *options_json,
                                    const pouch_call_t *call, pouch_stream_t **out, pouch_error_t **error);

/** Creates, attaches, waits for, and starts a container, in the order that loses nothing.
 *  @param config_json as for container.create. What is attached: AttachStdin, AttachStdout, AttachStderr
 *      when at least one of them is given; else output and error output, and input when OpenStdin.
 *  @param options_json {"name": string, "platform": string} as for container.create, {"detachKeys": string}
 *      as for container.attach
 *  @param result_json the answer of container.create, {"Id": string, "Warnings": [string]}; set as soon as
 *      the container exists, also when a later step fails; pouch_buf_free
 *  @param out the stream: STDOUT and STDERR frames, pouch_stream_write to the container's input, POUCH_EOF
 *      when its output has ended. pouch_stream_finish waits for the end of the container (with
 *      HostConfig.AutoRemove for its removal), and gives {"StatusCode": exit code}. Cancelling or freeing
 *      it leaves the container running. NULL: nothing is attached and the container runs in the background.
 *      pouch_stream_free
 *  A container that was created but could not be started stays, unless HostConfig.AutoRemove.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_container_run(pouch_client_t *client, const char *config_json,
                                             const char *options_json, const pouch_call_t *call,
                                             pouch_buf_t *result_json, pouch_stream_t **out,
                                             pouch_error_t **error);

/* NOLINTEND(modernize-use-using) */

POUCH_END_DECLS

#endif
