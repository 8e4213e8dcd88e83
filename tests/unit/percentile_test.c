/* percentile_test.c - percentiles against a sorted array and the nearest-rank rule.
 *
 * Exact while the sample holds everything (PS_SAMPLE_MAX events), at most 1 % off beyond. The
 * distributions need no libm: a product of random factors is log-normal. PS_SEED=<n> changes the
 * seed, which is printed.
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
#include "core/sketch.h"

#include <stdio.h>
#include <stdlib.h>

enum { EVENTS_MAX = 200000, NODES = 3 };

static const size_t sizes[] = {1, 2, 10, 999, 1000, 1001, 10000, EVENTS_MAX};
static const unsigned permilles[] = {1, 10, 500, 900, 950, 990, 999, 1000};

static uint64_t seed_now, values[EVENTS_MAX], sorted[EVENTS_MAX];

static uint64_t next_random(void) /* splitmix64 (Steele, Lea & Flood 2014) */
{
    uint64_t z = seed_now += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int start_random(void **state)
{
    const char *given = getenv("PS_SEED");
    (void)state;
    seed_now = given != NULL ? strtoull(given, NULL, 0) : 20251015;
    printf("# PS_SEED=%llu\n", (unsigned long long)seed_now);
    return 0;
}

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static const struct ps_alloc alloc = {resize, NULL};

/* --- the distributions, in microseconds --- */

typedef uint64_t draw_fn(void);

static uint64_t draw_uniform(void)
{
    return next_random() % 1000000;
}

static uint64_t draw_log_normal(void)
{
    double us = 20000;
    for (int i = 0; i < 12; i++)
        us *= 0.5 + (double)(next_random() >> 11) / 9007199254740992.0 * 1.3;
    return (uint64_t)us;
}

/* Fast from a cache, or slow and now and then at the very limit. */
static uint64_t draw_bimodal(void)
{
    if (next_random() % 10 < 7)
        return 900 + next_random() % 200;
    return next_random() % 200 == 0 ? (uint64_t)PS_RESPONSE_US_MAX
                                    : 5000000 + next_random() % 500000;
}

static uint64_t draw_constant(void)
{
    return 123457;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* --- the oracle --- */

/* The smallest value with at least `permille` thousandths of all at or below it. */
static uint64_t nearest_rank(size_t count, unsigned permille)
{
    size_t rank = (count * permille + 999) / 1000;
    return sorted[rank - 1];
}

static void check_percentiles(const struct ps_aggregate *a, size_t count)
{
    uint64_t scratch[PS_SAMPLE_MAX], last = 0;
    for (size_t i = 0; i < PS_COUNT_OF(permilles); i++) {
        uint64_t got = 0, want = nearest_rank(count, permilles[i]);
        assert_true(ps_aggregate_percentile(a, permilles[i], scratch, &got));
        uint64_t off = got > want ? got - want : want - got;
        if (count <= PS_SAMPLE_MAX ? off > 0 : off * 100 > want)
            fail_msg("%zu events, permille %u: %llu, not %llu", count, permilles[i],
                     (unsigned long long)got, (unsigned long long)want);
        assert_true(got >= a->min_us && got <= a->max_us && got >= last);
        last = got;
    }
}

static void add_value(struct ps_aggregate *a, uint64_t number, uint64_t us)
{
    struct ps_event event = {.id = {(const char *)&number, sizeof number},
                             .path = PS_STR("/"),
                             .response_us = (int64_t)us,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    assert_int_equal(ps_aggregate_add(a, &event, &alloc), 0);
}

/* Once on one node, once spread over several and merged. */
static void check_distribution(draw_fn *draw)
{
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct ps_aggregate whole, nodes[NODES];
        ps_aggregate_init(&whole);
        for (size_t n = 0; n < NODES; n++)
            ps_aggregate_init(&nodes[n]);
        for (size_t j = 0; j < sizes[i]; j++) {
            values[j] = sorted[j] = draw();
            add_value(&whole, j, values[j]);
            add_value(&nodes[next_random() % NODES], j, values[j]);
        }
        qsort(sorted, sizes[i], sizeof *sorted, compare_u64);
        check_percentiles(&whole, sizes[i]);
        for (size_t n = 1; n < NODES; n++)
            assert_int_equal(ps_aggregate_merge(&nodes[0], &nodes[n], &alloc), 0);
        check_percentiles(&nodes[0], sizes[i]);
        ps_aggregate_done(&whole, &alloc);
        for (size_t n = 0; n < NODES; n++)
            ps_aggregate_done(&nodes[n], &alloc);
    }
}

static void test_uniform(void **state)
{
    (void)state;
    check_distribution(draw_uniform);
}

static void test_log_normal(void **state)
{
    (void)state;
    check_distribution(draw_log_normal);
}

static void test_bimodal(void **state)
{
    (void)state;
    check_distribution(draw_bimodal);
}

static void test_constant(void **state)
{
    (void)state;
    check_distribution(draw_constant);
    uint64_t scratch[PS_SAMPLE_MAX], us;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 5000; i++)
        add_value(&a, i, 123457);
    for (unsigned permille = 1; permille <= 1000; permille++) { /* clamped: not even 1 % off */
        assert_true(ps_aggregate_percentile(&a, permille, scratch, &us));
        assert_true(us == 123457);
    }
    ps_aggregate_done(&a, &alloc);
}

/* Every rank there is, where it is exact: an off-by-one has nowhere to hide. */
static void test_every_rank_of_ten(void **state)
{
    (void)state;
    uint64_t scratch[PS_SAMPLE_MAX], us;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 10; i++)
        add_value(&a, i, (10 - i) * 100);
    for (unsigned permille = 1; permille <= 1000; permille++) {
        assert_true(ps_aggregate_percentile(&a, permille, scratch, &us));
        assert_true(us == (permille + 99) / 100 * 100);
    }
    ps_aggregate_done(&a, &alloc);
}

