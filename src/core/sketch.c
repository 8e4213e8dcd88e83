/* sketch.c - see sketch.h.
 *
 * Below 128 every microsecond has its own bucket; above, the exponent and the six bits below the
 * leading one choose it. Only the window that was used is held.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/sketch.h"

#include "base/check.h"
#include "base/err.h"

enum { STEP_BITS = 6, WINDOW_GRAIN = 16 };

uint32_t ps_sketch_bucket(uint64_t us)
{
    if (us < 2 * PS_SKETCH_STEPS)
        return (uint32_t)us;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(us) - STEP_BITS;
    return shift * PS_SKETCH_STEPS + (uint32_t)(us >> shift);
}

uint64_t ps_sketch_value(uint32_t bucket)
{
    if (bucket < 2 * PS_SKETCH_STEPS)
        return bucket;
    uint32_t shift = bucket / PS_SKETCH_STEPS - 1;
    uint64_t top = bucket - shift * PS_SKETCH_STEPS;
    return (top << shift) + ((UINT64_C(1) << shift) - 1) / 2;
}

int ps_sketch_reserve(struct ps_sketch *s, uint32_t low, uint32_t high,
                      const struct ps_alloc *alloc)
{
    PS_ASSERT(low <= high && high < PS_SKETCH_BUCKETS);
    if (s->len > 0 && s->first < low)
        low = s->first;
    if (s->len > 0 && s->first + s->len - 1 > high)
        high = s->first + s->len - 1;
    if (s->len > 0 && low == s->first && high == s->first + s->len - 1)
        return 0;
    low -= low % WINDOW_GRAIN;
    high += WINDOW_GRAIN - 1 - high % WINDOW_GRAIN;
    uint32_t len = high - low + 1;
    uint64_t *counts = s->counts;
    if (len > s->cap) {
        counts =
            alloc->resize(alloc->ctx, s->counts, s->cap * sizeof *counts, len * sizeof *counts);
        if (counts == NULL)
            return PS_ENOMEM;
        s->cap = len;
    }
    uint32_t shift = s->len > 0 ? s->first - low : 0;
    if (s->len > 0)
        __builtin_memmove(counts + shift, counts, s->len * sizeof *counts);
    ps_zero(counts, shift * sizeof *counts);
    ps_zero(counts + shift + s->len, (len - shift - s->len) * sizeof *counts);
    *s = (struct ps_sketch){counts, low, len, s->cap};
    return 0;
}

void ps_sketch_put(struct ps_sketch *s, uint32_t bucket, uint64_t count)
{
    PS_ASSERT(bucket >= s->first && bucket < s->first + s->len);
    s->counts[bucket - s->first] += count;
}
