/* aggregate_test.c - the aggregate as a pure function of the set of its events (I2), its numbers,
 * its packed form, and what is left of it when memory runs out.
 *
 * PS_SEED=<n> changes the seed of the random sets, which is printed. Percentiles at many sizes are
 * in percentile_test.c, duplicates are the caller's business and in tests/sim.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/aggregate.h"

#include "base/check.h"
#include "base/err.h"
#include "core/hash.h"
#include "core/methods.h"
#include "core/statuses.h"
#include "core/sketch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- an allocator that checks its caller and can fail --- */

static long long held_bytes; /* outstanding */
static long calls_left;      /* before one fails; negative: never */

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    assert_int_equal(ptr == NULL, old_size == 0);
    if (ptr != NULL)
        assert_int_equal(*((size_t *)ptr - 2), old_size); /* the size that was asked for */
    if (new_size > 0 && calls_left >= 0 && calls_left-- == 0)
        return NULL;
    held_bytes += (long long)new_size - (long long)old_size;
    size_t *block = NULL;
    if (new_size > 0) { /* always elsewhere, so that a stale pointer shows */
        block = malloc(new_size + 2 * sizeof *block);
        assert_non_null(block);
        *block = new_size;
        block += 2;
        memset(block, 0xa5, new_size);
        if (ptr != NULL)
            memcpy(block, ptr, old_size < new_size ? old_size : new_size);
    }
    if (ptr != NULL)
        free((size_t *)ptr - 2);
    return block;
}

static const struct ps_alloc alloc = {resize, NULL};

static int check_nothing_held(void **state)
{
    (void)state;
    return held_bytes == 0 ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    held_bytes = 0;
    calls_left = -1;
    return 0;
}

/* --- events --- */

static uint64_t seed_now;

static uint64_t next_random(void) /* splitmix64 (Steele, Lea & Flood 2014) */
{
    uint64_t z = seed_now += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

static void start_random(void)
{
    const char *given = getenv("PS_SEED");
    seed_now = given != NULL ? strtoull(given, NULL, 0) : 20251015;
    printf("# PS_SEED=%llu\n", (unsigned long long)seed_now);
}

struct made {
    struct ps_event event;
    char id[24];
};

static void make_event(struct made *m, uint64_t number, int64_t response_us)
{
    int n = snprintf(m->id, sizeof m->id, "e-%llu", (unsigned long long)number);
    m->event = (struct ps_event){
        .id = {m->id, (size_t)n},
        .path = PS_STR("/"),
        .timestamp_ms = INT64_C(1760536987123),
        .response_us = response_us,
        .response_bytes = PS_ABSENT,
        .status = PS_ABSENT,
        .is_error = PS_ABSENT,
    };
}

static void add_number(struct ps_aggregate *a, uint64_t number, int64_t response_us)
{
    struct made m;
    make_event(&m, number, response_us);
    assert_int_equal(ps_aggregate_add(a, &m.event, &alloc), 0);
}

static void add_client(struct ps_aggregate *a, uint64_t number, uint64_t client_hash)
{
    struct made m;
    make_event(&m, number, PS_ABSENT);
    m.event.has_client = true;
    m.event.client_hash = client_hash;
    assert_int_equal(ps_aggregate_add(a, &m.event, &alloc), 0);
}

static struct ps_str random_method(void)
{
    static const char *const methods[] = {"GET",   "GET",    "GET",     "HEAD", "POST", "PUT",
                                          "PATCH", "DELETE", "OPTIONS", "get",  "PURGE"};
    size_t i = below(PS_COUNT_OF(methods) + 1);
    if (i == PS_COUNT_OF(methods))
        return PS_STR_NONE;
    return (struct ps_str){methods[i], strlen(methods[i])};
}

/* `count` events of which all fields vary; now and then one latency for all. */
static struct made *random_events(size_t count)
{
    struct made *events = malloc((count + 1) * sizeof *events);
    assert_non_null(events);
    uint64_t clients = 1 + below(3000), salt = next_random();
    unsigned spread = (unsigned)below(38);
    for (size_t i = 0; i < count; i++) {
        int64_t us = (int64_t)(next_random() >> (63 - below(spread + 1)));
        if (us > PS_RESPONSE_US_MAX || below(500) == 0)
            us = below(2) ? PS_RESPONSE_US_MAX : 0;
        make_event(&events[i], salt % 1000000 + i, below(10) ? us : PS_ABSENT);
        events[i].event.is_error = (int8_t)((int)below(3) - 1);
        events[i].event.method = random_method();
        if (below(8) != 0)
            events[i].event.status = (int32_t)(below(4) ? 200 + below(5) : 100 + below(900));
        if (below(4) != 0)
            events[i].event.response_bytes =
                (int64_t)(below(50) ? below(1 << 20) : (uint64_t)PS_RESPONSE_BYTES_MAX);
        events[i].event.has_client = below(8) != 0;
        uint64_t who = below(clients);
        events[i].event.client_hash = ps_hash64(&who, sizeof who, salt);
    }
    return events;
}

static void shuffle(struct made *events, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = below(i);
        struct made other = events[j];
        events[j] = events[i - 1];
        events[i - 1] = other;
        events[j].event.id.ptr = events[j].id; /* the text moved along */
        events[i - 1].event.id.ptr = events[i - 1].id;
    }
}

static void add_all(struct ps_aggregate *a, const struct made *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ps_aggregate_add(a, &events[i].event, &alloc), 0);
}

/* --- packed rows --- */

struct row {
    struct ps_stat stat;
    char bytes[PS_STAT_BYTES_MAX];
};

static struct row row_a, row_b;

