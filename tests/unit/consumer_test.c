/* consumer_test.c - the consumer when store, queue, dead letters or kv fail: what it does not lose,
 * does not count twice, and says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "flow/aggregator.h"
#include "flow/outbox.h"
#include "flow/parcel.h"
#include "flow/verify.h"
#include "support/faulty_store.h"
#include "support/gate_queue.h"
#include "support/patience.h"

#include <pthread.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

enum { BATCH = 100 };

struct world {
    struct place place;
    struct ps_clock_manual clock;
    struct ps_troubles troubles;
    struct ps_store *store;
    struct ps_queue *inner;
    struct gate_queue gate;
    struct ps_kv *kv;
    struct ps_aggregator *aggregator;
    pthread_t thread;
    bool has_no_troubles; /* the aggregator gets no table of them */
    struct {
        int begins, ends;
    } heard[PS_TROUBLE_COUNT];
};

static void hear(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                 const struct ps_trouble_state *state, int64_t lasted_us)
{
    struct world *w = ctx;
    (void)state;
    (void)lasted_us;
    w->heard[which].begins += phase == PS_TROUBLE_BEGINS;
    w->heard[which].ends += phase == PS_TROUBLE_ENDS;
}

static int try_start(struct world *w)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    OK(ps_store_open(&store_faulty, &w->store, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->inner, w->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    gate_queue_init(&w->gate, w->inner);
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = &w->gate.queue,
                                          .kv = w->kv,
                                          .clock = &w->clock.clock,
                                          .troubles = w->has_no_troubles ? NULL : &w->troubles,
                                          .batch_events = BATCH,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = 1000};
    return ps_aggregator_open(&w->aggregator, &config, &test_err);
}

static void start(struct world *w)
{
    OK(try_start(w));
}

/* As kill -9 has it: what memory holds is gone, what the backends hold stays. */
static void crash(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_queue_close(w->inner);
    w->aggregator = NULL;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    memset(&faults, 0, sizeof faults);
    place_make(&w->place, "store.db");
    ps_clock_manual_init(&w->clock, NOON);
    ps_troubles_init(&w->troubles, &w->clock.clock, hear, w);
    OK(ps_kv_open(&ps_kv_mem, &w->kv, w->place.target, false, &test_err));
    start(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    crash(w);
    ps_kv_close(w->kv);
    ps_troubles_done(&w->troubles);
    place_remove(&w->place);
    free(w);
    return 0;
}

/* The same place over another store. */
static void start_over(struct world *w, const struct ps_store_ops *behind)
{
    crash(w);
    place_remove(&w->place);
    place_make(&w->place, "store.db");
    memset(&faults, 0, sizeof faults);
    faults.behind = behind;
    start(w);
}

static struct ps_event event_of(const char *id, const char *path, int64_t ms)
{
    return (struct ps_event){.id = {id, strlen(id)},
                             .path = {path, strlen(path)},
                             .timestamp_ms = ms,
                             .response_us = 1000,
                             .status = 200,
                             .is_error = 0};
}

static void enqueue_record(struct world *w, struct ps_str record)
{
    OK(ps_queue_append(w->inner, &record, 1, &test_err));
    OK(ps_queue_sync(w->inner, NULL, &test_err));
}

static void enqueue(struct world *w, const char *id, int64_t ms)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event event = event_of(id, "/a", ms);
    enqueue_record(w, (struct ps_str){(const char *)bytes, ps_event_encode(&event, bytes)});
}

static void enqueue_many(struct world *w, const char *prefix, int from, int to)
{
    for (int i = from; i < to; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s%d", prefix, i);
        enqueue(w, id, NOON);
    }
}

static void drain(struct world *w)
{
    OK(ps_aggregator_drain(w->aggregator, &test_err));
}

static int add_requests(void *ctx, const struct ps_stat_row *row)
{
    *(uint64_t *)ctx += row->stat.requests;
    return 0;
}

