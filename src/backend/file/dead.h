/* dead.h - the dead letters of a file queue: one append-only file, and in memory an index of what
 * lives.
 *
 * Frames as in segment.h; a letter is buried by one frame and unburied by another that names its
 * position. Before each letter stands a mark that tells how much of the file was durable then, so
 * that damage to durable letters can be told from a torn tail, and so that reading can go on behind
 * the damage. The file is made anew without the unburied when they are most of it, when something
 * in it is damaged, and after a write or a sync that failed; it is emptied when the last letter
 * leaves. What was damaged stays in "dead-letters.damaged" for whoever can mend it by hand. A torn
 * tail is cut; the file with it is kept as "dead-letters.cut", the latest of them.
 *
 * Threads: the caller locks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_DEAD_H
#define PS_BACKEND_FILE_DEAD_H

#include "port/queue.h"

#include <stdbool.h>

struct ps_dead_entry {
    uint64_t position;
    uint64_t offset; /* of the payload in the file */
    uint32_t len;    /* of the payload; 0: unburied */
    uint16_t why;
};

struct ps_dead {
    int dir, fd; /* fd -1: there is no file */
    bool writable;
    uint64_t size;      /* what is durable of the file */
    uint64_t new_size;  /* made anew when it grows past this */
    bool doubtful;      /* a write failed: made anew before the next one */
    uint64_t bytes_max; /* of the payloads */

    struct ps_dead_entry *entries; /* by position */
    size_t count, cap, live;
    uint64_t bytes, by_reason[PS_REJECT_COUNT];

    uint64_t cut_bytes, damaged; /* what was found when it was opened */
    bool cut_in_doubt;           /* what was cut may have been durable */
};

int ps_dead_open(struct ps_dead *d, int dir, bool writable, uint64_t bytes_max, struct ps_err *e);
void ps_dead_close(struct ps_dead *d);
int ps_dead_bury(struct ps_dead *d, const struct ps_dead_letter *letters, size_t count,
                 struct ps_err *e);
int ps_dead_unbury(struct ps_dead *d, const uint64_t *positions, size_t count, struct ps_err *e);
int ps_dead_each(struct ps_dead *d, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e);
/* Its part of the queue's. */
void ps_dead_info(const struct ps_dead *d, struct ps_queue_info *ret);

#endif
