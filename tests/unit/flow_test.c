/* flow_test.c - queue to statistics over the mem backends, with faults injected.
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
#include "flow/commit.h"
#include "flow/outbox.h"
#include "flow/parcel.h"
#include "flow/verify.h"
#include "support/faulty_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

struct world {
    char target[32];
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
    struct ps_receipts *receipts; /* NULL in most tests */
    size_t max_paths, batch_events;
};

static void start(struct world *w)
{
    struct ps_err e = {0};
    struct ps_aggregator_config config = {.clock = &w->clock.clock,
                                          .batch_events = w->batch_events,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = w->max_paths};
    struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    assert_int_equal(ps_store_open(&store_faulty, &w->store, w->target, PS_STORE_WRITE, &e), 0);
    assert_int_equal(
        ps_queue_open(&ps_queue_mem, &w->queue, w->target, PS_QUEUE_WRITE, &limits, &e), 0);
    config.store = w->store;
    config.queue = w->queue;
    config.receipts = w->receipts;
    if (ps_aggregator_open(&w->aggregator, &config, &e) < 0)
        fail_msg("aggregator: %s", e.text);
}

/* As kill -9 has it: what memory holds is gone, what the backends hold stays. */
static void crash(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_queue_close(w->queue);
}

static int set_up(void **state)
{
    static unsigned serial;
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->target, sizeof w->target, "flow-%u", serial++);
    memset(&faults, 0, sizeof faults);
    ps_clock_manual_init(&w->clock, NOON);
    w->max_paths = 1000;
    w->batch_events = 100;
    start(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    crash(w);
    ps_mem_forget(w->target);
    free(w);
    return 0;
}

static struct ps_event event_of(const char *id, const char *path, int64_t us)
{
    return (struct ps_event){.id = {id, strlen(id)},
                             .path = {path, strlen(path)},
                             .timestamp_ms = NOON,
                             .response_us = us,
                             .response_bytes = PS_ABSENT,
                             .status = 200,
                             .is_error = 0};
}

static void enqueue(struct world *w, const struct ps_event *event)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_str record = {(const char *)bytes, ps_event_encode(event, bytes)};
    assert_int_equal(ps_queue_append(w->queue, &record, 1, NULL), 0);
    assert_int_equal(ps_queue_sync(w->queue, NULL, NULL), 0);
}

static void enqueue_many(struct world *w, const char *prefix, int from, int to, const char *path)
{
    for (int i = from; i < to; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s%d", prefix, i);
        struct ps_event event = event_of(id, path, 1000 + i);
        enqueue(w, &event);
    }
}

static void drain(struct world *w)
{
    struct ps_err e = {0};
    if (ps_aggregator_drain(w->aggregator, &e) < 0)
        fail_msg("drain: %s", e.text);
}

struct found {
    uint64_t requests, count_us;
    size_t rows;
};

static int add_row(void *ctx, const struct ps_stat_row *row)
{
    struct found *found = ctx;
    found->requests += row->stat.requests;
    found->count_us += row->stat.count_us;
    found->rows++;
    return 0;
}

static struct found find_stats(struct world *w, const char *path)
{
    struct found found = {0};
    struct ps_stats_query q = {.from_hour = INT32_MIN,
                               .to_hour = INT32_MAX,
                               .path = {path, path == NULL ? 0 : strlen(path)}};
    assert_int_equal(ps_store_stats(w->store, &q, add_row, &found, NULL), 0);
    return found;
}

static void count_mismatch(void *ctx, const struct ps_mismatch *m)
{
    (void)m;
    ++*(size_t *)ctx;
}

static uint64_t verify(struct world *w)
{
    struct ps_err e = {0};
    struct ps_verified verified;
    size_t told = 0;
    struct ps_verify_options options = {
        .max_paths_per_hour = w->max_paths, .mismatch = count_mismatch, .ctx = &told};
    if (ps_verify(w->store, w->queue, &options, &verified, &e) < 0)
        fail_msg("verify: %s", e.text);
    assert_int_equal(told, verified.mismatches);
    return verified.mismatches;
}