static void check_same_text(const char *what, struct ps_str a, struct ps_str b)
{
    if (!ps_str_equal(a, b))
        fail_msg("%s differ", what);
}

static void check_same_stat(const struct ps_stat *a, const struct ps_stat *b)
{
    assert_true(a->requests == b->requests);
    assert_true(a->errors == b->errors);
    assert_true(a->count_us == b->count_us);
    assert_true(a->sum_us == b->sum_us);
    assert_true(a->min_us == b->min_us);
    assert_true(a->max_us == b->max_us);
    assert_true(a->unique_seen == b->unique_seen);
    assert_true(a->unique_estimate == b->unique_estimate);
    check_same_text("samples", a->samples, b->samples);
    check_same_text("sample keys", a->sample_keys, b->sample_keys);
    check_same_text("clients", a->clients, b->clients);
    check_same_text("sketch", a->sketch, b->sketch);
    assert_true(a->count_bytes == b->count_bytes);
    assert_true(a->sum_bytes == b->sum_bytes);
    assert_true(a->p50_us == b->p50_us);
    assert_true(a->p95_us == b->p95_us);
    assert_true(a->p99_us == b->p99_us);
    check_same_text("methods", a->methods, b->methods);
    check_same_text("statuses", a->statuses, b->statuses);
}

/* `a` packs to what row_a holds. */
static void check_like_row_a(struct ps_aggregate *a)
{
    ps_aggregate_pack(a, row_b.bytes, &row_b.stat);
    check_same_stat(&row_a.stat, &row_b.stat);
}

/* Sizes on both sides of where the sample fills up and the sketch begins. */
static const size_t sizes[] = {0, 1, 2, 3, 17, 500, 999, 1000, 1001, 1002, 1111, 1120, 1500, 4000};

static void pack_in_order(const struct made *events, size_t count)
{
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    add_all(&a, events, count);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    ps_aggregate_done(&a, &alloc);
}

static void test_order_does_not_matter(void **state) /* I2 */
{
    (void)state;
    start_random();
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct made *events = random_events(sizes[i]);
        pack_in_order(events, sizes[i]);
        for (int round = 0; round < 4; round++) {
            struct ps_aggregate a;
            ps_aggregate_init(&a);
            shuffle(events, sizes[i]);
            add_all(&a, events, sizes[i]);
            check_like_row_a(&a);
            ps_aggregate_done(&a, &alloc);
        }
        free(events);
    }
}

/* In parts of random sizes, each packed and unpacked on its way or not, merged in random order. */
static void merge_parts(const struct made *events, size_t count, size_t parts)
{
    struct ps_aggregate pieces[16], back;
    assert_true(parts <= PS_COUNT_OF(pieces));
    for (size_t i = 0; i < parts; i++)
        ps_aggregate_init(&pieces[i]);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ps_aggregate_add(&pieces[below(parts)], &events[i].event, &alloc), 0);
    for (size_t left = parts; left > 1; left--) {
        size_t i = below(left - 1);
        if (below(2)) {
            ps_aggregate_pack(&pieces[i], row_b.bytes, &row_b.stat);
            assert_int_equal(ps_aggregate_unpack(&row_b.stat, &alloc, &back), 0);
            ps_aggregate_done(&pieces[i], &alloc);
            pieces[i] = back;
        }
        assert_int_equal(ps_aggregate_merge(&pieces[i], &pieces[left - 1], &alloc), 0);
        ps_aggregate_done(&pieces[left - 1], &alloc);
    }
    check_like_row_a(&pieces[0]);
    ps_aggregate_done(&pieces[0], &alloc);
}

static void test_split_and_merge_give_the_same_bytes(void **state) /* I2 */
{
    (void)state;
    start_random();
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++)
        for (int round = 0; round < 6; round++) {
            struct made *events = random_events(sizes[i]);
            pack_in_order(events, sizes[i]);
            shuffle(events, sizes[i]);
            merge_parts(events, sizes[i], 1 + below(16));
            free(events);
        }
}

/* Batches: added to a fresh aggregate, packed, read back, the next one added, and so on. */
static void test_batching_does_not_matter(void **state) /* I2 */
{
    (void)state;
    start_random();
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct made *events = random_events(sizes[i]);
        struct ps_aggregate a;
        pack_in_order(events, sizes[i]);
        ps_aggregate_init(&a);
        for (size_t at = 0, n; at < sizes[i]; at += n) {
            n = 1 + below(sizes[i] - at < 300 ? sizes[i] - at : 300);
            add_all(&a, events + at, n);
            ps_aggregate_pack(&a, row_b.bytes, &row_b.stat);
            ps_aggregate_done(&a, &alloc);
            assert_int_equal(ps_aggregate_unpack(&row_b.stat, &alloc, &a), 0);
        }
        check_like_row_a(&a);
        ps_aggregate_done(&a, &alloc);
        free(events);
    }
}

/* Equal keys with different times: the pair decides, not who came first. */
static void test_equal_keys_leave_no_room_for_order(void **state) /* I2 */
{
    (void)state;
    struct ps_aggregate a;
    for (int backwards = 0; backwards < 2; backwards++) {
        ps_aggregate_init(&a);
        for (int i = 0; i < 1500; i++)
            add_number(&a, 1, backwards ? 1499 - i : i);
        if (!backwards)
            ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
        else
            check_like_row_a(&a);
        ps_aggregate_done(&a, &alloc);
    }
}

