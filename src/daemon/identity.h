/* identity.h - is this the database that was here last, and is the secret the one it was made with?
 *
 * A database that was deleted would begin a new life in silence, and another secret would count
 * every client once more. So a database has a random number, which the kv knows too, and a print of
 * the secret: a keyed hash of a constant, of which nobody can tell the secret.
 *
 * The database is the first to know its number and has it durably before the kv does, so no crash
 * in between makes a kv that waits for a database that never was.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_IDENTITY_H
#define PS_DAEMON_IDENTITY_H

#include "port/kv.h"
#include "port/store.h"

#include <stdint.h>

struct ps_identity {
    struct ps_store *store; /* open for writing */
    struct ps_kv *kv;
    const uint8_t *secret;
    const char *database, *secret_file; /* for the texts */
    bool new_database, new_secret;      /* the user says: what is here now counts */
    int64_t now_ms;
};

/* PS_ENOENT, with what to do: it is another one, or new. What is not known yet is written down;
 * where that fails (a full disk) it will be the next time. Nothing is compared where the store has
 * no meta numbers. */
int ps_identity_check(const struct ps_identity *i, struct ps_err *e);

#endif
