/* aggregate.c - see aggregate.h.
 *
 * Every change first reserves what it may need and only then writes, so a failed allocation leaves
 * the content as it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/aggregate.h"

#include "base/check.h"
#include "base/err.h"
#include "core/clients.h"
#include "core/hash.h"
#include "core/methods.h"
#include "core/sample.h"
#include "core/sketch.h"
#include "core/statuses.h"

void ps_aggregate_init(struct ps_aggregate *a)
{
    *a = (struct ps_aggregate){0};
}

static void release(const struct ps_alloc *alloc, void *ptr, size_t bytes)
{
    if (ptr != NULL)
        alloc->resize(alloc->ctx, ptr, bytes, 0);
}

void ps_aggregate_done(struct ps_aggregate *a, const struct ps_alloc *alloc)
{
    release(alloc, a->sample.items, a->sample.cap * sizeof *a->sample.items);
    release(alloc, a->clients.hashes, a->clients.cap * sizeof *a->clients.hashes);
    release(alloc, a->sketch.counts, a->sketch.cap * sizeof *a->sketch.counts);
    release(alloc, a->statuses.items, a->statuses.cap * sizeof *a->statuses.items);
    ps_aggregate_init(a);
}

size_t ps_aggregate_memory(const struct ps_aggregate *a)
{
    return a->sample.cap * sizeof *a->sample.items + a->clients.cap * sizeof *a->clients.hashes +
           a->sketch.cap * sizeof *a->sketch.counts + a->statuses.cap * sizeof *a->statuses.items;
}

/* --- the sketch, which exists only beyond the sample --- */

static bool has_sketch(const struct ps_aggregate *a)
{
    return a->count_us > PS_SAMPLE_MAX;
}

/* Room in `dst` for everything that `src` has seen. */
static int reserve_sketch(struct ps_aggregate *dst, const struct ps_aggregate *src,
                          const struct ps_alloc *alloc)
{
    if (src->count_us == 0)
        return 0;
    return ps_sketch_reserve(&dst->sketch, ps_sketch_bucket(src->min_us),
                             ps_sketch_bucket(src->max_us), alloc);
}

/* What `src` has seen, added to the sketch of `dst`. */
static void put_in_sketch(struct ps_aggregate *dst, const struct ps_aggregate *src)
{
    if (has_sketch(src)) {
        for (uint32_t i = 0; i < src->sketch.len; i++)
            if (src->sketch.counts[i] > 0)
                ps_sketch_put(&dst->sketch, src->sketch.first + i, src->sketch.counts[i]);
    } else {
        for (uint32_t i = 0; i < src->sample.len; i++)
            ps_sketch_put(&dst->sketch, ps_sketch_bucket(src->sample.items[i].us), 1);
    }
}

/* --- adding --- */

static int reserve_event(struct ps_aggregate *a, const struct ps_event *event,
                         const struct ps_alloc *alloc)
{
    int r = event->has_client ? ps_clients_reserve(&a->clients, 1, alloc) : 0;
    if (r == 0 && event->status != PS_ABSENT)
        r = ps_statuses_reserve(&a->statuses, 1, alloc);
    if (r < 0 || event->response_us == PS_ABSENT)
        return r;
    r = ps_sample_reserve(&a->sample, 1, alloc);
    if (r < 0 || a->count_us < PS_SAMPLE_MAX)
        return r;
    uint32_t bucket = ps_sketch_bucket((uint64_t)event->response_us);
    r = ps_sketch_reserve(&a->sketch, bucket, bucket, alloc);
    return r < 0 || has_sketch(a) ? r : reserve_sketch(a, a, alloc);
}

static void add_response(struct ps_aggregate *a, uint64_t us, uint64_t key)
{
    if (a->count_us == PS_SAMPLE_MAX)
        put_in_sketch(a, a); /* from here on the sample is not all there is */
    if (a->count_us >= PS_SAMPLE_MAX)
        ps_sketch_put(&a->sketch, ps_sketch_bucket(us), 1);
    ps_sample_put(&a->sample, (struct ps_sample_item){key, us});
    if (a->count_us == 0 || us < a->min_us)
        a->min_us = us;
    if (a->count_us == 0 || us > a->max_us)
        a->max_us = us;
    a->count_us++;
    a->sum_us += us;
}

/* Associative and commutative, as plain addition is, so it merges in any order (I2). */
static uint64_t add_bytes(uint64_t a, uint64_t b)
{
    return b < PS_BYTES_SUM_MAX - a ? a + b : PS_BYTES_SUM_MAX;
}