static void test_packing_changes_nothing(void **state)
{
    (void)state;
    start_random();
    struct made *events = random_events(3000);
    struct ps_aggregate a;
    pack_in_order(events, 3000);
    ps_aggregate_init(&a);
    for (size_t i = 0; i < 3000; i++) {
        if (i % 97 == 0)
            ps_aggregate_pack(&a, row_b.bytes, &row_b.stat);
        add_all(&a, events + i, 1);
    }
    check_like_row_a(&a);
    check_like_row_a(&a); /* twice the same */
    ps_aggregate_done(&a, &alloc);
    free(events);
}

/* --- the numbers --- */

static void test_counts_and_sums_are_integers(void **state)
{
    (void)state;
    struct ps_aggregate a, b;
    ps_aggregate_init(&a);
    ps_aggregate_init(&b);
    /* 2^53 and beyond, where a double would lose the last microsecond */
    enum { MANY = 110000 };
    for (uint64_t i = 0; i < MANY; i++)
        add_number(i % 2 ? &a : &b, i, PS_RESPONSE_US_MAX - (i == 7));
    assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
    assert_true(a.sum_us > UINT64_C(1) << 53);
    assert_true(a.sum_us == (uint64_t)PS_RESPONSE_US_MAX * MANY - 1);
    assert_true(a.requests == MANY && a.count_us == MANY && a.errors == 0);
    assert_true(a.min_us == (uint64_t)PS_RESPONSE_US_MAX - 1);
    assert_true(a.max_us == (uint64_t)PS_RESPONSE_US_MAX);
    ps_aggregate_done(&a, &alloc);
    ps_aggregate_done(&b, &alloc);
}

static void test_errors_are_what_is_said(void **state)
{
    (void)state;
    struct ps_aggregate a;
    struct made m;
    ps_aggregate_init(&a);
    for (int said = PS_ABSENT; said <= 1; said++) {
        make_event(&m, (uint64_t)(said + 1), PS_ABSENT);
        m.event.is_error = (int8_t)said;
        add_all(&a, &m, 1);
    }
    assert_true(a.requests == 3 && a.errors == 1);
    ps_aggregate_done(&a, &alloc);
}

static void test_without_response_times(void **state)
{
    (void)state;
    struct ps_aggregate a;
    uint64_t scratch[PS_SAMPLE_MAX], us = 77;
    ps_aggregate_init(&a);
    assert_false(ps_aggregate_percentile(&a, 500, scratch, &us));
    for (uint64_t i = 0; i < 10; i++)
        add_number(&a, i, PS_ABSENT);
    assert_false(ps_aggregate_percentile(&a, 500, scratch, &us));
    assert_true(us == 77);
    assert_true(a.requests == 10 && a.count_us == 0 && a.sum_us == 0);
    add_number(&a, 10, 3000);
    add_number(&a, 11, 0); /* zero is a time, absent is none */
    assert_true(a.requests == 12 && a.count_us == 2 && a.sum_us == 3000);
    assert_true(a.min_us == 0 && a.max_us == 3000);
    assert_true(ps_aggregate_percentile(&a, 500, scratch, &us) && us == 0);
    assert_true(ps_aggregate_percentile(&a, 501, scratch, &us) && us == 3000);
    ps_aggregate_done(&a, &alloc);
}

static uint64_t percentile(const struct ps_aggregate *a, unsigned permille)
{
    uint64_t scratch[PS_SAMPLE_MAX], us;
    assert_true(ps_aggregate_percentile(a, permille, scratch, &us));
    return us;
}

/* Percentiles cannot be averaged: half fast, half slow, in two hours. */
static void test_merged_percentiles_are_of_the_whole(void **state)
{
    (void)state;
    struct ps_aggregate a, b;
    ps_aggregate_init(&a);
    ps_aggregate_init(&b);
    for (uint64_t i = 0; i < 50; i++) {
        add_number(&a, i, 9000);
        add_number(&b, 50 + i, 10000000);
    }
    assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
    assert_true(percentile(&a, 500) == 9000);
    assert_true(percentile(&a, 501) == 10000000);
    assert_true(percentile(&a, 950) == 10000000);
    assert_true(percentile(&a, 990) == 10000000);
    assert_true(percentile(&a, 1000) == 10000000);
    assert_true(a.min_us == 9000 && a.max_us == 10000000);
    assert_true(a.sum_us == UINT64_C(50) * 9000 + UINT64_C(50) * 10000000);
    ps_aggregate_done(&a, &alloc);
    ps_aggregate_done(&b, &alloc);
}

static uint64_t client(uint64_t number)
{
    return ps_hash64(&number, sizeof number, 5);
}

static void test_few_clients_are_counted_exactly(void **state)
{
    (void)state;
    struct ps_aggregate a;
    bool exact = false;
    ps_aggregate_init(&a);
    assert_true(ps_aggregate_clients(&a, &exact) == 0 && exact);
    for (uint64_t i = 0; i < PS_CLIENTS_MAX - 1; i++)
        for (uint64_t again = 0; again < 3; again++)
            add_client(&a, i * 3 + again, client(i));
    assert_true(ps_aggregate_clients(&a, &exact) == PS_CLIENTS_MAX - 1 && exact);
    assert_true(ps_aggregate_clients(&a, NULL) == PS_CLIENTS_MAX - 1);
    add_client(&a, 99999, client(PS_CLIENTS_MAX));
    assert_true(ps_aggregate_clients(&a, &exact) >= PS_CLIENTS_MAX);
    assert_false(exact);
    ps_aggregate_done(&a, &alloc);
}

