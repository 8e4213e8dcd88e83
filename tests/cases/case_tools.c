/* case_tools.c - see case_tools.h.  SPDX-License-Identifier: MIT */
#include "case_tools.h"

#include "base/check.h"
#include "base/err.h"
#include "case_run.h"
#include "core/hash.h"

enum { BLOCK_ALIGN = 16 };

static _Alignas(BLOCK_ALIGN) char arena[PS_CASE_ARENA_BYTES];
static size_t arena_used, last_block;

size_t ps_case_arena_mark(void)
{
    return arena_used;
}

void ps_case_arena_rewind(size_t mark)
{
    arena_used = last_block = mark;
}

static size_t round_up(size_t bytes)
{
    return (bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
}

void *ps_case_take(size_t bytes)
{
    PS_ASSERT(round_up(bytes) <= PS_CASE_ARENA_BYTES - arena_used);
    last_block = arena_used;
    arena_used += round_up(bytes);
    ps_zero(arena + last_block, bytes);
    return arena + last_block;
}

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    if (new_size == 0)
        return NULL;
    if (ptr != NULL && ptr == arena + last_block) {
        PS_ASSERT(round_up(new_size) <= PS_CASE_ARENA_BYTES - last_block);
        arena_used = last_block + round_up(new_size);
        return ptr;
    }
    void *block = ps_case_take(new_size);
    ps_copy(block, ptr, old_size < new_size ? old_size : new_size);
    return block;
}

const struct ps_alloc ps_case_alloc = {resize, NULL};

/* --- text --- */

void ps_case_put(struct ps_case_out *o, struct ps_str s)
{
    PS_ASSERT(s.len <= o->max - o->len);
    ps_copy(o->text + o->len, s.ptr, s.len);
    o->len += s.len;
}

void ps_case_put_u64(struct ps_case_out *o, struct ps_str label, uint64_t value)
{
    char digits[20];
    ps_case_put(o, label);
    ps_case_put(o, (struct ps_str){digits, ps_format_u64(digits, value)});
}

void ps_case_put_hex(struct ps_case_out *o, struct ps_str label, uint64_t value)
{
    char digits[16];
    ps_format_hex64(digits, value);
    ps_case_put(o, label);
    ps_case_put(o, (struct ps_str){digits, sizeof digits});
}

static void put_hash(struct ps_case_out *o, struct ps_str label, struct ps_str bytes)
{
    ps_case_put(o, label);
    if (bytes.len == 0)
        ps_case_put(o, PS_STR("-"));
    else
        ps_case_put_hex(o, PS_STR(""), ps_hash64(bytes.ptr, bytes.len, 0));
}

/* --- rows --- */

static uint64_t hash_stat(const struct ps_stat *stat, uint64_t seed)
{
    const uint64_t numbers[] = {stat->requests,    stat->errors,         stat->count_us,
                                stat->sum_us,      stat->min_us,         stat->max_us,
                                stat->unique_seen, stat->unique_estimate};
    const struct ps_str *bytes[] = {&stat->samples, &stat->sample_keys, &stat->clients,
                                    &stat->sketch};
    uint64_t hash = ps_hash64(numbers, sizeof numbers, seed);
    for (size_t i = 0; i < PS_COUNT_OF(bytes); i++)
        hash = ps_hash64(bytes[i]->ptr, bytes[i]->len, hash + bytes[i]->len);
    /* Only where there are some: permutation.case holds hashes of rows that have none. */
    if (stat->methods.len > 0)
        hash = ps_hash64(stat->methods.ptr, stat->methods.len, hash + stat->methods.len);
    if (stat->statuses.len > 0)
        hash = ps_hash64(stat->statuses.ptr, stat->statuses.len, hash + stat->statuses.len);
    return hash;
}

uint64_t ps_case_row_hash(struct ps_aggregate *a, uint64_t seed)
{
    static char packed[PS_STAT_BYTES_MAX];
    struct ps_stat stat;
    ps_aggregate_pack(a, packed, &stat);
    return hash_stat(&stat, seed);
}

static void put_percentile(struct ps_case_out *o, struct ps_str label, const struct ps_aggregate *a,
                           unsigned permille)
{
    uint64_t scratch[PS_SAMPLE_MAX], us;
    if (ps_aggregate_percentile(a, permille, scratch, &us))
        ps_case_put_u64(o, label, us);
}

static void put_times(struct ps_case_out *o, const struct ps_aggregate *a)
{
    ps_case_put_u64(o, PS_STR(" count_us="), a->count_us);
    ps_case_put_u64(o, PS_STR(" sum_us="), a->sum_us);
    if (a->count_us == 0) {
        ps_case_put(o, PS_STR(" min=- max=- p50=- p95=- p99=-"));
        return;
    }
    ps_case_put_u64(o, PS_STR(" min="), a->min_us);
    ps_case_put_u64(o, PS_STR(" max="), a->max_us);
    put_percentile(o, PS_STR(" p50="), a, 500);
    put_percentile(o, PS_STR(" p95="), a, 950);
    put_percentile(o, PS_STR(" p99="), a, 990);
}

static void check_unpack(struct ps_case_out *o, struct ps_aggregate *a, const struct ps_stat *stat)
{
    struct ps_aggregate again;
    int r = ps_aggregate_unpack(stat, &ps_case_alloc, &again);
    if (r != 0 || ps_case_row_hash(&again, 0) != ps_case_row_hash(a, 0))
        ps_case_put(o, PS_STR("error: unpacked and packed again, the row is another\n"));
}

void ps_case_put_row(struct ps_case_out *o, struct ps_aggregate *a)
{
    static char packed[PS_STAT_BYTES_MAX];
    struct ps_stat stat;
    bool exact;
    ps_aggregate_pack(a, packed, &stat);
    ps_case_put_u64(o, PS_STR(" requests="), a->requests);
    ps_case_put_u64(o, PS_STR(" errors="), a->errors);
    put_times(o, a);
    ps_case_put_u64(o, PS_STR(" unique="), ps_aggregate_clients(a, &exact));
    ps_case_put(o, exact ? PS_STR(" exact=yes") : PS_STR(" exact=no"));
    put_hash(o, PS_STR(" samples="), stat.samples);
    put_hash(o, PS_STR(" keys="), stat.sample_keys);
    put_hash(o, PS_STR(" clients="), stat.clients);
    put_hash(o, PS_STR(" sketch="), stat.sketch);
    if (stat.statuses.len > 0) {
        ps_case_put(o, PS_STR(" statuses="));
        ps_case_put(o, stat.statuses);
    }
    if (stat.count_bytes > 0) {
        ps_case_put_u64(o, PS_STR(" bytes="), stat.sum_bytes);
        ps_case_put_u64(o, PS_STR(" sizes="), stat.count_bytes);
    }
    ps_case_put(o, PS_STR("\n"));
    check_unpack(o, a, &stat);
}

/* --- chance --- */

uint32_t ps_case_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

uint32_t ps_case_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((uint64_t)ps_case_random(state) * bound >> 32);
}
