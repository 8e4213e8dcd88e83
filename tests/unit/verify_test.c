/* verify_test.c - the audit of a database that changes meanwhile: it reads in several states of it,
 * each day in one, and finds nothing wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "flow/aggregator.h"
#include "flow/verify.h"

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

enum { DAY = 20376, DAYS = 3, EVENTS = 10 };

struct world {
    struct place place;
    struct ps_clock_manual clock;
    struct ps_store *store, *reader;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
    void (*meddle)(struct world *w); /* once a day is done */
};

static void count_events(struct world *w, int day, const char *prefix, bool flush)
{
    for (int i = 0; i < EVENTS; i++) {
        char id[32];
        uint8_t bytes[PS_EVENT_ENCODED_MAX];
        size_t len = (size_t)snprintf(id, sizeof id, "%s-%d-%d", prefix, day, i);
        struct ps_event event = {.id = {id, len},
                                 .path = PS_STR("/"),
                                 .timestamp_ms = NOON + day * PS_MS_PER_DAY,
                                 .response_us = 1000 + i,
                                 .status = 200};
        struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
        OK(ps_queue_append(w->queue, &record, 1, &test_err));
    }
    OK(ps_queue_sync(w->queue, NULL, &test_err));
    OK(flush ? ps_aggregator_drain(w->aggregator, &test_err)
             : ps_aggregator_step(w->aggregator, &test_err));
}

static int open_world(void **state)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    struct world *w = calloc(1, sizeof *w);
    place_make(&w->place, "pathstats.db");
    ps_clock_manual_init(&w->clock, NOON);
    OK(ps_store_open(&ps_store_sqlite, &w->store, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_store_open(&ps_store_sqlite, &w->reader, w->place.target, PS_STORE_READ, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->queue, w->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = &w->clock.clock,
                                          .batch_events = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = 1000};
    OK(ps_aggregator_open(&w->aggregator, &config, &test_err));
    for (int day = 0; day < DAYS; day++)
        count_events(w, day, "first", true);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_store_close(w->reader);
    ps_queue_close(w->queue);
    place_remove(&w->place);
    free(w);
    return 0;
}

static void meddle_now(void *ctx, size_t days_done, const struct ps_verified *so_far)
{
    struct world *w = ctx;
    (void)so_far;
    if (days_done == 1 && w->meddle != NULL)
        w->meddle(w);
}

static struct ps_verified verify(struct world *w, uint64_t state_events)
{
    struct ps_verified verified;
    struct ps_verify_options options = {
        .max_paths_per_hour = 1000, .state_events = state_events, .progress = meddle_now, .ctx = w};
    OK(ps_verify(w->reader, w->queue, &options, &verified, &test_err));
    assert_int_equal(verified.mismatches, 0);
    return verified;
}

static void more_events(struct world *w)
{
    w->meddle = NULL;
    count_events(w, DAYS - 1, "second", true);
    count_events(w, DAYS, "second", false); /* still in the queue alone */
    count_events(w, 0, "late", true);       /* its day is done */
}

/* A long audit does not keep the state of its beginning. */
static void events_that_come_meanwhile_are_audited(void **state)
{
    struct world *w = *state;
    w->meddle = more_events;
    struct ps_verified verified = verify(w, 1);
    assert_int_equal(verified.days, DAYS + 1);
    assert_int_equal(verified.events, (DAYS + 2) * EVENTS);
    assert_true(w->meddle == NULL);
}

/* What is read in one state sees none of it. */
static void a_short_audit_sees_one_state(void **state)
{
    struct world *w = *state;
    w->meddle = more_events;
    struct ps_verified verified = verify(w, 0);
    assert_int_equal(verified.days, DAYS);
    assert_int_equal(verified.events, DAYS * EVENTS);
}

static void clean_the_last(struct world *w)
{
    struct ps_ledger *ledger;
    struct ps_day day = {.day = DAY + DAYS - 1, .state = PS_DAY_COMPLETED, .sha256 = PS_STR("00")};
    w->meddle = NULL;
    OK(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_mark(ledger, &day, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
    OK(ps_ledger_clean(ledger, day.day, &test_err));
    ps_ledger_close(ledger);
}

static void a_day_that_leaves_meanwhile_is_no_difference(void **state)
{
    struct world *w = *state;
    w->meddle = clean_the_last;
    struct ps_verified verified = verify(w, 1);
    assert_int_equal(verified.events, (DAYS - 1) * EVENTS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_that_come_meanwhile_are_audited),
        TEST(a_short_audit_sees_one_state),
        TEST(a_day_that_leaves_meanwhile_is_no_difference),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
