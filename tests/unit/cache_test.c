/* cache_test.c - the limit on the paths of an hour: what it costs, and what a change of it does.
 *
 * The cost is counted in rows read through the store, never in time. What a change may do is held
 * against a world that had its limit from the beginning.
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
#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"
#include "flow/aggregator.h"
#include "flow/cache.h"
#include "flow/hours.h"
#include "flow/verify.h"
#include "support/faulty_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */
#define OTHER "(other)"

enum { TEXT_MAX = 1 << 20 };

struct world {
    char target[32];
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
};

/* --- counting what is read --- */

static struct {
    struct ps_store_ops ops;
    int (*stats)(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                 struct ps_err *e);
    size_t rows, whole; /* handed out; whole: with their summaries */
} read_so_far;

struct passing_on {
    ps_stat_fn *fn;
    void *ctx;
    bool brief;
};

static int count_and_pass_on(void *ctx, const struct ps_stat_row *row)
{
    struct passing_on *p = ctx;
    read_so_far.rows++;
    read_so_far.whole += !p->brief;
    return p->fn(p->ctx, row);
}

static int counted_stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn,
                         void *ctx, struct ps_err *e)
{
    struct passing_on p = {fn, ctx, q->brief};
    return read_so_far.stats(s, q, count_and_pass_on, &p, e);
}

static void count_reads(struct ps_store *s)
{
    read_so_far.ops = *s->ops;
    read_so_far.stats = s->ops->stats;
    read_so_far.ops.stats = counted_stats;
    read_so_far.rows = read_so_far.whole = 0;
    s->ops = &read_so_far.ops;
}

/* --- the world --- */

static void start(struct world *w, size_t max_paths)
{
    struct ps_err e = {0};
    struct ps_queue_limits limits = {
        .bytes_max = 1 << 28, .segment_bytes = 1 << 20, .dead_letter_bytes_max = 1 << 20};
    assert_int_equal(ps_store_open(&store_faulty, &w->store, w->target, PS_STORE_WRITE, &e), 0);
    assert_int_equal(
        ps_queue_open(&ps_queue_mem, &w->queue, w->target, PS_QUEUE_WRITE, &limits, &e), 0);
    count_reads(w->store);
    struct ps_aggregator_config config = {.store = w->store,
                                          .queue = w->queue,
                                          .clock = &w->clock.clock,
                                          .batch_events = 100,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = max_paths};
    if (ps_aggregator_open(&w->aggregator, &config, &e) < 0)
        fail_msg("aggregator: %s", e.text);
}

static void stop(struct world *w)
{
    ps_aggregator_close(w->aggregator);
    ps_store_close(w->store);
    ps_queue_close(w->queue);
}

static void restart(struct world *w, size_t max_paths)
{
    stop(w);
    start(w, max_paths);
}

static void begin(struct world *w, const char *name, size_t max_paths)
{
    *w = (struct world){.store = NULL};
    snprintf(w->target, sizeof w->target, "cache-%s", name);
    memset(&faults, 0, sizeof faults);
    ps_clock_manual_init(&w->clock, NOON);
    start(w, max_paths);
}

static void end(struct world *w)
{
    stop(w);
    ps_mem_forget(w->target);
}

static void send(struct world *w, const char *id, const char *path)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event event = {.id = {id, strlen(id)},
                             .path = {path, strlen(path)},
                             .timestamp_ms = NOON,
                             .response_us = 1000,
                             .status = 200,
                             .is_error = 0};
    struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
    assert_int_equal(ps_queue_append(w->queue, &record, 1, NULL), 0);
}

static void drain(struct world *w)
{
    struct ps_err e = {0};
    assert_int_equal(ps_queue_sync(w->queue, NULL, NULL), 0);
    if (ps_aggregator_drain(w->aggregator, &e) < 0)
        fail_msg("drain: %s", e.text);
}

