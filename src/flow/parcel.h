/* parcel.h - events on their way into the store without a queue: their memory, their hashes, and
 * the order the store wants. One thread fills it, another takes it to the store.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_PARCEL_H
#define PS_FLOW_PARCEL_H

#include "port/store.h"

enum {
    PS_PARCEL_EVENTS_MAX = 10000,
    PS_PARCEL_BYTES_MAX = 2 * 1024 * 1024, /* of their strings */
};

_Static_assert((int)PS_PARCEL_EVENTS_MAX <= (int)PS_BATCH_EVENTS_MAX, "one batch");

struct ps_parcel {
    struct ps_event *events;
    uint32_t *order; /* see ps_batch; set by ps_parcel_sort */
    struct ps_sort_key *scratch;
    char *bytes;
    size_t count, used;
};

/* 0 or PS_ENOMEM. */
int ps_parcel_init(struct ps_parcel *p);
void ps_parcel_done(struct ps_parcel *p); /* one of zeros is fine */
void ps_parcel_clear(struct ps_parcel *p);
/* Copies the event. False: full. */
bool ps_parcel_add(struct ps_parcel *p, const struct ps_event *event);
void ps_parcel_sort(struct ps_parcel *p);

#endif
