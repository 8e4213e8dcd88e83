/* letters_test.c - replaying and purging dead letters, over a file queue and a consumer that runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/disk.h"
#include "base/time.h"
#include "flow/letters.h"
#include "port/ledger.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    OPEN_DAY = 20376,
    CLOSED_DAY = OPEN_DAY - 10,
    PLENTY = 20000,
    FIRST_POSITION = 1, /* of the letters a test buries; the queue has moved past them */
};

static atomic_uint syncs;

static int count_sync(int fd, bool data_only)
{
    (void)fd;
    (void)data_only;
    syncs++;
    return 0;
}

struct world {
    struct place place;
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_queue *queue;
    struct ps_commit *commit;
    struct ps_aggregator *aggregator;
    struct ps_clock_manual clock; /* of the replays: its patience costs no time */
    pthread_t consumer;
    bool consuming;
    struct ps_replaying with;
    _Atomic bool stopping;
};

static void close_day(struct world *w, int32_t day)
{
    struct ps_day record = {.day = day, .state = PS_DAY_PENDING, .object = PS_STR("x")};
    OK(ps_ledger_mark(w->ledger, &record, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
    record.state = PS_DAY_COMPLETED;
    record.sha256 = PS_STR("00");
    OK(ps_ledger_mark(w->ledger, &record, PS_FROM_STATE(PS_DAY_PENDING), &test_err));
    OK(ps_ledger_clean(w->ledger, day, &test_err));
}

static void open_aggregator(struct world *w)
{
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = ps_clock_system(),
                                          .batch_events = 5000,
                                          .max_retries = 1,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = 1000};
    OK(ps_aggregator_open(&w->aggregator, &config, &test_err));
}

static void wake(void *ctx)
{
    struct world *w = ctx;
    ps_aggregator_wake(w->aggregator);
}

static int set_up(void **state)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 22, 1 << 26, 0};
    struct ps_disk_ops quick = ps_disk_real;
    struct world *w = calloc(1, sizeof *w);
    static struct ps_disk_ops counting;
    quick.sync = count_sync;
    counting = quick;
    ps_disk_set(&counting);
    place_make(&w->place, "queue");
    ps_clock_manual_init(&w->clock, OPEN_DAY * PS_MS_PER_DAY);
    OK(ps_store_open(&ps_store_mem, &w->store, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_open(ps_ledger_backend("mem"), &w->ledger, w->place.target, PS_STORE_WRITE,
                      &test_err));
    OK(ps_queue_open(&ps_queue_file, &w->queue, w->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    close_day(w, CLOSED_DAY);
    open_aggregator(w);
    OK(ps_commit_open(&w->commit, w->queue, wake, w, NULL, &test_err));
    w->with = (struct ps_replaying){.queue = w->queue,
                                    .commit = w->commit,
                                    .aggregator = ps_aggregator_counters(w->aggregator),
                                    .clock = ps_clock_system(),
                                    .stopping = &w->stopping};
    *state = w;
    return 0;
}

static void *consume(void *arg)
{
    struct world *w = arg;
    struct ps_err e = {0};
    return ps_aggregator_run(w->aggregator, &e) < 0 ? w : NULL;
}

static void start_consumer(struct world *w)
{
    assert_int_equal(pthread_create(&w->consumer, NULL, consume, w), 0);
    w->consuming = true;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_commit_close(w->commit);
    if (w->consuming) {
        ps_aggregator_stop(w->aggregator);
        pthread_join(w->consumer, NULL);
    }
    ps_aggregator_close(w->aggregator);
    ps_queue_close(w->queue);
    ps_ledger_close(w->ledger);
    ps_store_close(w->store);
    place_remove(&w->place);
    ps_disk_set(&ps_disk_real);
    free(w);
    return 0;
}

/* --- events and letters --- */

static size_t encode(uint8_t *to, int32_t day, unsigned number)
{
    char id[64];
    int64_t at = (int64_t)day * PS_MS_PER_DAY + number;
    int n = snprintf(id, sizeof id, "%013lld-%016x", (long long)at, number);
    struct ps_event event = {.id = {id, (size_t)n},
                             .path = PS_STR("/"),
                             .timestamp_ms = at,
                             .response_us = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    return ps_event_encode(&event, to);
}

static int submit(struct world *w, int32_t day, unsigned number)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_outbox outbox;
    ps_outbox_init(&outbox, 1 << 20);
    OK(ps_outbox_record(&outbox, bytes, encode(bytes, day, number)));
    int r = ps_commit_wait(w->commit, &outbox, &test_err);
    ps_outbox_done(&outbox);
    return r;
}

/* The queue has read past the letters, as in life. */
static void move_past(struct world *w, uint64_t position)
{
    struct ps_queue_info info;
    do {
        OK(submit(w, OPEN_DAY, 900000));
        OK(ps_queue_info(w->queue, &info, &test_err));
    } while (info.end_position <= position);
}

static void bury(struct world *w, uint64_t position, int32_t day, enum ps_reject why)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_dead_letter letter = {.position = position,
                                    .time_ms = (int64_t)position * 1000,
                                    .why = why,
                                    .text = PS_STR(""),
                                    .bytes = bytes,
                                    .len = encode(bytes, day, (unsigned)position)};
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
}

static uint64_t letters(struct world *w)
{
    struct ps_queue_info info;
    OK(ps_queue_info(w->queue, &info, &test_err));
    return info.dead_letters;
}

/* --- replay --- */

/* More than go back at one time, and most of them come back: each is counted once. */
static void test_a_replay_tells_what_came_back(void **state)
{
    enum { LETTERS = 12000, BACK = LETTERS / 4 * 3 };
    struct world *w = *state;
    struct ps_replayed done;
    for (uint64_t i = 0; i < LETTERS; i++)
        bury(w, FIRST_POSITION + i, i % 4 == 0 ? OPEN_DAY : CLOSED_DAY, PS_REJECT_CLOSED_DAY);
    start_consumer(w);
    move_past(w, FIRST_POSITION + LETTERS);
    for (int round = 0; round < 2; round++) {
        OK(ps_letters_replay(&w->with, &done, &test_err));
        assert_int_equal(done.replayed, round == 0 ? LETTERS : BACK);
        assert_int_equal(done.returned, BACK);
        assert_true(done.settled);
        assert_int_equal(letters(w), BACK);
    }
    OK(ps_letters_purge(w->queue, &(struct ps_letter_filter){PS_REJECT_NONE, INT64_MAX},
                        &done.replayed, &test_err));
    assert_int_equal(done.replayed, BACK);
    OK(ps_letters_replay(&w->with, &done, &test_err));
    assert_true(done.replayed == 0 && done.returned == 0 && done.settled);
}

static void test_plenty_go_back_with_few_syncs(void **state)
{
    struct world *w = *state;
    struct ps_replayed done;
    for (uint64_t i = 0; i < PLENTY; i++)
        bury(w, FIRST_POSITION + i, OPEN_DAY, PS_REJECT_STORE);
    start_consumer(w);
    move_past(w, FIRST_POSITION + PLENTY);
    unsigned before = syncs;
    OK(ps_letters_replay(&w->with, &done, &test_err));
    assert_int_equal(done.replayed, PLENTY);
    assert_int_equal(done.returned, 0);
    assert_int_equal(letters(w), 0);
    assert_in_range(syncs - before, 2, 20);
}

struct replay {
    struct world *world;
    struct ps_replayed done;
    int code;
};

static void *replay(void *arg)
{
    struct replay *r = arg;
    r->code = ps_letters_replay(&r->world->with, &r->done, NULL);
    return NULL;
}

/* Letters of other events, which come meanwhile, have not come back. */
static void test_letters_of_others_are_not_counted(void **state)
{
    struct world *w = *state;
    struct replay r = {.world = w};
    pthread_t thread;
    for (uint64_t i = 0; i < 5; i++)
        bury(w, FIRST_POSITION + i, CLOSED_DAY, PS_REJECT_CLOSED_DAY);
    move_past(w, FIRST_POSITION + 5);
    assert_int_equal(pthread_create(&thread, NULL, replay, &r), 0);
    while (letters(w) > 0)
        ps_clock_sleep_ms(ps_clock_system(), 1);
    for (unsigned i = 0; i < 3; i++)
        OK(submit(w, CLOSED_DAY, 5000 + i));
    start_consumer(w);
    assert_int_equal(pthread_join(thread, NULL), 0);
    OK(r.code);
    assert_int_equal(r.done.replayed, 5);
    assert_int_equal(r.done.returned, 5);
    while (letters(w) < 8)
        ps_clock_sleep_ms(ps_clock_system(), 1);
}

/* A consumer that does not come to them: the replay ends, and does not claim to know. */
static void test_a_replay_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    struct ps_replayed done;
    bury(w, FIRST_POSITION, CLOSED_DAY, PS_REJECT_CLOSED_DAY);
    move_past(w, FIRST_POSITION);
    w->with.clock = &w->clock.clock;
    OK(ps_letters_replay(&w->with, &done, &test_err));
    assert_int_equal(done.replayed, 1);
    assert_false(done.settled);
    assert_int_equal(letters(w), 0);
    bury(w, FIRST_POSITION, CLOSED_DAY, PS_REJECT_CLOSED_DAY);
    w->stopping = true;
    assert_int_equal(ps_letters_replay(&w->with, &done, &test_err), PS_ESTOP);
    assert_int_equal(done.replayed, 1);
}

