/* keeper_test.c - a real keeper on a real data directory: orders, triggers, and its end.
 *
 * Its clock is turned by hand. It looks at the clock at least once a second of real time, so what a
 * trigger does is waited for, with patience and an end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include "cron/expr.h"
#include "daemon/keeper.h"
#include "flow/archive.h"
#include "flow/snapshot.h"
#include "flow/steady.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

enum { OLD = DAY - 10, FEW = 20, RETENTION = 3, PATIENCE_S = 30, ANSWERS_MAX = 128 };

struct house {
    struct place place;
    struct ps_config config;
    struct ps_datadir dir;
    struct ps_clock_manual clock;
    struct ps_clock *keepers; /* its clock; that one unless a test takes another */
    struct ps_troubles troubles;
    struct ps_aggregator_counters counters;
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_keeper *keeper;
    struct ps_commit *commit; /* NULL in most tests */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int answers;
    bool gate_is_shut, is_at_the_gate;
    int codes[ANSWERS_MAX];
    char last[1024];
};

/* --- the house --- */

static int open_house(void **state)
{
    static const struct ps_queue_limits limits = {1 << 20, 1 << 16, 1 << 16, 0};
    struct house *h = calloc(1, sizeof *h);
    place_make(&h->place, "kv");
    ps_clock_manual_init(&h->clock, NOON);
    h->keepers = &h->clock.clock;
    ps_troubles_init(&h->troubles, &h->clock.clock, NULL, NULL);
    ps_config_init(&h->config);
    OK(ps_config_set(&h->config, "data_dir", h->place.folder, PS_FROM_FLAG, &test_err));
    OK(ps_datadir_init(&h->dir, h->place.folder, &test_err));
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->answered, NULL);
    OK(ps_store_open(&ps_store_sqlite, &h->store, h->dir.database, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_open(&ps_ledger_sqlite, &h->ledger, h->dir.database, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &h->queue, h->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    OK(ps_kv_open(&ps_kv_mem, &h->kv, h->place.target, false, &test_err));
    *state = h;
    return 0;
}

static int close_house(void **state)
{
    struct house *h = *state;
    ps_keeper_close(h->keeper);
    if (h->commit != NULL)
        ps_commit_close(h->commit);
    ps_kv_close(h->kv);
    ps_queue_close(h->queue);
    ps_ledger_close(h->ledger);
    ps_store_close(h->store);
    ps_troubles_done(&h->troubles);
    pthread_cond_destroy(&h->answered);
    pthread_mutex_destroy(&h->lock);
    place_remove(&h->place);
    free(h);
    return 0;
}

static int try_keeper(struct house *h)
{
    struct ps_keeper_config config = {.config = &h->config,
                                      .dir = &h->dir,
                                      .queue = h->queue,
                                      .commit = h->commit,
                                      .kv = h->kv,
                                      .clock = h->keepers,
                                      .troubles = &h->troubles,
                                      .aggregator = &h->counters};
    return ps_keeper_open(&h->keeper, &config, &test_err);
}

static void open_keeper(struct house *h)
{
    OK(try_keeper(h));
}

static void store_events(struct house *h, int32_t day)
{
    struct ps_event events[FEW];
    char ids[FEW][64];
    uint32_t order[FEW];
    struct ps_sort_key scratch[2 * FEW];
    uint8_t outcomes[FEW];
    uint64_t position, watermark;
    for (int i = 0; i < FEW; i++) {
        int64_t at = (int64_t)day * PS_MS_PER_DAY + i;
        int n = snprintf(ids[i], sizeof ids[i], "%013lld-%016x", (long long)at, i);
        events[i] = (struct ps_event){.id = {ids[i], (size_t)n},
                                      .path = PS_STR("/"),
                                      .timestamp_ms = at,
                                      .response_us = PS_ABSENT,
                                      .response_bytes = PS_ABSENT,
                                      .status = PS_ABSENT,
                                      .is_error = PS_ABSENT};
    }
    OK(ps_store_position(h->store, 0, &position, &watermark, &test_err));
    ps_batch_sort(events, FEW, order, scratch);
    struct ps_batch batch = {.events = events,
                             .count = FEW,
                             .order = order,
                             .first_position = position,
                             .next_position = position + FEW};
    struct ps_applied applied = {.outcomes = outcomes};
    OK(ps_store_apply(h->store, &batch, &applied, &test_err));
    assert_int_equal(applied.fresh, FEW);
}

struct seen {
    int32_t day;
    enum ps_day_state state;
};

static int see_day(void *ctx, const struct ps_day *day)
{
    struct seen *seen = ctx;
    if (day->day == seen->day)
        seen->state = day->state;
    return 0;
}

static enum ps_day_state state_of(struct house *h, int32_t day)
{
    struct seen seen = {day, PS_DAY_OPEN};
    OK(ps_store_days(h->store, see_day, &seen, &test_err));
    return seen.state;
}

static int dump_run(void *to, const struct ps_run *run)
{
    ps_buf_format(to, "%.*s %.*s %lld\n", (int)run->job.len, run->job.ptr, (int)run->outcome.len,
                  run->outcome.ptr, (long long)run->scheduled_ms);
    return 0;
}

/* --- waiting --- */

static struct timespec in_seconds(int seconds, long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += seconds;
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void breathe(struct house *h)
{
    struct timespec until = in_seconds(0, 5);
    pthread_mutex_lock(&h->lock);
    pthread_cond_timedwait(&h->answered, &h->lock, &until);
    pthread_mutex_unlock(&h->lock);
}

static bool patience_left(time_t *until)
{
    if (*until == 0)
        *until = time(NULL) + PATIENCE_S;
    return time(NULL) < *until;
}

#define WAIT_FOR(h, condition)                                                                     \
    do {                                                                                           \
        time_t until_ = 0;                                                                         \
        while (!(condition) && patience_left(&until_))                                             \
            breathe(h);                                                                            \
        assert_true(condition);                                                                    \
    } while (0)

/* --- orders --- */

static void take_answer(void *ctx, int code, const char *text)
{
    struct house *h = ctx;
    pthread_mutex_lock(&h->lock);
    while (h->gate_is_shut && code != PS_ESTOP) {
        h->is_at_the_gate = true;
        pthread_cond_broadcast(&h->answered);
        pthread_cond_wait(&h->answered, &h->lock);
    }
    h->codes[h->answers++ % ANSWERS_MAX] = code;
    snprintf(h->last, sizeof h->last, "%s", text);
    pthread_cond_broadcast(&h->answered);
    pthread_mutex_unlock(&h->lock);
}

static void await_answers(struct house *h, int count)
{
    struct timespec until = in_seconds(PATIENCE_S, 0);
    pthread_mutex_lock(&h->lock);
    int r = 0;
    while (h->answers < count && r == 0)
        r = pthread_cond_timedwait(&h->answered, &h->lock, &until);
    pthread_mutex_unlock(&h->lock);
    assert_int_equal(r, 0);
}

static int order_archive(struct house *h, int32_t day)
{
    int before = h->answers;
    OK(ps_keeper_archive(h->keeper, day, take_answer, h, &test_err));
    await_answers(h, before + 1);
    assert_int_equal(h->answers, before + 1);
    return h->codes[before];
}

static void orders_are_answered(void **state)
{
    struct house *h = *state;
    store_events(h, OLD);
    store_events(h, DAY);
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD), 0);
    json_t *j = json_loads(h->last, 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "date")), "2025-10-05");
    assert_int_equal(json_integer_value(json_object_get(j, "events")), FEW);
    assert_true(json_integer_value(json_object_get(j, "objectBytes")) > 0);
    json_decref(j);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    assert_int_equal(order_archive(h, OLD), PS_EEXIST);
    assert_non_null(strstr(h->last, "already"));
    assert_int_equal(order_archive(h, DAY), PS_EINVAL);
    assert_non_null(strstr(h->last, "too young"));
    assert_int_equal(order_archive(h, OLD - 1), PS_ENOENT);
    assert_non_null(strstr(h->last, "no events"));
    /* What makes no sense is no run. */
    EXPECT_TEXT("archive ok 1760529600000\n",
                ps_ledger_runs(h->ledger, PS_STR_NONE, 10, dump_run, &got, &test_err));
}