static void check_estimate(uint64_t distinct)
{
    struct ps_aggregate a;
    bool exact = true;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < distinct; i++)
        add_client(&a, i, client(i));
    uint64_t first = ps_aggregate_clients(&a, &exact);
    assert_false(exact);
    assert_true(first >= distinct - distinct / 10 && first <= distinct + distinct / 10);
    for (uint64_t i = 0; i < distinct; i++) /* seen again: nobody new */
        add_client(&a, distinct + i, client(i));
    assert_true(ps_aggregate_clients(&a, NULL) == first);
    assert_int_equal(a.clients.len, PS_CLIENTS_MAX);
    ps_aggregate_done(&a, &alloc);
}

static void test_many_clients_are_estimated(void **state)
{
    (void)state;
    check_estimate(5000);
    check_estimate(100000);
}

/* The same twenty visitors all day are twenty, not four hundred and eighty. */
static void test_clients_of_a_day_are_distinct(void **state)
{
    (void)state;
    struct ps_aggregate day, hour;
    bool exact = false;
    ps_aggregate_init(&day);
    for (uint64_t h = 0; h < 24; h++) {
        ps_aggregate_init(&hour);
        for (uint64_t i = 0; i < 20; i++)
            add_client(&hour, h * 20 + i, client((i + h) % 20));
        assert_true(ps_aggregate_clients(&hour, NULL) == 20);
        assert_int_equal(ps_aggregate_merge(&day, &hour, &alloc), 0);
        ps_aggregate_done(&hour, &alloc);
    }
    assert_true(ps_aggregate_clients(&day, &exact) == 20 && exact);
    assert_true(day.requests == 480);
    ps_aggregate_done(&day, &alloc);
}

static void test_memory_is_bounded(void **state) /* I8 */
{
    (void)state;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    assert_int_equal(ps_aggregate_memory(&a), 0);
    for (uint64_t i = 0; i < 20000; i++) {
        struct made m;
        make_event(&m, i, (int64_t)(client(i) >> (27 + i % 36)) % PS_RESPONSE_US_MAX);
        m.event.has_client = true;
        m.event.client_hash = client(i);
        add_all(&a, &m, 1);
    }
    assert_true(ps_aggregate_memory(&a) == (size_t)held_bytes);
    assert_true(ps_aggregate_memory(&a) <= 40 * 1024);
    ps_aggregate_done(&a, &alloc);
    assert_int_equal(ps_aggregate_memory(&a), 0);
}

/* --- the packed form --- */

/* Written down by hand: people and other programs read these columns. */
static void test_packed_columns(void **state)
{
    (void)state;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    static const char *const ids[] = {"x", "y", "z"};
    uint64_t keys[3];
    for (int i = 0; i < 3; i++) {
        struct ps_event event = {.id = {ids[i], 1},
                                 .response_us = (int64_t[]){1500, 230, 0}[i],
                                 .response_bytes = (int64_t[]){7, PS_ABSENT, 0}[i],
                                 .status = (int32_t[]){503, 200, 503}[i],
                                 .is_error = i == 1,
                                 .has_client = true,
                                 .client_hash = (uint64_t[]){9, 258, 9}[i]};
        keys[i] = ps_hash64(ids[i], 1, 0);
        assert_int_equal(ps_aggregate_add(&a, &event, &alloc), 0);
    }
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    ps_aggregate_done(&a, &alloc);
    const struct ps_stat *s = &row_a.stat;
    assert_true(s->requests == 3 && s->errors == 1 && s->count_us == 3 && s->sum_us == 1730);
    assert_true(s->min_us == 0 && s->max_us == 1500);
    assert_true(s->unique_seen == 2 && s->unique_estimate == 2);
    assert_true(s->count_bytes == 2 && s->sum_bytes == 7);
    assert_true(s->p50_us == 230 && s->p95_us == 1500 && s->p99_us == 1500);
    check_same_text("statuses", s->statuses, PS_STR("200:1,503:2"));
    static const char clients[] = "\x09\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0";
    check_same_text("clients", s->clients, (struct ps_str){clients, 16});
    assert_int_equal(s->sketch.len, 0);
    assert_int_equal(s->sample_keys.len, 24);
    int order[3], n = 0;
    for (int i = 0; i < 3; i++) { /* rank by key */
        n = 0;
        for (int j = 0; j < 3; j++)
            n += keys[j] < keys[i];
        order[n] = i;
    }
    char expected[32];
    n = 0;
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(s->sample_keys.ptr + 8 * i, &keys[order[i]], 8);
        n += sprintf(expected + n, "%s%d", i > 0 ? "," : "", (int[]){1500, 230, 0}[order[i]]);
    }
    check_same_text("samples", s->samples, (struct ps_str){expected, (size_t)n});
}

static void test_packed_sketch(void **state)
{
    (void)state;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 1000; i++)
        add_number(&a, i, 5);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    assert_int_equal(row_a.stat.sketch.len, 0); /* the sample says it all */
    add_number(&a, 1000, 7);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    /* bucket 5, count 1000 = 0x3e8; bucket 5 + 2, count 1 */
    check_same_text("sketch", row_a.stat.sketch, PS_STR("\x05\xe8\x07\x02\x01"));
    ps_aggregate_done(&a, &alloc);
}

static void test_pack_goes_round(void **state)
{
    (void)state;
    start_random();
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct made *events = random_events(sizes[i]);
        struct ps_aggregate a;
        pack_in_order(events, sizes[i]);
        assert_int_equal(ps_aggregate_unpack(&row_a.stat, &alloc, &a), 0);
        check_like_row_a(&a);
        ps_aggregate_done(&a, &alloc);
        free(events);
    }
}

/* --- damage --- */

/* Merging puts every time of the sample, or every bucket of the sketch, into a window reserved from
 * min to max; one outside would end the process. So a row that is taken must be free of them. */