/* One event each for /p<from> .. /p<to - 1>, ids beginning with `prefix`. */
static void send_paths(struct world *w, const char *prefix, int from, int to)
{
    for (int i = from; i < to; i++) {
        char id[64], path[64];
        snprintf(id, sizeof id, "%s%d", prefix, i);
        snprintf(path, sizeof path, "/p%d", i);
        send(w, id, path);
    }
    drain(w);
}

static void tell_mismatch(void *ctx, const struct ps_mismatch *m)
{
    (void)ctx;
    printf("# mismatch %d of %.*s: %llu stored, %llu computed\n", m->kind, (int)m->path.len,
           m->path.ptr, (unsigned long long)m->requests_stored,
           (unsigned long long)m->requests_computed);
}

static void expect_verified(struct world *w, size_t max_paths, uint64_t events)
{
    struct ps_verify_options options = {.max_paths_per_hour = max_paths, .mismatch = tell_mismatch};
    struct ps_verified verified;
    struct ps_err e = {0};
    if (ps_verify(w->store, w->queue, &options, &verified, &e) < 0)
        fail_msg("verify: %s", e.text);
    assert_int_equal(verified.mismatches, 0);
    assert_int_equal(verified.events, events);
}

struct sum {
    uint64_t requests, other;
    size_t rows;
    char *text; /* path and requests of each, and the whole of the samples; may be NULL */
    size_t len;
};

static int add_row(void *ctx, const struct ps_stat_row *row)
{
    struct sum *sum = ctx;
    sum->requests += row->stat.requests;
    sum->rows++;
    if (ps_str_equal(row->path, PS_STR(OTHER)))
        sum->other = row->stat.requests;
    if (sum->text != NULL)
        sum->len += (size_t)snprintf(sum->text + sum->len, TEXT_MAX - sum->len, "%.*s %llu %.*s\n",
                                     (int)row->path.len, row->path.ptr,
                                     (unsigned long long)row->stat.requests,
                                     (int)row->stat.sample_keys.len, row->stat.sample_keys.ptr);
    return 0;
}

static struct sum sum_rows(struct world *w, char *text)
{
    struct ps_stats_query q = {.from_hour = INT32_MIN, .to_hour = INT32_MAX};
    struct sum sum = {.text = text};
    assert_int_equal(ps_store_stats(w->store, &q, add_row, &sum, NULL), 0);
    return sum;
}

static void expect_same_rows(struct world *a, struct world *b)
{
    char *x = calloc(1, TEXT_MAX), *y = calloc(1, TEXT_MAX);
    struct sum of_a = sum_rows(a, x), of_b = sum_rows(b, y);
    assert_int_equal(of_a.len, of_b.len);
    assert_memory_equal(x, y, of_a.len);
    free(x);
    free(y);
}

/* --- what it costs --- */

/* The next path after *serial whose hash is in the upper half, or the lower. */
static void next_path(int *serial, bool upper, char to[64])
{
    do
        snprintf(to, 64, "/n%d", ++*serial);
    while ((ps_hash64(to, strlen(to), 0) >> 63 != 0) != upper);
}

enum { FULL = PS_LOSERS_MAX + 800, SWAPPED = PS_LOSERS_MAX + 400 };

/* After a restart every new path takes the place of one whose aggregate is not in memory: the
 * hour's rows are read once to know its paths and once for each PS_LOSERS_MAX losers, and each
 * loser's own row once. */
static void swapping_paths_reads_each_row_a_few_times(void **state)
{
    struct world w;
    char path[64];
    int serial = 0;
    (void)state;
    begin(&w, "cost", FULL);
    for (int i = 0; i < FULL; i++) {
        next_path(&serial, true, path);
        send(&w, path, path);
    }
    drain(&w);
    restart(&w, FULL);
    for (int i = 0; i < SWAPPED; i++) {
        next_path(&serial, false, path);
        send(&w, path, path);
    }
    drain(&w);
    size_t passes = 1 + (SWAPPED + PS_LOSERS_MAX - 1) / PS_LOSERS_MAX;
    assert_in_range(read_so_far.rows, SWAPPED, passes * FULL + SWAPPED + 1);
    assert_in_range(read_so_far.whole, SWAPPED, SWAPPED + 1);
    struct sum sum = sum_rows(&w, NULL);
    assert_int_equal(sum.rows, FULL + 1);
    assert_int_equal(sum.other, SWAPPED);
    assert_int_equal(sum.requests, FULL + SWAPPED);
    end(&w);
}

