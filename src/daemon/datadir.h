/* datadir.h - the data directory: where its parts are, and who may write.
 *
 *     DATA_DIR/pathstats.db   events and statistics   DATA_DIR/kv.db    heartbeat, snapshots
 *     DATA_DIR/queue/         accepted, not stored    DATA_DIR/secret   key of the address hash
 *     DATA_DIR/lock           held by the one writer
 *
 * The lock is flock(2): it goes with the process, however that ends. The writer notes in it where
 * it listens, so that `import` can send events there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_DATADIR_H
#define PS_DAEMON_DATADIR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PS_DATADIR_PATH_MAX = 640, PS_DATADIR_NOTE_MAX = 256 };

struct ps_datadir {
    char path[PS_DATADIR_PATH_MAX - 64];
    char database[PS_DATADIR_PATH_MAX], kv[PS_DATADIR_PATH_MAX], queue[PS_DATADIR_PATH_MAX],
        secret[PS_DATADIR_PATH_MAX], lock[PS_DATADIR_PATH_MAX];
    int lock_fd; /* -1: not held */
    size_t made; /* this handle made the folder: where its path was new, as a length; else 0 */
};

/* Fills in the paths; touches nothing. */
int ps_datadir_init(struct ps_datadir *d, const char *path, struct ps_err *e);
/* PS_ENOENT with advice when there is no database yet. For commands that only read. */
int ps_datadir_require(const struct ps_datadir *d, struct ps_err *e);
/* Are there events: a database, a queue, dead letters? */
bool ps_datadir_has_data(const struct ps_datadir *d);
/* Makes the directory (0750) if need be and takes the lock. PS_EBUSY: another process has it. */
int ps_datadir_lock(struct ps_datadir *d, struct ps_err *e);
/* Writes where this process listens into the lock. */
int ps_datadir_note(struct ps_datadir *d, const char *listening, struct ps_err *e);
/* 1: a process holds the lock, and ret says where it listens ("" when it does not). 0: nobody. */
int ps_datadir_holder(const struct ps_datadir *d, char ret[PS_DATADIR_NOTE_MAX], struct ps_err *e);
/* Removes the folder again, with what a start puts into it. Only if this handle made it and still
 * holds the lock; for a caller that knows that nothing was stored there. */
void ps_datadir_undo(struct ps_datadir *d);
void ps_datadir_unlock(struct ps_datadir *d);

#endif
