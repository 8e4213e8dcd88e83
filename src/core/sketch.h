/* sketch.h - log-linear latency buckets; see aggregate.h.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_SKETCH_H
#define PS_CORE_SKETCH_H

#include "base/str.h"
#include "core/alloc.h"
#include "core/limits.h"

struct ps_sketch {
    uint64_t *counts; /* of buckets first .. first + len - 1 */
    uint32_t first, len, cap;
};

enum {
    PS_SKETCH_STEPS = 64,     /* buckets an octave: half of one is 1/128 of its value at most */
    PS_SKETCH_BUCKETS = 2048, /* enough for PS_RESPONSE_US_MAX */
};

uint32_t ps_sketch_bucket(uint64_t us);
/* The middle of the bucket, microseconds. */
uint64_t ps_sketch_value(uint32_t bucket);
/* Makes the window reach from bucket `low` to `high`; 0 or PS_ENOMEM. */
int ps_sketch_reserve(struct ps_sketch *s, uint32_t low, uint32_t high,
                      const struct ps_alloc *alloc);
/* The bucket must be in the window. */
void ps_sketch_put(struct ps_sketch *s, uint32_t bucket, uint64_t count);

#endif
