/* life.h - what archiving, restoring and measuring need, opened together: a reading store handle,
 * the ledger and the objects. The keeper has one, and so has each command that works without a
 * daemon.
 *
 * Threads: belongs to the thread that opened it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_LIFE_H
#define PS_DAEMON_LIFE_H

#include "config/options.h"
#include "daemon/datadir.h"
#include "flow/archive.h"

struct ps_life {
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_objects *objects; /* NULL unless asked for */
    struct ps_archiver archiver;
};

enum ps_life_use {
    PS_LIFE_READ,    /* store and ledger for reading, no objects */
    PS_LIFE_OBJECTS, /* the same and the objects */
    PS_LIFE_WRITE,   /* the ledger for writing, and the objects */
};

int ps_life_open(struct ps_life *ret, const struct ps_config *config, const struct ps_datadir *dir,
                 struct ps_clock *clock, enum ps_life_use use, struct ps_err *e);
void ps_life_close(struct ps_life *l);

/* The objects alone. */
int ps_life_open_objects(struct ps_objects **ret, const struct ps_config *config,
                         const struct ps_datadir *dir, struct ps_err *e);

#endif