static void check_window(const struct ps_aggregate *a)
{
    uint32_t low = UINT32_MAX, high = 0;
    if (a->count_us == 0)
        return;
    if (a->count_us <= PS_SAMPLE_MAX) {
        for (uint32_t i = 0; i < a->sample.len; i++) {
            uint32_t bucket = ps_sketch_bucket(a->sample.items[i].us);
            low = bucket < low ? bucket : low;
            high = bucket > high ? bucket : high;
        }
    } else {
        for (uint32_t i = 0; i < a->sketch.len; i++)
            if (a->sketch.counts[i] > 0) {
                low = a->sketch.first + i < low ? a->sketch.first + i : low;
                high = a->sketch.first + i;
            }
    }
    if (a->min_us > a->max_us || a->max_us > (uint64_t)PS_RESPONSE_US_MAX ||
        ps_sketch_bucket(a->min_us) > low || ps_sketch_bucket(a->max_us) < high)
        fail_msg("taken, and merging it would abort: %llu to %llu us around buckets %u to %u",
                 (unsigned long long)a->min_us, (unsigned long long)a->max_us, low, high);
}

/* A damaged row is refused; or what is taken packs to the same and can be merged and read. */
static bool check_damaged(const struct ps_stat *stat)
{
    struct ps_aggregate a, sum;
    uint64_t scratch[PS_SAMPLE_MAX], us;
    memset(&a, 0x5a, sizeof a);
    int r = ps_aggregate_unpack(stat, &alloc, &a);
    if (r != 0) {
        assert_int_equal(r, PS_ECORRUPT);
        assert_int_equal(ps_aggregate_memory(&a), 0); /* empty */
        assert_true(a.requests == 0 && a.count_us == 0);
        return false;
    }
    ps_aggregate_pack(&a, row_b.bytes, &row_b.stat);
    check_same_stat(stat, &row_b.stat);
    check_window(&a);
    ps_aggregate_init(&sum);
    for (uint64_t i = 0; i < 1001; i++)
        add_number(&sum, i, 100);
    assert_int_equal(ps_aggregate_merge(&sum, &a, &alloc), 0);
    assert_true(ps_aggregate_percentile(&sum, 990, scratch, &us));
    ps_aggregate_done(&sum, &alloc);
    add_number(&a, 4711, 100);
    ps_aggregate_percentile(&a, 990, scratch, &us);
    ps_aggregate_done(&a, &alloc);
    return true;
}

static void pack_random(size_t count)
{
    struct made *events = random_events(count);
    pack_in_order(events, count);
    free(events);
}

/* A copy of exactly its size, which the caller frees. */
static char *copy_of(struct ps_str s)
{
    char *copy = malloc(s.len + 1);
    assert_non_null(copy);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

/* Cut, a byte replaced, one byte longer; the other columns and the counts stay as they were. Only
 * the texts of the samples and methods can be cut or changed into something that is still a row. */
static void damage_column(const struct ps_stat *row, struct ps_str *column, size_t rounds)
{
    struct ps_str whole = *column;
    bool is_text = column == &row->samples || column == &row->methods || column == &row->statuses;
    char *copy = copy_of(whole);
    for (size_t i = 0; i < rounds && whole.len > 0; i++) {
        *column = (struct ps_str){copy, below(whole.len)};
        assert_true(!check_damaged(row) || is_text);
        size_t at = below(whole.len);
        *column = (struct ps_str){copy, whole.len};
        copy[at] = (char)(whole.ptr[at] ^ (char)(1 + below(255)));
        check_damaged(row);
        copy[at] = whole.ptr[at];
    }
    copy[whole.len] = '1';
    *column = (struct ps_str){copy, whole.len + 1};
    assert_true(!check_damaged(row) || is_text);
    *column = whole;
    free(copy);
}

static void test_damaged_columns(void **state)
{
    (void)state;
    start_random();
    static const size_t counts[] = {3, 300, 1000, 2500};
    for (size_t i = 0; i < PS_COUNT_OF(counts); i++)
        for (int round = 0; round < 5; round++) {
            pack_random(counts[i]);
            struct ps_stat changed = row_a.stat;
            damage_column(&changed, &changed.samples, 60);
            damage_column(&changed, &changed.sample_keys, 60);
            damage_column(&changed, &changed.clients, 60);
            damage_column(&changed, &changed.sketch, 60);
            damage_column(&changed, &changed.methods, 60);
            damage_column(&changed, &changed.statuses, 60);
        }
}

static void check_corrupt(const struct ps_stat *stat, const char *what)
{
    struct ps_aggregate a;
    int r = ps_aggregate_unpack(stat, &alloc, &a);
    if (r == 0)
        ps_aggregate_done(&a, &alloc);
    if (r != PS_ECORRUPT)
        fail_msg("%s: %d", what, r);
}

static void test_counts_that_contradict_the_columns(void **state)
{
    (void)state;
    start_random();
    static const size_t counts[] = {300, 2500};
    for (size_t i = 0; i < PS_COUNT_OF(counts); i++) {
        pack_random(counts[i]);
        struct ps_stat bad = row_a.stat;
        bad.count_us++;
        check_corrupt(&bad, "count_us + 1");
        bad = row_a.stat;
        bad.count_us = 0;
        check_corrupt(&bad, "count_us 0");
        bad = row_a.stat;
        bad.unique_seen++;
        check_corrupt(&bad, "unique_seen");
        bad = row_a.stat;
        bad.unique_estimate ^= 1;
        check_corrupt(&bad, "unique_estimate");
        bad = row_a.stat;
        bad.p95_us++;
        check_corrupt(&bad, "p95_us");
        bad = row_a.stat;
        bad.count_bytes = bad.requests + 1;
        check_corrupt(&bad, "count_bytes");
        bad = row_a.stat;
        bad.count_bytes = 0;
        check_corrupt(&bad, "sum_bytes of nothing");
        bad = row_a.stat;
        bad.sketch = bad.count_us > PS_SAMPLE_MAX ? PS_STR_NONE : PS_STR("\x01\x01");
        check_corrupt(&bad, "a sketch or not");
    }
}

/* min and max place the sketch's window when the row is merged, so wrong ones must not get in:
 * outside the limits, the wrong way round, or not around the times that the columns hold. */
static void test_damaged_min_and_max(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t min_us, max_us;
    } cases[] = {
        {"max beyond the limit", 1000, UINT64_MAX},
        {"max a little beyond", 1000, UINT64_C(1) << 37},
        {"min above max", 9000, 8000},
        {"max below what is held", 1000, 1500},
        {"min above what is held", 8000, 9000},
        {"both beyond", UINT64_MAX, UINT64_MAX},
    };
    static const uint64_t counts[] = {300, 2000};
    for (size_t i = 0; i < PS_COUNT_OF(counts); i++) {
        struct ps_aggregate a;
        ps_aggregate_init(&a);
        for (uint64_t n = 0; n < counts[i]; n++)
            add_number(&a, n, 1000 + (int64_t)(n % 2) * 8000);
        ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
        ps_aggregate_done(&a, &alloc);
        for (size_t j = 0; j < PS_COUNT_OF(cases); j++) {
            struct ps_stat bad = row_a.stat;
            bad.min_us = cases[j].min_us;
            bad.max_us = cases[j].max_us;
            check_corrupt(&bad, cases[j].what);
        }
    }
}