struct letters {
    size_t count;
    enum ps_reject why;
};

static int count_letter(void *ctx, const struct ps_dead_letter *letter)
{
    struct letters *letters = ctx;
    letters->count++;
    letters->why = letter->why;
    return 0;
}

static struct letters find_letters(struct world *w)
{
    struct letters letters = {0};
    assert_int_equal(ps_queue_dead(w->queue, count_letter, &letters, NULL), 0);
    return letters;
}

/* I1 */
static void redelivery_counts_once(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 3; round++) {
        enqueue_many(w, "r", 0, 250, "/a");
        drain(w);
    }
    assert_int_equal(find_stats(w, "/a").requests, 250);
    assert_int_equal(ps_aggregator_counters(w->aggregator)->duplicates, 500);
    assert_int_equal(verify(w), 0);
}

/* I4: stored but not yet in the statistics when the process dies */
static void crash_before_the_flush_loses_no_count(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "c", 0, 250, "/a");
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 100);
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 100);
    assert_int_equal(find_stats(w, "/a").requests, 0);
    crash(w);
    start(w);
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 250);
    assert_int_equal(verify(w), 0);
}

/* I4: duplicates in the replayed range must stay uncounted */
static void crash_with_duplicates_in_the_range(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "d", 0, 60, "/a");
    drain(w);
    enqueue_many(w, "d", 30, 90, "/a");
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 60);
    crash(w);
    start(w);
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 90);
    assert_int_equal(verify(w), 0);
}

/* I1, I4: the classic loss: events stored, the aggregate write fails, redelivery finds duplicates
 */
static void failed_settle_is_made_up_for(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    enqueue_many(w, "f", 0, 50, "/a");
    faults.settle_fails = 1;
    assert_int_equal(ps_aggregator_drain(w->aggregator, &e), PS_EIO);
    assert_int_equal(find_stats(w, "/a").requests, 0);
    enqueue_many(w, "f", 0, 50, "/a"); /* redelivered */
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 50);
    assert_int_equal(verify(w), 0);
}

static void failed_settle_then_crash(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "g", 0, 50, "/a");
    faults.settle_fails = 1;
    assert_int_equal(ps_aggregator_drain(w->aggregator, NULL), PS_EIO);
    crash(w);
    start(w);
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 50);
}

/* I4: stored, but reading the row to count in fails */
static void failed_count_recovers(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "h", 0, 50, "/a");
    faults.stats_fails = 1;
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), PS_EIO);
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 50);
    assert_int_equal(verify(w), 0);
}

static void transient_failure_is_retried(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "t", 0, 50, "/a");
    faults.apply_fails = 2;
    faults.apply_code = PS_EBUSY;
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 50);
    assert_int_equal(find_letters(w).count, 0);
    assert_int_equal(ps_aggregator_counters(w->aggregator)->retries, 2);
}

static void store_that_is_down_buries_nobody(void **state)
{
    struct world *w = *state;
    int64_t before = ps_clock_now_ms(&w->clock.clock);
    enqueue_many(w, "o", 0, 50, "/a");
    faults.apply_fails = 40; /* events and empty batches alike */
    faults.apply_code = PS_EIO;
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 50);
    assert_int_equal(find_letters(w).count, 0);
    assert_true(ps_clock_now_ms(&w->clock.clock) > before + 1000); /* it did wait */
}

/* Neither does one that blames the events for its own trouble: it takes no empty batch either. */
static void store_that_takes_nothing_buries_nobody(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "n", 0, 20, "/a");
    faults.apply_fails = 41; /* odd: the last one is an empty batch */
    faults.apply_code = PS_EINVAL;
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 20);
    assert_int_equal(find_letters(w).count, 0);
    assert_int_equal(ps_aggregator_counters(w->aggregator)->batches, 1); /* nothing taken apart */
}