static void a_failing_order_says_why(void **state)
{
    struct house *h = *state;
    char file[PLACE_PATH_MAX + 64];
    store_events(h, OLD);
    open_keeper(h);
    /* A file where a folder is wanted. */
    snprintf(file, sizeof file, "%s/objects/events-archive", h->place.folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    int code = order_archive(h, OLD);
    assert_true(code < 0 && code != PS_ESTOP);
    assert_non_null(strstr(h->last, "events-archive"));
    assert_int_equal(state_of(h, OLD), PS_DAY_FAILED);
    assert_int_equal(remove(file), 0);
    assert_int_equal(order_archive(h, OLD), 0);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    struct ps_buf runs;
    dump_init(&runs);
    OK(ps_ledger_runs(h->ledger, PS_STR("archive"), 10, dump_run, &runs, &test_err));
    dump_end(&runs);
    assert_ptr_equal(strstr(runs.ptr, "archive ok"), runs.ptr);
    assert_non_null(strstr(runs.ptr, ps_code_name(code)));
    ps_buf_done(&runs);
}

/* A disk that is full is full for the ledger too: the failure is written down once it can be, and
 * until then the day waits pending. */
static void a_failure_is_written_down_later(void **state)
{
    struct house *h = *state;
    char file[PLACE_PATH_MAX + 64];
    store_events(h, OLD);
    open_keeper(h);
    snprintf(file, sizeof file, "%s/objects/events-archive", h->place.folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    run_sql(h->dir.database,
            "CREATE TRIGGER no_room BEFORE INSERT ON archive_metadata WHEN NEW.status = 'failed'"
            " BEGIN SELECT RAISE(ABORT, 'no room'); END");
    assert_true(order_archive(h, OLD) < 0);
    assert_int_equal(state_of(h, OLD), PS_DAY_PENDING);
    run_sql(h->dir.database, "DROP TRIGGER no_room");
    WAIT_FOR(h, state_of(h, OLD) == PS_DAY_FAILED);
    assert_int_equal(remove(file), 0);
    assert_int_equal(order_archive(h, OLD), 0);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
}

static void a_snapshot_is_made_on_order(void **state)
{
    struct house *h = *state;
    struct ps_snapshot_pointer pointer;
    char expected[64];
    open_keeper(h);
    OK(ps_keeper_snapshot(h->keeper, take_answer, h, &test_err));
    await_answers(h, 1);
    assert_int_equal(h->codes[0], 0);
    OK(ps_snapshot_pointer(h->kv, NOON, &pointer, &test_err));
    snprintf(expected, sizeof expected, "{\"version\":%llu}", (unsigned long long)pointer.version);
    assert_string_equal(h->last, expected);
}

/* --- dead letters --- */

/* As store_events has it; a number from FEW on was never stored. */
static void bury_letter(struct house *h, int32_t day, unsigned number, uint64_t position)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    char id[64];
    int64_t at = (int64_t)day * PS_MS_PER_DAY + number;
    int n = snprintf(id, sizeof id, "%013lld-%016x", (long long)at, number);
    struct ps_event event = {.id = {id, (size_t)n},
                             .path = PS_STR("/"),
                             .timestamp_ms = at,
                             .response_us = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    struct ps_dead_letter letter = {.position = position,
                                    .why = PS_REJECT_CLOSED_DAY,
                                    .text = PS_STR(""),
                                    .bytes = bytes,
                                    .len = ps_event_encode(&event, bytes)};
    OK(ps_queue_bury(h->queue, &letter, 1, &test_err));
}

static uint64_t letters(struct house *h)
{
    struct ps_queue_info info;
    OK(ps_queue_info(h->queue, &info, &test_err));
    return info.dead_letters;
}

static int list_position(void *to, const struct ps_dead_letter *letter)
{
    return ps_buf_format(to, "%llu ", (unsigned long long)letter->position);
}

/* I1, I6: what the archive of its day holds is a duplicate and leaves; the others stay. */
static void duplicates_leave_the_dead_letters(void **state)
{
    struct house *h = *state;
    store_events(h, OLD);
    bury_letter(h, OLD, 3, 1); /* before the day is closed */
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD), 0);
    h->clock.now_ms += 60000;
    WAIT_FOR(h, letters(h) == 0);
    bury_letter(h, OLD, 5, 10);
    bury_letter(h, OLD, FEW, 11);
    bury_letter(h, OLD - 1, 5, 12); /* no archive of that day */
    bury_letter(h, OLD, FEW - 1, 13);
    for (int i = 0; i < 3; i++) { /* it looks now and then, not in each round */
        int before = h->answers;
        OK(ps_keeper_snapshot(h->keeper, take_answer, h, &test_err));
        await_answers(h, before + 1);
    }
    assert_int_equal(letters(h), 4);
    h->clock.now_ms += 60000;
    WAIT_FOR(h, letters(h) == 2);
    EXPECT_TEXT("11 12 ", ps_queue_dead(h->queue, list_position, &got, &test_err));
}

