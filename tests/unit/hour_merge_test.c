/* hour_merge_test.c - many hours as one list of paths, and the ranking made of it, over a store
 * that makes up its rows: so there can be millions of them, and what is in memory is ours.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "flow/hour_merge.h"
#include "flow/ranking.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_HOUR = 489000, LEADERS = 100, SPARE_BYTES = 4 * 1024 * 1024 };

/* Path p of hour h is "/path/00000042", there for two hours of three; its requests depend on both.
 */
static struct {
    struct ps_store store;
    int hours, paths; /* in each hour, at most */
    size_t reads, rows, peak_bytes;
    bool fails;
    bool has_long_path; /* the last one of each hour is one byte longer than a path may be */
} made;

static bool is_there(int hour, int path)
{
    return made.hours == 1 || (hour + path) % 3 != 0;
}

static uint64_t requests_of(int hour, int path)
{
    return (uint64_t)(path % 1000 * 7 + hour + 1);
}

static uint64_t requests_of_path(int path)
{
    uint64_t sum = 0;
    for (int hour = 0; hour < made.hours; hour++)
        sum += is_there(hour, path) ? requests_of(hour, path) : 0;
    return sum;
}

static void note_memory(void)
{
    struct mallinfo2 now = mallinfo2();
    if (now.uordblks + now.hblkhd > made.peak_bytes)
        made.peak_bytes = now.uordblks + now.hblkhd;
}

static char long_path[PS_PATH_MAX + 1];

static int make_row(const struct ps_stats_query *q, int hour, int path, ps_stat_fn *fn, void *ctx)
{
    char text[32];
    int len = snprintf(text, sizeof text, "/path/%08d", path);
    struct ps_stat_row row = {.hour = FIRST_HOUR + hour, .path = {text, (size_t)len}};
    if (q->path.ptr != NULL && !ps_str_equal(q->path, row.path))
        return 0;
    if (made.has_long_path && path == made.paths - 1)
        row.path = (struct ps_str){long_path, sizeof long_path};
    row.stat.requests = requests_of(hour, path);
    made.rows++;
    if (made.rows % 1024 == 0)
        note_memory();
    return fn(ctx, &row);
}

/* The number in "/path/<number>". */
static int number_of(struct ps_str path)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)path.len, path.ptr);
    assert_true(path.len == 14);
    return atoi(text + 6);
}

static int stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                 struct ps_err *e)
{
    (void)s;
    int r = 0;
    int hour = q->from_hour > FIRST_HOUR ? q->from_hour - FIRST_HOUR : 0;
    int from = q->after.ptr != NULL  ? number_of(q->after) + 1
               : q->path.ptr != NULL ? number_of(q->path)
                                     : 0;
    int to = q->path.ptr != NULL ? from + 1 : made.paths;
    if (made.fails && q->after.ptr != NULL)
        return ps_fail(e, PS_EIO, "injected: stats");
    made.reads++;
    for (; r == 0 && hour < made.hours && FIRST_HOUR + hour <= q->to_hour; hour++)
        for (int path = from; r == 0 && path < to; path++)
            if (is_there(hour, path))
                r = make_row(q, hour, path, fn, ctx);
    return r;
}

static int freeze(struct ps_store *s, bool on, struct ps_err *e)
{
    (void)s;
    (void)on;
    (void)e;
    return 0;
}

static const struct ps_store_ops ops = {.name = "made up", .stats = stats, .freeze = freeze};

static void make_up(int hours, int paths)
{
    memset(&made, 0, sizeof made);
    made.store.ops = &ops;
    made.hours = hours;
    made.paths = paths;
}

struct seen {
    int last;
    size_t paths;
};

static int check_path(void *ctx, struct ps_str path, uint64_t requests)
{
    struct seen *seen = ctx;
    int number = number_of(path);
    assert_true(number > seen->last);
    assert_int_equal(requests, requests_of_path(number));
    seen->last = number;
    seen->paths++;
    return 0;
}

static void expect_all_paths(int hours, int paths)
{
    struct ps_err e = {0};
    struct seen seen = {.last = -1};
    make_up(hours, paths);
    assert_int_equal(ps_hour_merge(&made.store, INT32_MIN, INT32_MAX, check_path, &seen, &e), 0);
    assert_int_equal(seen.paths, paths);
}

/* --- tests --- */

static void every_path_comes_once_with_all_its_requests(void **state)
{
    (void)state;
    expect_all_paths(0, 0);
    expect_all_paths(1, 1);
    expect_all_paths(1, 300000); /* pages of one hour */
    expect_all_paths(24, 50000);
    expect_all_paths(9000, 100); /* pages at their smallest: several an hour */
}

