/* sqlite_store_test.c - what the contract suite cannot ask: the file as others see it, several
 * handles, and ids compared across days, held against the mem store.
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
#include "backend/sqlite/store.h"
#include "base/buf.h"
#include "base/time.h"
#include "core/hash.h"
#include "support/folder.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */
enum { EVENTS_MAX = 65536, TEXT_MAX = 48, DAY = 20376 /* 2025-10-15 */ };

struct world {
    char folder[TEST_FOLDER_MAX], file[TEST_FOLDER_MAX + 32];
    struct ps_store *store;
    uint64_t position;
    /* the batch being made */
    struct ps_event *events;
    char (*ids)[TEXT_MAX], (*paths)[TEXT_MAX];
    uint32_t *order;
    struct ps_sort_key *sort_scratch;
    uint8_t *outcomes;
    size_t count;
};

static struct ps_store *open_or_fail(const char *file, enum ps_store_mode mode)
{
    struct ps_store *s;
    struct ps_err e = {0};
    if (ps_store_open(&ps_store_sqlite, &s, file, mode, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_true(test_folder(w->folder, "sqlite"));
    snprintf(w->file, sizeof w->file, "%s/events.db", w->folder);
    w->store = open_or_fail(w->file, PS_STORE_WRITE);
    w->events = calloc(EVENTS_MAX, sizeof *w->events);
    w->ids = calloc(EVENTS_MAX, sizeof *w->ids);
    w->paths = calloc(EVENTS_MAX, sizeof *w->paths);
    w->order = calloc(EVENTS_MAX, sizeof *w->order);
    w->sort_scratch = calloc(2 * EVENTS_MAX, sizeof *w->sort_scratch);
    w->outcomes = calloc(EVENTS_MAX, 1);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    ps_store_close(w->store);
    for (size_t i = 0; i < 3; i++) {
        char name[TEST_FOLDER_MAX + 48];
        snprintf(name, sizeof name, "%s%s", w->file, suffixes[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(w->folder), 0); /* and nothing else was left there */
    free(w->events);
    free(w->ids);
    free(w->paths);
    free(w->order);
    free(w->sort_scratch);
    free(w->outcomes);
    free(w);
    return 0;
}

static void reopen(struct world *w)
{
    ps_store_close(w->store);
    w->store = open_or_fail(w->file, PS_STORE_WRITE);
}

/* id NULL: a dated one, made of `number`. */
static struct ps_event *add(struct world *w, const char *id, int64_t timestamp_ms, unsigned number)
{
    size_t i = w->count++;
    struct ps_event *event = &w->events[i];
    if (id != NULL)
        snprintf(w->ids[i], TEXT_MAX, "%s", id);
    else
        snprintf(w->ids[i], TEXT_MAX, "%lld-%016x", (long long)timestamp_ms, number);
    snprintf(w->paths[i], TEXT_MAX, "/p/%u", number);
    *event = (struct ps_event){.id = {w->ids[i], strlen(w->ids[i])},
                               .path = {w->paths[i], strlen(w->paths[i])},
                               .timestamp_ms = timestamp_ms,
                               .response_us = PS_ABSENT,
                               .response_bytes = PS_ABSENT,
                               .status = PS_ABSENT,
                               .is_error = PS_ABSENT};
    return event;
}

static struct ps_batch batch_of(struct world *w)
{
    ps_batch_sort(w->events, w->count, w->order, w->sort_scratch);
    return (struct ps_batch){.events = w->events,
                             .count = w->count,
                             .order = w->order,
                             .first_position = w->position,
                             .next_position = w->position + w->count};
}

/* Applies the batch and starts the next. */
static struct ps_applied apply_to(struct world *w, struct ps_store *store)
{
    struct ps_batch b = batch_of(w);
    struct ps_applied applied = {.outcomes = w->outcomes};
    struct ps_err e = {0};
    if (ps_store_apply(store, &b, &applied, &e) < 0)
        fail_msg("apply: %s", e.text);
    w->position = b.next_position;
    w->count = 0;
    return applied;
}

static int64_t number_of(const char *file, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* Virtual machine steps that all rows of a query take. */
static int steps_of(const char *file, const char *sql, int *ret_rows)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    *ret_rows = 0;
    while (sqlite3_step(q) == SQLITE_ROW)
        ++*ret_rows;
    int steps = sqlite3_stmt_status(q, SQLITE_STMTSTATUS_VM_STEP, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return steps;
}

static void run_sql(const char *file, const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

/* --- the public schema --- */

static int put_event(void *ctx, const struct ps_event *event)
{
    ps_buf_format(ctx, "%lld %.*s %.*s\n", (long long)event->timestamp_ms, (int)event->id.len,
                  event->id.ptr, (int)event->path.len, event->path.ptr);
    return 0;
}

static int put_columns(void *ctx, int count, char **values, char **names)
{
    for (int i = 0; i < count; i++)
        ps_buf_format(ctx, "%s=%s\n", names[i], values[i] != NULL ? values[i] : "NULL");
    return 0;
}

static void expect_rows(const char *file, const char *sql, const char *expected)
{
    sqlite3 *db;
    struct ps_buf text;
    ps_buf_init(&text, 1 << 20);
    ps_buf_text(&text, "");
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, put_columns, &text, NULL), SQLITE_OK);
    sqlite3_close(db);
    ps_buf_append(&text, "", 1);
    assert_string_equal(text.ptr, expected);
    ps_buf_done(&text);
}

static void test_view_shows_public_columns(void **state)
{
    struct world *w = *state;
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 0);
    struct ps_event *event = add(w, "full", NOON, 1);
    event->method = PS_STR("GET");
    event->user_agent = PS_STR("");
    event->country = PS_STR("DE");
    event->status = 404;
    event->is_error = 1;
    event->response_us = 1500;
    event->response_bytes = 1042;
    event->has_client = true;
    event->client_hash = UINT64_C(0xf00000000000000a);
    add(w, "only", NOON + PS_MS_PER_DAY, 2)->is_error = 1;
    apply_to(w, w->store);
    expect_rows(
        w->file, "SELECT * FROM traffic_events WHERE event_date = '2025-10-15'",
        "id=full\npath=/p/1\nmethod=GET\nstatus=404\nresponse_time=1.5\n"
        "client_ip_hash=f00000000000000a\ntimestamp=1760529600000\n"
        "event_date=2025-10-15\nuser_agent=\ncountry=DE\nis_error=1\nresponse_bytes=1042\n");
    expect_rows(
        w->file, "SELECT * FROM traffic_events WHERE path = '/p/2'",
        "id=only\npath=/p/2\nmethod=NULL\nstatus=NULL\nresponse_time=NULL\n"
        "client_ip_hash=NULL\ntimestamp=1760616000000\n"
        "event_date=2025-10-16\nuser_agent=NULL\ncountry=NULL\nis_error=1\nresponse_bytes=NULL\n");
    expect_rows(w->file, "SELECT DISTINCT is_error IS NULL AS has FROM traffic_events", "has=0\n");
}

static int keep_first(void *ctx, const struct ps_event *event)
{
    struct ps_event *to = ctx;
    *to = *event;
    to->id = to->path = PS_STR_NONE;
    to->user_agent = event->user_agent.ptr == NULL ? PS_STR_NONE : PS_STR("x");
    return PS_ESTOP;
}

static void test_absent_stays_absent(void **state)
{
    struct world *w = *state;
    struct ps_event got;
    add(w, NULL, NOON, 1);
    apply_to(w, w->store);
    assert_int_equal(ps_store_events(w->store, DAY, PS_ORDER_ANY, keep_first, &got, NULL),
                     PS_ESTOP);
    assert_int_equal(got.status, PS_ABSENT);
    assert_int_equal(got.response_us, PS_ABSENT);
    assert_int_equal(got.is_error, PS_ABSENT);
    assert_false(got.has_client);
    assert_null(got.method.ptr);
    assert_null(got.user_agent.ptr);
}

static void fill_day(struct world *w, int64_t ms, unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        add(w, NULL, ms + i % 1000, from + i);
}

static int64_t has_table(struct world *w, const char *name)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
    return number_of(w->file, sql);
}

/* SQLite takes 500 terms in a compound SELECT; the view has an arm for each year with few events a
 * day. */
static void test_view_over_600_years(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 600; i++)
        add(w, NULL, NOON + i * 366 * PS_MS_PER_DAY, i);
    assert_int_equal(apply_to(w, w->store).fresh, 600);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 600);
    assert_int_equal(number_of(w->file, "SELECT count(DISTINCT path) FROM traffic_events"), 600);
    assert_int_equal(
        number_of(w->file, "SELECT count(*) FROM traffic_events WHERE event_date = '2026-10-16'"),
        1);
    add(w, NULL, NOON - 366 * PS_MS_PER_DAY, 7); /* the view is made anew */
    apply_to(w, w->store);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 601);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int count_day(void *ctx, const struct ps_day *day)
{
    assert_true(day->stored);
    ++*(size_t *)ctx;
    return 0;
}

