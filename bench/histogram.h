/* histogram.h - latencies in microseconds, log-linear: 64 buckets an octave, so a percentile is at
 * most 1.6 % too high, in constant memory however long the run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BENCH_HISTOGRAM_H
#define PS_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_OCTAVES = 26, HISTOGRAM_STEPS = 64 };

struct histogram {
    uint64_t counts[HISTOGRAM_OCTAVES * HISTOGRAM_STEPS], total;
    int64_t max_us;
};

static inline void histogram_add(struct histogram *h, int64_t us)
{
    uint64_t v = us < 1 ? 1 : (uint64_t)us;
    unsigned octave = v < HISTOGRAM_STEPS ? 0 : 57u - (unsigned)__builtin_clzll(v);
    uint64_t at = (uint64_t)octave * HISTOGRAM_STEPS + (v >> octave);
    if (at >= HISTOGRAM_OCTAVES * HISTOGRAM_STEPS)
        at = HISTOGRAM_OCTAVES * HISTOGRAM_STEPS - 1;
    h->counts[at]++;
    h->total++;
    h->max_us = us > h->max_us ? us : h->max_us;
}

/* The upper edge of the bucket the percentile falls into, in milliseconds. */
static inline double histogram_ms(const struct histogram *h, unsigned permille)
{
    uint64_t wanted = (h->total * permille + 999) / 1000, seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES * HISTOGRAM_STEPS; i++)
        if ((seen += h->counts[i]) >= wanted && seen > 0) {
            unsigned octave = i < 2 * HISTOGRAM_STEPS ? 0 : i / HISTOGRAM_STEPS - 1;
            uint64_t step = i - (uint64_t)octave * HISTOGRAM_STEPS;
            int64_t us = (int64_t)((step + 1) << octave) - 1;
            return (double)(us < h->max_us ? us : h->max_us) / 1e3;
        }
    return 0;
}

#endif