/* Its archive is away for a while: the letters wait, that is told, and then they are looked up. */
static void letters_wait_for_their_archive(void **state)
{
    struct house *h = *state;
    struct ps_trouble_state trouble;
    char key[PS_ARCHIVE_KEY_BYTES], object[PLACE_PATH_MAX + 128], away[PLACE_PATH_MAX + 128];
    store_events(h, OLD);
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD), 0);
    ps_archive_key(key, OLD);
    snprintf(object, sizeof object, "%s/objects/%s", h->place.folder, key);
    snprintf(away, sizeof away, "%s/away", h->place.folder);
    assert_int_equal(rename(object, away), 0);
    bury_letter(h, OLD, 5, 1);
    bury_letter(h, OLD, FEW, 2);
    h->clock.now_ms += 60000;
    WAIT_FOR(h, ps_trouble_get(&h->troubles, PS_TROUBLE_LOOK_UP, &trouble));
    assert_int_equal(letters(h), 2);
    assert_int_equal(rename(away, object), 0);
    h->clock.now_ms += 120000;
    WAIT_FOR(h, letters(h) == 1);
    WAIT_FOR(h, !ps_trouble_get(&h->troubles, PS_TROUBLE_LOOK_UP, &trouble));
    ps_keeper_close(h->keeper);
    h->keeper = NULL;
}

static void letters_are_replayed_and_purged_on_order(void **state)
{
    struct house *h = *state;
    struct ps_queue_info info;
    struct ps_letter_filter filter = {PS_REJECT_CLOSED_DAY, INT64_MAX};
    OK(ps_commit_open(&h->commit, h->queue, NULL, NULL, NULL, &test_err));
    bury_letter(h, DAY, 1, 0);
    open_keeper(h);
    h->counters.reached = 100; /* the consumer has had it */
    struct ps_str record = PS_STR("x");
    OK(ps_queue_append(h->queue, &record, 1, &test_err)); /* the queue is past the letter */
    OK(ps_queue_sync(h->queue, NULL, &test_err));
    OK(ps_keeper_replay(h->keeper, take_answer, h, &test_err));
    await_answers(h, 1);
    assert_int_equal(h->codes[0], 0);
    assert_string_equal(h->last, "{\"replayed\":1,\"returned\":0}");
    OK(ps_queue_info(h->queue, &info, &test_err));
    assert_int_equal(info.end_position, 2);
    for (uint64_t i = 0; i < 5; i++)
        bury_letter(h, OLD, 1, i);
    OK(ps_keeper_purge(h->keeper, &filter, take_answer, h, &test_err));
    await_answers(h, 2);
    assert_int_equal(h->codes[1], 0);
    assert_string_equal(h->last, "{\"purged\":5}");
    assert_int_equal(letters(h), 0);
}