/* I1, I8: an old log, or somebody who sends old dates, may touch any number of days. They cost a
 * few tables, no event is refused, and none counts twice. */
static void test_thousands_of_days_fit(void **state)
{
    enum { DAYS = 4000 };
    struct world *w = *state;
    struct timespec start;
    size_t days = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int again = 0; again < 2; again++) {
        for (unsigned i = 0; i < DAYS; i++)
            add(w, i % 7 == 0 ? w->ids[i] : NULL, NOON - i * PS_MS_PER_DAY, i);
        for (unsigned i = 0; i < DAYS; i += 7) /* ids without a time */
            w->events[i].id.len = (size_t)snprintf(w->ids[i], TEXT_MAX, "foreign-%u", i);
        struct ps_applied applied = apply_to(w, w->store);
        assert_int_equal(applied.refused, 0);
        assert_int_equal(applied.fresh, again ? 0 : DAYS);
    }
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), DAYS);
    assert_int_equal(number_of(w->file, "SELECT count(DISTINCT event_date) FROM traffic_events"),
                     DAYS);
    assert_int_equal(
        number_of(w->file, "SELECT count(*) FROM traffic_events WHERE event_date = '2017-02-28'"),
        1);
    assert_int_equal(ps_store_days(w->store, count_day, &days, NULL), 0);
    assert_int_equal(days, DAYS);
    assert_in_range(number_of(w->file, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"),
                    1, 60);
    assert_true(seconds_since(&start) < 30);
    add(w, NULL, NOON + PS_MS_PER_DAY, 9); /* and so does the next one */
    assert_int_equal(apply_to(w, w->store).fresh, 1);
}