static uint64_t requests(struct world *w)
{
    uint64_t sum = 0;
    struct ps_stats_query q = {.from_hour = INT32_MIN, .to_hour = INT32_MAX};
    OK(ps_store_stats(w->store, &q, add_requests, &sum, &test_err));
    return sum;
}

/* I1, I2: as many requests, in rows that are what their events say. */
static void expect_counted(struct world *w, uint64_t expected, int line)
{
    struct ps_verified verified;
    struct ps_verify_options options = {.max_paths_per_hour = 1000};
    expect_ok(ps_verify(w->store, w->inner, &options, &verified, &test_err), &test_err, "verify",
              line);
    if (requests(w) != expected || verified.mismatches != 0)
        fail_msg("line %d: %llu requests instead of %llu, %llu mismatches", line,
                 (unsigned long long)requests(w), (unsigned long long)expected,
                 (unsigned long long)verified.mismatches);
}

#define EXPECT_COUNTED(w, n) expect_counted((w), (n), __LINE__)

static int dump_letter(void *to, const struct ps_dead_letter *letter)
{
    struct ps_event event;
    bool decodes = ps_event_decode(letter->bytes, letter->len, &event) == 0;
    struct ps_str id = decodes ? event.id : PS_STR("?");
    ps_buf_format(to, "%.*s %s\n", (int)id.len, id.ptr, ps_reject_name(letter->why));
    return 0;
}

static void expect_letters(struct world *w, const char *expected)
{
    struct ps_buf got;
    dump_init(&got);
    OK(ps_queue_dead(w->inner, dump_letter, &got, &test_err));
    dump_end(&got);
    assert_string_equal(got.ptr, expected);
    ps_buf_done(&got);
}

static bool is_present(struct world *w, enum ps_trouble which)
{
    struct ps_trouble_state state;
    return ps_trouble_get(&w->troubles, which, &state);
}

static void seal_noon(struct world *w, const struct ps_store_ops *behind)
{
    struct ps_ledger *ledger;
    struct ps_day day = {.day = ps_time_day(NOON), .state = PS_DAY_PENDING};
    if (behind == &ps_store_mem) {
        ps_mem_store_seal(w->place.target, day.day, day.state);
        return;
    }
    OK(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_mark(ledger, &day, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
    ps_ledger_close(ledger);
}

/* --- what takes a batch apart --- */

/* The store takes an empty batch all the while, and one without this event. */
static void only_the_events_own_fault_makes_a_dead_letter(void **state)
{
    static const int codes[] = {PS_EFULL, PS_EIO, PS_ENOMEM, PS_EBUSY, PS_EDENIED, PS_ECORRUPT};
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(codes); i++) {
        char prefix[8];
        snprintf(prefix, sizeof prefix, "%zu-", i);
        enqueue_many(w, prefix, 0, 40);
        snprintf(prefix, sizeof prefix, "%zu-7", i);
        faults.poison = prefix;
        faults.poison_code = codes[i];
        faults.poison_works = 50;
        drain(w);
        assert_null(faults.poison);
        EXPECT_COUNTED(w, 40 * (i + 1));
    }
    expect_letters(w, "");
    enqueue_many(w, "x", 0, 40);
    faults.poison = "x7";
    faults.poison_code = PS_EINVAL;
    faults.poison_works = 0;
    drain(w);
    faults.poison = NULL;
    expect_letters(w, "x7 store\n");
    EXPECT_COUNTED(w, 40 * PS_COUNT_OF(codes) + 39);
}

/* I6: each of the part's events gets the outcome that is its own. */
static void refused_events_of_a_part_are_buried_by_their_own_outcome(void **state)
{
    struct world *w = *state;
    seal_noon(w, &ps_store_mem);
    enqueue_record(w, PS_STR("\xff no event"));
    enqueue(w, "late1", NOON);
    enqueue(w, "fine", NOON + PS_MS_PER_DAY);
    enqueue(w, "late2", NOON);
    drain(w);
    expect_letters(w, "? record\nlate1 closed_day\nlate2 closed_day\n");
    EXPECT_COUNTED(w, 1);
}

/* --- a store that commits and says it failed --- */

static const struct ps_store_ops *const stores[] = {&ps_store_mem, &ps_store_sqlite};

/* New events, known ones and refused ones in every range. */
static void enqueue_mixed(struct world *w, const char *prefix)
{
    enqueue_many(w, "known", 0, 10);
    enqueue_many(w, prefix, 0, 50);
    for (int i = 0; i < 5; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s-next-%d", prefix, i);
        enqueue(w, id, NOON + PS_MS_PER_DAY);
    }
}

/* I1, I4 */
static void a_lying_apply_counts_each_event_once(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(stores); i++)
        for (int unreadable = 0; unreadable <= 3; unreadable += 3) {
            start_over(w, stores[i]);
            enqueue_many(w, "known", 0, 10);
            drain(w);
            enqueue_mixed(w, "new");
            faults.apply_lies = 1;
            faults.apply_code = PS_EIO;
            faults.position_fails = unreadable;
            drain(w);
            assert_int_equal(faults.apply_lies, 0);
            EXPECT_COUNTED(w, 65);
            const struct ps_aggregator_counters *c = ps_aggregator_counters(w->aggregator);
            assert_int_equal(c->fresh, 65);
            assert_int_equal(c->duplicates, 10);
            enqueue_mixed(w, "new"); /* delivered again */
            drain(w);
            EXPECT_COUNTED(w, 65);
        }
}

