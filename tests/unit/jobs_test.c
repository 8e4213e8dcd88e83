/* jobs_test.c - the scheduler over a clock that the test turns by hand, so nothing here waits.
 *
 * Every run goes through the hooks into a list, which is what the tests look at.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/time.h"
#include "cron/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS_MAX = 9000, JOBS_MAX = 3, SHORT_MAX = 64 };

#define MINUTE PS_MS_PER_MINUTE
#define HOUR PS_MS_PER_HOUR
#define DAY PS_MS_PER_DAY

struct run {
    const char *job;
    int64_t scheduled_ms, started_ms, finished_ms;
    int outcome_code, finishes;
    char detail[SHORT_MAX + 1];
};

struct world {
    struct ps_jobs *jobs;
    struct ps_job table[JOBS_MAX];
    int64_t last_start_ms[JOBS_MAX];
    size_t n;
    int64_t now_ms, takes_ms; /* takes_ms: how long a run lasts */
    int inside, outcome_code, started_code;
    const char *says, *fails_with;
    struct run *runs;
    int n_runs;
};

static int64_t clock_ms(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static int started(void *ctx, const char *job, int64_t scheduled_ms, int64_t started_ms,
                   int64_t *ret_run_id, struct ps_err *e)
{
    struct world *w = ctx;
    if (w->started_code < 0)
        return ps_fail(e, w->started_code, "no record today");
    assert_true(w->n_runs < RUNS_MAX);
    w->runs[w->n_runs] =
        (struct run){.job = job, .scheduled_ms = scheduled_ms, .started_ms = started_ms};
    *ret_run_id = 100 + w->n_runs++;
    return PS_OK;
}

static void finished(void *ctx, int64_t run_id, int64_t finished_ms, int outcome_code,
                     struct ps_str detail)
{
    struct world *w = ctx;
    struct run *r = &w->runs[run_id - 100];
    assert_non_null(detail.ptr);
    assert_true(detail.len <= SHORT_MAX);
    r->finished_ms = finished_ms;
    r->outcome_code = outcome_code;
    r->finishes++;
    memcpy(r->detail, detail.ptr, detail.len);
}

static int run(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct world *w = ctx;
    assert_int_equal(w->inside++, 0); /* never two at a time */
    assert_int_equal(w->runs[w->n_runs - 1].scheduled_ms, scheduled_ms);
    assert_int_equal(detail->len, 0); /* nothing is left of the run before */
    if (w->says != NULL)
        ps_buf_text(detail, w->says);
    w->now_ms += w->takes_ms;
    w->inside--;
    return w->fails_with != NULL ? ps_fail(e, w->outcome_code, "%s", w->fails_with)
                                 : w->outcome_code;
}

static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static void add_job(struct world *w, const char *name, const char *when, int64_t last_start_ms)
{
    struct ps_job *job = &w->table[w->n];
    struct ps_err e;
    *job = (struct ps_job){.name = name, .enabled = true, .run = run, .ctx = w};
    if (ps_cron_parse(&job->when, when, &e) != PS_OK)
        fail_msg("%s", e.text);
    w->last_start_ms[w->n++] = last_start_ms;
}

static int try_open(struct world *w, struct ps_err *e)
{
    const struct ps_jobs_config config = {
        .jobs = w->table,
        .last_start_ms = w->last_start_ms,
        .n = w->n,
        .hooks = {.ctx = w, .now_ms = clock_ms, .started = started, .finished = finished},
    };
    return ps_jobs_open(&w->jobs, &config, e);
}

static void open_at(struct world *w, const char *time)
{
    w->now_ms = at(time);
    assert_int_equal(try_open(w, NULL), PS_OK);
}

static int64_t step(struct world *w)
{
    return ps_jobs_step(w->jobs, w->now_ms);
}

static int64_t step_at(struct world *w, const char *time)
{
    w->now_ms = at(time);
    return step(w);
}

static void check_run(const struct world *w, int i, const char *job, const char *scheduled,
                      const char *started_at)
{
    char text[PS_ISO_LEN + 1];
    assert_true(i < w->n_runs);
    const struct run *r = &w->runs[i];
    assert_string_equal(r->job, job);
    ps_time_format_iso(text, r->scheduled_ms);
    if (r->scheduled_ms != at(scheduled))
        fail_msg("run %d was scheduled for %s, expected %s", i, text, scheduled);
    ps_time_format_iso(text, r->started_ms);
    if (r->started_ms != at(started_at))
        fail_msg("run %d started at %s, expected %s", i, text, started_at);
    assert_int_equal(r->finishes, 1);
}

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL || (w->runs = calloc(RUNS_MAX, sizeof *w->runs)) == NULL)
        return -1;
    *state = w;
    return 0;
}