/* A path that is counted again after a restart costs its own row, and the hour's paths once. */
static void a_known_path_costs_its_row(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "known", 1000);
    send_paths(&w, "a", 0, 500);
    restart(&w, 1000);
    send_paths(&w, "b", 0, 20);
    assert_int_equal(read_so_far.rows, 500 + 20);
    assert_int_equal(read_so_far.whole, 20);
    end(&w);
}

/* --- what a change of the limit does --- */

/* I2: an hour that was filled keeps its limit, so the rows are those of a world that had it always,
 * and verify says so whatever is configured by then. */
static void a_full_hour_keeps_its_limit(void **state)
{
    static const size_t later[] = {1000, 3};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(later); i++) {
        struct world always, changed;
        begin(&always, "always", 10);
        send_paths(&always, "a", 0, 60);
        send_paths(&always, "b", 20, 90);
        begin(&changed, "changed", 10);
        send_paths(&changed, "a", 0, 60);
        restart(&changed, later[i]);
        send_paths(&changed, "b", 20, 90);
        expect_verified(&changed, later[i], 130);
        expect_verified(&changed, 10, 130);
        expect_same_rows(&always, &changed);
        assert_int_equal(sum_rows(&changed, NULL).requests, 130);
        end(&always);
        end(&changed);
    }
}

/* I2: what is not full has no limit to keep. */
static void an_hour_with_room_takes_the_raised_limit(void **state)
{
    struct world always, changed;
    (void)state;
    begin(&always, "always", 30);
    send_paths(&always, "a", 0, 60);
    begin(&changed, "changed", 10);
    send_paths(&changed, "a", 0, 10); /* exactly as many as there may be: none is in the other */
    restart(&changed, 30);
    send_paths(&changed, "a", 10, 60);
    expect_verified(&changed, 30, 60);
    expect_same_rows(&always, &changed);
    end(&always);
    end(&changed);
}

/* I2: lowered, an hour keeps as many paths as it has by then, and again when it is raised. */
static void a_lowered_limit_takes_nothing_away(void **state)
{
    struct world always, changed;
    (void)state;
    begin(&always, "always", 20);
    send_paths(&always, "a", 0, 90);
    begin(&changed, "changed", 1000);
    send_paths(&changed, "a", 0, 20);
    expect_verified(&changed, 5, 20);
    restart(&changed, 5);
    send_paths(&changed, "a", 20, 50);
    restart(&changed, 1000);
    send_paths(&changed, "a", 50, 90);
    expect_verified(&changed, 1000, 90);
    expect_same_rows(&always, &changed);
    end(&always);
    end(&changed);
}

/* I2: events that were stored and not yet counted when the limit changed are counted under the
 * hour's, as if they had come later. */
static void pending_events_count_under_the_hours_limit(void **state)
{
    struct world always, changed;
    (void)state;
    begin(&always, "always", 10);
    send_paths(&always, "a", 0, 90);
    begin(&changed, "changed", 10);
    send_paths(&changed, "a", 0, 40);
    for (int i = 40; i < 90; i++) {
        char id[16], path[16];
        snprintf(id, sizeof id, "a%d", i);
        snprintf(path, sizeof path, "/p%d", i);
        send(&changed, id, path);
    }
    assert_int_equal(ps_queue_sync(changed.queue, NULL, NULL), 0);
    assert_int_equal(ps_aggregator_step(changed.aggregator, NULL), 50);
    expect_verified(&changed, 1000, 90);
    restart(&changed, 1000);
    assert_int_equal(ps_aggregator_flush(changed.aggregator, NULL), 0);
    expect_verified(&changed, 1000, 90);
    expect_same_rows(&always, &changed);
    end(&always);
    end(&changed);
}

