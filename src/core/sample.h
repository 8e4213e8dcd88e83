/* sample.h - the bottom-k sample; see aggregate.h.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_SAMPLE_H
#define PS_CORE_SAMPLE_H

#include "base/str.h"
#include "core/alloc.h"
#include "core/limits.h"

struct ps_sample_item {
    uint64_t key; /* hash(id) */
    uint64_t us;
};

struct ps_sample {
    struct ps_sample_item *items; /* a max-heap once full; order is private */
    uint32_t len, cap;
};

/* Room for `more` items (up to PS_SAMPLE_MAX in all); 0 or PS_ENOMEM. */
int ps_sample_reserve(struct ps_sample *s, size_t more, const struct ps_alloc *alloc);
/* Keeps the item if it is among the smallest; room must have been reserved. */
void ps_sample_put(struct ps_sample *s, struct ps_sample_item item);
/* Ascending by (key, us), in place. An ascending array is no max-heap: */
void ps_sample_sort(struct ps_sample *s);
/* ... so call this after it before putting again. */
void ps_sample_heapify(struct ps_sample *s);
/* Ascending values, in place (heap sort: no memory, no worst case). */
void ps_sort_u64(uint64_t *values, size_t count);

#endif