static int drop_world(void **state)
{
    struct world *w = *state;
    ps_jobs_close(w->jobs);
    free(w->runs);
    free(w);
    return 0;
}

static void test_runs_at_its_time(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", 0);
    open_at(w, "2025-10-15 01:00:00");
    assert_int_equal(step(w), at("2025-10-15 02:00:00"));
    assert_int_equal(step_at(w, "2025-10-15 01:59:59"), at("2025-10-15 02:00:00"));
    assert_int_equal(w->n_runs, 0);
    w->takes_ms = 7 * 1000;
    w->says = "12 objects";
    assert_int_equal(step_at(w, "2025-10-15 02:00:00"), at("2025-10-16 02:00:00"));
    assert_int_equal(step(w), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 1);
    check_run(w, 0, "backup", "2025-10-15 02:00:00", "2025-10-15 02:00:00");
    assert_int_equal(w->runs[0].finished_ms, at("2025-10-15 02:00:07"));
    assert_int_equal(w->runs[0].outcome_code, PS_OK);
    assert_string_equal(w->runs[0].detail, "12 objects");
}

static void test_never_run_waits_for_its_next_time(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", 0);
    open_at(w, "2025-10-15 09:00:00");
    assert_int_equal(step(w), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 0);
}

static void test_missed_runs_are_made_up_for_once(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", at("2025-10-10 02:00:03"));
    add_job(w, "sweep", "*/5 * * * *", at("2025-10-15 08:00:00"));
    add_job(w, "done", "0 2 * * *", at("2025-10-15 02:00:00"));
    open_at(w, "2025-10-15 09:03:00");
    assert_int_equal(step(w), at("2025-10-15 09:05:00"));
    assert_int_equal(w->n_runs, 2);
    check_run(w, 0, "backup", "2025-10-15 02:00:00", "2025-10-15 09:03:00");
    check_run(w, 1, "sweep", "2025-10-15 09:00:00", "2025-10-15 09:03:00");
    step_at(w, "2025-10-15 09:04:59");
    assert_int_equal(w->n_runs, 2);
    assert_int_equal(step_at(w, "2025-10-15 23:59:59"), at("2025-10-16 00:00:00"));
    assert_int_equal(w->n_runs, 3); /* sweep, once more; the daily ones not before 02:00 */
    assert_int_equal(step_at(w, "2025-10-16 02:00:00"), at("2025-10-16 02:05:00"));
    assert_int_equal(w->n_runs, 6);
}

/* What a daemon that ended in the middle of a run finds when it comes back. */
static void test_open_again_after_a_start(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", 0);
    open_at(w, "2025-10-15 01:00:00");
    step_at(w, "2025-10-15 02:00:00");
    assert_int_equal(w->n_runs, 1);
    ps_jobs_close(w->jobs);
    w->last_start_ms[0] = w->runs[0].started_ms;
    open_at(w, "2025-10-15 02:00:30");
    assert_int_equal(step(w), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 1);
}