static void poison_goes_alone_to_the_dead_letters(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "p", 0, 100, "/a");
    faults.poison = "p37";
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 99);
    assert_int_equal(find_letters(w).count, 1);
    assert_int_equal(find_letters(w).why, PS_REJECT_STORE);
    assert_int_equal(verify(w), 0);
}

static void undecodable_record_goes_to_the_dead_letters(void **state)
{
    struct world *w = *state;
    struct ps_str junk = PS_STR("\xff not an event");
    enqueue_many(w, "u", 0, 10, "/a");
    assert_int_equal(ps_queue_append(w->queue, &junk, 1, NULL), 0);
    enqueue_many(w, "u", 10, 20, "/a");
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 20);
    assert_int_equal(find_letters(w).count, 1);
    assert_int_equal(find_letters(w).why, PS_REJECT_RECORD);
}

/* I6 */
static void closed_day_goes_to_the_dead_letters(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "k", 0, 10, "/a");
    drain(w);
    ps_mem_store_seal(w->target, ps_time_day(NOON), PS_DAY_CLEANED);
    enqueue_many(w, "late", 0, 300, "/a");
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 10);
    assert_int_equal(find_letters(w).count, 300);
    assert_int_equal(find_letters(w).why, PS_REJECT_CLOSED_DAY);
    assert_int_equal(ps_aggregator_counters(w->aggregator)->closed_day, 300);
}

struct dump {
    char text[200000];
    size_t len;
};

static int dump_row(void *ctx, const struct ps_stat_row *row)
{
    struct dump *dump = ctx;
    dump->len += (size_t)snprintf(
        dump->text + dump->len, sizeof dump->text - dump->len, "%d %.*s %llu %llu %.*s\n",
        row->hour, (int)row->path.len, row->path.ptr, (unsigned long long)row->stat.requests,
        (unsigned long long)row->stat.sum_us, (int)row->stat.samples.len, row->stat.samples.ptr);
    return 0;
}

/* I2, I8: beyond the limit the rest is counted in (other), and which is the rest does not depend on
 * order, batches, evictions or restarts */
static void path_limit_is_pure(void **state)
{
    struct world *w = *state;
    struct dump *first = calloc(1, sizeof *first), *other = calloc(1, sizeof *other);
    for (int round = 0; round < 4; round++) {
        struct dump *dump = round == 0 ? first : other;
        struct ps_stats_query q = {.from_hour = INT32_MIN, .to_hour = INT32_MAX};
        crash(w);
        ps_mem_forget(w->target);
        w->max_paths = 5;
        w->batch_events = round % 2 == 0 ? 7 : 100;
        start(w);
        for (int i = 0; i < 120; i++) {
            int k = round == 0 ? i : (i * 77 + round * 31) % 120; /* 77 and 120 are coprime */
            char id[32], path[32];
            snprintf(id, sizeof id, "x%d", k);
            snprintf(path, sizeof path, "/p%d", k % 20);
            struct ps_event event = event_of(id, path, k * 100);
            enqueue(w, &event);
            if (round == 3 && i % 25 == 24) {
                assert_true(ps_aggregator_step(w->aggregator, NULL) > 0);
                if (i % 50 == 49)
                    ps_aggregator_flush(w->aggregator, NULL);
                crash(w);
                start(w);
            }
        }
        drain(w);
        assert_int_equal(verify(w), 0);
        dump->len = 0;
        ps_store_stats(w->store, &q, dump_row, dump, NULL);
        assert_int_equal(find_stats(w, NULL).rows, 6);
        assert_int_equal(find_stats(w, NULL).requests, 120);
        assert_int_equal(find_stats(w, "(other)").requests, 90);
        if (round > 0)
            assert_string_equal(first->text, other->text);
    }
    free(first);
    free(other);
}

static void verify_sees_pending_events(void **state)
{
    struct world *w = *state;
    enqueue_many(w, "v", 0, 50, "/a");
    drain(w);
    enqueue_many(w, "v", 50, 120, "/b");
    assert_int_equal(ps_aggregator_step(w->aggregator, NULL), 70);
    assert_int_equal(find_stats(w, "/b").requests, 0);
    assert_int_equal(verify(w), 0);
}