/* I6 */
static void a_lying_apply_buries_what_it_refused_once(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(stores); i++) {
        start_over(w, stores[i]);
        seal_noon(w, stores[i]);
        enqueue(w, "fine", NOON + PS_MS_PER_DAY);
        enqueue(w, "late", NOON);
        faults.apply_lies = 1;
        faults.apply_code = PS_EIO;
        drain(w);
        expect_letters(w, "late closed_day\n");
        EXPECT_COUNTED(w, 1);
        assert_int_equal(ps_aggregator_counters(w->aggregator)->closed_day, 1);
        assert_int_equal(ps_aggregator_counters(w->aggregator)->duplicates, 0);
    }
}

/* Neither the halves of a range nor the search for the guilty one count anything twice. */
static void lies_and_poison_together(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "e", 0, 64);
    faults.poison = "e37";
    faults.apply_code = PS_EINVAL;
    faults.apply_lies = 4;
    drain(w);
    faults.poison = NULL;
    assert_int_equal(faults.apply_lies, 0);
    expect_letters(w, "e37 store\n");
    EXPECT_COUNTED(w, 63);
}

/* I4: it lied, and the process ended before anybody could ask. */
static void a_lying_apply_then_a_crash(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(stores); i++) {
        start_over(w, stores[i]);
        enqueue_many(w, "c", 0, 50);
        faults.apply_lies = 1;
        faults.apply_code = PS_EIO;
        faults.position_fails = 1;
        ps_aggregator_stop(w->aggregator);
        assert_int_equal(ps_aggregator_step(w->aggregator, NULL), PS_EIO);
        crash(w);
        start(w);
        drain(w);
        EXPECT_COUNTED(w, 50);
    }
}

/* I4: statistics and watermark are there, and are written again. */
static void a_lying_settle_counts_each_event_once(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(stores); i++)
        for (int crashes = 0; crashes < 2; crashes++) {
            start_over(w, stores[i]);
            enqueue_many(w, "s", 0, 50);
            faults.commit_lies = 1;
            assert_int_equal(ps_aggregator_drain(w->aggregator, NULL), PS_EIO);
            if (crashes) {
                crash(w);
                start(w);
            }
            enqueue_many(w, "s", 40, 60);
            drain(w);
            EXPECT_COUNTED(w, 60);
        }
}

