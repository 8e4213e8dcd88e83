/* dead.h - the dead letters of a file queue: one append-only file, and in memory an index of what
 * lives.
 *
 * Frames as in segment.h; a letter is buried by one frame and unburied by another that names its
 * position. The file is rewritten without the unburied when it is opened for writing, and emptied
 * when the last letter leaves. A torn tail was never acknowledged and is cut.
 *
 * Threads: the caller locks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_DEAD_H
#define PS_BACKEND_FILE_DEAD_H

#include "port/queue.h"

struct ps_dead_entry {
    uint64_t position;
    uint64_t offset; /* of the payload in the file */
    uint32_t len;    /* of the payload; 0: unburied */
};

struct ps_dead {
    int fd; /* -1: there is no file */
    uint64_t size, bytes, bytes_max;
    struct ps_dead_entry *entries; /* by position */
    size_t count, cap, live;
    bool broken; /* a sync failed */
};

int ps_dead_open(struct ps_dead *d, int dir, bool writable, uint64_t bytes_max, struct ps_err *e);
void ps_dead_close(struct ps_dead *d);
int ps_dead_bury(struct ps_dead *d, const struct ps_dead_letter *letters, size_t count,
                 struct ps_err *e);
int ps_dead_unbury(struct ps_dead *d, uint64_t position, struct ps_err *e);
int ps_dead_each(struct ps_dead *d, ps_dead_fn *fn, void *ctx, struct ps_err *e);

#endif