/* The consumer does not come to them: what came back is not known, and not made up. */
static void a_replay_that_was_not_awaited_says_so(void **state)
{
    struct house *h = *state;
    OK(ps_commit_open(&h->commit, h->queue, NULL, NULL, NULL, &test_err));
    bury_letter(h, DAY, 1, 0);
    open_keeper(h);
    struct ps_str record = PS_STR("x");
    OK(ps_queue_append(h->queue, &record, 1, &test_err));
    OK(ps_queue_sync(h->queue, NULL, &test_err));
    OK(ps_keeper_replay(h->keeper, take_answer, h, &test_err));
    await_answers(h, 1);
    assert_int_equal(h->codes[0], 0);
    assert_string_equal(h->last, "{\"replayed\":1,\"returned\":null}");
}

/* --- triggers --- */

static bool has_snapshot(struct house *h)
{
    struct ps_snapshot_pointer pointer;
    return ps_snapshot_pointer(h->kv, h->clock.now_ms, &pointer, NULL) == 0;
}

/* Runs made so are not recorded. */
static void batches_make_a_snapshot(void **state)
{
    struct house *h = *state;
    OK(ps_config_set(&h->config, "cron_snapshot", "off", PS_FROM_FLAG, &test_err));
    open_keeper(h);
    assert_false(has_snapshot(h));
    atomic_store(&h->counters.batches, (uint64_t)h->config.snapshot_batches);
    WAIT_FOR(h, has_snapshot(h));
    EXPECT_TEXT("", ps_ledger_runs(h->ledger, PS_STR_NONE, 10, dump_run, &got, &test_err));
}

/* The kv as it is where it is slow: the clock moves on while a snapshot is written. */
enum { SLOW_MS = 20000 };

static struct ps_clock_manual *slow_clock;

static int put_slowly(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
                      int64_t now_ms, struct ps_err *e)
{
    if (ps_str_equal(key, PS_STR(PS_SNAPSHOT_PREFIX "latest")))
        slow_clock->now_ms += SLOW_MS;
    return ps_kv_mem.put(kv, key, value, ttl_ms, now_ms, e);
}

static uint64_t latest_version(struct house *h)
{
    struct ps_snapshot_pointer pointer = {.version = 0};
    OK(ps_snapshot_pointer(h->kv, h->clock.now_ms, &pointer, &test_err));
    return pointer.version;
}

static int count_run(void *ctx, const struct ps_run *run)
{
    *(int *)ctx += run->finished_ms != 0;
    return 0;
}

static int finished_runs(struct house *h, const char *job)
{
    int n = 0;
    OK(ps_ledger_runs(h->ledger, (struct ps_str){job, strlen(job)}, 100, count_run, &n, &test_err));
    return n;
}

/* Snapshots by batches take a tenth of the time at most: twenty seconds are followed by three
 * minutes. A job that ran shows that the batches were looked at since: jobs come first. */
static void a_slow_snapshot_is_made_seldom(void **state)
{
    struct house *h = *state;
    struct ps_kv_ops slow = *h->kv->ops;
    uint64_t every = (uint64_t)h->config.snapshot_batches;
    slow.put = put_slowly;
    slow_clock = &h->clock;
    h->kv->ops = &slow;
    OK(ps_config_set(&h->config, "cron_snapshot", "off", PS_FROM_FLAG, &test_err));
    OK(ps_config_set(&h->config, "cron_capacity", "* * * * *", PS_FROM_FLAG, &test_err));
    open_keeper(h);
    atomic_store(&h->counters.batches, every);
    WAIT_FOR(h, has_snapshot(h));
    assert_int_equal(order_archive(h, OLD), PS_ENOENT); /* it is done with it */
    uint64_t first = latest_version(h);
    int runs = finished_runs(h, PS_JOB_CAPACITY);
    atomic_store(&h->counters.batches, 2 * every);
    h->clock.now_ms = NOON + PS_SNAPSHOT_SHARE * SLOW_MS - 1;
    WAIT_FOR(h, finished_runs(h, PS_JOB_CAPACITY) > runs);
    assert_int_equal(order_archive(h, OLD), PS_ENOENT);
    assert_int_equal(latest_version(h), first);
    h->clock.now_ms++;
    WAIT_FOR(h, latest_version(h) != first);
    ps_keeper_stop(h->keeper);
    h->kv->ops = &ps_kv_mem;
}

static void the_clock_triggers_the_jobs(void **state)
{
    struct house *h = *state;
    store_events(h, OLD);
    store_events(h, OLD + 1);
    h->clock.now_ms = (int64_t)DAY * PS_MS_PER_DAY + 2 * PS_MS_PER_HOUR - 1;
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD - 1), PS_ENOENT); /* it is at work */
    assert_int_equal(state_of(h, OLD), PS_DAY_OPEN);
    h->clock.now_ms++;
    WAIT_FOR(h, finished_runs(h, "archive") == 1);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    assert_int_equal(state_of(h, OLD + 1), PS_DAY_CLEANED);
    assert_int_equal(finished_runs(h, "capacity"), 0);
    h->clock.now_ms = (int64_t)DAY * PS_MS_PER_DAY + 6 * PS_MS_PER_HOUR;
    WAIT_FOR(h, finished_runs(h, "capacity") == 1 && finished_runs(h, "snapshot") == 2);
    assert_int_equal(*ps_keeper_level(h->keeper), 0);
}