/* In the tables of a year, or each day in its own. */
static void expect_found_at_once(struct world *w, unsigned per_day)
{
    char id[64];
    int rows, all, newest, one_day, minute;
    for (unsigned day = 0; day < 10; day++) {
        for (unsigned i = 0; i < per_day; i++) {
            int64_t ms = NOON - day * PS_MS_PER_DAY + i * 1000;
            snprintf(id, sizeof id, "%lld-%04u", (long long)ms, i);
            add(w, id, ms, i);
        }
        apply_to(w, w->store);
    }
    all = steps_of(w->file, "SELECT id, path FROM traffic_events", &rows);
    assert_int_equal(rows, 10 * per_day);
    one_day = steps_of(
        w->file, "SELECT id, path FROM traffic_events WHERE event_date = '2025-10-10'", &rows);
    assert_int_equal(rows, per_day);
    assert_true(one_day < all / 7); /* the other nine are not looked at */
    newest = steps_of(w->file,
                      "SELECT timestamp, path FROM traffic_events WHERE event_date = '2025-10-15' "
                      "ORDER BY timestamp DESC"
                      " LIMIT 10",
                      &rows);
    assert_int_equal(rows, 10);
    assert_true(newest < all / 50);
    minute = steps_of(w->file, /* without a date: each day is asked, none is walked */
                      "SELECT id, path FROM traffic_events WHERE timestamp BETWEEN 1760443200000"
                      " AND 1760443259999",
                      &rows);
    assert_int_equal(rows, 60);
    assert_true(minute < all / 50);
}

static void test_a_day_and_the_newest_are_found_at_once(void **state)
{
    expect_found_at_once(*state, 1000);
}

static void test_large_days_are_found_at_once(void **state)
{
    expect_found_at_once(*state, PS_OWN_DAY_EVENTS_MIN);
    assert_int_equal(has_table(*state, "events_20251010"), 1);
}

/* An id as normalising makes it is kept as a number; what only resembles one keeps its bytes. All
 * are in the order of their texts. */
static void test_made_ids_are_numbers(void **state)
{
    static const char *const ids[] = {
        "1760529600000-0000000000000000", "1760529600000-7fffffffffffffff",
        "1760529600000-8000000000000000", "1760529600000-ffffffffffffffff",
        "1760529600000-00000000000000AA", "1760529600000-0000000000000000a",
        "1760529600000-00000000000000",   "1760529600000-",
        "1760529600001-0000000000000000",
    };
    struct world *w = *state;
    size_t count = sizeof ids / sizeof ids[0];
    for (size_t i = 0; i < count; i++)
        add(w, ids[i], NOON, (unsigned)i);
    assert_int_equal(apply_to(w, w->store).fresh, count);
    for (size_t i = 0; i < count; i++)
        add(w, ids[i], NOON, (unsigned)i);
    assert_int_equal(apply_to(w, w->store).duplicates, count);
    expect_rows(w->file,
                "SELECT group_concat(id, ' ') AS ids FROM (SELECT id FROM traffic_events ORDER BY"
                " timestamp, id)",
                "ids=1760529600000- 1760529600000-00000000000000 1760529600000-0000000000000000"
                " 1760529600000-0000000000000000a 1760529600000-00000000000000AA"
                " 1760529600000-7fffffffffffffff 1760529600000-8000000000000000"
                " 1760529600000-ffffffffffffffff 1760529600001-0000000000000000\n");
    assert_int_equal(
        number_of(w->file, "SELECT count(*) FROM events_2025 WHERE typeof(id) = 'integer'"), 4);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM foreign_ids"), 1);
}

static void drop_day(struct world *w, int32_t day)
{
    struct ps_ledger *ledger;
    struct ps_err e = {0};
    struct ps_day record = {.day = day, .state = PS_DAY_COMPLETED, .sha256 = PS_STR("00")};
    assert_int_equal(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->file, PS_STORE_WRITE, &e), 0);
    assert_int_equal(ps_ledger_mark(ledger, &record, PS_FROM_STATE(PS_DAY_OPEN), &e), 0);
    if (ps_ledger_clean(ledger, day, &e) < 0)
        fail_msg("clean: %s", e.text);
    ps_ledger_close(ledger);
    run_sql(w->file, "DELETE FROM archive_metadata"); /* so that it takes events again */
}