int ps_aggregate_add(struct ps_aggregate *a, const struct ps_event *event,
                     const struct ps_alloc *alloc)
{
    int r = reserve_event(a, event, alloc);
    if (r < 0)
        return r;
    a->requests++;
    a->errors += event->is_error == 1;
    ps_methods_put(&a->methods, event->method);
    if (event->status != PS_ABSENT)
        ps_statuses_put(&a->statuses, (uint32_t)event->status, 1);
    if (event->response_bytes != PS_ABSENT) {
        a->count_bytes++;
        a->sum_bytes = add_bytes(a->sum_bytes, (uint64_t)event->response_bytes);
    }
    if (event->has_client)
        ps_clients_put(&a->clients, event->client_hash);
    if (event->response_us != PS_ABSENT)
        add_response(a, (uint64_t)event->response_us, ps_event_id_hash(event));
    return 0;
}

/* --- merging --- */

static int reserve_merge(struct ps_aggregate *dst, const struct ps_aggregate *src,
                         const struct ps_alloc *alloc)
{
    int r = ps_clients_reserve(&dst->clients, src->clients.len, alloc);
    if (r == 0)
        r = ps_sample_reserve(&dst->sample, src->sample.len, alloc);
    if (r == 0)
        r = ps_statuses_reserve(&dst->statuses, src->statuses.len, alloc);
    if (r < 0 || dst->count_us + src->count_us <= PS_SAMPLE_MAX)
        return r;
    r = reserve_sketch(dst, src, alloc);
    return r < 0 || has_sketch(dst) ? r : reserve_sketch(dst, dst, alloc);
}

int ps_aggregate_merge(struct ps_aggregate *dst, const struct ps_aggregate *src,
                       const struct ps_alloc *alloc)
{
    int r = reserve_merge(dst, src, alloc);
    if (r < 0)
        return r;
    if (dst->count_us + src->count_us > PS_SAMPLE_MAX) {
        if (!has_sketch(dst))
            put_in_sketch(dst, dst);
        put_in_sketch(dst, src);
    }
    for (uint32_t i = 0; i < src->clients.len; i++)
        ps_clients_put(&dst->clients, src->clients.hashes[i]);
    for (uint32_t i = 0; i < src->sample.len; i++)
        ps_sample_put(&dst->sample, src->sample.items[i]);
    if (src->count_us > 0) {
        if (dst->count_us == 0 || src->min_us < dst->min_us)
            dst->min_us = src->min_us;
        if (dst->count_us == 0 || src->max_us > dst->max_us)
            dst->max_us = src->max_us;
    }
    dst->requests += src->requests;
    dst->errors += src->errors;
    dst->count_us += src->count_us;
    dst->sum_us += src->sum_us;
    dst->count_bytes += src->count_bytes;
    dst->sum_bytes = add_bytes(dst->sum_bytes, src->sum_bytes);
    ps_methods_merge(&dst->methods, &src->methods);
    for (uint32_t i = 0; i < src->statuses.len; i++)
        ps_statuses_put(&dst->statuses, src->statuses.items[i].code, src->statuses.items[i].count);
    return 0;
}

/* --- reading --- */

static uint64_t sketch_rank(const struct ps_sketch *s, uint64_t rank)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < s->len; i++) {
        seen += s->counts[i];
        if (seen >= rank)
            return ps_sketch_value(s->first + i);
    }
    PS_ASSERT(false && "the sketch holds every event");
    return 0;
}

/* Nearest rank of 1 .. count: ceil(count * permille / 1000), in two parts so that nothing
 * overflows. */
static uint64_t rank_of(uint64_t count, unsigned permille)
{
    return count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
}

void ps_aggregate_percentiles(const struct ps_aggregate *a, const unsigned *permilles, size_t count,
                              uint64_t *scratch, uint64_t *ret_us)
{
    PS_ASSERT(a->count_us > 0);
    bool sampled = !has_sketch(a);
    for (uint32_t i = 0; sampled && i < a->sample.len; i++)
        scratch[i] = a->sample.items[i].us;
    if (sampled)
        ps_sort_u64(scratch, a->sample.len);
    for (size_t i = 0; i < count; i++) {
        PS_ASSERT(permilles[i] > 0 && permilles[i] <= 1000);
        uint64_t rank = rank_of(a->count_us, permilles[i]);
        uint64_t us = sampled ? scratch[rank - 1] : sketch_rank(&a->sketch, rank);
        ret_us[i] = us < a->min_us ? a->min_us : us > a->max_us ? a->max_us : us;
    }
}

bool ps_aggregate_percentile(const struct ps_aggregate *a, unsigned permille, uint64_t *scratch,
                             uint64_t *ret_us)
{
    if (a->count_us == 0)
        return false;
    ps_aggregate_percentiles(a, &permille, 1, scratch, ret_us);
    return true;
}

uint64_t ps_aggregate_clients(const struct ps_aggregate *a, bool *ret_exact)
{
    return ps_clients_estimate(&a->clients, ret_exact);
}

struct ps_str ps_aggregate_method(const struct ps_aggregate *a)
{
    return ps_methods_top(&a->methods);
}