static void a_job_can_be_off(void **state)
{
    struct house *h = *state;
    OK(ps_config_set(&h->config, "cron_archive", "off", PS_FROM_FLAG, &test_err));
    store_events(h, OLD);
    open_keeper(h);
    h->clock.now_ms += 400 * PS_MS_PER_DAY;
    WAIT_FOR(h, finished_runs(h, "capacity") == 1 && finished_runs(h, "snapshot") == 1);
    assert_int_equal(finished_runs(h, "archive"), 0);
    assert_int_equal(order_archive(h, OLD), 0); /* by hand it still runs */
}

static void at_95_per_cent_the_oldest_day_goes(void **state)
{
    struct house *h = *state;
    OK(ps_config_set(&h->config, "cron_archive", "off", PS_FROM_FLAG, &test_err));
    h->config.max_db_size = 1000;
    store_events(h, OLD);
    store_events(h, OLD + 1);
    open_keeper(h);
    assert_int_equal(*ps_keeper_level(h->keeper), 0);
    h->clock.now_ms = (int64_t)DAY * PS_MS_PER_DAY + 18 * PS_MS_PER_HOUR;
    WAIT_FOR(h, finished_runs(h, "capacity") == 1);
    assert_int_equal(*ps_keeper_level(h->keeper), 95);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    assert_int_equal(state_of(h, OLD + 1), PS_DAY_OPEN);
}

/* --- starting again --- */

static void record_run(struct house *h, int64_t ms, struct ps_str outcome)
{
    struct ps_run run = {.job = PS_STR("archive"), .scheduled_ms = ms, .started_ms = ms};
    OK(ps_ledger_run_started(h->ledger, &run, &run.id, &test_err));
    run.finished_ms = ms + 1;
    run.outcome = outcome;
    if (outcome.ptr != NULL)
        OK(ps_ledger_run_finished(h->ledger, &run, &test_err));
}

#define TWO_TODAY ((int64_t)DAY * PS_MS_PER_DAY + 2 * PS_MS_PER_HOUR)

static void a_missed_run_is_made_up_for_once(void **state)
{
    struct house *h = *state;
    store_events(h, OLD);
    record_run(h, TWO_TODAY - 5 * PS_MS_PER_DAY, PS_STR("ok"));
    open_keeper(h);
    WAIT_FOR(h, finished_runs(h, "archive") == 2);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    ps_keeper_close(h->keeper);
    h->keeper = NULL;
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD), PS_EEXIST); /* it went round once */
    assert_int_equal(finished_runs(h, "archive"), 2);
}

/* The keeper was closed, or the process died, in the middle of a run: its day is sealed, and events
 * for it are refused until it is done. It does not wait for the next night. */
static void expect_taken_up_again(struct house *h, struct ps_str outcome)
{
    struct ps_day pending = {.day = OLD, .state = PS_DAY_PENDING};
    store_events(h, OLD);
    OK(ps_ledger_mark(h->ledger, &pending, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
    record_run(h, TWO_TODAY, outcome);
    open_keeper(h);
    assert_int_equal(order_archive(h, OLD - 1), PS_ENOENT); /* it looks at its jobs before that */
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
}

static void a_stopped_run_is_taken_up_again(void **state)
{
    const char *name = ps_code_name(PS_ESTOP);
    expect_taken_up_again(*state, (struct ps_str){name, strlen(name)});
}

static void a_run_that_died_is_taken_up_again(void **state)
{
    expect_taken_up_again(*state, PS_STR_NONE);
}

static void what_cannot_be_opened_says_why(void **state)
{
    struct house *h = *state;
    snprintf(h->config.cron_archive, sizeof h->config.cron_archive, "61 * * * *");
    assert_int_equal(try_keeper(h), PS_EINVAL);
    assert_non_null(strstr(test_err.text, "61"));
    assert_null(h->keeper);
    ps_config_init(&h->config);
    snprintf(h->config.objects, sizeof h->config.objects, "tape");
    assert_int_equal(try_keeper(h), PS_EINVAL);
    assert_non_null(strstr(test_err.text, "tape"));
}

/* --- somebody sets the clock --- */

static bool is_troubled(struct house *h, enum ps_trouble which)
{
    struct ps_trouble_state state;
    return ps_trouble_get(&h->troubles, which, &state);
}

/* Full as well, so that capacity asks for the oldest day that may go. */
static void open_before_two(struct house *h)
{
    OK(ps_config_set(&h->config, "cron_capacity", "* * * * *", PS_FROM_FLAG, &test_err));
    h->config.max_db_size = 1000;
    store_events(h, DAY - 1);
    store_events(h, DAY);
    h->clock.now_ms = TWO_TODAY - 1000;
    open_keeper(h);
    WAIT_FOR(h, order_archive(h, OLD) == PS_ENOENT); /* it is at work */
    h->clock.wall_ahead_ms = 10 * PS_MS_PER_DAY;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_CLOCK));
}

