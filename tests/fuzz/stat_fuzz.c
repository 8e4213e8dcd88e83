/* stat_fuzz.c - any bytes as a stored row of statistics: unpacking takes it or says it is corrupt;
 * what it takes packs to the same bytes (I2), answers questions and can be merged.
 *
 * Input: nine numbers of eight bytes (the counts; what follows from the rest is computed), then the
 * lengths of samples, keys, clients, methods and statuses in two bytes each, then these and, for
 * the rest, the sketch.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "base/err.h"
#include "core/aggregate.h"
#include "core/clients.h"
#include "core/sample.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 9, LENGTHS = 5, HEADER_BYTES = NUMBERS * 8 + LENGTHS * 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static const struct ps_alloc heap = {resize, NULL};

static struct ps_str take(const uint8_t **at, size_t *left, size_t len)
{
    if (len > *left)
        len = *left;
    struct ps_str s = {(const char *)*at, len};
    *at += len;
    *left -= len;
    return s;
}

/* The estimate that belongs to the hashes, so that the fuzzer need not guess it. */
static uint64_t estimate_of(struct ps_str hashes)
{
    uint64_t copy[PS_CLIENTS_MAX];
    struct ps_clients c = {.hashes = copy, .len = (uint32_t)(hashes.len / 8)};
    if (c.len > PS_CLIENTS_MAX)
        return 0;
    memcpy(copy, hashes.ptr, c.len * sizeof *copy);
    return ps_clients_estimate(&c, NULL);
}

/* Of the times in the sample, when that is all there is; of rows with a sketch they are left wrong,
 * and only what comes before them is looked at. */
static void put_percentiles(struct ps_stat *s)
{
    uint64_t us[PS_SAMPLE_MAX], *const to[] = {&s->p50_us, &s->p95_us, &s->p99_us};
    static const unsigned permilles[] = {500, 950, 990};
    size_t count = 0;
    for (size_t i = 0; i < s->samples.len && count < PS_SAMPLE_MAX; i++, count++)
        for (us[count] = 0; i < s->samples.len && s->samples.ptr[i] != ','; i++)
            us[count] = us[count] * 10 + (uint64_t)(uint8_t)(s->samples.ptr[i] - '0');
    if (count == 0 || count != s->count_us)
        return;
    ps_sort_u64(us, count);
    for (size_t i = 0; i < 3; i++)
        *to[i] = us[(count * permilles[i] + 999) / 1000 - 1];
}

static bool read_stat(const uint8_t *data, size_t size, struct ps_stat *ret)
{
    uint64_t number[NUMBERS];
    uint16_t len[LENGTHS];
    if (size < HEADER_BYTES)
        return false;
    memcpy(number, data, sizeof number);
    memcpy(len, data + sizeof number, sizeof len);
    const uint8_t *at = data + HEADER_BYTES;
    size_t left = size - HEADER_BYTES;
    *ret = (struct ps_stat){.requests = number[0],
                            .errors = number[1],
                            .count_us = number[2],
                            .sum_us = number[3],
                            .min_us = number[4],
                            .max_us = number[5],
                            .unique_seen = number[6],
                            .count_bytes = number[7],
                            .sum_bytes = number[8]};
    ret->samples = take(&at, &left, len[0]);
    ret->sample_keys = take(&at, &left, len[1]);
    ret->clients = take(&at, &left, len[2]);
    ret->methods = take(&at, &left, len[3]);
    ret->statuses = take(&at, &left, len[4]);
    ret->sketch = take(&at, &left, left);
    ret->unique_estimate = estimate_of(ret->clients);
    put_percentiles(ret);
    return true;
}

static void check_equal(const struct ps_stat *a, const struct ps_stat *b)
{
    PS_ASSERT(a->requests == b->requests && a->errors == b->errors && a->sum_us == b->sum_us);
    PS_ASSERT(a->count_us == b->count_us && a->min_us == b->min_us && a->max_us == b->max_us);
    PS_ASSERT(ps_str_equal(a->samples, b->samples) && ps_str_equal(a->clients, b->clients));
    PS_ASSERT(ps_str_equal(a->sample_keys, b->sample_keys) && ps_str_equal(a->sketch, b->sketch));
    PS_ASSERT(ps_str_equal(a->methods, b->methods) && ps_str_equal(a->statuses, b->statuses));
    PS_ASSERT(a->count_bytes == b->count_bytes && a->sum_bytes == b->sum_bytes);
    PS_ASSERT(a->p50_us == b->p50_us && a->p95_us == b->p95_us && a->p99_us == b->p99_us);
}

static void check_percentiles(const struct ps_aggregate *a)
{
    uint64_t scratch[PS_SAMPLE_MAX], last = 0, us = 0;
    for (unsigned permille = 1; permille <= 1000; permille += 111, last = us) {
        if (!ps_aggregate_percentile(a, permille, scratch, &us))
            return;
        PS_ASSERT(us >= last);
    }
}

/* With itself and into an empty one. */
static void check_merge(const struct ps_aggregate *a, const struct ps_stat *stat, char *packed)
{
    struct ps_aggregate sum;
    struct ps_stat out;
    ps_aggregate_init(&sum);
    PS_ASSERT(ps_aggregate_merge(&sum, a, &heap) == 0);
    ps_aggregate_pack(&sum, packed, &out);
    check_equal(stat, &out);
    PS_ASSERT(ps_aggregate_merge(&sum, a, &heap) == 0);
    ps_aggregate_pack(&sum, packed, &out);
    PS_ASSERT(ps_str_equal(out.clients, stat->clients));
    ps_aggregate_done(&sum, &heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_stat stat, again;
    struct ps_aggregate a;
    if (!read_stat(data, size, &stat))
        return 0;
    int r = ps_aggregate_unpack(&stat, &heap, &a);
    PS_ASSERT(r == 0 || r == PS_ECORRUPT);
    if (r == 0) {
        char *packed = malloc(PS_STAT_BYTES_MAX);
        PS_ASSERT(packed != NULL);
        ps_aggregate_pack(&a, packed, &again);
        check_equal(&stat, &again);
        check_percentiles(&a);
        check_merge(&a, &stat, packed);
        free(packed);
    }
    ps_aggregate_done(&a, &heap);
    return 0;
}