static void test_long_run_collapses_missed_times(void **state)
{
    struct world *w = *state;
    add_job(w, "sweep", "*/5 * * * *", 0);
    open_at(w, "2025-10-15 09:01:00");
    w->takes_ms = 17 * MINUTE;
    int64_t next_ms = step_at(w, "2025-10-15 09:05:00"); /* until 09:22 */
    assert_int_equal(w->n_runs, 1);
    assert_true(next_ms <= w->now_ms);
    w->takes_ms = 0;
    assert_int_equal(step(w), at("2025-10-15 09:25:00"));
    assert_int_equal(w->n_runs, 2);
    check_run(w, 1, "sweep", "2025-10-15 09:20:00", "2025-10-15 09:22:00");
}

static void test_one_after_the_other(void **state)
{
    struct world *w = *state;
    add_job(w, "a", "0 * * * *", 0);
    add_job(w, "b", "0 * * * *", 0);
    add_job(w, "c", "10 * * * *", 0);
    open_at(w, "2025-10-15 08:30:00");
    w->takes_ms = 15 * MINUTE;
    step_at(w, "2025-10-15 09:00:00");
    assert_int_equal(w->n_runs, 3);
    check_run(w, 0, "a", "2025-10-15 09:00:00", "2025-10-15 09:00:00");
    check_run(w, 1, "b", "2025-10-15 09:00:00", "2025-10-15 09:15:00");
    check_run(w, 2, "c", "2025-10-15 09:10:00", "2025-10-15 09:30:00"); /* due meanwhile */
    assert_int_equal(w->runs[2].finished_ms, at("2025-10-15 09:45:00"));
}

static void test_clock_set_back(void **state)
{
    struct world *w = *state;
    add_job(w, "sweep", "*/5 * * * *", 0);
    open_at(w, "2025-10-15 09:58:00");
    step_at(w, "2025-10-15 10:00:00");
    assert_int_equal(w->n_runs, 1);
    assert_int_equal(step_at(w, "2025-10-15 08:59:00"), at("2025-10-15 09:00:00"));
    assert_int_equal(w->n_runs, 1);
    for (int i = 0; i < 66; i++, w->now_ms += MINUTE) /* the hour again, up to 10:04 */
        step(w);
    assert_int_equal(w->n_runs, 1 + 13);
    check_run(w, 1, "sweep", "2025-10-15 09:00:00", "2025-10-15 09:00:00");
    check_run(w, 13, "sweep", "2025-10-15 10:00:00", "2025-10-15 10:00:00");
}

/* As time servers do: no minute comes twice, and none is waited for longer. */
static void test_clock_set_back_a_little(void **state)
{
    struct world *w = *state;
    add_job(w, "sweep", "*/5 * * * *", 0);
    open_at(w, "2025-10-15 09:58:00");
    step_at(w, "2025-10-15 10:00:00");
    assert_int_equal(w->n_runs, 1);
    assert_int_equal(step_at(w, "2025-10-15 09:59:00"), at("2025-10-15 10:05:00"));
    assert_int_equal(step_at(w, "2025-10-15 10:00:00"), at("2025-10-15 10:05:00"));
    assert_int_equal(w->n_runs, 1);
    assert_int_equal(step_at(w, "2025-10-15 09:58:59"), at("2025-10-15 10:00:00"));
}

static void test_clock_set_back_during_a_run(void **state)
{
    struct world *w = *state;
    add_job(w, "a", "0 10 * * *", 0);
    add_job(w, "b", "0 10 * * *", 0);
    open_at(w, "2025-10-15 09:58:00");
    w->takes_ms = -HOUR;
    step_at(w, "2025-10-15 10:00:00");
    assert_int_equal(w->n_runs, 2);
    assert_int_equal(step_at(w, "2025-10-15 10:00:00"), at("2025-10-16 10:00:00"));
    assert_int_equal(w->n_runs, 2);
}

