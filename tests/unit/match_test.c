/* match_test.c - a database and a queue that do not belong together are refused, with what to do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "flow/aggregator.h"

#define NOON INT64_C(1760529600000)

enum { RECORDS = 50 };

struct world {
    char database[32], queue_name[32];
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
};

/* What the aggregator says when it is opened over these two; `said`: with both options. */
static int open_pair(struct world *w, const char *database, const char *queue, bool said)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    OK(ps_store_open(&ps_store_mem, &w->store, database, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->queue, queue, PS_QUEUE_WRITE, &limits, &test_err));
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = &w->clock.clock,
                                          .new_database = said,
                                          .new_queue = said,
                                          .batch_events = 10,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 1 << 24,
                                          .max_paths_per_hour = 100};
    return ps_aggregator_open(&w->aggregator, &config, &test_err);
}

static void close_pair(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_queue_close(w->queue);
    ps_store_close(w->store);
    w->aggregator = NULL;
    w->queue = NULL;
    w->store = NULL;
}

static void enqueue(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        uint8_t bytes[PS_EVENT_ENCODED_MAX];
        char id[32];
        int n = snprintf(id, sizeof id, "event-%u", i);
        struct ps_event event = {.id = {id, (size_t)n},
                                 .path = PS_STR("/"),
                                 .timestamp_ms = NOON,
                                 .response_us = PS_ABSENT,
                                 .status = PS_ABSENT,
                                 .is_error = PS_ABSENT};
        struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
        OK(ps_queue_append(w->queue, &record, 1, &test_err));
    }
    OK(ps_queue_sync(w->queue, NULL, &test_err));
}

static int set_up(void **state)
{
    static unsigned serial;
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->database, sizeof w->database, "match-%u", serial);
    snprintf(w->queue_name, sizeof w->queue_name, "match-queue-%u", serial++);
    ps_clock_manual_init(&w->clock, NOON);
    OK(open_pair(w, w->database, w->queue_name, false));
    enqueue(w, 0, RECORDS);
    OK(ps_aggregator_drain(w->aggregator, &test_err)); /* and the queue is trimmed */
    close_pair(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_pair(w);
    ps_mem_forget(w->database);
    ps_mem_forget(w->queue_name);
    ps_mem_forget("match-other");
    free(w);
    return 0;
}

static uint64_t fresh(struct world *w)
{
    return ps_aggregator_counters(w->aggregator)->fresh;
}

static int add_requests(void *ctx, const struct ps_stat_row *row)
{
    *(uint64_t *)ctx += row->stat.requests;
    return 0;
}

/* A lost queue: on request it goes on with the new one, which need not be said again, and what the
 * database knows already is known. */
static void test_an_empty_queue_beside_the_database(void **state)
{
    struct world *w = *state;
    assert_int_equal(open_pair(w, w->database, "match-other", false), PS_ECORRUPT);
    assert_non_null(strstr(test_err.text, "put back the queue directory"));
    assert_non_null(strstr(test_err.text, "--new-queue"));
    close_pair(w);
    OK(open_pair(w, w->database, "match-other", true));
    close_pair(w);
    OK(open_pair(w, w->database, "match-other", false));
    enqueue(w, RECORDS - 2, RECORDS + 3);
    assert_int_equal(ps_aggregator_step(w->aggregator, &test_err), 5);
    close_pair(w); /* before the statistics were written: they are made at the next start (I4) */
    OK(open_pair(w, w->database, "match-other", false));
    OK(ps_aggregator_drain(w->aggregator, &test_err));
    struct ps_stats_query all = {.to_hour = INT32_MAX};
    uint64_t requests = 0;
    OK(ps_store_stats(w->store, &all, add_requests, &requests, &test_err));
    assert_int_equal(requests, RECORDS + 3);
}

/* Events whose statistics were to be made from the lost queue: no option makes that good. */
static void test_a_lost_queue_that_was_needed(void **state)
{
    struct world *w = *state;
    OK(open_pair(w, w->database, w->queue_name, false));
    enqueue(w, RECORDS, RECORDS + 5);
    assert_int_equal(ps_aggregator_step(w->aggregator, &test_err), 5);
    close_pair(w);
    for (int said = 0; said < 2; said++) {
        assert_int_equal(open_pair(w, w->database, "match-other", said), PS_ECORRUPT);
        assert_non_null(strstr(test_err.text, "statistics of the last seconds"));
        assert_null(strstr(test_err.text, "--new-queue"));
        close_pair(w);
    }
    OK(open_pair(w, w->database, w->queue_name, false)); /* put back, it goes on */
}

static void test_an_empty_database_beside_the_queue(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 2; round++) { /* asking does not change the answer */
        assert_int_equal(open_pair(w, "match-other", w->queue_name, false), PS_ECORRUPT);
        assert_non_null(strstr(test_err.text, "--new-database"));
        close_pair(w);
    }
    OK(open_pair(w, w->database, w->queue_name, false)); /* nor does it harm the right one */
    enqueue(w, RECORDS, RECORDS + 5);
    OK(ps_aggregator_drain(w->aggregator, &test_err));
    assert_int_equal(fresh(w), 5);
}

/* Said so, it takes what is left in the queue; and it need not be said again. */
static void test_a_new_life_on_request(void **state)
{
    struct world *w = *state;
    OK(open_pair(w, "match-other", w->queue_name, true));
    close_pair(w);
    OK(open_pair(w, "match-other", w->queue_name, false));
    enqueue(w, RECORDS, RECORDS + 7);
    OK(ps_aggregator_drain(w->aggregator, &test_err));
    assert_int_equal(fresh(w), 7);
    close_pair(w);
    OK(open_pair(w, "match-other", w->queue_name, false));
}

/* A copy from before the queue was trimmed: the events in between are in neither. */
static void test_an_older_database(void **state)
{
    struct world *w = *state;
    OK(open_pair(w, "match-other", w->queue_name, true)); /* read to the end of then */
    close_pair(w);
    OK(open_pair(w, w->database, w->queue_name, false));
    enqueue(w, RECORDS, RECORDS + 20);
    OK(ps_aggregator_drain(w->aggregator, &test_err));
    close_pair(w);
    for (int said = 0; said < 2; said++) {
        assert_int_equal(open_pair(w, "match-other", w->queue_name, said), PS_ECORRUPT);
        assert_non_null(strstr(test_err.text, "put back the database"));
        close_pair(w);
    }
}

/* What was never trimmed is all there: a new database counts it from the beginning. */
static void test_a_queue_that_is_whole(void **state)
{
    struct world *w = *state;
    OK(open_pair(w, w->database, w->queue_name, false));
    close_pair(w);
    ps_mem_forget(w->queue_name);
    OK(open_pair(w, "match-other", w->queue_name, false));
    enqueue(w, 0, 9);
    close_pair(w);
    ps_mem_forget("match-other");
    OK(open_pair(w, "match-other", w->queue_name, false));
    OK(ps_aggregator_drain(w->aggregator, &test_err));
    assert_int_equal(fresh(w), 9);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_an_empty_queue_beside_the_database),
        CASE(test_a_lost_queue_that_was_needed),
        CASE(test_an_empty_database_beside_the_queue),
        CASE(test_a_new_life_on_request),
        CASE(test_an_older_database),
        CASE(test_a_queue_that_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