struct kept {
    struct ps_event events[100];
    char texts[100][2][32];
    size_t count;
};

static int keep_event(void *ctx, const struct ps_event *event)
{
    struct kept *kept = ctx;
    size_t i = kept->count++;
    assert_true(i < PS_COUNT_OF(kept->events));
    snprintf(kept->texts[i][0], 32, "%.*s", (int)event->id.len, event->id.ptr);
    snprintf(kept->texts[i][1], 32, "%.*s", (int)event->path.len, event->path.ptr);
    kept->events[i] = *event;
    kept->events[i].id = (struct ps_str){kept->texts[i][0], event->id.len};
    kept->events[i].path = (struct ps_str){kept->texts[i][1], event->path.len};
    return 0;
}

/* Out of the store and back in, as an archive and a restore do it. */
static void clean_and_restore(struct world *w, struct kept *kept)
{
    struct ps_err e = {0};
    struct ps_ledger *ledger;
    struct ps_day day = {.day = ps_time_day(NOON), .state = PS_DAY_PENDING};
    assert_int_equal(ps_store_events(w->store, day.day, PS_ORDER_TIME, keep_event, kept, &e), 0);
    assert_int_equal(
        ps_ledger_open(ps_ledger_backend("mem"), &ledger, w->target, PS_STORE_WRITE, &e), 0);
    assert_int_equal(ps_ledger_mark(ledger, &day, PS_FROM_STATE(PS_DAY_OPEN), &e), 0);
    day.state = PS_DAY_COMPLETED;
    assert_int_equal(ps_ledger_mark(ledger, &day, PS_FROM_STATE(PS_DAY_PENDING), &e), 0);
    assert_int_equal(ps_ledger_clean(ledger, day.day, &e), 0);
    expect_verified(w, 1000, 0);
    /* Half of it: a restore that was interrupted. Nothing to be verified yet. */
    assert_int_equal(ps_ledger_restore(ledger, day.day, kept->events, kept->count / 2, false, &e),
                     0);
    expect_verified(w, 1000, 0);
    assert_int_equal(ps_ledger_restore(ledger, day.day, kept->events, kept->count, true, &e), 0);
    ps_ledger_close(ledger);
}

/* I2, I6: the events are gone with their archive, the rows stay; brought back under another limit,
 * the day goes on under its own. */
static void a_restored_day_keeps_its_limit(void **state)
{
    struct world always, changed;
    struct kept *kept = calloc(1, sizeof *kept);
    (void)state;
    begin(&always, "always", 10);
    send_paths(&always, "a", 0, 60);
    send_paths(&always, "b", 30, 70);
    begin(&changed, "changed", 10);
    send_paths(&changed, "a", 0, 60);
    clean_and_restore(&changed, kept);
    restart(&changed, 1000);
    expect_verified(&changed, 1000, 60);
    send_paths(&changed, "b", 30, 70);
    expect_verified(&changed, 1000, 100);
    expect_same_rows(&always, &changed);
    end(&always);
    end(&changed);
    free(kept);
}

/* --- what verify sees --- */

enum { ROW_TEXTS = 6, ROW_NUMBERS = 13 };

struct row_copy {
    struct ps_stat_row row;
    char path[32], bytes[ROW_TEXTS][PS_STAT_BYTES_MAX];
};

static struct ps_str *texts_of(struct ps_stat *stat, size_t i)
{
    struct ps_str *const texts[ROW_TEXTS] = {&stat->samples, &stat->sample_keys, &stat->clients,
                                             &stat->sketch,  &stat->methods,     &stat->statuses};
    return texts[i];
}