static void test_clock_set_back_across_a_restart(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", at("2025-10-15 02:00:01"));
    open_at(w, "2025-10-15 01:30:00"); /* by far more than a time server takes back */
    assert_int_equal(step(w), at("2025-10-15 02:00:00"));
    ps_jobs_close(w->jobs);
    open_at(w, "2025-10-15 01:59:30");
    assert_int_equal(step_at(w, "2025-10-15 02:00:00"), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 0);
}

/* A start recorded under a clock that was years ahead must not stop the backups for years. */
static void test_start_recorded_in_the_future(void **state)
{
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", at("2036-02-07 06:28:15"));
    open_at(w, "2025-10-15 09:00:00");
    assert_int_equal(step(w), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 0);
}

static void test_clock_set_forward(void **state)
{
    struct world *w = *state;
    add_job(w, "sweep", "*/5 * * * *", 0);
    add_job(w, "leap", "0 0 29 2 *", 0);
    open_at(w, "2025-10-15 09:01:00");
    assert_int_equal(step_at(w, "2025-12-24 18:02:00"), at("2025-12-24 18:05:00"));
    assert_int_equal(w->n_runs, 1);
    check_run(w, 0, "sweep", "2025-12-24 18:00:00", "2025-12-24 18:02:00");
    step_at(w, "2103-12-24 18:02:00");
    assert_int_equal(w->n_runs, 3);
    check_run(w, 2, "leap", "2096-02-29 00:00:00", "2103-12-24 18:02:00");
    step(w);
    assert_int_equal(w->n_runs, 3);
}

static void test_disabled_job(void **state)
{
    struct world *w = *state;
    struct ps_jobs_run ran;
    add_job(w, "backup", "* * * * *", at("2025-10-10 02:00:00"));
    w->table[0].enabled = false;
    open_at(w, "2025-10-15 09:00:00");
    assert_true(step(w) == PS_JOBS_NEVER);
    assert_true(step_at(w, "2025-10-16 09:00:00") == PS_JOBS_NEVER);
    assert_int_equal(w->n_runs, 0);
    assert_int_equal(ps_jobs_run_now(w->jobs, "backup", w->now_ms, &ran, NULL), PS_OK);
    assert_int_equal(w->n_runs, 1);
}

static void test_no_job_and_never_due(void **state)
{
    struct world *w = *state;
    open_at(w, "2025-10-15 09:00:00");
    assert_true(step(w) == PS_JOBS_NEVER);
    ps_jobs_close(w->jobs);
    add_job(w, "never", "0 0 30 2 *", at("2025-10-10 02:00:00"));
    open_at(w, "2025-10-15 09:00:00");
    assert_true(step(w) == PS_JOBS_NEVER);
    assert_int_equal(w->n_runs, 0);
}

static void test_run_now(void **state)
{
    struct world *w = *state;
    struct ps_jobs_run ran = {0};
    struct ps_err e = {0};
    add_job(w, "backup", "0 2 * * *", at("2025-10-14 02:00:00"));
    open_at(w, "2025-10-15 02:00:30");
    assert_int_equal(ps_jobs_run_now(w->jobs, "Backup", w->now_ms, &ran, &e), PS_ENOENT);
    assert_non_null(strstr(e.text, "\"Backup\""));
    assert_int_equal(w->n_runs, 0);
    w->outcome_code = PS_EIO;
    w->fails_with = "the disk is gone";
    assert_int_equal(ps_jobs_run_now(w->jobs, "backup", w->now_ms, &ran, &e), PS_OK);
    assert_int_equal(ran.run_id, 100);
    assert_int_equal(ran.outcome_code, PS_EIO);
    check_run(w, 0, "backup", "2025-10-15 02:00:30", "2025-10-15 02:00:30");
    assert_int_equal(step(w), at("2025-10-16 02:00:00")); /* what was due is dealt with; who gave
                                                             the order knows that it failed */
    assert_int_equal(w->n_runs, 1);
    w->now_ms = at("2025-10-16 01:59:59");
    assert_int_equal(ps_jobs_run_now(w->jobs, "backup", w->now_ms, &ran, &e), PS_OK);
    step_at(w, "2025-10-16 02:00:00"); /* but what is still to come is not */
    assert_int_equal(w->n_runs, 3);
    /* under a clock set back, two o'clock is still to come */
    w->now_ms = at("2025-10-16 01:00:00");
    assert_int_equal(ps_jobs_run_now(w->jobs, "backup", w->now_ms, &ran, &e), PS_OK);
    w->outcome_code = 0;
    assert_int_equal(step_at(w, "2025-10-16 02:00:00"), at("2025-10-17 02:00:00"));
    assert_int_equal(w->n_runs, 5);
}

