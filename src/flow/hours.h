/* hours.h - which paths have an aggregate of their own, hour by hour.
 *
 * At most `limit` paths of an hour are counted on their own: those whose ps_hash64(path) is
 * smallest. The rest is counted in PS_OTHER_PATH. That choice is a function of the set of paths
 * alone (I2), where "the first to come" would depend on the order of delivery: the threshold only
 * ever falls, so a path that is admitted late has never been counted elsewhere before.
 *
 * An hour that has an other keeps the limit it was filled under, whatever is configured later
 * (docs/decisions/0019): its rows say it, being exactly so many.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_HOURS_H
#define PS_FLOW_HOURS_H

#include "core/event.h"
#include "flow/losers.h"

/* A set of path hashes, and once it is full a heap with the largest on top. */
struct ps_hour {
    int32_t hour;
    uint32_t touched; /* the owner's */
    size_t limit;     /* of paths */
    uint64_t *slots;  /* open addressing; 0 is an empty slot, so hash 0 is kept as 1 */
    size_t slot_count, count;
    uint64_t *heap;          /* NULL until the hour is full */
    struct ps_losers losers; /* paths of rows that are not in memory */
};

enum ps_hour_admission {
    PS_ADMIT_KNOWN, /* has its aggregate already */
    PS_ADMIT_NEW,   /* gets one now */
    PS_ADMIT_SWAP,  /* gets one now, and *ret_loser has to merge into the other */
    PS_ADMIT_OTHER,
};

/* The limit of an hour whose rows are `own_rows` and perhaps an other. */
size_t ps_hour_limit(size_t own_rows, bool has_other, size_t configured);

void ps_hour_init(struct ps_hour *h, int32_t hour);
/* From the hour's rows, read once. */
int ps_hour_load(struct ps_hour *h, struct ps_store *store, int32_t hour, size_t configured_limit,
                 struct ps_err *e);
void ps_hour_done(struct ps_hour *h);
size_t ps_hour_memory(const struct ps_hour *h);
/* An enum ps_hour_admission, or PS_ENOMEM. */
int ps_hour_admit(struct ps_hour *h, uint64_t path_hash, uint64_t *ret_loser);
/* The path of a loser, from the hour's rows; good until the next call. PS_ECORRUPT: it has none. */
int ps_hour_loser_path(struct ps_hour *h, struct ps_store *store, uint64_t loser,
                       struct ps_str *ret, struct ps_err *e);

#endif