/* A day that grows leaves its year's tables for its own, with all it has, and what was there before
 * is still known. */
static void test_a_day_that_grows_moves(void **state)
{
    struct world *w = *state;
    struct ps_buf before, after;
    ps_buf_init(&before, 1 << 24);
    ps_buf_init(&after, 1 << 24);
    add(w, "foreign", NOON, 1)->user_agent = PS_STR("agent");
    fill_day(w, NOON, 1, PS_OWN_DAY_EVENTS_MIN - 2);
    add(w, NULL, NOON - PS_MS_PER_DAY, 1);
    assert_int_equal(apply_to(w, w->store).fresh, PS_OWN_DAY_EVENTS_MIN);
    assert_int_equal(has_table(w, "events_20251015"), 0);
    assert_int_equal(ps_store_events(w->store, DAY, PS_ORDER_TIME, put_event, &before, NULL), 0);
    ps_store_close(w->store);
    w->store = open_or_fail(w->file, PS_STORE_WRITE); /* who counts on from what is written */
    add(w, NULL, NOON, 900000);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), 1);
    assert_int_equal(has_table(w, "events_2025"), 1); /* of the other day */
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"),
                     PS_OWN_DAY_EVENTS_MIN + 1);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events WHERE user_agent ="
                                        " 'agent' AND id = 'foreign'"),
                     1);
    add(w, "foreign", NOON + 5 * PS_MS_PER_DAY, 1);
    fill_day(w, NOON, 1, PS_OWN_DAY_EVENTS_MIN - 2);
    assert_int_equal(apply_to(w, w->store).fresh, 0);
    run_sql(w->file, "DELETE FROM events_20251015 WHERE path = (SELECT id FROM words_20251015"
                     " WHERE word = '/p/900000')");
    assert_int_equal(ps_store_events(w->store, DAY, PS_ORDER_TIME, put_event, &after, NULL), 0);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.ptr, after.ptr, before.len);
    ps_buf_done(&before);
    ps_buf_done(&after);
}

/* --- ids --- */

static int64_t random_time(unsigned random)
{
    return NOON + (random & 3) * PS_MS_PER_DAY + (random >> 2 & 1);
}

/* Few times, few numbers: most ids come again, under their own time, another's, or none. */
static void add_random(struct world *w)
{
    char id[TEXT_MAX];
    int64_t timestamp_ms = random_time((unsigned)rand());
    unsigned number = (unsigned)rand() % 12, kind = (unsigned)rand() % 8;
    snprintf(id, sizeof id, kind == 0 ? "foreign-%u" : "%u", number);
    if (kind == 1 || kind == 2)
        snprintf(id, sizeof id, "%lld-%016x", (long long)random_time((unsigned)rand()), number);
    add(w, kind <= 2 ? id : NULL, timestamp_ms, number);
}

static void drop(struct world *w, int32_t day)
{
    struct sqlite_store *s = sqlite_of(w->store);
    assert_int_equal(ps_db_begin(&s->db, DB_LITTLE, NULL), 0);
    assert_int_equal(ps_db_end(&s->db, ps_sqlite_drop_day(s, day, NULL), NULL), 0);
}

/* I8: of a year's days that are large no more than so many have tables of their own; a place that
 * is left is taken again. That there are as many already is made up. */
static void test_own_shelves_are_bounded(void **state)
{
    struct world *w = *state;
    fill_day(w, NOON, 1, PS_OWN_DAY_EVENTS_MIN - 1);
    apply_to(w, w->store);
    sqlite_of(w->store)->own_count = PS_OWN_DAYS_MAX - 1;
    add(w, NULL, NOON, 900000); /* it moves to the last place */
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), 1);
    fill_day(w, NOON + PS_MS_PER_DAY, 1, PS_OWN_DAY_EVENTS_MIN);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251016"), 0);
    assert_int_equal(has_table(w, "events_2025"), 1);
    drop(w, DAY);
    assert_int_equal(has_table(w, "events_20251015"), 0);
    fill_day(w, NOON + 2 * PS_MS_PER_DAY, 1, PS_OWN_DAY_EVENTS_MIN);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251017"), 1);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"),
                     2 * PS_OWN_DAY_EVENTS_MIN);
}

