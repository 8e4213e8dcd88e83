/* pure_test.c - a seeded simulator of I2: whatever happens on the way, the same set of events gives
 * the same rows.
 *
 * Each world draws a set of events over several hours and paths. Histories of that world then
 * deliver it as the real one would: in another order, with duplicates, in batches of random sizes,
 * over several nodes whose rows are merged, with rows packed and read back in between, and with
 * deliveries played again from an earlier point. Identity is the id; a set of seen ids stands for
 * the store's. Every history must end with rows that are, byte for byte, those of the plain one.
 *
 *     PS_SEED=<n>     starts from another seed (printed)
 *     PS_WORLDS=<n>   how many worlds
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
#include "base/time.h"
#include "core/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORLDS = 100,
    HISTORIES = 5, /* of each world */
    EVENTS_MAX = 6000,
    DELIVERIES_MAX = 3 * EVENTS_MAX, /* with duplicates and replays */
    NODES_MAX = 5,
    HOURS_MAX = 4,
    PATHS_MAX = 5,
    ROWS_MAX = HOURS_MAX * PATHS_MAX,
    BATCH_MAX = 400,
};

/* --- randomness --- */

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

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given != NULL ? strtoull(given, NULL, 0) : otherwise;
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

/* --- a world: a set of events --- */

static struct world {
    size_t count, hours, paths;
    struct ps_event events[EVENTS_MAX];
    char ids[EVENTS_MAX][24];
} world;

static const char *const path_names[PATHS_MAX] = {"/", "/a", "/a:b", "/a|||b", "/\xc3\xbc"};

static int64_t draw_response_us(void)
{
    switch (below(8)) {
    case 0: return PS_ABSENT;
    case 1: return 5000; /* many of the same */
    case 2: return (int64_t)below((size_t)PS_RESPONSE_US_MAX + 1);
    case 3: return below(2) ? 0 : PS_RESPONSE_US_MAX;
    default: return (int64_t)(next_random() >> (34 + below(26)));
    }
}

static struct ps_str draw_method(void)
{
    static const struct ps_str methods[] = {{"GET", 3}, {"POST", 4}, {"PURGE", 5}, {NULL, 0}};
    return methods[below(4)];
}

/* Half of the events fall on one row, so that its sample overflows and its sketch begins. */
static void draw_event(size_t i, uint64_t clients)
{
    bool busy = below(2);
    int64_t hour = 489038 + (busy ? 0 : (int64_t)below(world.hours));
    int64_t ms = hour * PS_MS_PER_HOUR + (int64_t)below((size_t)PS_MS_PER_HOUR);
    int len = snprintf(world.ids[i], sizeof world.ids[i], "%zx-%08x", i, (unsigned)next_random());
    uint64_t who = below(clients);
    const char *path = path_names[busy ? 0 : below(world.paths)];
    world.events[i] = (struct ps_event){
        .id = {world.ids[i], (size_t)len},
        .path = {path, strlen(path)},
        .timestamp_ms = ms,
        .method = draw_method(),
        .response_us = draw_response_us(),
        .response_bytes = below(3) ? (int64_t)below(1 << 20) : PS_ABSENT,
        .client_hash = ps_hash64(&who, sizeof who, clients),
        .status = PS_ABSENT,
        .is_error = (int8_t)((int)below(3) - 1),
        .has_client = below(10) != 0,
    };
}

static void draw_world(void)
{
    static const size_t sizes[] = {1, 10, 300, 2000, 2100, EVENTS_MAX};
    world.count = below(3) ? 1 + below(EVENTS_MAX) : sizes[below(PS_COUNT_OF(sizes))];
    world.hours = 1 + below(HOURS_MAX);
    world.paths = 1 + below(PATHS_MAX);
    uint64_t clients = 1 + below(below(2) ? 100 : 4000);
    for (size_t i = 0; i < world.count; i++)
        draw_event(i, clients);
}

/* --- rows of one node: an aggregate for each hour and path --- */

struct rows {
    struct ps_aggregate row[ROWS_MAX];
};

static size_t row_of(const struct ps_event *event)
{
    size_t path = 0;
    while (event->path.ptr != path_names[path])
        path++;
    return (size_t)(ps_time_hour(event->timestamp_ms) - 489038) * PATHS_MAX + path;
}

