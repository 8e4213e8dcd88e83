/* limits_test.c - a seeded simulator of I2 under the limit on paths: the consumer itself, over the
 * mem store, with crashes, evictions and a limit that changes at every restart.
 *
 * Events of a few hours crowd on more paths than there may be. They are delivered in any order and
 * some twice, in batches of random sizes, through a cache that is now and then too small to keep
 * anything; at random moments the process dies, and starts with another limit. In the end verify
 * must find nothing, and each hour must hold the rows of a world that delivered the same events in
 * order, under the limit that the hour has kept.
 *
 *     PS_SEED=<n>     starts from another seed (printed)
 *     PS_WORLDS=<n>   how many worlds
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "flow/aggregator.h"
#include "flow/verify.h"

enum {
    WORLDS = 60,
    EVENTS_MAX = 700,
    HOURS = 3,
    PATHS_MAX = 120,
    LIMIT_MAX = 60,
    NOON_HOUR = 489036,
};

struct world {
    const char *target;
    size_t cache_bytes, batch_events, limit;
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
};

static struct dice dice;

static void start(struct world *w)
{
    static const struct ps_queue_limits limits = {
        .bytes_max = 1 << 28, .segment_bytes = 1 << 20, .dead_letter_bytes_max = 1 << 20};
    OK(ps_store_open(&ps_store_mem, &w->store, w->target, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->queue, w->target, PS_QUEUE_WRITE, &limits, &test_err));
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = &w->clock.clock,
                                          .batch_events = w->batch_events,
                                          .max_retries = 1,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = w->cache_bytes,
                                          .max_paths_per_hour = w->limit};
    OK(ps_aggregator_open(&w->aggregator, &config, &test_err));
}

static void die(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_queue_close(w->queue);
}

static void begin(struct world *w, const char *target, size_t limit)
{
    *w = (struct world){
        .target = target, .cache_bytes = 16 << 20, .batch_events = 100, .limit = limit};
    ps_clock_manual_init(&w->clock, NOON_HOUR * PS_MS_PER_HOUR);
    start(w);
}

static void end(struct world *w)
{
    die(w);
    ps_mem_forget(w->target);
}

/* Event `number` of the world that `paths` belongs to: always the same one. */
static void send(struct world *w, unsigned number, unsigned paths)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    char id[32], path[32];
    int id_len = snprintf(id, sizeof id, "event-%u", number);
    int path_len = snprintf(path, sizeof path, "/p/%u", number * 7919u % paths);
    struct ps_event event = {.id = {id, (size_t)id_len},
                             .path = {path, (size_t)path_len},
                             .timestamp_ms =
                                 (NOON_HOUR - (int64_t)(number % HOURS)) * PS_MS_PER_HOUR,
                             .response_us = number * 13,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
    OK(ps_queue_append(w->queue, &record, 1, &test_err));
}

static void drain(struct world *w)
{
    OK(ps_queue_sync(w->queue, NULL, &test_err));
    OK(ps_aggregator_drain(w->aggregator, &test_err));
}

/* In a random order, some twice, with a death and another limit now and then. */
static void deliver_badly(struct world *w, unsigned events, unsigned paths)
{
    unsigned stride = events - 1; /* no common factor with `events` */
    for (unsigned i = 0, at = below(&dice, events); i < events; i++, at = (at + stride) % events) {
        send(w, at, paths);
        if (below(&dice, 10) == 0)
            send(w, (at + below(&dice, 20) * stride) % events, paths);
        if (below(&dice, 40) > 0)
            continue;
        OK(ps_queue_sync(w->queue, NULL, &test_err));
        for (unsigned steps = below(&dice, 4); steps > 0; steps--)
            assert_true(ps_aggregator_step(w->aggregator, &test_err) >= 0);
        if (below(&dice, 2) == 0)
            OK(ps_aggregator_flush(w->aggregator, &test_err));
        die(w);
        w->limit = 1 + below(&dice, LIMIT_MAX);
        w->batch_events = 1 + below(&dice, 100);
        w->cache_bytes = below(&dice, 2) == 0 ? 1 : 16 << 20;
        start(w);
    }
    drain(w);
}

static void tell_mismatch(void *ctx, const struct ps_mismatch *m)
{
    (void)ctx;
    printf("# mismatch: hour %d, %.*s: %llu stored, %llu computed\n", m->hour, (int)m->path.len,
           m->path.ptr, (unsigned long long)m->requests_stored,
           (unsigned long long)m->requests_computed);
}

static void expect_verified(struct world *w, uint64_t events)
{
    struct ps_verify_options options = {.max_paths_per_hour = w->limit, .mismatch = tell_mismatch};
    struct ps_verified verified;
    OK(ps_verify(w->store, w->queue, &options, &verified, &test_err));
    assert_int_equal(verified.mismatches, 0);
    assert_int_equal(verified.events, events);
}

struct rows {
    struct ps_buf text;
    size_t own;
    bool has_other;
};

static int dump_row(void *ctx, const struct ps_stat_row *row)
{
    struct rows *rows = ctx;
    bool other = ps_str_equal(row->path, PS_OTHER_PATH);
    rows->has_other |= other;
    rows->own += !other;
    dump_str(&rows->text, row->path);
    dump_str(&rows->text, row->stat.samples);
    dump_str(&rows->text, row->stat.sample_keys);
    return ps_buf_format(&rows->text, " %llu %llu\n", (unsigned long long)row->stat.requests,
                         (unsigned long long)row->stat.sum_us);
}

static struct rows rows_of(struct world *w, int32_t hour)
{
    struct rows rows = {.own = 0};
    struct ps_stats_query q = {.from_hour = hour, .to_hour = hour};
    dump_init(&rows.text);
    OK(ps_store_stats(w->store, &q, dump_row, &rows, &test_err));
    return rows;
}

/* The same events in order, under the limit that this hour has kept. */
static void expect_hour_of(struct world *w, int32_t hour, unsigned events, unsigned paths)
{
    struct world plain;
    struct rows got = rows_of(w, hour);
    begin(&plain, "limits-plain", got.has_other ? got.own : PATHS_MAX);
    for (unsigned i = 0; i < events; i++)
        send(&plain, i, paths);
    drain(&plain);
    struct rows expected = rows_of(&plain, hour);
    expect_same(&expected.text, &got.text, "the rows of an hour");
    ps_buf_done(&expected.text);
    ps_buf_done(&got.text);
    end(&plain);
}

static void whatever_happens_rows_say_what_their_events_do(void **state) /* I1, I2 */
{
    const char *given = getenv("PS_WORLDS");
    int worlds = given != NULL ? atoi(given) : WORLDS;
    (void)state;
    dice.state = seed_of_run();
    for (int i = 0; i < worlds; i++) {
        struct world w;
        unsigned events = 50 + below(&dice, EVENTS_MAX - 50), paths = 1 + below(&dice, PATHS_MAX);
        begin(&w, "limits", 1 + below(&dice, LIMIT_MAX));
        deliver_badly(&w, events, paths);
        expect_verified(&w, events);
        for (int32_t hour = NOON_HOUR - HOURS + 1; hour <= NOON_HOUR; hour++)
            expect_hour_of(&w, hour, events, paths);
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_rows_say_what_their_events_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
