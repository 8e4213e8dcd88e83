/* store_content_test.c - the contract of port/store.h, held against every backend: what comes back
 * is what was given, in the order that was promised.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

/* --- rows --- */

static void test_settle_inserts_replaces_removes(void **state)
{
    struct world *w = *state;
    struct ps_stat_row rows[] = {row_of(NOON_HOUR, PS_STR("/a"), 1),
                                 row_of(NOON_HOUR, PS_STR("/b"), 2),
                                 row_of(NOON_HOUR + 1, PS_STR("/a"), 3)};
    rows[0].stat = (struct ps_stat){.requests = UINT64_C(1) << 62,
                                    .errors = 2,
                                    .count_us = 3,
                                    .sum_us = UINT64_C(1) << 61,
                                    .min_us = 5,
                                    .max_us = 6,
                                    .unique_seen = 7,
                                    .unique_estimate = 8,
                                    .count_bytes = 9,
                                    .sum_bytes = UINT64_C(1) << 60,
                                    .p50_us = 11,
                                    .p95_us = 12,
                                    .p99_us = 13,
                                    .samples = PS_STR("5,6"),
                                    .sample_keys = PS_STR("\0\1\xff"),
                                    .clients = PS_STR("\0"),
                                    .sketch = PS_STR("\x80\0\x7f"),
                                    .methods = PS_STR("GET:1,other:2"),
                                    .statuses = PS_STR("200:1,503:2")};
    settle(w, rows, 3, 0, NOON);
    reopen(w);
    EXPECT_TEXT("row 489036 '/a' 4611686018427387904 2 3 2305843009213693952 5 6 7 8 9"
                " 1152921504606846976 11 12 13 '5,6' '\\00\\01\\ff' '\\00' '\\80\\00\\7f'"
                " 'GET:1,other:2' '200:1,503:2'\n"
                "row 489036 '/b' 2 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n"
                "row 489037 '/a' 3 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n",
                ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
    rows[0] = row_of(NOON_HOUR, PS_STR("/a"), 9); /* what it held is replaced, not added to */
    rows[1].stat.requests = 0;
    rows[2] = row_of(NOON_HOUR, PS_STR("/never"), 0);
    settle(w, rows, 3, 0, NOON);
    EXPECT_TEXT("row 489036 '/a' 9 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n"
                "row 489037 '/a' 3 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n",
                ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
}

static void expect_times(struct world *w, const char *path, int64_t created, int64_t updated)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(w->place.target, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT created_at, updated_at FROM path_stats_hourly"
                                        " WHERE path = ?",
                                        -1, &q, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int64(q, 0), created);
    assert_int_equal(sqlite3_column_int64(q, 1), updated);
    sqlite3_finalize(q);
    sqlite3_close(db);
}

static void test_times_of_a_row(void **state)
{
    struct world *w = *state;
    struct ps_stat_row rows[] = {row_of(NOON_HOUR, PS_STR("/a"), 1),
                                 row_of(NOON_HOUR, PS_STR("/b"), 1)};
    if (!w->backend->has_times)
        return; /* the port does not show them */
    settle(w, rows, 2, 0, NOON);
    settle(w, rows, 1, 0, NOON + 10);
    expect_times(w, "/a", NOON, NOON + 10);
    expect_times(w, "/b", NOON, NOON);
    rows[0].stat.requests = 0;
    settle(w, rows, 1, 0, NOON + 20);
    rows[0].stat.requests = 1;
    settle(w, rows, 1, 0, NOON + 30); /* a row that was gone is a new one */
    expect_times(w, "/a", NOON + 30, NOON + 30);
}

static int dump_key(void *to, const struct ps_stat_row *row)
{
    ps_buf_format(to, "%d", row->hour - NOON_HOUR);
    dump_str(to, row->path);
    ps_buf_text(to, ", ");
    return 0;
}

static void test_stats_by_range_and_path(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/b", "/", "/a/", "/a", "/A", "/\xc3\xa4", "/a ", "/Z"};
    struct ps_stat_row rows[24];
    for (size_t i = 0; i < 24; i++)
        rows[i] = row_of(NOON_HOUR + (int)(i * 5 % 3) - 1,
                         (struct ps_str){paths[i % 8], strlen(paths[i % 8])}, i + 1);
    settle(w, rows, 24, 0, NOON);
    struct ps_stats_query q = query(NOON_HOUR, NOON_HOUR, PS_STR_NONE);
    EXPECT_TEXT("0 '/', 0 '/A', 0 '/Z', 0 '/a', 0 '/a ', 0 '/a/', 0 '/b', 0 '/\\c3\\a4', ",
                ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(NOON_HOUR, NOON_HOUR + 1, PS_STR("/a"));
    EXPECT_TEXT("0 '/a', 1 '/a', ", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(INT32_MIN, NOON_HOUR - 1, PS_STR("/A"));
    EXPECT_TEXT("-1 '/A', ", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(NOON_HOUR + 2, INT32_MAX, PS_STR_NONE);
    EXPECT_TEXT("", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(NOON_HOUR + 1, NOON_HOUR, PS_STR_NONE);
    EXPECT_TEXT("", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(INT32_MIN, INT32_MAX, PS_STR("/%"));
    EXPECT_TEXT("", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
    q = query(INT32_MIN, INT32_MAX, PS_STR(""));
    EXPECT_TEXT("", ps_store_stats(w->store, &q, dump_key, &got, &test_err));
}

static int dump_requests(void *to, const struct ps_stat_row *row)
{
    ps_buf_format(to, "%d", row->hour - NOON_HOUR);
    dump_str(to, row->path);
    return ps_buf_format(to, " %llu,", (unsigned long long)row->stat.requests);
}

static void test_brief_rows_have_their_requests(void **state)
{
    struct world *w = *state;
    struct ps_stat_row rows[] = {row_of(NOON_HOUR, PS_STR("/a"), 7),
                                 row_of(NOON_HOUR + 1, PS_STR("/a"), 8)};
    settle(w, rows, 2, 0, NOON);
    for (int with_path = 0; with_path < 2; with_path++) {
        struct ps_stats_query q =
            query(NOON_HOUR, NOON_HOUR + 1, with_path ? PS_STR("/a") : PS_STR_NONE);
        q.brief = true;
        EXPECT_TEXT("0 '/a' 7,1 '/a' 8,",
                    ps_store_stats(w->store, &q, dump_requests, &got, &test_err));
    }
}

/* In the order of bytes, and of its hour alone. */
static void test_rows_after_a_path(void **state)
{
    struct world *w = *state;
    struct ps_stat_row rows[] = {
        row_of(NOON_HOUR, PS_STR("/"), 1),      row_of(NOON_HOUR, PS_STR("/a"), 2),
        row_of(NOON_HOUR, PS_STR("/a b"), 3),   row_of(NOON_HOUR, PS_STR("/\xc3\xa4"), 4),
        row_of(NOON_HOUR + 1, PS_STR("/b"), 5),
    };
    static const struct {
        struct ps_str after;
        const char *expected;
    } cases[] = {
        {PS_STR(""), "0 '/' 1,0 '/a' 2,0 '/a b' 3,0 '/\\c3\\a4' 4,"},
        {PS_STR("/a"), "0 '/a b' 3,0 '/\\c3\\a4' 4,"},
        {PS_STR("/a!"), "0 '/\\c3\\a4' 4,"},
        {PS_STR("/\xc3\xa4"), ""},
    };
    settle(w, rows, PS_COUNT_OF(rows), 0, NOON);
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        for (int brief = 0; brief < 2; brief++) {
            struct ps_stats_query q = query(NOON_HOUR, NOON_HOUR, PS_STR_NONE);
            q.after = cases[i].after;
            q.brief = brief;
            EXPECT_TEXT(cases[i].expected,
                        ps_store_stats(w->store, &q, dump_requests, &got, &test_err));
        }
}

/* --- events and days --- */

static void test_events_in_time_order(void **state)
{
    struct world *w = *state;
    add_event(w, "b", NOON + 2);
    add_event(w, "a", NOON + 3);
    add_dated(w, NOON + 2, 1);
    add_event(w, "B", NOON + 2);
    add_dated(w, NOON + 4, 0);
    add_event(w, "0", NOON + 5);
    add_event(w, "midnight", (int64_t)DAY * PS_MS_PER_DAY);
    add_event(w, "last", (DAY + 1) * PS_MS_PER_DAY - 1);
    add_event(w, "tomorrow", (DAY + 1) * PS_MS_PER_DAY);
    add_event(w, "yesterday", DAY * PS_MS_PER_DAY - 1);
    EXPECT_APPLY(w, "NNNNNNNNNN");
    EXPECT_TEXT("midnight 1760529600002-0000000000000001 B b a 1760529600004-0000000000000000 0"
                " last ",
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_id, &got, &test_err));
    size_t count = 0;
    OK(ps_store_events(w->store, DAY, PS_ORDER_ANY, count_event, &count, &test_err));
    assert_int_equal(count, 8);
    EXPECT_TEXT("tomorrow ",
                ps_store_events(w->store, DAY + 1, PS_ORDER_TIME, dump_id, &got, &test_err));
}

/* The earliest and the latest time there is, and ids shorter than a time of thirteen digits. */
static void test_the_ends_of_time(void **state)
{
    struct world *w = *state;
    add_dated(w, PS_TIMESTAMP_MIN_MS + 1, 1);
    add_event(w, "946684800000-a", PS_TIMESTAMP_MIN_MS);
    add_dated(w, PS_TIMESTAMP_MAX_MS, 2);
    add_event(w, "253402300799998-b", PS_TIMESTAMP_MAX_MS - 1);
    EXPECT_APPLY(w, "NNNN");
    reopen(w);
    add_dated(w, PS_TIMESTAMP_MAX_MS, 2);
    add_dated(w, PS_TIMESTAMP_MIN_MS + 1, 1);
    EXPECT_APPLY(w, "DD");
    EXPECT_TEXT("day 10957 open stored\nday 2932896 open stored\n",
                ps_store_days(w->store, dump_day, &got, &test_err));
    EXPECT_TEXT("946684800000-a 0946684800001-0000000000000001 ",
                ps_store_events(w->store, 10957, PS_ORDER_TIME, dump_id, &got, &test_err));
    EXPECT_TEXT("253402300799998-b 253402300799999-0000000000000002 ",
                ps_store_events(w->store, 2932896, PS_ORDER_TIME, dump_id, &got, &test_err));
}

static void test_days_are_listed(void **state)
{
    struct world *w = *state;
    add_dated(w, NOON + 3 * PS_MS_PER_DAY, 1);
    add_dated(w, NOON - 3 * PS_MS_PER_DAY, 2);
    add_dated(w, NOON, 3);
    add_event(w, "again", NOON);
    EXPECT_APPLY(w, "NNNN");
    w->backend->set_state(w->place.target, DAY, PS_DAY_FAILED);
    w->backend->set_state(w->place.target, DAY + 3, PS_DAY_RESTORED);
    w->backend->set_state(w->place.target, DAY + 1, PS_DAY_CLEANED); /* gone from the store */
    reopen(w);
    EXPECT_TEXT("day 20373 open stored\nday 20376 failed stored\nday 20377 cleaned\n"
                "day 20379 restored stored\n",
                ps_store_days(w->store, dump_day, &got, &test_err));
}

/* A day is known by its events: one that took only duplicates is none. */
static void test_duplicates_make_no_day(void **state)
{
    struct world *w = *state;
    add_event(w, "foreign", NOON);
    EXPECT_APPLY(w, "N");
    add_event(w, "foreign", NOON + 4 * PS_MS_PER_DAY);
    EXPECT_APPLY(w, "D");
    EXPECT_TEXT("day 20376 open stored\n", ps_store_days(w->store, dump_day, &got, &test_err));
}

/* --- contents --- */

static void test_all_fields_absent(void **state)
{
    struct world *w = *state;
    add_event(w, "x", NOON);
    EXPECT_APPLY(w, "N");
    EXPECT_TEXT("event 1760529600000 'x' '/' - - - -1 -1 -1 -1\n",
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_event, &got, &test_err));
}

static void test_numbers_at_their_ends(void **state)
{
    struct world *w = *state;
    static const uint64_t clients[] = {0, 1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    static const int64_t times[] = {0, 1, 999, 4294967296, PS_RESPONSE_US_MAX};
    struct ps_buf expected;
    dump_init(&expected);
    for (unsigned i = 0; i < 5; i++) {
        struct ps_event *event = add_dated(w, NOON, i);
        event->has_client = true;
        event->client_hash = clients[i];
        event->response_us = times[i];
        event->status = i < 3 ? (int32_t[]){PS_STATUS_MIN, 400, PS_STATUS_MAX}[i] : PS_ABSENT;
        event->is_error = i < 3 ? event->status >= 400 : i == 3;
        dump_event(&expected, event);
    }
    dump_end(&expected);
    EXPECT_APPLY(w, "NNNNN");
    reopen(w);
    EXPECT_TEXT(expected.ptr,
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_event, &got, &test_err));
    ps_buf_done(&expected);
}

static void test_awkward_texts(void **state)
{
    struct world *w = *state;
    static const char *const texts[] = {"/a:b",
                                        "/a|||b|c",
                                        "/'); DROP TABLE x;--",
                                        "/\"q\"",
                                        "/`\\%_?*[]",
                                        "/\xc3\xa4\xf0\x9f\x98\x80",
                                        "/e\xcc\x81",
                                        "/ ",
                                        "/a\tb",
                                        "NULL",
                                        "0",
                                        "1e3",
                                        "/%s%n%d",
                                        "/\xef\xbf\xbd",
                                        "/\xc2\x80",
                                        "-"};
    struct ps_buf expected;
    struct ps_stat_row rows[PS_COUNT_OF(texts)];
    dump_init(&expected);
    for (size_t i = 0; i < PS_COUNT_OF(texts); i++) {
        struct ps_event *event = add_dated(w, NOON + (int64_t)i, 1);
        struct ps_str s = {texts[i], strlen(texts[i])};
        event->path = event->user_agent = s;
        event->method = event->country = (struct ps_str){s.ptr, s.len < 5 ? s.len : 5};
        dump_event(&expected, event);
        rows[i] = row_of(NOON_HOUR, s, i + 1);
    }
    dump_end(&expected);
    EXPECT_APPLY(w, "NNNNNNNNNNNNNNNN");
    settle(w, rows, PS_COUNT_OF(rows), 0, NOON);
    reopen(w);
    EXPECT_TEXT(expected.ptr,
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_event, &got, &test_err));
    for (size_t i = 0; i < PS_COUNT_OF(rows); i++) {
        struct ps_stats_query q = query(NOON_HOUR, NOON_HOUR, rows[i].path);
        ps_buf_clear(&expected);
        dump_row(&expected, &rows[i]);
        dump_end(&expected);
        EXPECT_TEXT(expected.ptr, ps_store_stats(w->store, &q, dump_row, &got, &test_err));
    }
    ps_buf_done(&expected);
}

static void test_longest_fields(void **state)
{
    struct world *w = *state;
    char longest[PS_PATH_MAX];
    struct ps_buf expected;
    dump_init(&expected);
    memset(longest, 'a', sizeof longest);
    for (unsigned i = 0; i < 2; i++) {
        char id[PS_ID_MAX];
        memset(id, 'i', sizeof id);
        id[sizeof id - 1] = (char)('0' + i);
        longest[sizeof longest - 1] = (char)('a' + i); /* they differ in the last byte alone */
        struct ps_event *event = add_event(w, "", NOON);
        event->id = keep_text(w, id, sizeof id);
        event->path = keep_text(w, longest, PS_PATH_MAX);
        event->user_agent =
            keep_text(w, longest + PS_PATH_MAX - PS_USER_AGENT_MAX, PS_USER_AGENT_MAX);
        event->method = keep_text(w, longest + PS_PATH_MAX - PS_METHOD_MAX, PS_METHOD_MAX);
        event->country = keep_text(w, longest + PS_PATH_MAX - PS_COUNTRY_MAX, PS_COUNTRY_MAX);
        dump_event(&expected, event);
    }
    dump_end(&expected);
    EXPECT_APPLY(w, "NN");
    struct ps_stat_row row = row_of(NOON_HOUR, (struct ps_str){longest, PS_PATH_MAX}, 1);
    char *samples = calloc(1, PS_STAT_BYTES_MAX);
    memset(samples, '7', PS_STAT_BYTES_MAX);
    row.stat.samples = row.stat.sketch = row.stat.methods = row.stat.statuses =
        (struct ps_str){samples, PS_STAT_BYTES_MAX};
    settle(w, &row, 1, 0, NOON);
    reopen(w);
    EXPECT_TEXT(expected.ptr,
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_event, &got, &test_err));
    ps_buf_clear(&expected);
    dump_row(&expected, &row);
    dump_end(&expected);
    EXPECT_TEXT(expected.ptr, ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
    ps_buf_done(&expected);
    free(samples);
}

static const struct contract_case cases[] = {
    {"settle inserts, replaces, removes", test_settle_inserts_replaces_removes},
    {"created_at stays, updated_at moves", test_times_of_a_row},
    {"stats by range and path, in order", test_stats_by_range_and_path},
    {"brief rows have their requests", test_brief_rows_have_their_requests},
    {"rows after a path", test_rows_after_a_path},
    {"events in time order, days cut at midnight UTC", test_events_in_time_order},
    {"the earliest and the latest time", test_the_ends_of_time},
    {"days are listed with their states", test_days_are_listed},
    {"a day of duplicates is no day", test_duplicates_make_no_day},
    {"all fields absent", test_all_fields_absent},
    {"numbers at their ends", test_numbers_at_their_ends},
    {"awkward texts", test_awkward_texts},
    {"the longest fields", test_longest_fields},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(store_backends); i++)
        failed += run_contract("store", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), set_up, tear_down);
    return failed;
}
