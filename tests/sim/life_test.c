/* life_test.c - thirty days of triggers in a few seconds, through a year's end and a leap day.
 *
 * The clock is turned by hand, a minute at a time. Events arrive every hour through queue and
 * aggregator; the three jobs run by the expressions that are the defaults. At every midnight the
 * store must hold exactly the days that are hot. Dates and keys are made with the C library here,
 * so that our own calendar is not its own witness.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include "cron/jobs.h"
#include "flow/aggregator.h"
#include "flow/archive.h"
#include "flow/capacity.h"
#include "flow/snapshot.h"

#include <time.h>

enum {
    DAYS = 30,
    RETENTION = 3,
    /* Archived at two in the morning, when older than the retention: four days stay at midnight. */
    HOT_AT_MIDNIGHT = RETENTION + 1,
    ARCHIVED = DAYS - HOT_AT_MIDNIGHT,
    ARRIVAL_MINUTE = 30,
    LATE_HOURS = 25,
};

enum { ARCHIVE, SNAPSHOT, CAPACITY, JOBS };

static const char *const names[JOBS] = {"archive", "snapshot", "capacity"};
static const char *const expressions[JOBS] = {"0 2 * * *", "*/5 * * * *", "0 */6 * * *"};

struct sim {
    struct place place;
    struct ps_clock_manual clock;
    int64_t start_ms;
    int32_t first_day;
    struct ps_store *store, *reader;
    struct ps_ledger *ledger;
    struct ps_objects *objects;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_aggregator *aggregator;
    struct ps_archiver archiver;
    struct ps_jobs *jobs;
    int started[JOBS], finished[JOBS];
    int cleans[DAYS];      /* of each day since the first */
    uint64_t events[DAYS]; /* that arrived for it */
    uint64_t arrived, version;
};

static void text_of(char *to, size_t n, const char *format, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    assert_non_null(gmtime_r(&seconds, &tm));
    assert_true(strftime(to, n, format, &tm) > 0);
}

/* --- the jobs --- */

static int note_clean(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    struct sim *s = ctx;
    int index = day - s->first_day;
    if (phase != PS_PHASE_CLEAN)
        return 0;
    assert_in_range(index, 0, DAYS - 1);
    s->cleans[index]++;
    assert_int_equal(done, s->events[index]);
    return 0;
}

static int run_archive(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct sim *s = ctx;
    struct ps_archived sum = {0};
    char time[16];
    text_of(time, sizeof time, "%H:%M", scheduled_ms);
    assert_string_equal(time, "02:00");
    int r = ps_archive_run(&s->archiver, &sum, e);
    ps_buf_format(detail, "%d", sum.day);
    assert_int_equal(sum.day, s->started[ARCHIVE] > RETENTION + 1 ? 1 : 0); /* one leaves a day */
    return r;
}

static int run_snapshot(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct sim *s = ctx;
    uint64_t before = s->version;
    (void)detail;
    assert_int_equal(scheduled_ms % 300000, 0);
    int r = ps_snapshot_refresh(s->reader, s->kv, &s->clock.clock, 100, &s->version, e);
    assert_true(r < 0 || s->version > before);
    return r;
}

static int run_capacity(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct sim *s = ctx;
    struct ps_capacity_config config = {.store = s->reader,
                                        .ledger = s->ledger,
                                        .queue = s->queue,
                                        .kv = s->kv,
                                        .clock = &s->clock.clock,
                                        .max_db_bytes = UINT64_C(10) << 30};
    struct ps_capacity m;
    (void)detail;
    assert_int_equal(scheduled_ms % (6 * PS_MS_PER_HOUR), 0);
    int r = ps_capacity_measure(&config, &m, e);
    assert_int_equal(m.level, 0);
    return r < 0 ? r : ps_capacity_remember(&config, &m, e);
}

static int64_t tell_now(void *ctx)
{
    return ((struct sim *)ctx)->clock.now_ms;
}

/* The id says the job; the ledger's own is made of two. Snapshots are too many to be recorded on a
 * disk that is synced each time: they are counted only. */