/* Two counts of 2^63 add up to nothing: the total is right, the sketch is not. */
static void test_sketch_counts_do_not_wrap(void **state)
{
    (void)state;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t n = 0; n < 1001; n++)
        add_number(&a, n, 5);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    ps_aggregate_done(&a, &alloc);
    struct ps_stat bad = row_a.stat;
    bad.sketch = PS_STR("\x05\xe9\x87\x80\x80\x80\x80\x80\x80\x80\x01" /* 2^63 + 1001 */
                        "\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    check_corrupt(&bad, "wrapped total");
}

static void test_sketch_is_strict(void **state)
{
    (void)state;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t n = 0; n < 1001; n++)
        add_number(&a, n, 5);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    ps_aggregate_done(&a, &alloc);
    static const struct ps_str bad[] = {
        {"\x05\xe8\x07", 3},             /* one short */
        {"\x05\xe9\x87\x00", 4},         /* not the shortest form */
        {"\x85\x00\xe9\x07", 4},         /* the same of the gap */
        {"\x05\xe9\x07\x00\x00", 5},     /* an empty bucket */
        {"\x05\xe8\x07\x00\x01", 5},     /* a bucket twice */
        {"\x05\xe8\x07\x80\x10\x01", 6}, /* bucket 2053 */
        {"\x05\xe9", 2},
        {"\x05", 1},
        {"", 0},
        {"\x05\xe8\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15}, /* endless */
    };
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        struct ps_stat changed = row_a.stat;
        changed.sketch = bad[i];
        check_corrupt(&changed, "sketch");
    }
}

static void test_samples_and_clients_are_strict(void **state)
{
    (void)state;
    static const char keys[] = "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0";
    static const char backwards[] = "\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0";
    static const char equal[] = "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0";
    static const char *const texts[] = {"",     "5",    "5,",   ",5",   "5,6,",  "5,6,7",
                                        "5,6 ", " 5,6", "5, 6", "5;6",  "05,6",  "5,06",
                                        "+5,6", "5,-6", "5,6x", "5,,6", "5,6.0", "5,86400000001"};
    struct ps_stat good = {.requests = 2,
                           .count_us = 2,
                           .sum_us = 11,
                           .min_us = 5,
                           .max_us = 6,
                           .p50_us = 5,
                           .p95_us = 6,
                           .p99_us = 6,
                           .unique_seen = 2,
                           .unique_estimate = 2};
    good.samples = PS_STR("5,6");
    good.sample_keys = good.clients = (struct ps_str){keys, 16};
    assert_true(check_damaged(&good));
    for (size_t i = 0; i < PS_COUNT_OF(texts); i++) {
        struct ps_stat bad = good;
        bad.samples = (struct ps_str){texts[i], strlen(texts[i])};
        check_corrupt(&bad, texts[i]);
    }
    struct ps_stat bad = good;
    bad.sample_keys.ptr = backwards;
    check_corrupt(&bad, "keys backwards");
    bad = good;
    bad.sample_keys.ptr = equal;
    assert_true(check_damaged(&bad)); /* two events may share a key: then the times ascend */
    bad.samples = PS_STR("6,5");
    check_corrupt(&bad, "equal keys, times backwards");
    bad = good;
    bad.clients.ptr = backwards;
    check_corrupt(&bad, "clients backwards");
    bad.clients.ptr = equal;
    check_corrupt(&bad, "a client twice");
}

/* --- statuses and sizes --- */

static void test_statuses_are_strict(void **state)
{
    (void)state;
    static const char *const good[] = {"", "200:1", "100:1,999:9", "200:3,404:6"};
    static const char *const bad[] = {
        "200",    "200:",   "200:0",       "200:01",
        "99:1",   "1000:1", "404:1,200:1", "200:1,200:1",
        "200:1,", ",200:1", "200:5,404:6", "200:11",
        "200:1 ", " 200:1", "0200:1",      "200:18446744073709551617"};
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        struct ps_stat stat = {.requests = 10, .statuses = {good[i], strlen(good[i])}};
        assert_true(check_damaged(&stat));
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        struct ps_stat stat = {.requests = 10, .statuses = {bad[i], strlen(bad[i])}};
        check_corrupt(&stat, bad[i]);
    }
}