static int run_another(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct world *w = ctx;
    struct ps_jobs_run ran;
    (void)detail;
    return ps_jobs_run_now(w->jobs, "sweep", scheduled_ms, &ran, e);
}

static void test_a_run_starts_no_other(void **state)
{
    struct world *w = *state;
    add_job(w, "outer", "0 * * * *", 0);
    add_job(w, "sweep", "30 * * * *", 0);
    w->table[0].run = run_another;
    open_at(w, "2025-10-15 09:59:00");
    step_at(w, "2025-10-15 10:00:00");
    assert_int_equal(w->n_runs, 1);
    assert_int_equal(w->runs[0].outcome_code, PS_EBUSY);
}

static void test_failures_are_recorded(void **state)
{
    struct world *w = *state;
    static char long_text[2 * PS_JOBS_DETAIL_MAX];
    memset(long_text, 'x', sizeof long_text - 1);
    const struct {
        const char *says, *fails_with, *detail;
    } cases[] = {
        {NULL, NULL, ""},
        {NULL, "disk full", "disk full"},
        {"3 of 8", "disk full", "3 of 8: disk full"},
        {"3 of 8", NULL, "3 of 8"},
        {long_text, "disk full", "disk full"},                          /* did not fit before */
        {long_text + PS_JOBS_DETAIL_MAX + 3, "disk full", "disk full"}, /* does not fit behind */
    };
    add_job(w, "backup", "0 * * * *", 0);
    open_at(w, "2025-10-15 08:30:00");
    w->outcome_code = PS_EIO;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        w->says = cases[i].says;
        w->fails_with = cases[i].fails_with;
        w->now_ms += HOUR;
        step(w);
        assert_int_equal(w->n_runs, i + 1); /* a failure is not tried again at once */
        step(w);
        assert_int_equal(w->n_runs, i + 1);
        assert_int_equal(w->runs[i].outcome_code, PS_EIO);
        assert_int_equal(w->runs[i].finishes, 1);
        assert_string_equal(w->runs[i].detail, cases[i].detail);
    }
}