static int change_row(void *ctx, const struct ps_stat_row *row)
{
    struct world *w = ctx;
    struct ps_stat_row changed = *row;
    uint64_t position, watermark;
    changed.stat.requests++;
    ps_store_position(w->store, 0, &position, &watermark, NULL);
    ps_store_settle(w->store, &changed, 1, 0, watermark, 0, NULL);
    return PS_ESTOP;
}

static void verify_finds_what_is_wrong(void **state)
{
    struct world *w = *state;
    uint64_t position, watermark;
    struct ps_stats_query q = {.from_hour = INT32_MIN, .to_hour = INT32_MAX, .path = PS_STR("/a")};
    enqueue_many(w, "w", 0, 50, "/a");
    enqueue_many(w, "z", 0, 50, "/b");
    drain(w);
    assert_int_equal(verify(w), 0);
    assert_int_equal(ps_store_stats(w->store, &q, change_row, w, NULL), PS_ESTOP);
    assert_int_equal(verify(w), 1);
    struct ps_stat_row gone = {.hour = ps_time_hour(NOON), .path = PS_STR("/a")};
    struct ps_stat_row extra = {.hour = ps_time_hour(NOON) + 1, .path = PS_STR("/x")};
    extra.stat.requests = 1;
    ps_store_position(w->store, 0, &position, &watermark, NULL);
    ps_store_settle(w->store, &gone, 1, 0, watermark, 0, NULL);
    assert_int_equal(verify(w), 1);
    ps_store_settle(w->store, &extra, 1, 0, watermark, 0, NULL);
    assert_int_equal(verify(w), 2);
}

static void small_cache_changes_nothing(void **state)
{
    struct world *w = *state;
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = &w->clock.clock,
                                          .batch_events = 50,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 1,
                                          .max_paths_per_hour = 1000};
    struct ps_aggregator *a;
    for (int i = 0; i < 500; i++) {
        char id[32], path[32];
        snprintf(id, sizeof id, "s%d", i);
        snprintf(path, sizeof path, "/p%d", i % 40);
        struct ps_event event = event_of(id, path, i);
        enqueue(w, &event);
    }
    assert_int_equal(ps_aggregator_open(&a, &config, NULL), 0);
    assert_int_equal(ps_aggregator_drain(a, NULL), 0);
    assert_true(ps_aggregator_counters(a)->flushes >= 10);
    ps_aggregator_close(a);
    assert_int_equal(find_stats(w, NULL).rows, 40);
    assert_int_equal(find_stats(w, NULL).requests, 500);
    assert_int_equal(verify(w), 0);
}

static void commit_answers_and_is_durable(void **state)
{
    struct world *w = *state;
    struct ps_commit *commit;
    struct ps_outbox outbox;
    struct ps_queue_info info;
    assert_int_equal(ps_commit_open(&commit, w->queue, NULL, NULL, NULL, NULL), 0);
    ps_outbox_init(&outbox, 1 << 20);
    for (int i = 0; i < 10; i++) {
        struct ps_event event = event_of("c1", "/c", 1);
        char id[16];
        snprintf(id, sizeof id, "c%d", i);
        event.id = (struct ps_str){id, strlen(id)};
        ps_outbox_clear(&outbox);
        assert_int_equal(ps_outbox_event(&outbox, &event), 0);
        assert_int_equal(ps_commit_wait(commit, &outbox, NULL), 0);
        assert_int_equal(ps_queue_info(w->queue, &info, NULL), 0);
        assert_true(info.end_position > 0); /* I3: durable when it returns */
    }
    ps_outbox_done(&outbox);
    ps_commit_close(commit);
    drain(w);
    assert_int_equal(find_stats(w, "/c").requests, 10);
}

