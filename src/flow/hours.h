/* hours.h - which paths have an aggregate of their own, hour by hour.
 *
 * At most `max` paths of an hour are counted on their own: those whose ps_hash64(path) is smallest.
 * The rest is counted in PS_OTHER_PATH. That choice is a function of the set of paths alone (I2),
 * where "the first to come" would depend on the order of delivery: the threshold only ever falls,
 * so a path that is admitted late has never been counted elsewhere before.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_HOURS_H
#define PS_FLOW_HOURS_H

#include "base/str.h"

#define PS_OTHER_PATH PS_STR("(other)")

/* A set of path hashes, and once it is full a heap with the largest on top. */
struct ps_hour {
    int32_t hour;
    uint32_t touched; /* the owner's */
    uint64_t *slots;  /* open addressing; 0 is an empty slot, so hash 0 is kept as 1 */
    size_t slot_count, count;
    uint64_t *heap; /* NULL until the hour is full */
};

enum ps_admission {
    PS_ADMIT_KNOWN, /* has its aggregate already */
    PS_ADMIT_NEW,   /* gets one now */
    PS_ADMIT_SWAP,  /* gets one now, and *ret_loser has to merge into the other */
    PS_ADMIT_OTHER,
};

void ps_hour_init(struct ps_hour *h, int32_t hour);
void ps_hour_done(struct ps_hour *h);
size_t ps_hour_memory(const struct ps_hour *h);
bool ps_hour_knows(const struct ps_hour *h, uint64_t path_hash);
/* An enum ps_admission, or PS_ENOMEM. */
int ps_hour_admit(struct ps_hour *h, uint64_t path_hash, size_t max, uint64_t *ret_loser);

#endif