/* Ten minutes of a full disk do not cost a night. */
static void test_a_failed_run_is_tried_again(void **state)
{
    static const int minutes[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct world *w = *state;
    add_job(w, "backup", "0 2 * * *", 0);
    open_at(w, "2025-10-15 01:00:00");
    w->now_ms = at("2025-10-15 02:00:00");
    w->outcome_code = PS_EFULL;
    int64_t next_ms = step(w);
    for (size_t i = 0; i < PS_COUNT_OF(minutes); i++) {
        assert_int_equal(next_ms, w->now_ms + minutes[i] * MINUTE);
        w->now_ms = next_ms - 1;
        step(w);
        assert_int_equal(w->n_runs, i + 1);
        w->now_ms = next_ms;
        next_ms = step(w);
        assert_int_equal(w->n_runs, i + 2);
    }
    check_run(w, 1, "backup", "2025-10-15 02:00:00", "2025-10-15 02:01:00");
    w->now_ms -= 3 * HOUR; /* a clock set back does not make it wait longer */
    assert_int_equal(step(w), w->now_ms + 60 * MINUTE);
    assert_int_equal(w->n_runs, PS_COUNT_OF(minutes) + 2);
    w->outcome_code = 0;
    w->now_ms += 60 * MINUTE;
    assert_int_equal(step(w), at("2025-10-16 02:00:00"));
    w->now_ms = at("2025-10-16 02:00:00"); /* and it begins with a minute again */
    w->outcome_code = PS_EFULL;
    assert_int_equal(step(w), w->now_ms + MINUTE);
}

static void test_start_that_cannot_be_recorded(void **state)
{
    struct world *w = *state;
    struct ps_jobs_run ran = {.run_id = 5};
    struct ps_err e;
    add_job(w, "backup", "0 2 * * *", 0);
    open_at(w, "2025-10-15 01:00:00");
    w->started_code = PS_EBUSY;
    assert_int_equal(step_at(w, "2025-10-15 02:00:00"), at("2025-10-15 02:01:00"));
    assert_int_equal(step_at(w, "2025-10-15 02:00:59"), at("2025-10-15 02:01:00"));
    assert_int_equal(step_at(w, "2025-10-15 02:01:00"), at("2025-10-15 02:02:00"));
    assert_int_equal(ps_jobs_run_now(w->jobs, "backup", w->now_ms, &ran, &e), PS_EBUSY);
    assert_string_equal(e.text, "no record today");
    assert_int_equal(ran.run_id, 5);
    w->started_code = 0;
    assert_int_equal(step_at(w, "2025-10-15 02:02:00"), at("2025-10-16 02:00:00"));
    assert_int_equal(w->n_runs, 1);
    check_run(w, 0, "backup", "2025-10-15 02:00:00", "2025-10-15 02:02:00");
}

static void test_retry_survives_a_clock_set_back(void **state)
{
    struct world *w = *state;
    add_job(w, "monthly", "@monthly", at("2025-09-01 00:00:00"));
    open_at(w, "2025-10-15 09:00:00");
    w->started_code = PS_EIO;
    step(w);
    w->started_code = 0;
    step_at(w, "2025-10-12 09:00:00");
    assert_int_equal(w->n_runs, 1);
}

static void test_retry_is_over_once_it_ran(void **state)
{
    struct world *w = *state;
    struct ps_jobs_run ran;
    add_job(w, "often", "* * * * *", 0);
    open_at(w, "2025-10-15 08:59:30");
    w->started_code = PS_EIO;
    assert_int_equal(step_at(w, "2025-10-15 09:00:30"), at("2025-10-15 09:01:30"));
    w->started_code = 0;
    assert_int_equal(ps_jobs_run_now(w->jobs, "often", w->now_ms, &ran, NULL), PS_OK);
    assert_int_equal(step(w), at("2025-10-15 09:01:00"));
}

static void test_stop_ends_the_step(void **state)
{
    struct world *w = *state;
    add_job(w, "a", "0 2 * * *", 0);
    add_job(w, "b", "0 2 * * *", 0);
    open_at(w, "2025-10-15 01:00:00");
    w->outcome_code = PS_ESTOP;
    assert_int_equal(step_at(w, "2025-10-15 02:00:00"), at("2025-10-15 02:00:00"));
    assert_int_equal(w->n_runs, 1);
    assert_int_equal(w->runs[0].outcome_code, PS_ESTOP);
    step(w);
    assert_int_equal(w->n_runs, 2);
    check_run(w, 1, "b", "2025-10-15 02:00:00", "2025-10-15 02:00:00");
}

static void test_two_of_one_name(void **state)
{
    struct world *w = *state;
    struct ps_err e;
    add_job(w, "backup", "0 2 * * *", 0);
    add_job(w, "backup", "0 3 * * *", 0);
    assert_int_equal(try_open(w, &e), PS_EEXIST);
    assert_non_null(strstr(e.text, "\"backup\""));
    assert_null(w->jobs);
}

static int count_runs(const struct world *w, const char *job)
{
    int64_t before_ms = INT64_MIN;
    int n = 0;
    for (int i = 0; i < w->n_runs; i++) {
        const struct run *r = &w->runs[i];
        if (strcmp(r->job, job) != 0)
            continue;
        assert_true(r->scheduled_ms > before_ms); /* in order, none twice */
        assert_int_equal(r->scheduled_ms, r->started_ms);
        assert_int_equal(r->finishes, 1);
        before_ms = r->scheduled_ms;
        n++;
    }
    return n;
}

/* `by_ms` 0: sleep as long as the step says, as the daemon does. */
static void check_thirty_days(struct world *w, const char *from, int64_t by_ms)
{
    add_job(w, "daily", "0 2 * * *", 0);
    add_job(w, "six-hourly", "0 */6 * * *", 0);
    add_job(w, "five-minutely", "*/5 * * * *", 0);
    open_at(w, from);
    int64_t end_ms = w->now_ms + 30 * DAY;
    while (w->now_ms <= end_ms) {
        int64_t next_ms = step(w);
        assert_true(next_ms > w->now_ms && next_ms <= w->now_ms + 5 * MINUTE);
        w->now_ms = by_ms > 0 ? w->now_ms + by_ms : next_ms;
    }
    assert_int_equal(count_runs(w, "daily"), 30);
    assert_int_equal(count_runs(w, "six-hourly"), 30 * 4);
    assert_int_equal(count_runs(w, "five-minutely"), 30 * 24 * 12);
    assert_int_equal(w->n_runs, 30 + 30 * 4 + 30 * 24 * 12);
}

static void test_thirty_days_over_a_years_end(void **state)
{
    struct world *w = *state;
    check_thirty_days(w, "2025-12-17 00:00:00", 0);
    assert_int_equal(w->runs[w->n_runs - 1].scheduled_ms, at("2026-01-16 00:00:00"));
}

static void test_thirty_days_over_a_leap_day(void **state)
{
    struct world *w = *state;
    int on_leap_day = 0;
    check_thirty_days(w, "2024-02-14 12:34:00", 0);
    for (int i = 0; i < w->n_runs; i++)
        on_leap_day += ps_time_day(w->runs[i].scheduled_ms) == ps_time_from_civil(2024, 2, 29);
    assert_int_equal(on_leap_day, 1 + 4 + 288);
}

/* Asked every second the whole time, nothing more runs than when asked just in time. */
static void test_thirty_days_asked_every_second(void **state)
{
    check_thirty_days(*state, "2023-12-20 00:00:00", 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, drop_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_runs_at_its_time),
        TEST(test_never_run_waits_for_its_next_time),
        TEST(test_missed_runs_are_made_up_for_once),
        TEST(test_open_again_after_a_start),
        TEST(test_long_run_collapses_missed_times),
        TEST(test_one_after_the_other),
        TEST(test_clock_set_back),
        TEST(test_clock_set_back_a_little),
        TEST(test_clock_set_back_during_a_run),
        TEST(test_clock_set_back_across_a_restart),
        TEST(test_start_recorded_in_the_future),
        TEST(test_clock_set_forward),
        TEST(test_disabled_job),
        TEST(test_no_job_and_never_due),
        TEST(test_run_now),
        TEST(test_a_run_starts_no_other),
        TEST(test_failures_are_recorded),
        TEST(test_a_failed_run_is_tried_again),
        TEST(test_start_that_cannot_be_recorded),
        TEST(test_retry_survives_a_clock_set_back),
        TEST(test_retry_is_over_once_it_ran),
        TEST(test_stop_ends_the_step),
        TEST(test_two_of_one_name),
        TEST(test_thirty_days_over_a_years_end),
        TEST(test_thirty_days_over_a_leap_day),
        TEST(test_thirty_days_asked_every_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