/* How much has come so far is known after a restart, and after a restore. */
static void test_growth_is_remembered(void **state)
{
    struct world *w = *state;
    struct sqlite_store *s = sqlite_of(w->store);
    fill_day(w, NOON, 1, PS_OWN_DAY_EVENTS_MIN - 2);
    assert_int_equal(ps_db_begin(&s->db, DB_LITTLE, NULL), 0);
    assert_int_equal(ps_sqlite_load_days(s, NULL), 0);
    int r = ps_sqlite_put_events(s, DAY, w->events, w->count, NULL);
    assert_int_equal(ps_db_end(&s->db, r, NULL), 0);
    w->count = 0;
    assert_int_equal(number_of(w->file, "SELECT events FROM days"), PS_OWN_DAY_EVENTS_MIN - 2);
    reopen(w);
    add(w, NULL, NOON, 900000);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), 0);
    reopen(w);
    add(w, NULL, NOON, 900001);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), 1);
}

/* A transaction has an end: a day that has grown too large for that stays where it is. */
static void test_a_huge_day_does_not_move(void **state)
{
    struct world *w = *state;
    add(w, NULL, NOON, 1);
    apply_to(w, w->store);
    ps_sqlite_find_day(sqlite_of(w->store), DAY)->events = PS_DAY_MOVES_MAX + 1; /* made up */
    add(w, NULL, NOON, 2);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), 0);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 2);
}

static void expect_equal_events(struct ps_store *a, struct ps_store *b, int32_t day)
{
    struct ps_buf texts[2];
    for (int i = 0; i < 2; i++) {
        ps_buf_init(&texts[i], 1 << 24);
        ps_buf_text(&texts[i], "");
        assert_int_equal(
            ps_store_events(i == 0 ? a : b, day, PS_ORDER_TIME, put_event, &texts[i], NULL), 0);
        ps_buf_append(&texts[i], "", 1);
    }
    assert_string_equal(texts[0].ptr, texts[1].ptr);
    ps_buf_done(&texts[0]);
    ps_buf_done(&texts[1]);
}

/* I1, I6: the mem store compares every id with every other one. */
static void test_ids_as_the_mem_store_has_them(void **state)
{
    struct world *w = *state;
    uint8_t outcomes[64];
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct ps_store *mem;
        char file[sizeof w->file + 16];
        srand(seed);
        snprintf(file, sizeof file, "%s-%u", w->file, seed);
        struct ps_store *sqlite = open_or_fail(file, PS_STORE_WRITE);
        assert_int_equal(ps_store_open(&ps_store_mem, &mem, "ids", PS_STORE_WRITE, NULL), 0);
        w->position = 0;
        for (int round = 0; round < 20; round++) {
            size_t count = 1 + (size_t)rand() % 12;
            for (size_t i = 0; i < count; i++)
                add_random(w);
            struct ps_batch b = batch_of(w);
            struct ps_applied applied = {.outcomes = outcomes};
            assert_int_equal(ps_store_apply(mem, &b, &applied, NULL), 0);
            apply_to(w, sqlite);
            assert_memory_equal(w->outcomes, outcomes, count);
            if (round == 12) {
                ps_mem_store_seal("ids", DAY + 1, PS_DAY_PENDING);
                run_sql(file, "INSERT INTO archive_metadata (date, status)"
                              " VALUES ('2025-10-16', 'pending')");
            }
        }
        for (int32_t day = DAY; day < DAY + 4; day++)
            expect_equal_events(sqlite, mem, day);
        ps_store_close(sqlite);
        ps_store_close(mem);
        ps_mem_forget("ids");
        unlink(file);
    }
}

struct shrinking {
    const char *file;
    size_t events;
    int64_t busy;
};

static int shrink_log(void *ctx, const struct ps_event *event)
{
    struct shrinking *shrinking = ctx;
    (void)event;
    if (shrinking->events++ % 1000 == 0)
        shrinking->busy += number_of(shrinking->file, "PRAGMA wal_checkpoint(TRUNCATE)");
    return 0;
}

/* A day is read in parts: none is missing where they meet, many of one time or not, and whoever
 * takes long with an event keeps nothing open. */
static void test_long_days_are_read_in_parts(void **state)
{
    enum { EVENTS = 30000 };
    struct world *w = *state;
    struct ps_store *mem;
    struct shrinking shrinking = {.file = w->file};
    char id[TEXT_MAX];
    assert_int_equal(ps_store_open(&ps_store_mem, &mem, "parts", PS_STORE_WRITE, NULL), 0);
    for (int text_ids = 0; text_ids < 2; text_ids++) { /* the next day has both kinds */
        int64_t ms = NOON + text_ids * PS_MS_PER_DAY;
        for (unsigned i = 0; i < EVENTS; i++) {
            snprintf(id, sizeof id, "%u", i * 7919 % 1000003);
            add(w, text_ids && i % 3 == 0 ? id : NULL, ms + i % 2, i);
        }
        struct ps_batch b = batch_of(w);
        struct ps_applied applied = {.outcomes = w->outcomes};
        assert_int_equal(ps_store_apply(mem, &b, &applied, NULL), 0);
        apply_to(w, w->store);
        expect_equal_events(w->store, mem, DAY + text_ids);
        shrinking.events = 0;
        assert_int_equal(
            ps_store_events(w->store, DAY + text_ids, PS_ORDER_ANY, shrink_log, &shrinking, NULL),
            0);
        assert_int_equal(shrinking.events, EVENTS);
    }
    assert_int_equal(shrinking.busy, 0);
    ps_store_close(mem);
    ps_mem_forget("parts");
}