/* I1, I4: an import whose commit went through is told that it failed, and runs again. */
static void a_lying_commit_of_an_import(void **state)
{
    struct world *w = *state;
    struct ps_parcel parcel;
    struct ps_outbox refused;
    assert_int_equal(ps_parcel_init(&parcel), 0);
    ps_outbox_init(&refused, 1 << 20);
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        struct ps_event event = event_of(id, "/a", NOON);
        assert_true(ps_parcel_add(&parcel, &event));
    }
    ps_parcel_sort(&parcel);
    for (size_t i = 0; i < PS_COUNT_OF(stores); i++) {
        start_over(w, stores[i]);
        enqueue_many(w, "q", 0, 10);
        assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 10);
        OK(ps_aggregator_take(w->aggregator, &parcel, &refused, &test_err));
        faults.commit_lies = 1;
        assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), PS_EIO);
        enqueue_many(w, "i", 45, 50);
        drain(w);
        EXPECT_COUNTED(w, 60);
        OK(ps_aggregator_take(w->aggregator, &parcel, &refused, &test_err));
        OK(ps_aggregator_flush(w->aggregator, &test_err));
        EXPECT_COUNTED(w, 60);
    }
    ps_outbox_done(&refused);
    ps_parcel_done(&parcel);
}

/* --- bounds --- */

/* I8: at most so much is read again after a crash. */
static void recovery_is_bounded(void **state)
{
    enum { UNSETTLED_EVENTS_MAX = 1 << 20 };
    struct world *w = *state;
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event event = event_of("same", "/a", NOON);
    struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
    struct ps_str *records = calloc(PS_BATCH_EVENTS_MAX, sizeof *records);
    for (size_t i = 0; i < PS_BATCH_EVENTS_MAX; i++)
        records[i] = record;
    crash(w);
    faults.forgets = true;
    start(w);
    const struct ps_aggregator_counters *c = ps_aggregator_counters(w->aggregator);
    while (c->fresh < UNSETTLED_EVENTS_MAX) {
        assert_int_equal(c->flushes, 0);
        OK(ps_queue_append(w->inner, records, PS_BATCH_EVENTS_MAX, &test_err));
        OK(ps_queue_sync(w->inner, NULL, &test_err));
        int taken;
        while ((taken = ps_aggregator_step(w->aggregator, &test_err)) > 0)
            continue;
        OK(taken);
    }
    assert_int_equal(c->flushes, 1);
    free(records);
}

/* I8: an import does not keep others from writing for long. */
static void an_import_commits_now_and_then(void **state)
{
    struct world *w = *state;
    struct ps_parcel parcel;
    struct ps_outbox refused;
    const struct ps_aggregator_counters *c = ps_aggregator_counters(w->aggregator);
    assert_int_equal(ps_parcel_init(&parcel), 0);
    ps_outbox_init(&refused, 1 << 20);
    int taken = 0;
    for (; c->flushes == 0 && taken < 100; taken++) {
        ps_parcel_clear(&parcel);
        for (int i = 0; i < BATCH; i++) {
            char id[32];
            snprintf(id, sizeof id, "%d-%d", taken, i);
            struct ps_event event = event_of(id, "/a", NOON);
            assert_true(ps_parcel_add(&parcel, &event));
        }
        ps_parcel_sort(&parcel);
        OK(ps_aggregator_take(w->aggregator, &parcel, &refused, &test_err));
    }
    assert_int_equal(taken, 20);
    EXPECT_COUNTED(w, 20 * BATCH);
    ps_outbox_done(&refused);
    ps_parcel_done(&parcel);
}

/* Beside a store that is further on, a queue is the wrong one. */
static void the_wrong_queue_is_noticed(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "q", 0, 10);
    drain(w);
    crash(w);
    ps_mem_queue_forget(w->place.target);
    assert_int_equal(try_start(w), PS_ECORRUPT);
    assert_non_null(strstr(test_err.text, "queue directory"));
    assert_null(w->aggregator);
}