static uint64_t *numbers_of(struct ps_stat *stat, size_t i)
{
    uint64_t *const numbers[ROW_NUMBERS] = {
        &stat->requests, &stat->errors,      &stat->count_us,        &stat->sum_us, &stat->min_us,
        &stat->max_us,   &stat->unique_seen, &stat->unique_estimate, &stat->p50_us, &stat->p95_us,
        &stat->p99_us,   &stat->count_bytes, &stat->sum_bytes};
    return numbers[i];
}

static int copy_row(void *ctx, const struct ps_stat_row *row)
{
    struct row_copy *copy = ctx;
    copy->row = *row;
    snprintf(copy->path, sizeof copy->path, "%.*s", (int)row->path.len, row->path.ptr);
    copy->row.path.ptr = copy->path;
    for (size_t i = 0; i < ROW_TEXTS; i++) {
        struct ps_str *text = texts_of(&copy->row.stat, i);
        assert_true(text->len > 0);
        memcpy(copy->bytes[i], text->ptr, text->len);
        text->ptr = copy->bytes[i];
    }
    return 0;
}

static void send_full_row(struct world *w)
{
    for (int i = 0; i < PS_SAMPLE_MAX + 500; i++) { /* beyond the sample there is a sketch */
        uint8_t bytes[PS_EVENT_ENCODED_MAX];
        char id[32];
        int n = snprintf(id, sizeof id, "full%d", i);
        struct ps_event event = {.id = {id, (size_t)n},
                                 .path = PS_STR("/full"),
                                 .method = PS_STR("GET"),
                                 .timestamp_ms = NOON,
                                 .response_us = 1000 + i * 17,
                                 .client_hash = (uint64_t)i % 50 * UINT64_C(0x9e3779b97f4a7c15),
                                 .has_client = true,
                                 .status = i % 3 == 0 ? 500 : 200,
                                 .is_error = i % 3 == 0};
        struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
        assert_int_equal(ps_queue_append(w->queue, &record, 1, NULL), 0);
    }
    drain(w);
}

/* How many differences verify finds, or its failure. */
static int verify_row(struct world *w, const struct ps_stat_row *row)
{
    struct ps_verify_options options = {.max_paths_per_hour = 10};
    struct ps_verified verified;
    uint64_t position, watermark;
    assert_int_equal(ps_store_position(w->store, 0, &position, &watermark, NULL), 0);
    assert_int_equal(ps_store_settle(w->store, row, 1, 0, watermark, NOON, NULL), 0);
    int r = ps_verify(w->store, w->queue, &options, &verified, NULL);
    return r < 0 ? r : (int)verified.mismatches;
}

/* I1, I2: a change in any column of a row is a difference, or the row cannot be read. */
static void verify_sees_every_column(void **state)
{
    struct world w;
    struct row_copy *copy = calloc(1, sizeof *copy);
    struct ps_stats_query q = {.from_hour = 0, .to_hour = INT32_MAX, .path = PS_STR("/full")};
    (void)state;
    begin(&w, "columns", 10);
    send_full_row(&w);
    assert_int_equal(ps_store_stats(w.store, &q, copy_row, copy, NULL), 0);
    for (size_t i = 0; i < ROW_NUMBERS; i++) {
        ++*numbers_of(&copy->row.stat, i);
        int found = verify_row(&w, &copy->row);
        if (found != 1 && found != PS_ECORRUPT)
            fail_msg("number %zu: %d", i, found);
        --*numbers_of(&copy->row.stat, i);
    }
    for (size_t i = 0; i < ROW_TEXTS; i++) {
        char *last = &copy->bytes[i][texts_of(&copy->row.stat, i)->len - 1], was = *last;
        *last = was == '1' ? '2' : i == 0 || i >= 4 ? '1' : (char)(was + 1);
        int found = verify_row(&w, &copy->row);
        if (found != 1 && found != PS_ECORRUPT)
            fail_msg("text %zu: %d", i, found);
        *last = was;
    }
    /* A request from one bucket to another: as good a sketch as before, of other events. Pairs of a
     * gap and a count, a byte each towards the end. */
    char *sketch_end = copy->bytes[3] + copy->row.stat.sketch.len;
    sketch_end[-3]++;
    sketch_end[-5]--;
    assert_int_equal(verify_row(&w, &copy->row), 1);
    sketch_end[-3]--;
    sketch_end[-5]++;
    /* As many of another method, and of another code. */
    memcpy(copy->bytes[4], "PUT", 3);
    assert_int_equal(verify_row(&w, &copy->row), 1);
    memcpy(copy->bytes[4], "GET", 3);
    memcpy(copy->bytes[5], "201", 3);
    assert_int_equal(verify_row(&w, &copy->row), 1);
    memcpy(copy->bytes[5], "200", 3);
    assert_int_equal(verify_row(&w, &copy->row), 0);
    end(&w);
    free(copy);
}

