/* sqlite_wal_test.c - a reader that keeps its transaction open, and the write-ahead log: how long
 * it may become, what is said of it, what waits, and that all goes on when the reader ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include <sys/stat.h>
#include <time.h>

#define LOG_MAX (UINT64_C(4) << 20)

enum { BATCH_EVENTS = 2000, BATCHES_MAX = 60, BATCH_LOG_BYTES = 2 << 20, WAIT_S = 60 };

static const struct backend sqlite_backend = {&ps_store_sqlite, "pathstats.db", seal_in_sqlite,
                                              .has_times = true};

static int set_up_sqlite(void **state)
{
    struct world *w = make_world(&sqlite_backend);
    ps_store_limit_log(w->store, LOG_MAX);
    *state = w;
    return 0;
}

static uint64_t log_bytes(const struct world *w)
{
    char name[PLACE_PATH_MAX + 40];
    struct stat st;
    snprintf(name, sizeof name, "%s-wal", w->place.target);
    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Events number * BATCH_EVENTS and on, at times far apart so that many pages are written. */
static int apply_batch(struct world *w, unsigned number)
{
    struct ps_applied applied;
    for (unsigned i = 0; i < BATCH_EVENTS; i++)
        add_dated(w, NOON + i * 1000 + number % 1000, number * BATCH_EVENTS + i);
    struct ps_batch b = take_batch(w);
    int r = apply_at(w, w->store, &b, &applied);
    clear_batch(w);
    return r;
}

/* Until it is refused; how many went in. */
static unsigned apply_until_refused(struct world *w, unsigned from)
{
    unsigned number = from;
    int r = 0;
    while (number < from + BATCHES_MAX && (r = apply_batch(w, number)) == 0)
        number++;
    assert_int_equal(r, PS_EBUSY);
    return number - from;
}

static sqlite3 *read_long(const struct world *w)
{
    sqlite3 *reader;
    assert_int_equal(sqlite3_open(w->place.target, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM positions", NULL, NULL, NULL), SQLITE_OK);
    return reader;
}

/* I8: without a bound it grew to 6.4 GB in a minute. I1, I4: what was refused is there in the end,
 * once. */
static void a_long_reader_cannot_make_the_log_grow(void **state)
{
    struct world *w = *state;
    sqlite3 *reader = read_long(w);
    unsigned count = apply_until_refused(w, 0);
    assert_true(count > 0);
    assert_non_null(strstr(test_err.text, w->place.target));
    assert_non_null(strstr(test_err.text, "fuser"));
    assert_in_range(log_bytes(w), LOG_MAX, LOG_MAX + BATCH_LOG_BYTES);
    for (int i = 0; i < 3; i++) /* and it stays that way */
        assert_int_equal(apply_batch(w, count), PS_EBUSY);
    assert_in_range(log_bytes(w), LOG_MAX, LOG_MAX + BATCH_LOG_BYTES);
    assert_int_equal(ps_store_begin(w->store, &test_err), PS_EBUSY);
    expect_position(w, 0, (uint64_t)count * BATCH_EVENTS, 0);
    sqlite3_close(reader);
    OK(apply_batch(w, count));
    assert_in_range(log_bytes(w), 0, BATCH_LOG_BYTES);
    assert_int_equal(ps_store_pressure(w->store, &test_err), 0);
    expect_position(w, 0, (uint64_t)(count + 1) * BATCH_EVENTS, 0);
}

/* Statistics, records of jobs and seals are little: they do not wait. */
static void little_is_written_all_the_same(void **state)
{
    struct world *w = *state;
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/"), 1);
    struct ps_run run = {.job = PS_STR("archive"), .started_ms = NOON};
    struct ps_ledger *ledger;
    int64_t id;
    sqlite3 *reader = read_long(w);
    unsigned count = apply_until_refused(w, 0);
    settle(w, &row, 1, (uint64_t)count * BATCH_EVENTS, NOON);
    OK(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_run_started(ledger, &run, &id, &test_err));
    ps_ledger_close(ledger);
    sqlite3_close(reader);
}

/* It is told from half of the maximum on, and no longer once the reader is gone, also when nothing
 * is written any more. */
static void pressure_is_told_while_it_lasts(void **state)
{
    struct world *w = *state;
    struct timespec now, start;
    struct ps_err e = {0};
    sqlite3 *reader = read_long(w);
    unsigned number = 0;
    while (log_bytes(w) < LOG_MAX / 2) {
        assert_int_equal(ps_store_pressure(w->store, &e), 0);
        OK(apply_batch(w, number++));
    }
    assert_int_equal(ps_store_pressure(w->store, &e), PS_EBUSY);
    assert_non_null(strstr(e.text, "max_wal_size"));
    assert_null(strstr(e.text, "no events are stored"));
    OK(apply_batch(w, number));
    sqlite3_close(reader);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (ps_store_pressure(w->store, &e) != 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec - start.tv_sec < WAIT_S);
    }
    assert_int_equal(log_bytes(w), 0);
}

/* Without a reader each commit writes back what it can: the log stays far from its maximum. */
static void a_log_nobody_reads_stays_short(void **state)
{
    enum { BATCHES = 30, MAX = 32 << 20 };
    struct world *w = *state;
    ps_store_limit_log(w->store, MAX);
    for (unsigned number = 0; number < BATCHES; number++) {
        OK(apply_batch(w, number));
        assert_in_range(log_bytes(w), 0, MAX / 4 + 2 * BATCH_LOG_BYTES);
    }
}

static void capacity_counts_the_log(void **state)
{
    struct world *w = *state;
    struct ps_ledger *ledger;
    struct ps_ledger_size size;
    OK(apply_batch(w, 0));
    OK(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->place.target, PS_STORE_READ, &test_err));
    OK(ps_ledger_size(ledger, &size, &test_err));
    assert_true(size.log_bytes > 0);
    assert_int_equal(size.log_bytes, log_bytes(w));
    ps_ledger_close(ledger);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_sqlite, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_reader_cannot_make_the_log_grow),
        TEST(little_is_written_all_the_same),
        TEST(pressure_is_told_while_it_lasts),
        TEST(a_log_nobody_reads_stays_short),
        TEST(capacity_counts_the_log),
    };
    return cmocka_run_group_tests_name("sqlite wal", tests, NULL, NULL);
}
