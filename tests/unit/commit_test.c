/* commit_test.c - the committer when the queue refuses, fails, hangs or ends, and what it says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "flow/aggregator.h"
#include "flow/commit.h"
#include "support/gate_queue.h"
#include "support/patience.h"

#include <pthread.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

enum { ANSWERS_MAX = PS_COMMIT_WAITERS_MAX + 8 };

struct world {
    struct place place;
    struct ps_troubles troubles;
    struct ps_queue *inner;
    struct gate_queue gate;
    struct ps_commit *commit;
    struct ps_outbox outbox;
    pthread_mutex_t lock;
    size_t answers, durable; /* durable: of code 0 */
    uint64_t end_position;   /* of the queue, when the last of these was answered */
};

static int set_up(void **state)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    struct world *w = calloc(1, sizeof *w);
    place_make(&w->place, "queue");
    ps_troubles_init(&w->troubles, ps_clock_system(), NULL, NULL);
    OK(ps_queue_open(&ps_queue_mem, &w->inner, w->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    gate_queue_init(&w->gate, w->inner);
    pthread_mutex_init(&w->lock, NULL);
    ps_outbox_init(&w->outbox, 1 << 24);
    OK(ps_commit_open(&w->commit, &w->gate.queue, NULL, NULL, &w->troubles, &test_err));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_commit_close(w->commit);
    ps_queue_close(w->inner);
    ps_outbox_done(&w->outbox);
    ps_troubles_done(&w->troubles);
    pthread_mutex_destroy(&w->lock);
    place_remove(&w->place);
    free(w);
    return 0;
}

static void take_answer(void *ctx, int code, const char *text)
{
    struct world *w = ctx;
    struct ps_queue_info info;
    (void)text;
    OK(ps_queue_info(w->inner, &info, &test_err));
    pthread_mutex_lock(&w->lock);
    w->answers++;
    w->durable += code == 0;
    if (code == 0)
        w->end_position = info.end_position;
    pthread_mutex_unlock(&w->lock);
}

static size_t answers(struct world *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->answers;
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* One record of so many bytes. */
static int submit(struct world *w, size_t bytes)
{
    static const uint8_t record[PS_RECORD_BYTES_MAX] = {1};
    ps_outbox_clear(&w->outbox);
    assert_int_equal(ps_outbox_record(&w->outbox, record, bytes), 0);
    return ps_commit_submit(w->commit, &w->outbox, take_answer, w, &test_err);
}

static int commit_one(struct world *w, size_t bytes)
{
    static const uint8_t record[PS_RECORD_BYTES_MAX] = {1};
    ps_outbox_clear(&w->outbox);
    assert_int_equal(ps_outbox_record(&w->outbox, record, bytes), 0);
    return ps_commit_wait(w->commit, &w->outbox, &test_err);
}

static bool is_troubled(struct world *w)
{
    struct ps_trouble_state state;
    return ps_trouble_get(&w->troubles, PS_TROUBLE_QUEUE, &state);
}

/* How many durable records there are that are no probes. */
static size_t count_records(struct world *w)
{
    struct ps_records records;
    size_t n = 0;
    ps_records_init(&records);
    OK(ps_queue_read(w->inner, 0, PS_READ_RECORDS_MAX, &records, &test_err));
    for (size_t i = 0; i < records.count; i++)
        n += !ps_commit_is_probe(records.items[i].bytes, records.items[i].len);
    ps_records_done(&records);
    return n;
}

/* From the very first one, and it ends though nobody submits any more. */
static void a_queue_that_fails_is_told_until_it_works(void **state)
{
    static const struct gate_faults all[] = {
        {.append = PS_EIO}, {.append = PS_EFULL}, {.sync = PS_EIO}, {.sync = PS_EFULL}};
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(all); i++) {
        int code = all[i].append != 0 ? all[i].append : all[i].sync;
        assert_false(is_troubled(w));
        gate_queue_fail(&w->gate, all[i]);
        assert_int_equal(commit_one(w, 100), code);
        assert_true(is_troubled(w));
        gate_queue_fail(&w->gate, (struct gate_faults){0});
        WAIT_FOR(!is_troubled(w));
        gate_queue_fail(&w->gate, all[i]);
        assert_int_equal(commit_one(w, 100), code);
        gate_queue_fail(&w->gate, (struct gate_faults){0});
        assert_int_equal(commit_one(w, 100), 0);
        assert_false(is_troubled(w)); /* at once */
    }
}

/* What it probes with is no event, and nobody's dead letter. */
static void a_probe_is_passed_over(void **state)
{
    struct world *w = *state;
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue_info info;
    gate_queue_fail(&w->gate, (struct gate_faults){.append = PS_EIO});
    assert_int_equal(commit_one(w, 100), PS_EIO);
    gate_queue_fail(&w->gate, (struct gate_faults){0});
    WAIT_FOR(!is_troubled(w));
    assert_int_equal(count_records(w), 0);
    ps_clock_manual_init(&clock, NOON);
    OK(ps_store_open(&ps_store_mem, &store, w->place.target, PS_STORE_WRITE, &test_err));
    struct ps_aggregator *aggregator;
    struct ps_aggregator_config config = {.store = store,
                                          .queue = w->inner,
                                          .clock = &clock.clock,
                                          .batch_events = 10,
                                          .cache_bytes = 1 << 20,
                                          .max_paths_per_hour = 10};
    OK(ps_aggregator_open(&aggregator, &config, &test_err));
    assert_int_equal(ps_aggregator_step(aggregator, &test_err), 1);
    OK(ps_aggregator_drain(aggregator, &test_err));
    OK(ps_queue_info(w->inner, &info, &test_err));
    assert_int_equal(info.dead_letters, 0);
    assert_int_equal(ps_aggregator_counters(aggregator)->position, info.end_position);
    ps_aggregator_close(aggregator);
    ps_store_close(store);
}

/* One body that does not fit any more is its sender's trouble, not everybody's. */
static void a_body_too_many_is_no_trouble(void **state)
{
    struct world *w = *state;
    gate_queue_fail(&w->gate, (struct gate_faults){.room = 10000});
    assert_int_equal(commit_one(w, 20000), PS_EFULL);
    assert_false(is_troubled(w));
    gate_queue_fail(&w->gate, (struct gate_faults){.room = 100});
    assert_int_equal(commit_one(w, 20000), PS_EFULL);
    assert_true(is_troubled(w)); /* now not even a page fits */
}

static void take_receipt(void *ctx, const struct ps_receipt *receipt)
{
    (void)ctx;
    (void)receipt;
}

/* One record of so many bytes, whose sender waits until it is stored. */
static int commit_for_receipt(struct world *w, struct ps_receipts *receipts, size_t bytes)
{
    static const uint8_t record[PS_RECORD_BYTES_MAX] = {1};
    size_t before = answers(w);
    w->durable = 0;
    ps_outbox_clear(&w->outbox);
    assert_int_equal(ps_outbox_record(&w->outbox, record, bytes), 0);
    OK(ps_commit_submit_for_receipt(w->commit, &w->outbox, receipts, take_answer, take_receipt, w,
                                    &test_err));
    WAIT_FOR(answers(w) == before + 1);
    return w->durable == 1 ? 0 : -1;
}

/* Who was refused waits for no receipt; and one body too many is no trouble here either. */
static void what_was_refused_waits_for_no_receipt(void **state)
{
    static const struct gate_faults all[] = {{.room = 10000}, {.append = PS_EIO}, {.sync = PS_EIO}};
    struct world *w = *state;
    struct ps_receipts *receipts = ps_receipts_open();
    assert_non_null(receipts);
    for (size_t i = 0; i < PS_COUNT_OF(all); i++) {
        gate_queue_fail(&w->gate, all[i]);
        assert_int_equal(commit_for_receipt(w, receipts, 20000), -1);
        assert_false(ps_receipts_any(receipts));
        assert_int_equal(is_troubled(w), all[i].room == 0);
    }
    gate_queue_fail(&w->gate, (struct gate_faults){0});
    assert_int_equal(commit_for_receipt(w, receipts, 20000), 0);
    assert_true(ps_receipts_give_up(receipts, w));
    assert_false(is_troubled(w));
    ps_receipts_close(receipts);
}

/* I3: those that fit alone are durable before they are answered. */
static void what_fits_alone_is_durable_when_it_is_answered(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    gate_queue_hold(&w->gate);
    OK(submit(w, 1));
    gate_queue_await(&w->gate);
    for (int i = 0; i < 3; i++) /* they make up one group */
        OK(submit(w, 600));
    gate_queue_fail(&w->gate, (struct gate_faults){.room = 1000});
    gate_queue_release(&w->gate);
    WAIT_FOR(answers(w) == 4);
    assert_int_equal(w->durable, 4);
    assert_int_equal(count_records(w), 4);
    OK(ps_queue_info(w->inner, &info, &test_err));
    assert_int_equal(w->end_position, info.end_position);
    assert_false(is_troubled(w));
}

/* I8 */
static void those_that_wait_are_bounded(void **state)
{
    struct world *w = *state;
    gate_queue_hold(&w->gate);
    OK(submit(w, 1));
    gate_queue_await(&w->gate);
    for (int i = 0; i < PS_COMMIT_WAITERS_MAX; i++)
        OK(submit(w, 1));
    assert_int_equal(submit(w, 1), PS_EFULL);
    assert_non_null(strstr(test_err.text, "try again"));
    gate_queue_release(&w->gate);
    WAIT_FOR(answers(w) == PS_COMMIT_WAITERS_MAX + 1);
    OK(submit(w, 1)); /* and there is room again */
    WAIT_FOR(answers(w) == PS_COMMIT_WAITERS_MAX + 2);
    assert_int_equal(w->durable, PS_COMMIT_WAITERS_MAX + 2);
}

/* What the watch over it goes by. */
static void a_write_that_goes_on_can_be_seen(void **state)
{
    struct world *w = *state;
    uint64_t before = ps_commit_turns(w->commit);
    assert_int_equal(before % 2, 0);
    gate_queue_hold(&w->gate);
    OK(submit(w, 1));
    gate_queue_await(&w->gate);
    assert_int_equal(ps_commit_turns(w->commit), before + 1);
    gate_queue_release(&w->gate);
    WAIT_FOR(ps_commit_turns(w->commit) == before + 2);
}

/* Also of a probe: the disk that refused may now hang. */
static void a_probe_that_hangs_can_be_seen(void **state)
{
    struct world *w = *state;
    gate_queue_fail(&w->gate, (struct gate_faults){.append = PS_EIO});
    assert_int_equal(commit_one(w, 100), PS_EIO);
    gate_queue_hold(&w->gate);
    gate_queue_fail(&w->gate, (struct gate_faults){0});
    gate_queue_await(&w->gate);
    assert_int_equal(ps_commit_turns(w->commit) % 2, 1);
    gate_queue_release(&w->gate);
    WAIT_FOR(!is_troubled(w));
    WAIT_FOR(ps_commit_turns(w->commit) % 2 == 0);
}

static void *close_commit(void *arg)
{
    ps_commit_close(arg);
    return NULL;
}

/* Who comes too late is told, and who came in time gets an answer. */
static void while_it_closes_it_takes_no_more(void **state)
{
    struct world *w = *state;
    pthread_t closer;
    gate_queue_hold(&w->gate);
    OK(submit(w, 1));
    gate_queue_await(&w->gate);
    assert_int_equal(pthread_create(&closer, NULL, close_commit, w->commit), 0);
    size_t taken = 1;
    int r = 0;
    int64_t until_ms = 0;
    while (taken < PS_COMMIT_WAITERS_MAX && patience_left(&until_ms) && (r = submit(w, 1)) == 0)
        taken++;
    gate_queue_release(&w->gate);
    pthread_join(closer, NULL);
    w->commit = NULL;
    assert_int_equal(r, PS_EBUSY);
    assert_int_equal(w->answers, taken);
    assert_int_equal(w->durable, taken);
}

/* What is here may be sent on, and then there is room again. */
static void a_full_outbox_goes_on_once_it_is_cleared(void **state)
{
    static const uint8_t record[100] = {1};
    struct ps_outbox o, more;
    (void)state;
    ps_outbox_init(&o, 250);
    ps_outbox_init(&more, 1000);
    assert_int_equal(ps_outbox_record(&o, record, 100), 0);
    assert_int_equal(ps_outbox_record(&o, record, 100), 0);
    assert_int_equal(ps_outbox_record(&o, record, 100), PS_EFULL);
    assert_int_equal(ps_outbox_record(&o, record, 20), 0);
    assert_int_equal(o.count, 3);
    assert_int_equal(ps_outbox_append(&more, &o), 0);
    assert_int_equal(ps_outbox_append(&o, &more), PS_EFULL);
    ps_outbox_clear(&o);
    assert_int_equal(ps_outbox_record(&o, record, 100), 0);
    assert_int_equal(o.count, 1);
    ps_outbox_done(&o);
    ps_outbox_done(&more);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_that_fails_is_told_until_it_works),
        TEST(a_probe_is_passed_over),
        TEST(a_body_too_many_is_no_trouble),
        TEST(what_was_refused_waits_for_no_receipt),
        TEST(what_fits_alone_is_durable_when_it_is_answered),
        TEST(those_that_wait_are_bounded),
        TEST(a_write_that_goes_on_can_be_seen),
        TEST(a_probe_that_hangs_can_be_seen),
        TEST(while_it_closes_it_takes_no_more),
        cmocka_unit_test(a_full_outbox_goes_on_once_it_is_cleared),
    };
    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