static int record_start(void *ctx, const char *job, int64_t scheduled_ms, int64_t started_ms,
                        int64_t *ret_id, struct ps_err *e)
{
    struct sim *s = ctx;
    struct ps_run run = {
        .job = {job, strlen(job)}, .scheduled_ms = scheduled_ms, .started_ms = started_ms};
    int64_t id = 0;
    int which = 0;
    while (strcmp(names[which], job) != 0)
        which++;
    assert_int_equal(scheduled_ms, started_ms); /* on the minute */
    s->started[which]++;
    int r = which == SNAPSHOT ? 0 : ps_ledger_run_started(s->ledger, &run, &id, e);
    *ret_id = id * JOBS + which;
    return r;
}

static void record_end(void *ctx, int64_t id, int64_t finished_ms, int code, struct ps_str detail)
{
    struct sim *s = ctx;
    int which = (int)(id % JOBS);
    if (code < 0)
        fail_msg("%s: %.*s", names[which], (int)detail.len, detail.ptr);
    s->finished[which]++;
    struct ps_run run = {
        .id = id / JOBS, .finished_ms = finished_ms, .outcome = PS_STR("ok"), .detail = detail};
    if (which != SNAPSHOT)
        OK(ps_ledger_run_finished(s->ledger, &run, &test_err));
}

static void open_jobs(struct sim *s)
{
    static int (*const runs[JOBS])(void *, int64_t, struct ps_buf *,
                                   struct ps_err *) = {run_archive, run_snapshot, run_capacity};
    struct ps_job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct ps_job){.name = names[i], .enabled = true, .run = runs[i], .ctx = s};
        OK(ps_cron_parse(&jobs[i].when, expressions[i], &test_err));
    }
    struct ps_jobs_config config = {
        .jobs = jobs,
        .n = JOBS,
        .hooks = {.ctx = s, .now_ms = tell_now, .started = record_start, .finished = record_end}};
    OK(ps_jobs_open(&s->jobs, &config, &test_err));
}

/* --- the world --- */

static void open_ports(struct sim *s, const struct backend *b)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 20, 0};
    char folder[PLACE_PATH_MAX + 32];
    const char *target = s->place.target;
    snprintf(folder, sizeof folder, "%s/objects", s->place.folder);
    struct ps_objects_config objects = {.target = folder};
    OK(ps_store_open(b->ops, &s->store, target, PS_STORE_WRITE, &test_err));
    OK(ps_store_open(b->ops, &s->reader, target, PS_STORE_READ, &test_err));
    OK(ps_ledger_open(ps_ledger_backend(b->ops->name), &s->ledger, target, PS_STORE_WRITE,
                      &test_err));
    OK(ps_objects_open(&ps_objects_dir, &s->objects, &objects, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &s->queue, target, PS_QUEUE_WRITE, &limits, &test_err));
    OK(ps_kv_open(&ps_kv_mem, &s->kv, target, false, &test_err));
}

static struct sim *open_sim(const struct backend *b, const char *date)
{
    struct sim *s = calloc(1, sizeof *s);
    struct tm tm = {0};
    assert_non_null(strptime(date, "%Y-%m-%d", &tm));
    s->start_ms = (int64_t)timegm(&tm) * 1000;
    s->first_day = (int32_t)(s->start_ms / PS_MS_PER_DAY);
    ps_clock_manual_init(&s->clock, s->start_ms);
    place_make(&s->place, b->leaf);
    open_ports(s, b);
    struct ps_aggregator_config config = {.store = s->store,
                                          .queue = s->queue,
                                          .clock = &s->clock.clock,
                                          .batch_events = 1000,
                                          .max_retries = 1,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 16 << 20,
                                          .max_paths_per_hour = 1000};
    OK(ps_aggregator_open(&s->aggregator, &config, &test_err));
    s->archiver = (struct ps_archiver){.store = s->reader,
                                       .ledger = s->ledger,
                                       .objects = s->objects,
                                       .clock = &s->clock.clock,
                                       .retention_days = RETENTION,
                                       .progress = note_clean,
                                       .ctx = s};
    open_jobs(s);
    return s;
}

static void close_sim(struct sim *s)
{
    ps_jobs_close(s->jobs);
    ps_aggregator_close(s->aggregator);
    ps_kv_close(s->kv);
    ps_queue_close(s->queue);
    ps_objects_close(s->objects);
    ps_ledger_close(s->ledger);
    ps_store_close(s->reader);
    ps_store_close(s->store);
    place_remove(&s->place);
    free(s);
}

/* --- what arrives --- */