/* --- purge --- */

static void test_purge(void **state)
{
    enum { LETTERS = 25000, EARLY = 8002 }; /* more than leave at one time; before the 10003rd */
    struct world *w = *state;
    struct ps_letter_filter filter = {PS_REJECT_RECORD, INT64_MAX};
    uint64_t purged;
    for (uint64_t i = 0; i < LETTERS; i++)
        bury(w, i, CLOSED_DAY, i % 5 == 0 ? PS_REJECT_RECORD : PS_REJECT_CLOSED_DAY);
    OK(ps_letters_purge(w->queue, &filter, &purged, &test_err));
    assert_int_equal(purged, LETTERS / 5);
    OK(ps_letters_purge(w->queue, &filter, &purged, &test_err));
    assert_int_equal(purged, 0);
    filter =
        (struct ps_letter_filter){PS_REJECT_CLOSED_DAY, 10003 * 1000}; /* not the letter of then */
    OK(ps_letters_purge(w->queue, &filter, &purged, &test_err));
    assert_int_equal(purged, EARLY);
    filter = (struct ps_letter_filter){PS_REJECT_NONE, INT64_MAX};
    OK(ps_letters_purge(w->queue, &filter, &purged, &test_err));
    assert_int_equal(purged, LETTERS - LETTERS / 5 - EARLY);
    assert_int_equal(letters(w), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_a_replay_tells_what_came_back),
        CASE(test_plenty_go_back_with_few_syncs),
        CASE(test_letters_of_others_are_not_counted),
        CASE(test_a_replay_does_not_wait_for_ever),
        CASE(test_purge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