/* I1: the entry of foreign_ids may be another id's with the same hash. */
static void test_colliding_hashes(void **state)
{
    struct world *w = *state;
    char sql[128];
    add(w, "first", NOON, 1);
    apply_to(w, w->store);
    snprintf(sql, sizeof sql, "UPDATE foreign_ids SET hash = %lld",
             (long long)ps_hash64("second", 6, 0));
    run_sql(w->file, sql);
    add(w, "second", NOON + PS_MS_PER_DAY, 2);
    assert_int_equal(apply_to(w, w->store).fresh, 1);
    assert_int_equal(number_of(w->file, "SELECT count(DISTINCT hash) FROM foreign_ids"), 1);
    add(w, "second", NOON + 2 * PS_MS_PER_DAY, 2);
    assert_int_equal(apply_to(w, w->store).duplicates, 1);
}

/* A day goes as a whole, from its own tables (`filler` events make it worth them) or its year's;
 * what this handle knows of it is stale. */
static void expect_a_dropped_day_forgotten(struct world *w, unsigned filler)
{
    add(w, "gone", NOON, 1);
    add(w, "stays", NOON + PS_MS_PER_DAY, 2);
    fill_day(w, NOON, 10, filler);
    apply_to(w, w->store);
    assert_int_equal(has_table(w, "events_20251015"), filler > 0);
    drop_day(w, DAY);
    assert_int_equal(has_table(w, "events_20251015"), 0);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 1);
    add(w, "gone", NOON + PS_MS_PER_DAY, 1);
    add(w, "stays", NOON, 2);
    struct ps_applied applied = apply_to(w, w->store);
    assert_int_equal(w->outcomes[0], PS_OUTCOME_NEW);
    assert_int_equal(w->outcomes[1], PS_OUTCOME_DUPLICATE);
    assert_int_equal(applied.fresh, 1);
    add(w, "gone", NOON + PS_MS_PER_DAY + 5, 1);
    assert_int_equal(apply_to(w, w->store).duplicates, 1);
    add(w, NULL, NOON, 3); /* its words may have new numbers now */
    fill_day(w, NOON, 10, filler);
    assert_int_equal(apply_to(w, w->store).fresh, 1 + filler);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events WHERE path = '/p/3'"),
                     1);
}

static void test_dropped_day_is_forgotten(void **state)
{
    expect_a_dropped_day_forgotten(*state, 0);
}

static void test_dropped_tables_are_forgotten(void **state)
{
    expect_a_dropped_day_forgotten(*state, PS_OWN_DAY_EVENTS_MIN);
}

/* The last of a year's days takes the year's tables with it. */
static void test_a_years_tables_go_with_its_last_day(void **state)
{
    struct world *w = *state;
    add(w, NULL, NOON, 1);
    add(w, NULL, NOON + PS_MS_PER_DAY, 2);
    apply_to(w, w->store);
    drop_day(w, DAY);
    assert_int_equal(has_table(w, "words_2025"), 1);
    drop_day(w, DAY + 1);
    assert_int_equal(has_table(w, "words_2025"), 0);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 0);
    add(w, NULL, NOON, 1);
    assert_int_equal(apply_to(w, w->store).fresh, 1);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 1);
}

/* --- transactions --- */

static int refuse_commit(void *ctx, const uint8_t *outcomes, struct ps_err *e)
{
    (void)outcomes;
    ++*(int *)ctx;
    return ps_fail(e, PS_EIO, "not now");
}

/* I4: nothing of an aborted batch stays, not even in the memory of the words. */
static void test_abort_leaves_nothing(void **state)
{
    struct world *w = *state;
    int calls = 0;
    run_sql(w->file,
            "INSERT INTO archive_metadata (date, status) VALUES ('2025-10-14', 'cleaned')");
    add(w, NULL, NOON, 0);
    apply_to(w, w->store);
    for (int with_days = 1; with_days >= 0; with_days--) {
        add(w, NULL, NOON - PS_MS_PER_DAY, 1);
        for (unsigned i = 2; with_days && i < 50; i++)
            add(w, i % 2 ? NULL : w->ids[0], NOON + i * PS_MS_PER_DAY, i);
        for (unsigned i = 50; i < 90; i++)
            add(w, NULL, NOON, i);
        struct ps_batch b = batch_of(w);
        struct ps_applied applied = {.outcomes = w->outcomes};
        b.refused = refuse_commit;
        b.ctx = &calls;
        assert_int_equal(ps_store_apply(w->store, &b, &applied, NULL), PS_EIO);
        assert_int_equal(calls, 2 - with_days);
        assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 1);
        assert_int_equal(number_of(w->file, "SELECT count(*) FROM foreign_ids"), 0);
        assert_int_equal(number_of(w->file, "SELECT count(*) FROM words_2025"), 1);
        assert_int_equal(number_of(w->file, "SELECT position FROM positions"), 1);
        assert_int_equal(number_of(w->file, "SELECT count(*) FROM redo"), 1);
        w->count = 0;
    }
    w->count = 0;
    for (unsigned i = 89; i >= 50; i--)
        add(w, NULL, NOON, i);
    assert_int_equal(apply_to(w, w->store).fresh, 40);
    assert_int_equal(number_of(w->file, "SELECT count(DISTINCT path) FROM traffic_events"), 41);
}

