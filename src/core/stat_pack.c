/* stat_pack.c - an aggregate as the columns of a row, and back; see aggregate.h.
 *
 * Canonical: the sample in order of (key, us), hashes ascending, buckets ascending without empty
 * ones. Unpacking is strict, so what it takes, packing gives back byte for byte.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/aggregate.h"

#include "base/check.h"
#include "base/err.h"
#include "core/clients.h"
#include "core/methods.h"
#include "core/sample.h"
#include "core/sketch.h"
#include "core/statuses.h"

/* 1000 x (11 digits + comma) + 2 x 8000 + 2048 x (2 + 10) + methods and statuses: below the
 * maximum. */
_Static_assert(PS_SAMPLE_MAX * 12 + PS_SAMPLE_MAX * 8 + PS_CLIENTS_MAX * 8 +
                       PS_SKETCH_BUCKETS * 12 + PS_METHODS_TEXT_MAX + PS_STATUSES_TEXT_MAX <=
                   PS_STAT_BYTES_MAX,
               "a packed row fits");

static char *put_u64(char *to, uint64_t value)
{
    __builtin_memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static char *put_varint(char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (char)(value | 0x80);
    *to++ = (char)value;
    return to;
}

static struct ps_str between(const char *start, const char *end)
{
    return (struct ps_str){start, (size_t)(end - start)};
}

static char *pack_sample(struct ps_sample *s, char *to, struct ps_stat *ret)
{
    char *start = to;
    ps_sample_sort(s);
    for (uint32_t i = 0; i < s->len; i++) {
        if (i > 0)
            *to++ = ',';
        to += ps_format_u64(to, s->items[i].us);
    }
    ret->samples = between(start, to);
    start = to;
    for (uint32_t i = 0; i < s->len; i++)
        to = put_u64(to, s->items[i].key);
    ret->sample_keys = between(start, to);
    ps_sample_heapify(s);
    return to;
}

static char *pack_sketch(const struct ps_aggregate *a, char *to, struct ps_stat *ret)
{
    char *start = to;
    uint32_t last = 0;
    for (uint32_t i = 0; a->count_us > PS_SAMPLE_MAX && i < a->sketch.len; i++) {
        if (a->sketch.counts[i] == 0)
            continue;
        uint32_t bucket = a->sketch.first + i;
        to = put_varint(to, bucket - last);
        to = put_varint(to, a->sketch.counts[i]);
        last = bucket;
    }
    ret->sketch = between(start, to);
    return to;
}

/* The plain columns that follow from the summaries. */
static void put_percentiles(const struct ps_aggregate *a, struct ps_stat *ret)
{
    static const unsigned permilles[] = {500, 950, 990};
    uint64_t scratch[PS_SAMPLE_MAX], us[3];
    if (a->count_us == 0)
        return;
    ps_aggregate_percentiles(a, permilles, 3, scratch, us);
    ret->p50_us = us[0];
    ret->p95_us = us[1];
    ret->p99_us = us[2];
}

void ps_aggregate_pack(struct ps_aggregate *a, char *to, struct ps_stat *ret)
{
    *ret = (struct ps_stat){
        .requests = a->requests,
        .errors = a->errors,
        .count_us = a->count_us,
        .sum_us = a->sum_us,
        .min_us = a->min_us,
        .max_us = a->max_us,
        .count_bytes = a->count_bytes,
        .sum_bytes = a->sum_bytes,
        .unique_seen = a->clients.len,
        .unique_estimate = ps_clients_estimate(&a->clients, NULL),
    };
    to = pack_sample(&a->sample, to, ret);
    char *start = to;
    for (uint32_t i = 0; i < a->clients.len; i++)
        to = put_u64(to, a->clients.hashes[i]);
    ret->clients = between(start, to);
    to = pack_sketch(a, to, ret);
    ret->methods = between(to, to + ps_methods_format(&a->methods, to));
    to += ret->methods.len;
    ret->statuses = between(to, to + ps_statuses_format(&a->statuses, to));
    put_percentiles(a, ret);
}

/* --- and back --- */

static uint64_t get_u64(const char *from)
{
    uint64_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

static bool take_decimal(const char **at, const char *end, uint64_t *ret)
{
    const char *start = *at;
    uint64_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        value = value * 10 + (uint64_t)(**at - '0');
        if (value > (uint64_t)PS_RESPONSE_US_MAX)
            return false;
    }
    *ret = value;
    return *at > start && (*start != '0' || *at == start + 1);
}

static bool take_varint(const char **at, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char c = (unsigned char)*(*at)++;
        value |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *ret = value;
            return shift == 0 || c != 0; /* the shortest form only */
        }
    }
    return false;
}

static int unpack_sample(const struct ps_stat *stat, const struct ps_alloc *alloc,
                         struct ps_sample *s)
{
    size_t count = stat->sample_keys.len / 8;
    const char *at = stat->samples.ptr, *end = at + stat->samples.len;
    if (stat->sample_keys.len % 8 != 0 || count > PS_SAMPLE_MAX)
        return PS_ECORRUPT;
    if (count == 0)
        return stat->samples.len == 0 ? 0 : PS_ECORRUPT;
    int r = ps_sample_reserve(s, count, alloc);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct ps_sample_item item = {.key = get_u64(stat->sample_keys.ptr + i * 8)};
        if (i > 0 && (at == end || *at++ != ','))
            return PS_ECORRUPT;
        if (!take_decimal(&at, end, &item.us))
            return PS_ECORRUPT;
        const struct ps_sample_item *last = i > 0 ? &s->items[i - 1] : NULL;
        if (last != NULL && (last->key > item.key || (last->key == item.key && last->us > item.us)))
            return PS_ECORRUPT;
        s->items[s->len++] = item;
    }
    if (r == 0 && at != end)
        return PS_ECORRUPT;
    ps_sample_heapify(s);
    return r;
}