static void send_event(struct sim *s, int64_t timestamp_ms, unsigned number)
{
    char id[64], path[32];
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    snprintf(id, sizeof id, "%013lld-%016x", (long long)timestamp_ms, number);
    snprintf(path, sizeof path, "/%u", number % 3);
    struct ps_event event = {.id = {id, strlen(id)},
                             .path = {path, strlen(path)},
                             .method = PS_STR("GET"),
                             .timestamp_ms = timestamp_ms,
                             .response_us = 1000 * number,
                             .status = 200,
                             .is_error = 0};
    struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
    OK(ps_queue_append(s->queue, &record, 1, &test_err));
}

static void expect_counted(struct sim *s, int64_t timestamp_ms)
{
    s->events[ps_time_day(timestamp_ms) - s->first_day]++;
    s->arrived++;
}

/* One to three of this hour, one of yesterday, and one that was there already (I1). */
static void let_events_arrive(struct sim *s)
{
    int64_t now = s->clock.now_ms;
    unsigned hour = (unsigned)((now - s->start_ms) / PS_MS_PER_HOUR);
    for (unsigned i = 0; i <= hour % 3; i++) {
        send_event(s, now - i, i);
        expect_counted(s, now - i);
    }
    if (hour >= LATE_HOURS) {
        send_event(s, now - LATE_HOURS * PS_MS_PER_HOUR, 100);
        expect_counted(s, now - LATE_HOURS * PS_MS_PER_HOUR);
    }
    if (hour >= 1)
        send_event(s, now - PS_MS_PER_HOUR, 0);
    OK(ps_queue_sync(s->queue, NULL, &test_err));
    OK(ps_aggregator_drain(s->aggregator, &test_err));
}

/* --- what must be so --- */

struct hot {
    int32_t days[DAYS + 1];
    size_t count;
};

static int note_hot(void *ctx, const struct ps_day *day)
{
    struct hot *hot = ctx;
    if (!day->stored)
        assert_int_equal(day->state, PS_DAY_CLEANED);
    else
        assert_int_equal(day->state, PS_DAY_OPEN);
    if (day->stored && hot->count <= DAYS)
        hot->days[hot->count++] = day->day;
    return 0;
}

static void expect_hot_days(struct sim *s, int passed)
{
    struct hot hot = {.count = 0};
    int expected = passed < HOT_AT_MIDNIGHT ? passed : HOT_AT_MIDNIGHT;
    OK(ps_store_days(s->reader, note_hot, &hot, &test_err));
    assert_int_equal(hot.count, expected);
    for (int i = 0; i < expected; i++)
        assert_int_equal(hot.days[i], s->first_day + passed - expected + i);
}

static int check_archived_day(void *ctx, const struct ps_day *day)
{
    struct sim *s = ctx;
    int index = day->day - s->first_day;
    char key[64];
    if (day->stored)
        return 0;
    text_of(key, sizeof key, "events-archive/%Y/%m/%Y-%m-%d.jsonl.gz",
            s->start_ms + index * PS_MS_PER_DAY);
    assert_in_range(index, 0, ARCHIVED - 1);
    assert_int_equal(day->object.len, strlen(key));
    assert_memory_equal(day->object.ptr, key, day->object.len);
    assert_int_equal(day->record_count, s->events[index]);
    assert_int_equal(day->archived_at_ms,
                     s->start_ms + (index + RETENTION + 1) * PS_MS_PER_DAY + 2 * PS_MS_PER_HOUR);
    return 0;
}

struct listing {
    struct sim *sim;
    int count;
};

static int check_object(void *ctx, const struct ps_object_info *info)
{
    struct listing *l = ctx;
    char key[64];
    text_of(key, sizeof key, "events-archive/%Y/%m/%Y-%m-%d.jsonl.gz",
            l->sim->start_ms + l->count * PS_MS_PER_DAY);
    assert_int_equal(info->key.len, strlen(key));
    assert_memory_equal(info->key.ptr, key, info->key.len);
    l->count++;
    return 0;
}