/* I6: today is not over. */
static void a_clock_days_ahead_for_seconds_archives_nothing(void **state)
{
    struct house *h = *state;
    open_before_two(h);
    h->clock.now_ms += 2000; /* the jobs come due all the same, by the old time */
    WAIT_FOR(h, finished_runs(h, "archive") == 1 && finished_runs(h, "capacity") >= 1);
    assert_int_equal(order_archive(h, DAY), PS_EINVAL);
    assert_int_equal(*ps_keeper_level(h->keeper), 95);
    assert_int_equal(state_of(h, DAY - 1), PS_DAY_OPEN);
    assert_int_equal(state_of(h, DAY), PS_DAY_OPEN);
    h->clock.wall_ahead_ms = 0;
    WAIT_FOR(h, !is_troubled(h, PS_TROUBLE_CLOCK));
    assert_int_equal(order_archive(h, DAY), PS_EINVAL);
}

static void a_clock_that_stays_ahead_is_believed(void **state)
{
    struct house *h = *state;
    open_before_two(h);
    h->clock.now_ms += PS_STEADY_CONFIRM_MS;
    WAIT_FOR(h, state_of(h, DAY) == PS_DAY_CLEANED && state_of(h, DAY - 1) == PS_DAY_CLEANED);
    assert_false(is_troubled(h, PS_TROUBLE_CLOCK));
}

static void a_clock_set_back_stops_no_job(void **state)
{
    struct house *h = *state;
    open_keeper(h);
    h->clock.now_ms += 5 * PS_MS_PER_MINUTE;
    WAIT_FOR(h, finished_runs(h, "snapshot") == 1);
    h->clock.wall_ahead_ms = -PS_MS_PER_HOUR;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_CLOCK));
    h->clock.now_ms += 5 * PS_MS_PER_MINUTE; /* meanwhile by the old time, then by the new one */
    WAIT_FOR(h, !is_troubled(h, PS_TROUBLE_CLOCK));
    for (int i = 0; i < 3; i++) {
        int before = finished_runs(h, "snapshot");
        h->clock.now_ms += 5 * PS_MS_PER_MINUTE;
        WAIT_FOR(h, finished_runs(h, "snapshot") > before);
    }
}

/* --- what fails, and works again --- */

static void make_file(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static void a_failed_archive_is_told_and_tried_again(void **state)
{
    struct house *h = *state;
    char file[PLACE_PATH_MAX + 64];
    store_events(h, OLD);
    h->clock.now_ms = TWO_TODAY - 1000;
    open_keeper(h);
    snprintf(file, sizeof file, "%s/objects/events-archive", h->place.folder);
    make_file(file); /* where a folder is wanted */
    h->clock.now_ms += 1000;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_ARCHIVE));
    WAIT_FOR(h, finished_runs(h, "archive") == 1);
    assert_int_equal(state_of(h, OLD), PS_DAY_FAILED);
    assert_int_equal(remove(file), 0);
    store_events(h, OLD - 1);
    assert_int_equal(order_archive(h, OLD - 1), 0);
    assert_true(is_troubled(h, PS_TROUBLE_ARCHIVE)); /* one day says nothing of the others */
    h->clock.now_ms += PS_MS_PER_MINUTE;             /* not the next night */
    WAIT_FOR(h, finished_runs(h, "archive") == 3);
    assert_int_equal(state_of(h, OLD), PS_DAY_CLEANED);
    WAIT_FOR(h, !is_troubled(h, PS_TROUBLE_ARCHIVE));
}

static void a_day_sealed_by_a_process_that_died_takes_events_again(void **state)
{
    struct house *h = *state;
    struct ps_day pending = {.day = OLD, .state = PS_DAY_PENDING};
    OK(ps_config_set(&h->config, "cron_archive", "off", PS_FROM_FLAG, &test_err));
    store_events(h, OLD);
    OK(ps_ledger_mark(h->ledger, &pending, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
    open_keeper(h);
    WAIT_FOR(h, state_of(h, OLD) == PS_DAY_FAILED);
}

static int put_fails(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
                     int64_t now_ms, struct ps_err *e)
{
    (void)kv;
    (void)key;
    (void)value;
    (void)ttl_ms;
    (void)now_ms;
    return ps_fail(e, PS_EFULL, "no room in the kv");
}

static void snapshot_and_capacity_are_told_too(void **state)
{
    struct house *h = *state;
    struct ps_kv_ops full = *h->kv->ops;
    full.put = put_fails;
    h->kv->ops = &full;
    OK(ps_config_set(&h->config, "cron_capacity", "* * * * *", PS_FROM_FLAG, &test_err));
    open_keeper(h);
    h->clock.now_ms += 5 * PS_MS_PER_MINUTE;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_SNAPSHOT) && is_troubled(h, PS_TROUBLE_CAPACITY));
    WAIT_FOR(h, finished_runs(h, "capacity") == 1 && finished_runs(h, "snapshot") == 1);
    h->kv->ops = &ps_kv_mem;
    h->clock.now_ms += PS_MS_PER_MINUTE; /* the snapshot's next time is four minutes away */
    WAIT_FOR(h, !is_troubled(h, PS_TROUBLE_SNAPSHOT) && !is_troubled(h, PS_TROUBLE_CAPACITY));
    h->kv->ops = &full;
    atomic_store(&h->counters.batches, (uint64_t)h->config.snapshot_batches);
    h->clock.now_ms += 1000;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_SNAPSHOT)); /* the one after so many batches */
    ps_keeper_stop(h->keeper);
    h->kv->ops = &ps_kv_mem;
}

