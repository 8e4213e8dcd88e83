/* aggregate.h - what is known of one path in one hour: counts, sums and three bounded summaries.
 *
 * A pure function of the set of its events (I2): add and merge in any order, split anywhere, and
 * ps_aggregate_pack gives the same bytes, natively and in WebAssembly. No floating point inside.
 *
 * sample   the PS_SAMPLE_MAX response times whose (hash(id), us) are smallest: a bottom-k sample
 *          (Cohen & Kaplan 2007). Holds everything while count_us <= PS_SAMPLE_MAX.
 * clients  the PS_CLIENTS_MAX smallest distinct client hashes: KMV (Bar-Yossef et al. 2002).
 * sketch   log-linear buckets of microseconds, 64 per octave (HdrHistogram's layout), at most 1 %
 *          relative error (DDSketch's promise, Masson et al. 2019). Kept only when count_us >
 *          PS_SAMPLE_MAX: below, the sample says it all.
 *
 * Memory comes from the caller's allocator and grows with the content, up to about 40 KB.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_AGGREGATE_H
#define PS_CORE_AGGREGATE_H

#include "core/alloc.h"
#include "core/clients.h"
#include "core/event.h"
#include "core/methods.h"
#include "core/sample.h"
#include "core/sketch.h"
#include "core/statuses.h"

struct ps_aggregate {
    uint64_t requests, errors;
    uint64_t count_us, sum_us;       /* of the events that carry a response time */
    uint64_t min_us, max_us;         /* meaningful when count_us > 0 */
    uint64_t count_bytes, sum_bytes; /* of the events that carry a size; the sum stops at
                                        PS_BYTES_SUM_MAX */
    struct ps_sample sample;
    struct ps_clients clients;
    struct ps_sketch sketch;
    struct ps_methods methods;   /* of the events that carry a method */
    struct ps_statuses statuses; /* of the events that carry a status */
};

void ps_aggregate_init(struct ps_aggregate *a);
void ps_aggregate_done(struct ps_aggregate *a, const struct ps_alloc *alloc);

/* 0 or PS_ENOMEM, and then nothing has changed. */
int ps_aggregate_add(struct ps_aggregate *a, const struct ps_event *event,
                     const struct ps_alloc *alloc);
/* dst := dst + src; src is untouched. */
int ps_aggregate_merge(struct ps_aggregate *dst, const struct ps_aggregate *src,
                       const struct ps_alloc *alloc);

/* Bytes it holds beyond sizeof. */
size_t ps_aggregate_memory(const struct ps_aggregate *a);

/* Nearest-rank percentile in microseconds, 0 < permille <= 1000 (p99 = 990). Exact while count_us
 * <= PS_SAMPLE_MAX, else from the sketch, clamped to [min, max]. False when count_us is 0.
 * `scratch` has PS_SAMPLE_MAX entries. */
bool ps_aggregate_percentile(const struct ps_aggregate *a, unsigned permille, uint64_t *scratch,
                             uint64_t *ret_us);

/* Several at once, of an aggregate with count_us > 0. */
void ps_aggregate_percentiles(const struct ps_aggregate *a, const unsigned *permilles, size_t count,
                              uint64_t *scratch, uint64_t *ret_us);

/* Distinct clients: exact while fewer than PS_CLIENTS_MAX are held, else KMV's (k-1)/h_k in integer
 * arithmetic. *ret_exact (may be NULL) says which. */
uint64_t ps_aggregate_clients(const struct ps_aggregate *a, bool *ret_exact);

/* The most frequent method ("other" stands for the unusual ones together), of equals the first in
 * the table; absent when no event had one. Static memory. */
struct ps_str ps_aggregate_method(const struct ps_aggregate *a);

/* The columns of path_stats_hourly, less the key and the times of writing. */
struct ps_stat {
    uint64_t requests, errors, count_us, sum_us, min_us, max_us;
    uint64_t count_bytes, sum_bytes;
    uint64_t p50_us, p95_us, p99_us; /* meaningful when count_us > 0; follow from the rest */
    uint64_t unique_seen, unique_estimate;
    struct ps_str samples;     /* "1500,230,..." microseconds in order of key: ASCII, for people */
    struct ps_str sample_keys; /* u64 little-endian each, ascending */
    struct ps_str clients;     /* u64 little-endian each, ascending */
    struct ps_str sketch;      /* LEB128 pairs: bucket gap, count; empty when there is none */
    struct ps_str methods;     /* "GET:12,POST:1" in order of the table, without zeros */
    struct ps_str statuses;    /* "200:12,404:1" by code */
};

enum { PS_STAT_BYTES_MAX = 96 * 1024 };

/* `to` has PS_STAT_BYTES_MAX bytes and backs the strings of *ret. Canonical: equal sets of events,
 * equal bytes. The sample heap may be reordered, hence no const. */
void ps_aggregate_pack(struct ps_aggregate *a, char *to, struct ps_stat *ret);
/* 0, PS_ECORRUPT or PS_ENOMEM; on failure `ret` is empty. */
int ps_aggregate_unpack(const struct ps_stat *stat, const struct ps_alloc *alloc,
                        struct ps_aggregate *ret);

#endif