/* --- what it says --- */

static void a_store_that_fails_is_told_once_and_its_end_too(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "t", 0, 10);
    faults.apply_fails = 20;
    faults.apply_code = PS_EFULL;
    int64_t before_us = ps_clock_monotonic_us(&w->clock.clock);
    drain(w);
    assert_int_equal(w->heard[PS_TROUBLE_STORE].begins, 1);
    assert_int_equal(w->heard[PS_TROUBLE_STORE].ends, 1);
    assert_true(ps_aggregator_counters(w->aggregator)->turned_us > before_us); /* it lives */
    assert_int_equal(w->heard[PS_TROUBLE_DEAD_LETTERS].begins, 0);
    enqueue_record(w, PS_STR("\xff no event")); /* passing over it fails too */
    faults.apply_fails = 20;
    drain(w);
    assert_int_equal(w->heard[PS_TROUBLE_STORE].begins, 2);
    assert_int_equal(w->heard[PS_TROUBLE_STORE].ends, 2);
}

/* I6: no letter, no progress; and it is the letters that are told. */
static void letters_that_cannot_be_kept_are_told(void **state)
{
    struct world *w = *state;
    seal_noon(w, &ps_store_mem);
    enqueue(w, "late", NOON);
    gate_queue_fail(&w->gate, (struct gate_faults){.bury = PS_EFULL});
    ps_aggregator_stop(w->aggregator); /* or it would try for ever */
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), PS_EFULL);
    assert_true(is_present(w, PS_TROUBLE_DEAD_LETTERS));
    assert_false(is_present(w, PS_TROUBLE_STORE));
    gate_queue_fail(&w->gate, (struct gate_faults){0});
    drain(w);
    assert_false(is_present(w, PS_TROUBLE_DEAD_LETTERS));
    expect_letters(w, "late closed_day\n");
}

/* --- its thread, and its heart --- */

static void *run_aggregator(void *arg)
{
    return (void *)(intptr_t)ps_aggregator_run(arg, NULL);
}

static void run_thread(struct world *w)
{
    assert_int_equal(pthread_create(&w->thread, NULL, run_aggregator, w->aggregator), 0);
}

static void stop_thread(struct world *w)
{
    ps_aggregator_stop(w->aggregator);
    pthread_join(w->thread, NULL);
}

static bool beats(struct world *w)
{
    struct ps_buf value;
    ps_buf_init(&value, 64);
    int r = ps_kv_get(w->kv, PS_STR(PS_HEARTBEAT_KEY), w->clock.now_ms, &value, NULL);
    ps_buf_done(&value);
    return r == 0;
}

/* Goes on when it is woken, whatever it waits for. */
static bool has_read(struct world *w, unsigned times)
{
    ps_aggregator_wake(w->aggregator);
    return gate_queue_reads(&w->gate) >= times;
}

/* Also by the thread itself, which gives the turn up: a record that is no event has no store to
 * blame. */
static void letters_alone_are_told_by_the_thread(void **state)
{
    struct world *w = *state;
    enqueue_record(w, PS_STR("no event"));
    gate_queue_fail(&w->gate, (struct gate_faults){.bury = PS_EFULL});
    run_thread(w);
    WAIT_FOR(is_present(w, PS_TROUBLE_DEAD_LETTERS) && has_read(w, 5));
    assert_int_equal(w->heard[PS_TROUBLE_STORE].begins, 0);
    gate_queue_fail(&w->gate, (struct gate_faults){0});
    WAIT_FOR(has_read(w, 0) && !is_present(w, PS_TROUBLE_DEAD_LETTERS));
    stop_thread(w);
    assert_int_equal(w->heard[PS_TROUBLE_STORE].begins, 0);
}