static void a_run_that_cannot_be_recorded_is_told(void **state)
{
    struct house *h = *state;
    open_keeper(h);
    run_sql(h->dir.database, "CREATE TRIGGER no_room BEFORE INSERT ON job_runs BEGIN"
                             " SELECT RAISE(ABORT, 'no room'); END");
    h->clock.now_ms += 5 * PS_MS_PER_MINUTE;
    WAIT_FOR(h, is_troubled(h, PS_TROUBLE_SNAPSHOT));
    run_sql(h->dir.database, "DROP TRIGGER no_room");
    h->clock.now_ms += PS_MS_PER_MINUTE;
    WAIT_FOR(h, !is_troubled(h, PS_TROUBLE_SNAPSHOT));
}

/* Who gave it has the answer. */
static void an_order_that_fails_is_no_trouble(void **state)
{
    struct house *h = *state;
    char file[PLACE_PATH_MAX + 64];
    store_events(h, OLD);
    open_keeper(h);
    snprintf(file, sizeof file, "%s/objects/events-archive", h->place.folder);
    make_file(file);
    assert_true(order_archive(h, OLD) < 0);
    assert_false(is_troubled(h, PS_TROUBLE_ARCHIVE));
}

/* --- the webhook --- */

struct hook {
    int fd;
    _Atomic int posts;
    _Atomic int fails; /* so many posts more are answered with 500 */
};