static void test_more_words_than_are_cached(void **state)
{
    struct world *w = *state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < EVENTS_MAX; i++)
            add(w, NULL, NOON, round * EVENTS_MAX + i);
        assert_int_equal(apply_to(w, w->store).fresh, EVENTS_MAX);
    }
    add(w, NULL, NOON + 1, 0); /* a word from before the cache was emptied */
    assert_int_equal(apply_to(w, w->store).fresh, 1);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM words_20251015"), 3 * EVENTS_MAX);
    assert_int_equal(number_of(w->file,
                               "SELECT count(*) FROM traffic_events WHERE path ="
                               " printf('/p/%d', (SELECT sum((instr('0123456789abcdef',"
                               " substr(traffic_events.id, 30 - value, 1)) - 1) << 4 * value) FROM"
                               " json_each('[0,1,2,3,4,5,6,7]')))"),
                     3 * EVENTS_MAX + 1);
}

/* --- several handles --- */

static void test_handles_see_each_others_days(void **state)
{
    struct world *w = *state;
    struct ps_store *other = open_or_fail(w->file, PS_STORE_WRITE);
    for (unsigned i = 0; i < 6; i++) { /* each makes a day the other writes next */
        add(w, NULL, NOON + i / 2 * PS_MS_PER_DAY, i);
        add(w, i < 3 ? "once" : "1760529600007-misdated", NOON + i * PS_MS_PER_DAY, i);
        assert_int_equal(apply_to(w, i % 2 ? other : w->store).fresh, i == 0 || i == 3 ? 2 : 1);
    }
    add(w, "1760529600007-misdated", NOON + 7, 9); /* dated here, and known to the other handle */
    assert_int_equal(apply_to(w, w->store).duplicates, 1);
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 8);
    ps_store_close(other);
}

struct writer {
    const char *file;
    uint32_t partition;
    size_t failed;
};

static void *write_often(void *arg)
{
    struct writer *writer = arg;
    struct ps_store *s;
    if (ps_store_open(&ps_store_sqlite, &s, writer->file, PS_STORE_WRITE, NULL) < 0) {
        writer->failed++;
        return NULL;
    }
    for (uint64_t i = 0; i < 200; i++) {
        char id[TEXT_MAX];
        struct ps_event event = {.path = PS_STR("/"), .status = 200, .timestamp_ms = NOON};
        uint32_t order = 0;
        uint8_t outcome;
        event.id.len = (size_t)snprintf(id, sizeof id, "%lld-%u-%llu", (long long)NOON,
                                        writer->partition, (unsigned long long)i);
        event.id.ptr = id;
        struct ps_batch b = {.events = &event,
                             .count = 1,
                             .order = &order,
                             .partition = writer->partition,
                             .first_position = i,
                             .next_position = i + 1};
        struct ps_applied applied = {.outcomes = &outcome};
        writer->failed += ps_store_apply(s, &b, &applied, NULL) < 0 || applied.fresh != 1;
    }
    ps_store_close(s);
    return NULL;
}

static void test_writers_of_one_process_wait(void **state)
{
    struct world *w = *state;
    pthread_t threads[4];
    struct writer writers[4];
    for (uint32_t i = 0; i < 4; i++) {
        writers[i] = (struct writer){w->file, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &writers[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].failed, 0);
    }
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM traffic_events"), 800);
}

static int count_event(void *ctx, const struct ps_event *event)
{
    (void)event;
    ++*(size_t *)ctx;
    return 0;
}

static void test_reader_beside_a_writer(void **state)
{
    struct world *w = *state;
    size_t seen = 0;
    struct ps_err e = {0};
    add(w, NULL, NOON, 1);
    apply_to(w, w->store);
    struct ps_store *reader = open_or_fail(w->file, PS_STORE_READ);
    assert_int_equal(ps_store_freeze(reader, true, &e), 0);
    add(w, NULL, NOON, 2);
    apply_to(w, w->store);
    ps_store_events(reader, DAY, PS_ORDER_ANY, count_event, &seen, &e);
    assert_int_equal(seen, 1);
    assert_int_equal(ps_store_freeze(reader, false, &e), 0);
    ps_store_events(reader, DAY, PS_ORDER_ANY, count_event, &seen, &e);
    assert_int_equal(seen, 1 + 2);
    assert_int_equal(ps_store_settle(reader, NULL, 0, 0, 0, 0, &e), PS_EDENIED);
    ps_store_close(reader);
}