/* --- settling --- */

/* A path that loses its place is written into the other at the next flush, although nothing else
 * was counted there. */
static void the_other_is_written_after_a_swap(void **state)
{
    struct world w;
    char path[64];
    int serial = 0;
    (void)state;
    begin(&w, "swap", 1);
    for (int round = 0; round < 3; round++) {
        next_path(&serial, round == 0, path);
        if (round == 2) /* smaller than the one before it */
            for (uint64_t last = ps_hash64(path, strlen(path), 0);
                 ps_hash64(path, strlen(path), 0) >= last;)
                next_path(&serial, false, path);
        send(&w, path, path);
        drain(&w);
        struct sum sum = sum_rows(&w, NULL);
        assert_int_equal(sum.other, round);
        assert_int_equal(sum.requests, round + 1);
        restart(&w, 1);
    }
    end(&w);
}

/* I4: rows that do not all fit one call are written together or not at all, and what went wrong is
 * told, not that something did. */
static void a_slice_that_fails_takes_the_others_along(void **state)
{
    struct world w;
    struct ps_err e = {0};
    (void)state;
    begin(&w, "slices", 10000);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "/s%d", i);
        send(&w, text, text);
    }
    assert_int_equal(ps_queue_sync(w.queue, NULL, NULL), 0);
    while (ps_aggregator_step(w.aggregator, &e) > 0)
        continue;
    faults.settle_passes = 2;
    faults.settle_fails = 1;
    assert_int_equal(ps_aggregator_flush(w.aggregator, &e), PS_EIO);
    assert_string_equal(e.text, "injected: settle");
    assert_int_equal(sum_rows(&w, NULL).rows, 0);
    drain(&w);
    assert_int_equal(sum_rows(&w, NULL).requests, 1000);
    expect_verified(&w, 10000, 1000);
    end(&w);
}

/* --- the set of hashes --- */

