/* Accounts at registries that this host keeps, where Docker's clients keep theirs. */
#ifndef POUCH_ACCOUNT_H
#define POUCH_ACCOUNT_H

#include "pouch/base.h"
#include "pouch/client.h"
#include "pouch/error.h"

POUCH_BEGIN_DECLS

/* All three work on $DOCKER_CONFIG/config.json (~/.docker/config.json) of this process, with the credential
 * helpers that it names, and contact no engine. `registry` is a host as images have it ("localhost:5000"), or
 * "docker.io". Accounts are documents AuthConfig. An engine in this process, too, uses the accounts of that file
 * for what is asked of it without one; one elsewhere uses those of its own host.
 * POUCH_ERR_UNAVAILABLE names the file or helper that fails; POUCH_ERR_NOT_IMPLEMENTED: a build of the library
 * without embed:// does not have them. */

/** The account for a registry. POUCH_ERR_NOT_FOUND: there is none.
 *  @param account_json pouch_buf_free
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_account_find(const char *registry, pouch_buf_t *account_json,
                                            pouch_error_t **error);

/** Keeps an account for a registry, in place of what was there; it is not tried (pouch_system_login does).
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_account_store(const char *registry, const char *account_json,
                                             const pouch_call_t *call, pouch_error_t **error);

/** Forgets the account for a registry. POUCH_ERR_NOT_FOUND: there was none.
 *  @threads any @since 1.0 */
POUCH_API pouch_status_t pouch_account_erase(const char *registry, const pouch_call_t *call,
                                             pouch_error_t **error);

POUCH_END_DECLS

#endif