/* Every code there is, each with the largest count: it fits, and comes back (I8). */
static void test_all_statuses_fit(void **state)
{
    (void)state;
    struct ps_aggregate a, b;
    ps_aggregate_init(&a);
    assert_int_equal(ps_statuses_reserve(&a.statuses, PS_STATUSES_MAX, &alloc), 0);
    a.requests = UINT64_MAX;
    for (uint32_t code = PS_STATUS_MAX; code >= PS_STATUS_MIN; code--)
        ps_statuses_put(&a.statuses, code, UINT64_MAX / PS_STATUSES_MAX);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    assert_int_equal(ps_aggregate_unpack(&row_a.stat, &alloc, &b), 0);
    check_like_row_a(&b);
    ps_aggregate_done(&a, &alloc);
    ps_aggregate_done(&b, &alloc);
}

/* I2: a sum that stops at its maximum is the same in every order and split. */
static void test_sizes_stop_at_the_maximum(void **state)
{
    (void)state;
    struct ps_aggregate a, b;
    struct made m;
    ps_aggregate_init(&a);
    ps_aggregate_init(&b);
    make_event(&m, 1, PS_ABSENT);
    m.event.response_bytes = PS_RESPONSE_BYTES_MAX;
    for (int i = 0; i < 600; i++)
        assert_int_equal(ps_aggregate_add(i % 2 ? &a : &b, &m.event, &alloc), 0);
    assert_true(a.sum_bytes == 300 * (uint64_t)PS_RESPONSE_BYTES_MAX);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
        assert_int_equal(ps_aggregate_merge(&b, &a, &alloc), 0);
    }
    assert_true(a.sum_bytes < PS_BYTES_SUM_MAX || a.sum_bytes == PS_BYTES_SUM_MAX);
    assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
    assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
    assert_true(a.sum_bytes == PS_BYTES_SUM_MAX);
    ps_aggregate_done(&a, &alloc);
    ps_aggregate_done(&b, &alloc);
}

/* --- methods --- */

static void add_method(struct ps_aggregate *a, struct ps_str method, int times)
{
    for (int i = 0; i < times; i++) {
        struct made m;
        make_event(&m, (uint64_t)i, PS_ABSENT);
        m.event.method = method;
        assert_int_equal(ps_aggregate_add(a, &m.event, &alloc), 0);
    }
}

static void test_methods_are_counted(void **state)
{
    (void)state;
    struct ps_aggregate a, b;
    ps_aggregate_init(&a);
    ps_aggregate_init(&b);
    assert_null(ps_aggregate_method(&a).ptr);
    add_method(&a, PS_STR_NONE, 3); /* counts as a request and under no method */
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    assert_int_equal(row_a.stat.requests, 3);
    assert_int_equal(row_a.stat.methods.len, 0);
    assert_null(ps_aggregate_method(&a).ptr);
    add_method(&a, PS_STR("POST"), 2);
    add_method(&a, PS_STR("GET"), 2);
    check_same_text("a tie", ps_aggregate_method(&a), PS_STR("GET"));
    add_method(&a, PS_STR("POST"), 1);
    check_same_text("the most", ps_aggregate_method(&a), PS_STR("POST"));
    add_method(&b, PS_STR("GET"), 10);
    add_method(&b, PS_STR("get"), 1); /* methods are case-sensitive */
    add_method(&b, PS_STR("PROPFIND"), 20);
    add_method(&b, PS_STR(""), 1);
    add_method(&b, PS_STR("OPTIONS"), 4);
    assert_int_equal(ps_aggregate_merge(&a, &b, &alloc), 0);
    ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
    check_same_text("methods", row_a.stat.methods, PS_STR("GET:12,POST:3,OPTIONS:4,other:22"));
    check_same_text("others", ps_aggregate_method(&a), PS_STR("other"));
    ps_aggregate_done(&a, &alloc);
    ps_aggregate_done(&b, &alloc);
}

static void test_methods_are_strict(void **state)
{
    (void)state;
    static const char *const good[] = {"", "GET:1", "GET:9,other:1", "HEAD:1,PUT:2,DELETE:3",
                                       "other:10"};
    static const char *const bad[] = {"GET",
                                      "GET:",
                                      "GET:0",
                                      "GET:01",
                                      "GET:-1",
                                      "GET: 1",
                                      "get:1",
                                      ":1",
                                      ",",
                                      "GET:1,",
                                      ",GET:1",
                                      "GET:1,,PUT:1",
                                      "GET:1 ",
                                      "GET:1,GET:1",
                                      "PUT:1,GET:1",
                                      "TRACE:1",
                                      "GET:1x",
                                      "GET:11",
                                      "GET:5,PUT:6",
                                      "other:1,GET:1",
                                      "GETX:1",
                                      "GET:1;PUT:1",
                                      "GET:1.0",
                                      "GE",
                                      "GET:18446744073709551617",
                                      "GET:1,PUT:18446744073709551615"};
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        struct ps_stat stat = {.requests = 10, .methods = {good[i], strlen(good[i])}};
        assert_true(check_damaged(&stat));
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) { /* of 10 requests */
        struct ps_stat stat = {.requests = 10, .methods = {bad[i], strlen(bad[i])}};
        check_corrupt(&stat, bad[i]);
    }
    struct ps_stat most = {.requests = UINT64_MAX, .methods = PS_STR("GET:18446744073709551615")};
    struct ps_aggregate a;
    assert_int_equal(ps_aggregate_unpack(&most, &alloc, &a), 0);
    assert_true(a.methods.counts[0] == UINT64_MAX);
    ps_aggregate_done(&a, &alloc);
}