static void the_heart_beats_and_is_forgotten_when_it_stops(void **state)
{
    struct world *w = *state;
    run_thread(w);
    WAIT_FOR(beats(w));
    stop_thread(w);
    w->clock.now_ms += PS_HEARTBEAT_TTL_MS - 1;
    assert_true(beats(w));
    w->clock.now_ms += 1;
    assert_false(beats(w));
}

static void the_heart_does_not_beat_while_it_fails(void **state)
{
    struct world *w = *state;
    for (int told = 0; told < 2; told++) {
        crash(w);
        w->has_no_troubles = !told;
        start(w);
        gate_queue_fail(&w->gate, (struct gate_faults){.read = PS_EIO});
        run_thread(w);
        WAIT_FOR(has_read(w, 5));
        assert_false(beats(w));
        assert_int_equal(ps_aggregator_counters(w->aggregator)->failing, PS_EIO);
        assert_int_equal(is_present(w, PS_TROUBLE_STORE), told);
        gate_queue_fail(&w->gate, (struct gate_faults){0});
        WAIT_FOR(has_read(w, 0) && beats(w));
        assert_false(is_present(w, PS_TROUBLE_STORE));
        stop_thread(w);
        OK(ps_kv_remove(w->kv, PS_STR(PS_HEARTBEAT_KEY), &test_err));
    }
}

/* The kv says "well" for all of the server: not while nobody can post. */
static void the_heart_does_not_beat_while_another_part_fails(void **state)
{
    struct world *w = *state;
    ps_trouble_begin(&w->troubles, PS_TROUBLE_QUEUE, PS_EIO, "the disk is gone");
    run_thread(w);
    WAIT_FOR(has_read(w, 5));
    assert_false(beats(w));
    ps_trouble_end(&w->troubles, PS_TROUBLE_QUEUE);
    ps_trouble_begin(&w->troubles, PS_TROUBLE_SNAPSHOT, PS_EIO, "only degraded");
    WAIT_FOR(has_read(w, 0) && beats(w));
    stop_thread(w);
}

static int put_fails(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
                     int64_t now_ms, struct ps_err *e)
{
    (void)kv;
    (void)key;
    (void)value;
    (void)ttl_ms;
    (void)now_ms;
    return ps_fail(e, PS_EFULL, "no room for a heartbeat");
}

static void a_heartbeat_that_cannot_be_written_is_told(void **state)
{
    static const struct ps_kv_ops ops = {.name = "broken", .put = put_fails};
    struct ps_kv broken = {.ops = &ops}, *whole;
    struct world *w = *state;
    crash(w);
    whole = w->kv;
    w->kv = &broken;
    start(w);
    w->kv = whole;
    run_thread(w);
    WAIT_FOR(is_present(w, PS_TROUBLE_HEARTBEAT));
    assert_false(ps_troubles_are_failing(&w->troubles));
    stop_thread(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_events_own_fault_makes_a_dead_letter),
        TEST(refused_events_of_a_part_are_buried_by_their_own_outcome),
        TEST(a_lying_apply_counts_each_event_once),
        TEST(a_lying_apply_buries_what_it_refused_once),
        TEST(lies_and_poison_together),
        TEST(a_lying_apply_then_a_crash),
        TEST(a_lying_settle_counts_each_event_once),
        TEST(a_lying_commit_of_an_import),
        TEST(recovery_is_bounded),
        TEST(an_import_commits_now_and_then),
        TEST(the_wrong_queue_is_noticed),
        TEST(a_store_that_fails_is_told_once_and_its_end_too),
        TEST(letters_that_cannot_be_kept_are_told),
        TEST(letters_alone_are_told_by_the_thread),
        TEST(the_heart_beats_and_is_forgotten_when_it_stops),
        TEST(the_heart_does_not_beat_while_it_fails),
        TEST(the_heart_does_not_beat_while_another_part_fails),
        TEST(a_heartbeat_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests_name("consumer", tests, NULL, NULL);
}