static void *answer_posts(void *arg)
{
    static const char ok[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
                      bad[] = "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n";
    struct hook *hook = arg;
    int fd;
    while ((fd = accept(hook->fd, NULL, NULL)) >= 0) {
        char request[8192];
        if (recv(fd, request, sizeof request, 0) > 0) {
            bool fails = hook->fails > 0;
            hook->fails -= fails;
            send(fd, fails ? bad : ok, strlen(fails ? bad : ok), MSG_NOSIGNAL);
            hook->posts++;
        }
        close(fd);
    }
    return NULL;
}

static void expect_posts(struct house *h, int fails, int first)
{
    struct hook hook = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .fails = fails};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    char url[64];
    pthread_t thread;
    assert_int_equal(bind(hook.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(hook.fd, 8), 0);
    assert_int_equal(getsockname(hook.fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_posts, &hook), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(a.sin_port));
    OK(ps_config_set(&h->config, "webhook", url, PS_FROM_FLAG, &test_err));
    OK(ps_config_set(&h->config, "cron_capacity", "* * * * *", PS_FROM_FLAG, &test_err));
    h->config.max_db_size = 1000;
    open_keeper(h);
    for (int runs = 1; runs <= 4; runs++) {
        h->clock.now_ms += PS_MS_PER_MINUTE;
        WAIT_FOR(h, finished_runs(h, "capacity") == runs);
        assert_int_equal(hook.posts, runs < first ? runs : first);
    }
    shutdown(hook.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(hook.fd);
}

/* Not again at each look while it stays as full as it is. */
static void a_level_is_posted_once(void **state)
{
    expect_posts(*state, 0, 1);
}

static void a_level_nobody_took_is_posted_again(void **state)
{
    expect_posts(*state, 2, 3);
}

/* --- the end --- */

static void *stop_keeper(void *arg)
{
    ps_keeper_stop(((struct house *)arg)->keeper);
    return NULL;
}

/* A clock that has the keeper stopped as soon as somebody asks for the time in the middle of a run.
 */
struct stopping_clock {
    struct ps_clock clock;
    struct house *house;
    pthread_t stopper;
    _Atomic bool armed;
};

static bool a_run_goes_on(struct house *h)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(h->dir.database, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT 1 FROM job_runs WHERE finished = 0", -1, &q, NULL),
        SQLITE_OK);
    bool found = sqlite3_step(q) == SQLITE_ROW;
    sqlite3_finalize(q);
    sqlite3_close(db);
    return found;
}

static void take_no_answer(void *ctx, int code, const char *text)
{
    (void)ctx;
    (void)code;
    (void)text;
}

static int64_t stopping_now_ms(struct ps_clock *c)
{
    struct stopping_clock *s = (struct stopping_clock *)c;
    struct house *h = s->house;
    if (s->armed && a_run_goes_on(h)) {
        s->armed = false;
        assert_int_equal(pthread_create(&s->stopper, NULL, stop_keeper, h), 0);
        while (ps_keeper_snapshot(h->keeper, take_no_answer, NULL, NULL) != PS_ESTOP)
            breathe(h);
    }
    return ps_clock_now_ms(&h->clock.clock);
}

static int64_t stopping_monotonic_us(struct ps_clock *c)
{
    return ps_clock_monotonic_us(&((struct stopping_clock *)c)->house->clock.clock);
}

/* What the keeper works on is put down: a stop need not wait for days of archiving. */
static void closing_stops_a_run(void **state)
{
    struct house *h = *state;
    struct stopping_clock clock = {{stopping_now_ms, stopping_monotonic_us, NULL}, h, 0, false};
    h->keepers = &clock.clock;
    store_events(h, OLD);
    open_keeper(h);
    clock.armed = true;
    OK(ps_keeper_archive(h->keeper, OLD, take_answer, h, &test_err));
    await_answers(h, 1);
    WAIT_FOR(h, !clock.armed);
    pthread_join(clock.stopper, NULL);
    assert_int_equal(h->codes[0], PS_ESTOP);
    assert_int_equal(state_of(h, OLD), PS_DAY_PENDING);
    EXPECT_TEXT("archive stopped 1760529600000\n",
                ps_ledger_runs(h->ledger, PS_STR_NONE, 10, dump_run, &got, &test_err));
}

/* Holds the keeper's thread in an answer. */
static void shut_gate(struct house *h)
{
    pthread_mutex_lock(&h->lock);
    h->gate_is_shut = true;
    pthread_mutex_unlock(&h->lock);
    OK(ps_keeper_archive(h->keeper, OLD - 1, take_answer, h, &test_err));
    pthread_mutex_lock(&h->lock);
    while (!h->is_at_the_gate)
        pthread_cond_wait(&h->answered, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void open_gate(struct house *h)
{
    pthread_mutex_lock(&h->lock);
    h->gate_is_shut = false;
    pthread_cond_broadcast(&h->answered);
    pthread_mutex_unlock(&h->lock);
}

static void closing_answers_who_waits(void **state)
{
    struct house *h = *state;
    pthread_t stopper;
    int given = 4, r = 0;
    store_events(h, OLD);
    open_keeper(h);
    shut_gate(h);
    for (int i = 0; i < given; i++)
        OK(i % 2 == 0 ? ps_keeper_archive(h->keeper, OLD, take_answer, h, &test_err)
                      : ps_keeper_snapshot(h->keeper, take_answer, h, &test_err));
    assert_int_equal(pthread_create(&stopper, NULL, stop_keeper, h), 0);
    while (given < PS_KEEPER_ORDERS_MAX - 1) { /* until it takes no more */
        r = ps_keeper_snapshot(h->keeper, take_answer, h, &test_err);
        if (r < 0)
            break;
        given++;
        breathe(h);
    }
    assert_true(r < 0);
    open_gate(h);
    pthread_join(stopper, NULL);
    assert_int_equal(h->answers, given + 1);
    assert_int_equal(h->codes[0], PS_ENOENT);
    for (int i = 1; i <= given; i++)
        assert_int_equal(h->codes[i], PS_ESTOP);
    assert_true(ps_keeper_archive(h->keeper, OLD, take_answer, h, &test_err) < 0);
    assert_int_equal(h->answers, given + 1);
    assert_int_equal(state_of(h, OLD), PS_DAY_OPEN);
}

/* I8 */
static void orders_are_bounded(void **state)
{
    struct house *h = *state;
    open_keeper(h);
    shut_gate(h);
    for (int i = 0; i < PS_KEEPER_ORDERS_MAX; i++)
        OK(ps_keeper_snapshot(h->keeper, take_answer, h, &test_err));
    assert_int_equal(ps_keeper_snapshot(h->keeper, take_answer, h, &test_err), PS_EFULL);
    open_gate(h);
    await_answers(h, PS_KEEPER_ORDERS_MAX + 1);
    assert_int_equal(h->answers, PS_KEEPER_ORDERS_MAX + 1);
    OK(ps_keeper_snapshot(h->keeper, take_answer, h, &test_err));
    await_answers(h, PS_KEEPER_ORDERS_MAX + 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_house, close_house)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(orders_are_answered),
        TEST(a_failing_order_says_why),
        TEST(a_failure_is_written_down_later),
        TEST(a_snapshot_is_made_on_order),
        TEST(duplicates_leave_the_dead_letters),
        TEST(letters_wait_for_their_archive),
        TEST(letters_are_replayed_and_purged_on_order),
        TEST(a_replay_that_was_not_awaited_says_so),
        TEST(batches_make_a_snapshot),
        TEST(a_slow_snapshot_is_made_seldom),
        TEST(the_clock_triggers_the_jobs),
        TEST(a_job_can_be_off),
        TEST(at_95_per_cent_the_oldest_day_goes),
        TEST(a_missed_run_is_made_up_for_once),
        TEST(a_stopped_run_is_taken_up_again),
        TEST(a_run_that_died_is_taken_up_again),
        TEST(what_cannot_be_opened_says_why),
        TEST(a_clock_days_ahead_for_seconds_archives_nothing),
        TEST(a_clock_that_stays_ahead_is_believed),
        TEST(a_clock_set_back_stops_no_job),
        TEST(a_failed_archive_is_told_and_tried_again),
        TEST(a_day_sealed_by_a_process_that_died_takes_events_again),
        TEST(snapshot_and_capacity_are_told_too),
        TEST(a_run_that_cannot_be_recorded_is_told),
        TEST(an_order_that_fails_is_no_trouble),
        TEST(a_level_is_posted_once),
        TEST(a_level_nobody_took_is_posted_again),
        TEST(closing_stops_a_run),
        TEST(closing_answers_who_waits),
        TEST(orders_are_bounded),
    };
    return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