/* --- files that are not what they should be --- */

static void test_refuses_other_files(void **state)
{
    struct world *w = *state;
    struct ps_store *s = NULL;
    struct ps_err e = {0};
    char other[TEST_FOLDER_MAX + 32];
    snprintf(other, sizeof other, "%s/other.db", w->folder);
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, other, PS_STORE_READ, &e), PS_ENOENT);
    assert_int_equal(access(other, F_OK), -1); /* asking does not make it */
    FILE *f = fopen(other, "w");
    for (int i = 0; i < 1000; i++)
        fputs("not a database\n", f);
    fclose(f);
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, other, PS_STORE_WRITE, &e), PS_ECORRUPT);
    unlink(other);
    run_sql(w->file, "PRAGMA user_version = 1000");
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, w->file, PS_STORE_READ, &e), PS_EINVAL);
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, w->file, PS_STORE_WRITE, &e), PS_EINVAL);
    assert_non_null(strstr(e.text, "newer"));
    assert_null(s);
}

static int deny_endings(void *ctx, int action, const char *what, const char *b, const char *c,
                        const char *d)
{
    (void)b;
    (void)c;
    (void)d;
    bool ends = action == SQLITE_TRANSACTION && strcmp(what, "BEGIN") != 0;
    return ends && *(bool *)ctx ? SQLITE_DENY : SQLITE_OK;
}

/* I4: neither the commit nor the rollback behind it works, as without memory. What was never
 * committed must not be read as if it had been, a position above all. */
static void test_what_could_not_be_undone_is_not_read(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    uint64_t position = 99, watermark = 99;
    bool deny = true;
    sqlite3 *handle = sqlite_of(w->store)->db.handle;
    add(w, "x", NOON, 1);
    struct ps_batch b = batch_of(w);
    struct ps_applied applied = {.outcomes = w->outcomes};
    sqlite3_set_authorizer(handle, deny_endings, &deny);
    assert_true(ps_store_apply(w->store, &b, &applied, &e) < 0);
    assert_int_equal(ps_store_position(w->store, 0, &position, &watermark, &e), PS_ENOMEM);
    deny = false;
    assert_int_equal(ps_store_position(w->store, 0, &position, &watermark, &e), 0);
    assert_int_equal(position, 0);
    assert_int_equal(watermark, 0);
    assert_int_equal(apply_to(w, w->store).fresh, 1);
}

/* Forward only, and not over events in a layout that was never released. */
static void test_refuses_the_layout_of_a_pre_release(void **state)
{
    struct world *w = *state;
    struct ps_store *s = NULL;
    struct ps_err e = {0};
    ps_store_close(w->store);
    w->store = NULL;
    run_sql(w->file, "DROP VIEW path_stats_hourly; DROP TABLE hourly_rows;"
                     "CREATE TABLE path_stats_hourly(path, hour_bucket, requests);"
                     "ALTER TABLE days RENAME COLUMN has_text_ids TO has_foreign;"
                     "ALTER TABLE days DROP COLUMN own; ALTER TABLE days DROP COLUMN events; DROP "
                     "TABLE foreign_ids;"
                     "CREATE TABLE foreign_ids(hash INTEGER PRIMARY KEY, day INTEGER NOT NULL);"
                     "INSERT INTO days VALUES (20376, 0); PRAGMA user_version = 2");
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, w->file, PS_STORE_WRITE, &e), PS_EINVAL);
    assert_non_null(strstr(e.text, "import the logs again"));
    assert_int_equal(number_of(w->file, "SELECT count(*) FROM days"), 1);
    run_sql(w->file, "DELETE FROM days; INSERT INTO path_stats_hourly VALUES ('/', '', 1)");
    assert_int_equal(ps_store_open(&ps_store_sqlite, &s, w->file, PS_STORE_WRITE, &e), PS_EINVAL);
    assert_non_null(strstr(e.text, "import the logs again"));
    run_sql(w->file, "DELETE FROM path_stats_hourly");
    w->store = open_or_fail(w->file, PS_STORE_WRITE);
    add(w, "x", NOON, 1);
    assert_int_equal(apply_to(w, w->store).fresh, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_view_shows_public_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absent_stays_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_view_over_600_years, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thousands_of_days_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_day_and_the_newest_are_found_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_large_days_are_found_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_made_ids_are_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_day_that_grows_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_shelves_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_huge_day_does_not_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_growth_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ids_as_the_mem_store_has_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_days_are_read_in_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_colliding_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped_day_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped_tables_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_years_tables_go_with_its_last_day, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_abort_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_words_than_are_cached, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_handles_see_each_others_days, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writers_of_one_process_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader_beside_a_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_could_not_be_undone_is_not_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_the_layout_of_a_pre_release, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