/* I8 */
static void full_queue_says_so(void **state)
{
    struct world *w = *state;
    struct ps_queue_limits limits = {4096, 1024, 4096, 0};
    struct ps_commit *commit;
    struct ps_queue *queue;
    struct ps_outbox outbox;
    struct ps_event event = event_of("full", "/full", 1);
    int r = 0, sent = 0;
    char target[64];
    snprintf(target, sizeof target, "%s-full", w->target);
    assert_int_equal(ps_queue_open(&ps_queue_mem, &queue, target, PS_QUEUE_WRITE, &limits, NULL),
                     0);
    assert_int_equal(ps_commit_open(&commit, queue, NULL, NULL, NULL, NULL), 0);
    ps_outbox_init(&outbox, 1 << 20);
    ps_outbox_event(&outbox, &event);
    for (; r == 0 && sent < 10000; sent++)
        r = ps_commit_wait(commit, &outbox, NULL);
    assert_int_equal(r, PS_EFULL);
    ps_outbox_done(&outbox);
    ps_commit_close(commit);
    ps_queue_close(queue);
    ps_mem_forget(target);
}

/* I4: rows are written some at a time; when a later part fails, the watermark has not moved and
 * none of them is there. */
static void failed_part_of_a_settle_takes_back_the_rest(void **state)
{
    enum { PATHS = 1000 };
    struct world *w = *state;
    for (int i = 0; i < PATHS; i++) {
        char path[32];
        snprintf(path, sizeof path, "/part/%d", i);
        enqueue_many(w, path + 1, 0, 1, path);
    }
    while (ps_aggregator_step(w->aggregator, NULL) > 0)
        continue;
    faults.settle_passes = faults.settle_fails = 1;
    assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), PS_EIO);
    assert_int_equal(find_stats(w, NULL).rows, 0);
    crash(w);
    start(w);
    drain(w);
    assert_int_equal(find_stats(w, NULL).requests, PATHS);
    assert_int_equal(verify(w), 0);
}

/* --- events that come from no queue --- */

static void fill_parcel(struct ps_parcel *p, const char *prefix, int from, int to, const char *path)
{
    for (int i = from; i < to; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s%d", prefix, i);
        struct ps_event event = event_of(id, path, 1000 + i);
        assert_true(ps_parcel_add(p, &event));
    }
    ps_parcel_sort(p);
}

struct parcel_world {
    struct ps_parcel parcel;
    struct ps_outbox refused;
};

static struct parcel_world parcel_of(const char *prefix, int from, int to)
{
    struct parcel_world p;
    assert_int_equal(ps_parcel_init(&p.parcel), 0);
    ps_outbox_init(&p.refused, 1 << 24);
    fill_parcel(&p.parcel, prefix, from, to, "/a");
    return p;
}

static void done_parcel(struct parcel_world *p)
{
    ps_parcel_done(&p->parcel);
    ps_outbox_done(&p->refused);
}

static int take(struct world *w, struct parcel_world *p)
{
    return ps_aggregator_take(w->aggregator, &p->parcel, &p->refused, NULL);
}

/* I1: whichever way they come. */
static void taken_events_count_once(void **state)
{
    struct world *w = *state;
    struct parcel_world p = parcel_of("t", 0, 300);
    enqueue_many(w, "t", 200, 400, "/a");
    drain(w);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(take(w, &p), 0);
        assert_int_equal(take(w, &p), 0);
        assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), 0);
    }
    enqueue_many(w, "t", 0, 10, "/a");
    drain(w);
    assert_int_equal(find_stats(w, "/a").requests, 400);
    assert_int_equal(find_stats(w, "/a").count_us, 400);
    assert_int_equal(p.refused.count, 0);
    assert_int_equal(ps_aggregator_counters(w->aggregator)->fresh, 400);
    assert_int_equal(verify(w), 0);
    done_parcel(&p);
}

