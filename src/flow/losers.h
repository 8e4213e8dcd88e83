/* losers.h - the paths of a full hour that may lose their aggregates next.
 *
 * A full hour is kept as hashes alone (hours.h). When a path gives its place away and its aggregate
 * is not in memory, its row has to be read, and for that its text must be known. So the rows of the
 * hour are read once for many: the paths of its largest hashes are kept here, and the next pass is
 * due when those are used up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_LOSERS_H
#define PS_FLOW_LOSERS_H

#include "base/buf.h"
#include "port/store.h"

enum { PS_LOSERS_MAX = 4096 }; /* learned in one pass over an hour's rows */

struct ps_losers {
    struct ps_loser {
        uint64_t hash;
        size_t at;
        uint32_t len;
    } * items; /* by hash */
    size_t count;
    struct ps_buf text;
};

/* All zeros is empty; done leaves it so. */
void ps_losers_done(struct ps_losers *l);
size_t ps_losers_memory(const struct ps_losers *l);

/* Forgets what it had; learns the paths of the hour's rows whose hash is in the range, both
 * inclusive, which holds about PS_LOSERS_MAX. */
int ps_losers_read(struct ps_losers *l, struct ps_store *store, int32_t hour, uint64_t from_hash,
                   uint64_t to_hash, struct ps_err *e);
/* False when it is not among those learned. */
bool ps_losers_find(const struct ps_losers *l, uint64_t hash, struct ps_str *ret_path);

#endif