static void init_rows(struct rows *rows)
{
    for (size_t i = 0; i < ROWS_MAX; i++)
        ps_aggregate_init(&rows->row[i]);
}

static void free_rows(struct rows *rows)
{
    for (size_t i = 0; i < ROWS_MAX; i++)
        ps_aggregate_done(&rows->row[i], &alloc);
}

static char row_bytes[PS_STAT_BYTES_MAX], other_bytes[PS_STAT_BYTES_MAX];

/* As if the process had ended here and another had read the row. */
static void store_and_load(struct ps_aggregate *a)
{
    struct ps_stat stat;
    struct ps_aggregate back;
    ps_aggregate_pack(a, row_bytes, &stat);
    assert_int_equal(ps_aggregate_unpack(&stat, &alloc, &back), 0);
    ps_aggregate_done(a, &alloc);
    *a = back;
}

/* --- one history --- */

static uint32_t deliveries[DELIVERIES_MAX];
static bool seen[EVENTS_MAX]; /* the set of ids: an index is an id here */

/* Every event at least once, some again, in any order. */
static size_t draw_deliveries(void)
{
    size_t count = world.count, extra = below(world.count + 1);
    for (size_t i = 0; i < count; i++)
        deliveries[i] = (uint32_t)i;
    for (size_t i = 0; i < extra; i++)
        deliveries[count++] = (uint32_t)below(world.count);
    for (size_t i = count; i > 1; i--) {
        size_t j = below(i);
        uint32_t other = deliveries[j];
        deliveries[j] = deliveries[i - 1];
        deliveries[i - 1] = other;
    }
    return count;
}

/* A batch is aggregated by itself, then merged into the rows: all of it, or nothing. */
static void apply_batch(struct rows *rows, size_t from, size_t to)
{
    static struct rows batch;
    init_rows(&batch);
    for (size_t i = from; i < to; i++) {
        const struct ps_event *event = &world.events[deliveries[i]];
        if (seen[deliveries[i]])
            continue;
        seen[deliveries[i]] = true;
        assert_int_equal(ps_aggregate_add(&batch.row[row_of(event)], event, &alloc), 0);
    }
    for (size_t i = 0; i < ROWS_MAX; i++) {
        assert_int_equal(ps_aggregate_merge(&rows->row[i], &batch.row[i], &alloc), 0);
        if (below(40) == 0)
            store_and_load(&rows->row[i]);
    }
    free_rows(&batch);
}

/* Merges `nodes` into nodes[0], in random order. */
static void merge_nodes(struct rows *nodes, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        size_t into = below(left - 1);
        for (size_t i = 0; i < ROWS_MAX; i++)
            assert_int_equal(
                ps_aggregate_merge(&nodes[into].row[i], &nodes[left - 1].row[i], &alloc), 0);
        free_rows(&nodes[left - 1]);
    }
}

static void live_history(struct rows *ret)
{
    static struct rows nodes[NODES_MAX];
    size_t node_count = 1 + below(NODES_MAX), count = draw_deliveries();
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < node_count; i++)
        init_rows(&nodes[i]);
    for (size_t at = 0, n; at < count; at += n) {
        size_t most = count - at < BATCH_MAX ? count - at : BATCH_MAX;
        n = 1 + below(most);
        apply_batch(&nodes[below(node_count)], at, at + n);
        if (below(8) == 0 && at > 0) { /* the queue delivers again from an earlier point */
            size_t back = below(at);
            apply_batch(&nodes[below(node_count)], back, at + n);
        }
    }
    merge_nodes(nodes, node_count);
    *ret = nodes[0];
}

/* --- the claim --- */