/* I4: what was taken is there with its statistics, or not at all. */
static void taken_events_and_their_statistics_are_one(void **state)
{
    struct world *w = *state;
    struct parcel_world p = parcel_of("t", 0, 300);
    enqueue_many(w, "q", 0, 10, "/a");
    drain(w);
    assert_int_equal(take(w, &p), 0);
    crash(w);
    start(w);
    assert_int_equal(find_stats(w, "/a").requests, 10);
    assert_int_equal(verify(w), 0);
    assert_int_equal(take(w, &p), 0);
    assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), 0);
    crash(w);
    start(w);
    assert_int_equal(find_stats(w, "/a").requests, 310);
    assert_int_equal(verify(w), 0);
    done_parcel(&p);
}

/* I4: at whatever step it fails. */
static void a_failure_takes_back_what_was_taken(void **state)
{
    struct world *w = *state;
    for (int step = 0; step < 4; step++) {
        struct parcel_world p = parcel_of("f", 0, 100 * (step + 1));
        uint64_t before = find_stats(w, "/a").requests;
        if (step == 1) { /* counting has to read rows again */
            crash(w);
            start(w);
        } else {
            assert_int_equal(take(w, &p), 0);
        }
        faults.apply_fails = step == 0;
        faults.apply_code = PS_EIO;
        faults.stats_fails = step == 1;
        faults.settle_fails = step == 2;
        faults.commit_fails = step == 3;
        fill_parcel(&p.parcel, "more", step * 10, step * 10 + 10, "/b");
        int r = take(w, &p);
        r = r < 0 ? r : ps_aggregator_flush(w->aggregator, NULL);
        assert_int_equal(r, PS_EIO);
        memset(&faults, 0, sizeof faults);
        assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), 0); /* of nothing */
        assert_int_equal(find_stats(w, "/a").requests, before);
        assert_int_equal(verify(w), 0);
        assert_int_equal(take(w, &p), 0);
        assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), 0);
        assert_int_equal(find_stats(w, "/a").requests, 100 * (step + 1));
        assert_int_equal(find_stats(w, "/b").requests, 10 * (step + 1));
        assert_int_equal(verify(w), 0);
        done_parcel(&p);
    }
}

/* I6 */
static void taken_too_late_is_handed_back(void **state)
{
    struct world *w = *state;
    struct parcel_world p = parcel_of("late", 0, 5);
    struct ps_event event = event_of("fine", "/fine", 1), back;
    event.timestamp_ms += PS_MS_PER_DAY;
    assert_true(ps_parcel_add(&p.parcel, &event));
    ps_parcel_sort(&p.parcel);
    ps_mem_store_seal(w->target, ps_time_day(NOON), PS_DAY_CLEANED);
    assert_int_equal(take(w, &p), 0);
    assert_int_equal(ps_aggregator_flush(w->aggregator, NULL), 0);
    assert_int_equal(find_stats(w, NULL).requests, 1);
    assert_int_equal(p.refused.count, 5);
    assert_int_equal(
        ps_event_decode((const uint8_t *)p.refused.bytes.ptr, p.refused.ends[0], &back), 0);
    assert_memory_equal(back.id.ptr, "late0", 5);
    done_parcel(&p);
}

static void *run_aggregator(void *arg)
{
    return (void *)(intptr_t)ps_aggregator_run(arg, NULL);
}

static void fed_by_another_thread(void **state)
{
    struct world *w = *state;
    struct parcel_world p[2] = {parcel_of("a", 0, 100), parcel_of("b", 0, 100)};
    struct ps_err e = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_aggregator, w->aggregator), 0);
    for (int i = 0; i < 20; i++) {
        struct parcel_world *free_one = &p[i % 2];
        char prefix[16];
        assert_int_equal(
            ps_aggregator_feed(w->aggregator, &free_one->parcel, &free_one->refused, &e), 0);
        snprintf(prefix, sizeof prefix, "p%d-", i); /* the other one has been taken */
        ps_parcel_clear(&p[!(i % 2)].parcel);
        fill_parcel(&p[!(i % 2)].parcel, prefix, 0, 100, "/a");
    }
    assert_int_equal(ps_aggregator_feed(w->aggregator, NULL, NULL, &e), 0);
    assert_int_equal(find_stats(w, "/a").requests, 20 * 100);
    faults.commit_fails = 1;
    assert_int_equal(ps_aggregator_feed(w->aggregator, &p[0].parcel, &p[0].refused, &e), 0);
    assert_int_equal(ps_aggregator_feed(w->aggregator, NULL, NULL, &e), PS_EIO);
    assert_int_equal(ps_aggregator_feed(w->aggregator, &p[0].parcel, &p[0].refused, &e), PS_EIO);
    assert_string_equal(e.text, "injected: commit");
    ps_aggregator_stop(w->aggregator);
    pthread_join(thread, NULL);
    assert_int_equal(find_stats(w, "/a").requests, 20 * 100);
    assert_int_equal(verify(w), 0);
    done_parcel(&p[0]);
    done_parcel(&p[1]);
}