static void nothing_outside_the_hours(void **state)
{
    struct ps_err e = {0};
    struct seen seen = {.last = -1};
    (void)state;
    make_up(5, 100);
    assert_int_equal(ps_hour_merge(&made.store, FIRST_HOUR + 5, INT32_MAX, check_path, &seen, &e),
                     0);
    assert_int_equal(ps_hour_merge(&made.store, INT32_MIN, FIRST_HOUR - 1, check_path, &seen, &e),
                     0);
    assert_int_equal(seen.paths, 0);
}

static void too_many_hours_are_refused(void **state) /* I8 */
{
    struct ps_err e = {0};
    struct seen seen = {.last = -1};
    (void)state;
    make_up(PS_HOUR_MERGE_HOURS_MAX + 1, 2);
    assert_int_equal(ps_hour_merge(&made.store, INT32_MIN, INT32_MAX, check_path, &seen, &e),
                     PS_EFULL);
    assert_non_null(strstr(e.text, "10000 hours"));
}

static int stop_at_once(void *ctx, struct ps_str path, uint64_t requests)
{
    (void)ctx;
    (void)path;
    (void)requests;
    return PS_ESTOP;
}

static void failures_are_handed_on(void **state)
{
    struct ps_err e = {0};
    struct seen seen = {.last = -1};
    (void)state;
    make_up(1, 300000);
    assert_int_equal(ps_hour_merge(&made.store, 0, INT32_MAX, stop_at_once, NULL, &e), PS_ESTOP);
    made.fails = true;
    assert_int_equal(ps_hour_merge(&made.store, 0, INT32_MAX, check_path, &seen, &e), PS_EIO);
    assert_string_equal(e.text, "injected: stats");
}

/* Somebody else wrote it into the database. I8: there is room for no more. */
static void a_path_that_is_too_long_is_damage(void **state)
{
    struct ps_err e = {0};
    struct seen seen = {.last = -1};
    (void)state;
    make_up(1, 3);
    memset(long_path, 'x', sizeof long_path);
    made.has_long_path = true;
    assert_int_equal(ps_hour_merge(&made.store, 0, INT32_MAX, check_path, &seen, &e), PS_ECORRUPT);
    assert_non_null(strstr(e.text, "pathstats verify"));
}

struct ranks {
    uint64_t requests[LEADERS];
    int paths[LEADERS];
    size_t count;
};

static int note_rank(void *ctx, const struct ps_ranked *p)
{
    struct ranks *ranks = ctx;
    assert_true(ranks->count < LEADERS);
    ranks->paths[ranks->count] = number_of(p->path);
    ranks->requests[ranks->count++] = p->requests;
    return 0;
}

struct leader {
    uint64_t requests;
    int path;
};

static int compare_leaders(const void *x, const void *y)
{
    const struct leader *a = x, *b = y;
    if (a->requests != b->requests)
        return a->requests > b->requests ? -1 : 1;
    return a->path - b->path;
}

/* I8: 24 hours of 100,000 paths are ranked in the memory of the pages and of the leaders. */
static void a_ranking_holds_pages_and_leaders(void **state)
{
    enum { PATHS = 150000 };
    struct ps_err e = {0};
    struct ranks ranks = {.count = 0};
    struct ps_ranking_query q = {FIRST_HOUR, FIRST_HOUR + 23, LEADERS};
    struct leader *leaders = calloc(PATHS, sizeof *leaders);
    size_t paths = 0;
    (void)state;
    make_up(24, PATHS); /* two thirds of them in each hour */
    for (int i = 0; i < PATHS; i++)
        leaders[i] = (struct leader){requests_of_path(i), i};
    qsort(leaders, PATHS, sizeof *leaders, compare_leaders);
    note_memory();
    size_t before = made.peak_bytes;
    assert_int_equal(ps_ranking(&made.store, &q, note_rank, &ranks, &paths, &e), 0);
    assert_true(made.peak_bytes - before <= PS_HOUR_MERGE_BYTES + SPARE_BYTES);
    assert_int_equal(paths, PATHS);
    assert_in_range(made.rows, 24 * 100000, 24 * 100000 * 11 / 10); /* not read again and again */
    assert_int_equal(ranks.count, LEADERS);
    for (size_t i = 0; i < LEADERS; i++) {
        assert_int_equal(ranks.paths[i], leaders[i].path);
        assert_int_equal(ranks.requests[i], leaders[i].requests);
    }
    free(leaders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_comes_once_with_all_its_requests),
        cmocka_unit_test(nothing_outside_the_hours),
        cmocka_unit_test(too_many_hours_are_refused),
        cmocka_unit_test(failures_are_handed_on),
        cmocka_unit_test(a_path_that_is_too_long_is_damage),
        cmocka_unit_test(a_ranking_holds_pages_and_leaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