static void expect_archives(struct sim *s)
{
    struct listing listing = {s, 0};
    struct ps_archived read;
    uint64_t sum = 0;
    OK(ps_store_days(s->reader, check_archived_day, s, &test_err));
    OK(ps_objects_list(s->objects, "", check_object, &listing, &test_err));
    assert_int_equal(listing.count, ARCHIVED);
    for (int i = 0; i < DAYS; i++) {
        assert_int_equal(s->cleans[i], i < ARCHIVED ? 1 : 0);
        if (i >= ARCHIVED)
            continue;
        OK(ps_archive_read(&s->archiver, s->first_day + i, NULL, NULL, &read, &test_err));
        sum += read.events;
    }
    for (int32_t i = ARCHIVED; i < DAYS; i++) {
        size_t n = 0;
        OK(ps_store_events(s->reader, s->first_day + i, PS_ORDER_ANY, count_event, &n, &test_err));
        sum += n;
    }
    assert_int_equal(sum, s->arrived); /* objects and store together hold each event once */
}

struct rows {
    int32_t hour; /* the next that must come, or the one that came last */
    uint64_t requests;
    int hours;
};

static int note_row(void *ctx, const struct ps_stat_row *row)
{
    struct rows *rows = ctx;
    if (row->hour != rows->hour) {
        assert_int_equal(row->hour, rows->hour + 1);
        rows->hour = row->hour;
        rows->hours++;
    }
    rows->requests += row->stat.requests;
    return 0;
}

/* Of every hour there was, archived or not. */
static void expect_statistics(struct sim *s)
{
    struct rows rows = {.hour = s->first_day * 24 - 1};
    OK(ps_store_stats(s->reader, &every_row, note_row, &rows, &test_err));
    assert_int_equal(rows.hours, DAYS * 24);
    assert_int_equal(rows.requests, s->arrived);
}

static int count_ok(void *ctx, const struct ps_run *run)
{
    assert_true(run->finished_ms >= run->started_ms);
    assert_true(ps_str_equal(run->outcome, PS_STR("ok")));
    ++*(int *)ctx;
    return 0;
}

static void expect_runs(struct sim *s)
{
    static const int expected[JOBS] = {DAYS, DAYS * 24 * 12, DAYS * 4};
    for (int i = 0; i < JOBS; i++) {
        struct ps_str job = {names[i], strlen(names[i])};
        int recorded = 0;
        assert_int_equal(s->started[i], expected[i]);
        assert_int_equal(s->finished[i], expected[i]);
        OK(ps_ledger_runs(s->ledger, job, 100000, count_ok, &recorded, &test_err));
        assert_int_equal(recorded, i == SNAPSHOT ? 0 : expected[i]);
    }
}

static void expect_kv(struct sim *s)
{
    struct ps_snapshot_pointer pointer;
    struct ps_buf text;
    int lines = 0;
    OK(ps_snapshot_pointer(s->kv, s->clock.now_ms, &pointer, &test_err));
    assert_int_equal(pointer.version, s->version);
    ps_buf_init(&text, PS_KV_VALUE_MAX);
    OK(ps_kv_get(s->kv, PS_STR(PS_CAPACITY_HISTORY_KEY), s->clock.now_ms, &text, &test_err));
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    assert_int_equal(lines, PS_CAPACITY_HISTORY_DAYS * 4 + 1);
    ps_buf_done(&text);
}

static void live_for_thirty_days(const struct backend *b, const char *date)
{
    struct sim *s = open_sim(b, date);
    for (int minute = 1; minute <= DAYS * 24 * 60; minute++) {
        s->clock.now_ms = s->start_ms + minute * PS_MS_PER_MINUTE;
        int64_t next = ps_jobs_step(s->jobs, s->clock.now_ms);
        assert_int_equal(next, (s->clock.now_ms / 300000 + 1) * 300000);
        if (minute % 60 == ARRIVAL_MINUTE)
            let_events_arrive(s);
        if (minute % (24 * 60) == 0)
            expect_hot_days(s, minute / (24 * 60));
    }
    expect_runs(s);
    expect_archives(s);
    expect_statistics(s);
    expect_kv(s);
    struct ps_queue_info info;
    OK(ps_queue_info(s->queue, &info, &test_err));
    assert_int_equal(info.dead_letters, 0);
    close_sim(s);
}

static void through_the_end_of_a_year(void **state)
{
    live_for_thirty_days(*state, "2027-12-15");
}

static void through_a_leap_day(void **state)
{
    live_for_thirty_days(*state, "2028-02-15");
}

static const struct contract_case cases[] = {
    {"thirty days through the end of a year", through_the_end_of_a_year},
    {"thirty days through a leap day", through_a_leap_day},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(store_backends); i++)
        failed += run_contract("life", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), NULL, NULL);
    return failed;
}