/* I8 */
static void a_parcel_has_a_maximum(void **state)
{
    static char agent[PS_USER_AGENT_MAX];
    struct ps_parcel p;
    struct ps_event event = event_of("same", "/", 1);
    (void)state;
    assert_int_equal(ps_parcel_init(&p), 0);
    while (ps_parcel_add(&p, &event))
        continue;
    assert_int_equal(p.count, PS_PARCEL_EVENTS_MAX);
    ps_parcel_clear(&p);
    event.user_agent = (struct ps_str){agent, sizeof agent};
    while (ps_parcel_add(&p, &event))
        continue;
    assert_true(p.used <= PS_PARCEL_BYTES_MAX && p.used > PS_PARCEL_BYTES_MAX - 1024);
    ps_parcel_done(&p);
}

static void keep_receipt(void *ctx, const struct ps_receipt *receipt)
{
    *(struct ps_receipt *)ctx = *receipt;
}

/* New, duplicate, poison and what is no event at all, over batches that fail in between. */
static void a_receipt_tells_what_became_of_a_submission(void **state)
{
    struct world *w = *state;
    struct ps_receipt told = {0};
    struct ps_err e = {0};
    uint64_t first, next;
    crash(w);
    w->receipts = ps_receipts_open();
    start(w);
    enqueue_many(w, "p", 0, 10, "/a");
    drain(w);
    assert_int_equal(ps_queue_sync(w->queue, &first, NULL), 0);
    assert_int_equal(ps_receipts_expect(w->receipts, first, keep_receipt, &told), 0);
    enqueue_many(w, "p", 5, 40, "/a"); /* five of them known, and p37 is poison */
    assert_int_equal(ps_queue_append(w->queue, &PS_STR("no event"), 1, NULL), 0);
    assert_int_equal(ps_queue_sync(w->queue, &next, NULL), 0);
    ps_receipts_end(w->receipts, &told, next);
    enqueue_many(w, "q", 0, 10, "/a"); /* another's */
    faults.poison = "p37";
    faults.settle_fails = 1;
    while (ps_aggregator_drain(w->aggregator, &e) < 0)
        continue;
    assert_int_equal(told.fresh, 29);
    assert_int_equal(told.duplicates, 5);
    assert_int_equal(told.refused, 2);
    ps_receipts_close(w->receipts);
    w->receipts = NULL;
    crash(w);
    start(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(redelivery_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crash_before_the_flush_loses_no_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crash_with_duplicates_in_the_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_settle_is_made_up_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_settle_then_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_count_recovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transient_failure_is_retried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(store_that_is_down_buries_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(store_that_takes_nothing_buries_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_receipt_tells_what_became_of_a_submission, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(poison_goes_alone_to_the_dead_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(undecodable_record_goes_to_the_dead_letters, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(closed_day_goes_to_the_dead_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(path_limit_is_pure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_sees_pending_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_finds_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_cache_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_part_of_a_settle_takes_back_the_rest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(taken_events_count_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_events_and_their_statistics_are_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failure_takes_back_what_was_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_too_late_is_handed_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fed_by_another_thread, set_up, tear_down),
        cmocka_unit_test(a_parcel_has_a_maximum),
        cmocka_unit_test_setup_teardown(commit_answers_and_is_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_queue_says_so, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
