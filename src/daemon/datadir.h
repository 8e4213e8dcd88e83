/* datadir.h - the data directory: where its parts are, and who may write.
 *
 *     DATA_DIR/pathstats.db   events and statistics   DATA_DIR/kv.db    heartbeat, snapshots
 *     DATA_DIR/queue/         accepted, not stored    DATA_DIR/secret   key of the address hash
 *     DATA_DIR/lock           held by the one writer
 *
 * The lock is flock(2), on the file and on the folder itself: it goes with the process, however
 * that ends, and removing the file does not let a second writer in. The writer notes in the file
 * where it listens, so that `import` can send events there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_DATADIR_H
#define PS_DAEMON_DATADIR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PS_DATADIR_PATH_MAX = 640, PS_DATADIR_NOTE_MAX = 256 };

/* What must stay where it was opened for as long as the writer runs. */
enum ps_datadir_part {
    PS_DATADIR_FOLDER,
    PS_DATADIR_LOCK,
    PS_DATADIR_DATABASE,
    PS_DATADIR_LOG, /* of the database */
    PS_DATADIR_QUEUE,
    PS_DATADIR_PARTS
};

struct ps_datadir {
    char path[PS_DATADIR_PATH_MAX - 64];
    char database[PS_DATADIR_PATH_MAX], kv[PS_DATADIR_PATH_MAX], queue[PS_DATADIR_PATH_MAX],
        secret[PS_DATADIR_PATH_MAX], lock[PS_DATADIR_PATH_MAX];
    int lock_fd;      /* -1: not held */
    int folder_fd;    /* -1: not held */
    bool folder_held; /* else this disk cannot lock folders (NFS), and the file has to do */
    struct {
        dev_t device;
        ino_t inode; /* 0: was not there */
    } parts[PS_DATADIR_PARTS];
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
/* Remembers which files the parts are; for the holder of the lock, once all are open. */
void ps_datadir_remember(struct ps_datadir *d);
/* Are they still there, by name? PS_ENOENT says which one was removed or replaced. 1: it was the
 * lock alone, which could be made anew because the folder is locked too; it wants its note again.
 */
int ps_datadir_look(struct ps_datadir *d, struct ps_err *e);
/* Removes the folder again, with what a start puts into it. Only if this handle made it and still
 * holds the lock; for a caller that knows that nothing was stored there. */
void ps_datadir_undo(struct ps_datadir *d);
void ps_datadir_unlock(struct ps_datadir *d);

#endif