static void test_longest_methods_fit(void **state)
{
    (void)state;
    struct ps_methods m;
    char text[PS_METHODS_TEXT_MAX];
    for (size_t i = 0; i < PS_METHODS_COUNT; i++)
        m.counts[i] = UINT64_MAX;
    assert_true(ps_methods_format(&m, text) <= sizeof text);
}

/* --- memory runs out --- */

/* Adds, with the allocator failing at its first call whenever it is needed at all. */
static void test_add_without_memory_changes_nothing(void **state)
{
    (void)state;
    start_random();
    struct made *events = random_events(2500);
    struct ps_aggregate a;
    unsigned failures = 0;
    ps_aggregate_init(&a);
    for (size_t i = 0; i < 2500; i++) {
        for (long nth = 0;; nth++) { /* fails at the first call, at the second, ... */
            ps_aggregate_pack(&a, row_a.bytes, &row_a.stat);
            calls_left = nth;
            int r = ps_aggregate_add(&a, &events[i].event, &alloc);
            calls_left = -1;
            if (r == 0)
                break;
            assert_int_equal(r, PS_ENOMEM);
            failures++;
            check_like_row_a(&a);
        }
    }
    assert_true(failures >= 10); /* the sample alone grows nine times */
    pack_in_order(events, 2500);
    check_like_row_a(&a); /* and the failures left no trace */
    ps_aggregate_done(&a, &alloc);
    free(events);
}

static void fill_pair(struct ps_aggregate *dst, struct ps_aggregate *src, const struct made *events,
                      size_t first, size_t count)
{
    ps_aggregate_init(dst);
    ps_aggregate_init(src);
    add_all(dst, events, first);
    add_all(src, events + first, count - first);
}

static unsigned merge_without_memory(const struct made *events, size_t first, size_t count)
{
    struct ps_aggregate dst, src;
    unsigned failures = 0;
    fill_pair(&dst, &src, events, first, count);
    for (long nth = 0;; nth++) {
        ps_aggregate_pack(&dst, row_a.bytes, &row_a.stat);
        calls_left = nth;
        int r = ps_aggregate_merge(&dst, &src, &alloc);
        calls_left = -1;
        if (r == 0)
            break;
        assert_int_equal(r, PS_ENOMEM);
        failures++;
        check_like_row_a(&dst);
    }
    pack_in_order(events, count);
    check_like_row_a(&dst);
    pack_in_order(events + first, count - first);
    check_like_row_a(&src); /* which a merge never touches */
    ps_aggregate_done(&dst, &alloc);
    ps_aggregate_done(&src, &alloc);
    return failures;
}

static void test_merge_without_memory_changes_nothing(void **state)
{
    (void)state;
    start_random();
    static const size_t counts[] = {10, 700, 1001, 1800, 3000};
    unsigned failures = 0;
    for (size_t i = 0; i < PS_COUNT_OF(counts); i++) {
        struct made *events = random_events(counts[i]);
        failures += merge_without_memory(events, 0, counts[i]);
        failures += merge_without_memory(events, counts[i] / 2, counts[i]);
        failures += merge_without_memory(events, counts[i] - 1, counts[i]);
        free(events);
    }
    assert_true(failures > 15);
}

static void test_unpack_without_memory(void **state)
{
    (void)state;
    start_random();
    pack_random(2500);
    struct ps_aggregate a;
    long nth = 0;
    for (;; nth++) {
        memset(&a, 0x5a, sizeof a);
        calls_left = nth;
        int r = ps_aggregate_unpack(&row_a.stat, &alloc, &a);
        calls_left = -1;
        if (r == 0)
            break;
        assert_int_equal(r, PS_ENOMEM);
        assert_int_equal(ps_aggregate_memory(&a), 0);
        assert_int_equal(held_bytes, 0);
    }
    assert_true(nth >= 3); /* sample, clients, sketch */
    check_like_row_a(&a);
    ps_aggregate_done(&a, &alloc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, check_nothing_held)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_does_not_matter),
        TEST(test_split_and_merge_give_the_same_bytes),
        TEST(test_batching_does_not_matter),
        TEST(test_equal_keys_leave_no_room_for_order),
        TEST(test_packing_changes_nothing),
        TEST(test_counts_and_sums_are_integers),
        TEST(test_errors_are_what_is_said),
        TEST(test_without_response_times),
        TEST(test_merged_percentiles_are_of_the_whole),
        TEST(test_few_clients_are_counted_exactly),
        TEST(test_many_clients_are_estimated),
        TEST(test_clients_of_a_day_are_distinct),
        TEST(test_memory_is_bounded),
        TEST(test_packed_columns),
        TEST(test_packed_sketch),
        TEST(test_pack_goes_round),
        TEST(test_damaged_columns),
        TEST(test_counts_that_contradict_the_columns),
        TEST(test_damaged_min_and_max),
        TEST(test_sketch_counts_do_not_wrap),
        TEST(test_sketch_is_strict),
        TEST(test_samples_and_clients_are_strict),
        TEST(test_statuses_are_strict),
        TEST(test_all_statuses_fit),
        TEST(test_sizes_stop_at_the_maximum),
        TEST(test_methods_are_counted),
        TEST(test_methods_are_strict),
        TEST(test_longest_methods_fit),
        TEST(test_add_without_memory_changes_nothing),
        TEST(test_merge_without_memory_changes_nothing),
        TEST(test_unpack_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
