/* rebuild_test.c - a row that does not decode is made again from its events, and the counting goes
 * on (I2): through the queue, with events that were pending, and for an import.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/time.h"
#include "flow/aggregator.h"
#include "flow/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */
#define TARGET "rebuild"

enum { DAY = 20376, NOON_HOUR = DAY * 24 + 12, MAX_PATHS = 3 };

struct world {
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
    struct ps_troubles troubles;
    unsigned number;
};

static void start(struct world *w)
{
    struct ps_queue_limits limits = {
        .bytes_max = 1 << 28, .segment_bytes = 1 << 20, .dead_letter_bytes_max = 1 << 20};
    struct ps_err e = {0};
    struct ps_aggregator_config config = {.clock = &w->clock.clock,
                                          .batch_events = 100,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .troubles = &w->troubles,
                                          .max_paths_per_hour = MAX_PATHS};
    assert_int_equal(ps_store_open(&ps_store_mem, &w->store, TARGET, PS_STORE_WRITE, &e), 0);
    assert_int_equal(ps_queue_open(&ps_queue_mem, &w->queue, TARGET, PS_QUEUE_WRITE, &limits, &e),
                     0);
    config.store = w->store;
    config.queue = w->queue;
    if (ps_aggregator_open(&w->aggregator, &config, &e) < 0)
        fail_msg("%s", e.text);
}

static void stop(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_queue_close(w->queue);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    ps_clock_manual_init(&w->clock, NOON);
    ps_troubles_init(&w->troubles, &w->clock.clock, NULL, NULL);
    start(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    stop(w);
    ps_mem_forget(TARGET);
    ps_troubles_done(&w->troubles);
    free(w);
    return 0;
}

static struct ps_event event_of(struct world *w, const char *path, char id[24])
{
    int n = snprintf(id, 24, "e%u", w->number++);
    return (struct ps_event){.id = {id, (size_t)n},
                             .path = {path, strlen(path)},
                             .timestamp_ms = NOON,
                             .response_us = 1000 + w->number,
                             .response_bytes = PS_ABSENT,
                             .status = 200,
                             .is_error = 0};
}

static void enqueue(struct world *w, const char *path, int count)
{
    for (int i = 0; i < count; i++) {
        char id[24];
        uint8_t bytes[PS_EVENT_ENCODED_MAX];
        struct ps_event event = event_of(w, path, id);
        struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
        assert_int_equal(ps_queue_append(w->queue, &record, 1, NULL), 0);
    }
    assert_int_equal(ps_queue_sync(w->queue, NULL, NULL), 0);
}

static void drain(struct world *w)
{
    struct ps_err e = {0};
    int r = PS_ECORRUPT;
    for (int i = 0; r < 0 && i < 10; i++) /* as the loop of the thread tries again */
        r = ps_aggregator_drain(w->aggregator, &e);
    if (r < 0)
        fail_msg("drain: %s", e.text);
}

/* The rows lose what they say, the watermark stays. */
static void damage(struct world *w, const char *path)
{
    uint64_t position, watermark;
    assert_int_equal(ps_store_position(w->store, 0, &position, &watermark, NULL), 0);
    struct ps_stat_row row = {.hour = NOON_HOUR,
                              .path = {path, strlen(path)},
                              .stat = {.requests = 5, .sketch = PS_STR("x")}};
    assert_int_equal(ps_store_settle(w->store, &row, 1, 0, watermark, NOON, NULL), 0);
}

static void expect_clean(struct world *w, uint64_t events)
{
    struct ps_err e = {0};
    struct ps_verified v;
    struct ps_verify_options options = {.max_paths_per_hour = MAX_PATHS};
    if (ps_verify(w->store, w->queue, &options, &v, &e) < 0)
        fail_msg("verify: %s", e.text);
    assert_int_equal(v.mismatches, 0);
    assert_int_equal(v.events, events);
}

static void a_damaged_row_is_made_again(void **state)
{
    struct world *w = *state;
    enqueue(w, "/a", 30);
    enqueue(w, "/b", 5);
    drain(w);
    damage(w, "/a");
    stop(w);
    start(w);
    enqueue(w, "/a", 3);
    enqueue(w, "/b", 2);
    drain(w);
    expect_clean(w, 40);
    stop(w); /* and it was written */
    start(w);
    expect_clean(w, 40);
}

/* Events that are stored and in no row yet are in the row that is made, and count once. */
static void pending_events_are_not_counted_twice(void **state)
{
    struct world *w = *state;
    enqueue(w, "/a", 30);
    drain(w);
    enqueue(w, "/a", 7);
    enqueue(w, "/b", 4);
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 11);
    damage(w, "/a");
    stop(w); /* a crash: nothing is settled */
    start(w);
    enqueue(w, "/a", 1);
    drain(w);
    expect_clean(w, 42);
}

static void two_damaged_rows_are_made_again(void **state)
{
    struct world *w = *state;
    enqueue(w, "/a", 3);
    enqueue(w, "/b", 4);
    drain(w);
    damage(w, "/a");
    damage(w, "/b");
    stop(w);
    start(w);
    enqueue(w, "/b", 1);
    enqueue(w, "/a", 1);
    drain(w);
    expect_clean(w, 9);
}

/* An import fails and leaves nothing of itself, but the row mended: the next one goes on. */
static void an_import_mends_the_row_for_the_next(void **state)
{
    struct world *w = *state;
    struct ps_parcel parcel;
    struct ps_outbox refused;
    struct ps_err e = {0};
    char id[24];
    enqueue(w, "/a", 3);
    drain(w);
    damage(w, "/a");
    ps_outbox_init(&refused, 1 << 20);
    assert_int_equal(ps_parcel_init(&parcel), 0);
    struct ps_event event = event_of(w, "/a", id);
    assert_true(ps_parcel_add(&parcel, &event));
    ps_parcel_sort(&parcel);
    for (int run = 0; run < 2; run++) {
        stop(w);
        start(w);
        assert_int_equal(ps_aggregator_take(w->aggregator, &parcel, &refused, &e),
                         run == 0 ? PS_ECORRUPT : 0);
        assert_true(run > 0 || strlen(e.text) > 0);
        drain(w);
        expect_clean(w, run == 0 ? 3 : 4);
    }
    ps_parcel_done(&parcel);
    ps_outbox_done(&refused);
}

/* What cannot be made again is told, with its name and a reason. */
static void the_row_of_many_paths_is_told(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    enqueue(w, "/a", 1);
    enqueue(w, "/b", 1);
    enqueue(w, "/c", 1);
    enqueue(w, "/d", 1);
    enqueue(w, "/e", 1);
    drain(w);
    damage(w, "(other)");
    stop(w);
    start(w);
    for (const char *const *path = (const char *const[]){"/f", "/g", "/h", "/i", NULL}; *path;
         path++)
        enqueue(w, *path, 1);
    int r = 0;
    for (int i = 0; i < 3; i++)
        r = ps_aggregator_drain(w->aggregator, &e);
    assert_int_equal(r, PS_ECORRUPT);
    assert_non_null(strstr(e.text, "(other)"));
    assert_non_null(strstr(e.text, "2025-10-15T12"));
    ps_mem_forget(TARGET);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_damaged_row_is_made_again),     CASE(pending_events_are_not_counted_twice),
        CASE(two_damaged_rows_are_made_again), CASE(an_import_mends_the_row_for_the_next),
        CASE(the_row_of_many_paths_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