static int unpack_clients(const struct ps_stat *stat, const struct ps_alloc *alloc,
                          struct ps_clients *c)
{
    size_t count = stat->clients.len / 8;
    if (stat->clients.len % 8 != 0 || count > PS_CLIENTS_MAX)
        return PS_ECORRUPT;
    if (count == 0)
        return 0;
    int r = ps_clients_reserve(c, count, alloc);
    for (size_t i = 0; r == 0 && i < count; i++) {
        uint64_t hash = get_u64(stat->clients.ptr + i * 8);
        if (i > 0 && hash <= c->hashes[i - 1])
            return PS_ECORRUPT;
        c->hashes[c->len++] = hash;
    }
    return r;
}

static int unpack_sketch(const struct ps_stat *stat, const struct ps_alloc *alloc,
                         struct ps_sketch *s)
{
    const char *at = stat->sketch.ptr, *end = at + stat->sketch.len;
    uint64_t bucket = 0, gap, count, total = 0;
    for (bool first = true; at < end; first = false) {
        if (!take_varint(&at, end, &gap) || !take_varint(&at, end, &count) || count == 0 ||
            (gap == 0 && !first) || gap >= PS_SKETCH_BUCKETS - bucket)
            return PS_ECORRUPT;
        bucket += gap;
        int r = ps_sketch_reserve(s, (uint32_t)bucket, (uint32_t)bucket, alloc);
        if (r < 0)
            return r;
        ps_sketch_put(s, (uint32_t)bucket, count);
        if (count > stat->count_us - total)
            return PS_ECORRUPT;
        total += count;
    }
    uint64_t expected = stat->count_us > PS_SAMPLE_MAX ? stat->count_us : 0;
    return total == expected ? 0 : PS_ECORRUPT;
}

/* Merging places its window by min and max, so they must be those of what is held. */
static bool bounds_hold(const struct ps_aggregate *a)
{
    uint64_t min = UINT64_MAX, max = 0;
    uint32_t low = 0, high = a->sketch.len;
    if (a->count_us == 0)
        return a->min_us == 0 && a->max_us == 0 && a->sum_us == 0;
    if (a->min_us > a->max_us || a->max_us > (uint64_t)PS_RESPONSE_US_MAX)
        return false;
    for (uint32_t i = 0; i < a->sample.len; i++) {
        min = a->sample.items[i].us < min ? a->sample.items[i].us : min;
        max = a->sample.items[i].us > max ? a->sample.items[i].us : max;
    }
    if (a->count_us <= PS_SAMPLE_MAX)
        return min == a->min_us && max == a->max_us;
    while (a->sketch.counts[low] == 0)
        low++;
    while (a->sketch.counts[high - 1] == 0)
        high--;
    return ps_sketch_bucket(a->min_us) == a->sketch.first + low &&
           ps_sketch_bucket(a->max_us) == a->sketch.first + high - 1 && min >= a->min_us &&
           max <= a->max_us;
}

static bool sizes_hold(const struct ps_aggregate *a)
{
    return a->count_bytes <= a->requests && a->sum_bytes <= PS_BYTES_SUM_MAX &&
           (a->count_bytes > 0 || a->sum_bytes == 0);
}

static bool percentiles_hold(const struct ps_aggregate *a, const struct ps_stat *stat)
{
    struct ps_stat own = {0};
    put_percentiles(a, &own);
    return own.p50_us == stat->p50_us && own.p95_us == stat->p95_us && own.p99_us == stat->p99_us;
}

int ps_aggregate_unpack(const struct ps_stat *stat, const struct ps_alloc *alloc,
                        struct ps_aggregate *ret)
{
    struct ps_aggregate a = {
        .requests = stat->requests,
        .errors = stat->errors,
        .count_us = stat->count_us,
        .sum_us = stat->sum_us,
        .min_us = stat->min_us,
        .max_us = stat->max_us,
        .count_bytes = stat->count_bytes,
        .sum_bytes = stat->sum_bytes,
    };
    uint64_t kept = stat->count_us < PS_SAMPLE_MAX ? stat->count_us : PS_SAMPLE_MAX;
    int r = unpack_sample(stat, alloc, &a.sample);
    if (r == 0 && a.sample.len != kept)
        r = PS_ECORRUPT;
    if (r == 0)
        r = unpack_clients(stat, alloc, &a.clients);
    if (r == 0 && (stat->unique_seen != a.clients.len ||
                   stat->unique_estimate != ps_clients_estimate(&a.clients, NULL)))
        r = PS_ECORRUPT;
    if (r == 0)
        r = unpack_sketch(stat, alloc, &a.sketch);
    if (r == 0 && (!bounds_hold(&a) || !sizes_hold(&a) ||
                   !ps_methods_parse(stat->methods, stat->requests, &a.methods)))
        r = PS_ECORRUPT;
    if (r == 0)
        r = ps_statuses_parse(stat->statuses, stat->requests, alloc, &a.statuses);
    if (r == 0 && !percentiles_hold(&a, stat))
        r = PS_ECORRUPT;
    if (r < 0) {
        ps_aggregate_done(&a, alloc);
        ps_aggregate_init(ret);
        return r;
    }
    *ret = a;
    return 0;
}