/* Beyond the sample, below 128 us: each microsecond has its own bucket, so ranks stay exact. */
static void test_every_rank_beyond_the_sample(void **state)
{
    (void)state;
    uint64_t scratch[PS_SAMPLE_MAX], us;
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 2000; i++)
        add_value(&a, i, i / 20); /* 0..99, twenty of each */
    for (unsigned permille = 1; permille <= 1000; permille++) {
        assert_true(ps_aggregate_percentile(&a, permille, scratch, &us));
        assert_true(us == (permille * 2u - 1) / 20);
    }
    ps_aggregate_done(&a, &alloc);
}

/* Neighbouring buckets, from 0 to the limit: ascending, no gap, and near what they stand for. */
static void test_buckets(void **state)
{
    (void)state;
    uint64_t us = 0;
    uint32_t last = 0;
    while (us <= (uint64_t)PS_RESPONSE_US_MAX) {
        uint32_t bucket = ps_sketch_bucket(us);
        assert_true(bucket == last || bucket == last + 1);
        assert_true(bucket < PS_SKETCH_BUCKETS);
        uint64_t value = ps_sketch_value(bucket), off = value > us ? value - us : us - value;
        if (off * 100 > us)
            fail_msg("%llu us is off by %llu", (unsigned long long)us, (unsigned long long)off);
        assert_int_equal(ps_sketch_bucket(value), bucket);
        last = bucket;
        us += us < 100000 ? 1 : us / 1000;
    }
    assert_true(ps_sketch_bucket((uint64_t)PS_RESPONSE_US_MAX) < PS_SKETCH_BUCKETS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_uniform, start_random),
        cmocka_unit_test_setup(test_log_normal, start_random),
        cmocka_unit_test_setup(test_bimodal, start_random),
        cmocka_unit_test_setup(test_constant, start_random),
        cmocka_unit_test(test_every_rank_of_ten),
        cmocka_unit_test(test_every_rank_beyond_the_sample),
        cmocka_unit_test(test_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