/* What differs, or NULL. */
static const char *find_difference(struct ps_aggregate *plain, struct ps_aggregate *lived)
{
    struct ps_stat a, b;
    ps_aggregate_pack(plain, row_bytes, &a);
    ps_aggregate_pack(lived, other_bytes, &b);
    if (a.requests != b.requests || a.errors != b.errors || a.count_us != b.count_us ||
        a.sum_us != b.sum_us || a.min_us != b.min_us || a.max_us != b.max_us ||
        a.unique_seen != b.unique_seen || a.unique_estimate != b.unique_estimate)
        return "the numbers";
    if (!ps_str_equal(a.samples, b.samples) || !ps_str_equal(a.sample_keys, b.sample_keys))
        return "the samples";
    if (!ps_str_equal(a.clients, b.clients))
        return "the clients";
    if (!ps_str_equal(a.methods, b.methods))
        return "the methods";
    if (!ps_str_equal(a.statuses, b.statuses))
        return "the statuses";
    if (a.count_bytes != b.count_bytes || a.sum_bytes != b.sum_bytes)
        return "the sizes";
    if (a.p50_us != b.p50_us || a.p95_us != b.p95_us || a.p99_us != b.p99_us)
        return "the percentiles";
    return ps_str_equal(a.sketch, b.sketch) ? NULL : "the sketches";
}

/* Plain: each event once, in order, one aggregate. Also counts what must come out. */
static void live_plainly(struct rows *ret)
{
    uint64_t requests[ROWS_MAX] = {0}, sums[ROWS_MAX] = {0};
    init_rows(ret);
    for (size_t i = 0; i < world.count; i++) {
        const struct ps_event *event = &world.events[i];
        size_t row = row_of(event);
        assert_int_equal(ps_aggregate_add(&ret->row[row], event, &alloc), 0);
        requests[row]++;
        sums[row] += event->response_us == PS_ABSENT ? 0 : (uint64_t)event->response_us;
    }
    for (size_t i = 0; i < ROWS_MAX; i++) {
        assert_true(ret->row[i].requests == requests[i]);
        assert_true(ret->row[i].sum_us == sums[i]);
    }
}

static void test_rows_depend_on_the_set_alone(void **state) /* I2 */
{
    (void)state;
    static struct rows plain, lived;
    uint64_t seed = from_environment("PS_SEED", 20251015);
    uint64_t worlds = from_environment("PS_WORLDS", WORLDS), sketches = 0;
    printf("# PS_SEED=%llu PS_WORLDS=%llu\n", (unsigned long long)seed, (unsigned long long)worlds);
    for (uint64_t w = 0; w < worlds; w++) {
        uint64_t own_seed = seed + w; /* so that a failing world can run alone */
        seed_now = own_seed;
        draw_world();
        live_plainly(&plain);
        for (int h = 0; h < HISTORIES; h++) {
            live_history(&lived);
            for (size_t i = 0; i < ROWS_MAX; i++) {
                const char *what = find_difference(&plain.row[i], &lived.row[i]);
                if (what != NULL)
                    fail_msg("PS_SEED=%llu PS_WORLDS=1: row %zu: %s differ",
                             (unsigned long long)own_seed, i, what);
            }
            free_rows(&lived);
        }
        sketches += plain.row[0].count_us > PS_SAMPLE_MAX;
        free_rows(&plain);
    }
    if (worlds >= WORLDS) /* or the hard half was never met */
        assert_true(sketches > worlds / 8);
}

/* The comparison can tell: an event lost or counted twice makes another row. */
static void test_lost_and_doubled_events_show(void **state)
{
    (void)state;
    static struct rows plain, other;
    seed_now = from_environment("PS_SEED", 20251015);
    for (int round = 0; round < 20; round++) {
        draw_world();
        size_t victim = below(world.count), row = row_of(&world.events[victim]);
        live_plainly(&plain);
        live_plainly(&other);
        assert_null(find_difference(&plain.row[row], &other.row[row]));
        assert_int_equal(ps_aggregate_add(&other.row[row], &world.events[victim], &alloc), 0);
        assert_non_null(find_difference(&plain.row[row], &other.row[row])); /* one twice */
        assert_int_equal(ps_aggregate_add(&plain.row[row], &world.events[victim], &alloc), 0);
        assert_null(find_difference(&plain.row[row], &other.row[row]));
        free_rows(&other);
        live_plainly(&other);
        assert_non_null(find_difference(&plain.row[row], &other.row[row])); /* one less */
        free_rows(&plain);
        free_rows(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_depend_on_the_set_alone),
        cmocka_unit_test(test_lost_and_doubled_events_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