static int compare_u64(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

/* Against a sorted array. Few low bits, so that probe sequences run into each other and every
 * removal leaves a gap in one. */
static void the_set_is_the_smallest_hashes(void **state) /* I2 */
{
    enum { LIMIT = 40, TRIES = 3000 };
    uint64_t kept[LIMIT + 1], chance = 20251015;
    size_t count = 0;
    struct ps_hour h;
    (void)state;
    ps_hour_init(&h, 1);
    h.limit = LIMIT;
    for (int i = 0; i < TRIES; i++) {
        chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t hash = ((chance >> 40) % 5000 + 1) * 4096 + (chance >> 33) % 12, loser = 0;
        bool known = bsearch(&hash, kept, count, sizeof hash, compare_u64) != NULL;
        int admission = ps_hour_admit(&h, hash, &loser);
        if (known) {
            assert_int_equal(admission, PS_ADMIT_KNOWN);
            continue;
        }
        kept[count++] = hash;
        qsort(kept, count, sizeof *kept, compare_u64);
        if (count <= LIMIT) {
            assert_int_equal(admission, PS_ADMIT_NEW);
            continue;
        }
        count = LIMIT;
        assert_int_equal(admission, kept[LIMIT] == hash ? PS_ADMIT_OTHER : PS_ADMIT_SWAP);
        if (admission == PS_ADMIT_SWAP)
            assert_true(loser == kept[LIMIT]);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(ps_hour_admit(&h, kept[k], &loser), PS_ADMIT_KNOWN);
    }
    ps_hour_done(&h);
}

/* --- its memory --- */

static void count_path(struct ps_cache *c, int i)
{
    char path[64];
    struct ps_err e = {0};
    snprintf(path, sizeof path, "/p%d", i);
    struct ps_event event = {.id = PS_STR("x"),
                             .path = {path, strlen(path)},
                             .timestamp_ms = NOON,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = 200,
                             .is_error = 0};
    if (ps_cache_count(c, &event, &e) < 0)
        fail_msg("count: %s", e.text);
}

static void settle(struct ps_cache *c)
{
    struct ps_err e = {0};
    if (ps_cache_settle(c, 0, 0, NOON, &e) < 0)
        fail_msg("settle: %s", e.text);
}

/* I8: also when all of it was used just now. */
static void what_is_too_much_goes_once_it_is_written(void **state)
{
    enum { PATHS = 2000 };
    struct world w;
    struct ps_cache *c;
    (void)state;
    begin(&w, "memory", PATHS);
    assert_int_equal(ps_cache_open(&c, w.store, 64 << 10, PATHS, NULL), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PATHS; i++)
            count_path(c, i);
        assert_true(ps_cache_is_full(c));
        settle(c);
        assert_false(ps_cache_is_full(c));
    }
    ps_cache_close(c);
    assert_int_equal(sum_rows(&w, NULL).requests, 3 * PATHS);
    end(&w);
}

/* When memory gets short, what was counted since the last settle stays, and its rows are not read
 * again. */
static void what_was_used_lately_stays(void **state)
{
    enum { BYTES = 1 << 20, BUSY = 20 };
    struct world w;
    struct ps_cache *c;
    int fit = 0;
    (void)state;
    begin(&w, "lately", 100000);
    assert_int_equal(ps_cache_open(&c, w.store, BYTES, 100000, NULL), 0);
    while (!ps_cache_is_full(c))
        count_path(c, fit++);
    ps_cache_clear(c);
    for (int i = 0; i < fit * 4 / 10; i++)
        count_path(c, i);
    settle(c);
    for (int i = 0; i < BUSY; i++)
        count_path(c, i);
    for (int i = 0; i < fit * 3 / 10; i++)
        count_path(c, fit + i);
    settle(c); /* more than half is in use */
    read_so_far.whole = 0;
    for (int i = 0; i < BUSY; i++)
        count_path(c, i);
    assert_int_equal(read_so_far.whole, 0);
    count_path(c, BUSY);
    assert_int_equal(read_so_far.whole, 1);
    ps_cache_close(c);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swapping_paths_reads_each_row_a_few_times),
        cmocka_unit_test(a_known_path_costs_its_row),
        cmocka_unit_test(a_full_hour_keeps_its_limit),
        cmocka_unit_test(an_hour_with_room_takes_the_raised_limit),
        cmocka_unit_test(a_lowered_limit_takes_nothing_away),
        cmocka_unit_test(pending_events_count_under_the_hours_limit),
        cmocka_unit_test(a_restored_day_keeps_its_limit),
        cmocka_unit_test(verify_sees_every_column),
        cmocka_unit_test(the_other_is_written_after_a_swap),
        cmocka_unit_test(a_slice_that_fails_takes_the_others_along),
        cmocka_unit_test(the_set_is_the_smallest_hashes),
        cmocka_unit_test(what_is_too_much_goes_once_it_is_written),
        cmocka_unit_test(what_was_used_lately_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
