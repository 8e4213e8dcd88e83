/* jobs.c - see jobs.h. A job's `next_ms` is always the first scheduled time after its mark, so the
 * mark itself need not be looked at when deciding what is due.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cron/jobs.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    struct ps_job job;
    int64_t mark_ms, next_ms;
    int64_t hold_ms;   /* not before; only after a start that could not be recorded */
    int64_t retry_ms;  /* then again; only after a failure */
    unsigned failures; /* in a row */
};

struct ps_jobs {
    struct ps_jobs_hooks hooks;
    struct ps_buf detail;
    bool running;
    size_t n;
    struct slot slots[];
};

static int64_t read_clock(const struct ps_jobs *j)
{
    return j->hooks.now_ms(j->hooks.ctx);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Forwards only; an expression without a next time is asked again when its job runs by hand. */
static void move_mark(struct slot *s, int64_t to_ms)
{
    s->mark_ms = later(s->mark_ms, to_ms);
    if (ps_cron_next(&s->job.when, s->mark_ms, &s->next_ms) < 0)
        s->next_ms = PS_JOBS_NEVER;
}

static void set_mark(struct slot *s, int64_t to_ms)
{
    s->mark_ms = INT64_MIN;
    move_mark(s, to_ms);
}

/* What lies ahead was noted under a clock that has been set back since. */
static void notice_set_back(struct ps_jobs *j, int64_t now_ms)
{
    for (size_t i = 0; i < j->n; i++) {
        struct slot *s = &j->slots[i];
        if (s->mark_ms > now_ms + PS_JOBS_BACK_MAX_MS)
            set_mark(s, now_ms);
        if (s->hold_ms > now_ms + PS_JOBS_RETRY_MS)
            s->hold_ms = now_ms;
        if (s->failures > 0 && s->retry_ms > now_ms + PS_JOBS_RETRY_MAX_MS)
            s->retry_ms = now_ms;
    }
}

static struct slot *find_slot(struct ps_jobs *j, const char *name)
{
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->slots[i].job.name, name) == 0)
            return &j->slots[i];
    return NULL;
}

int ps_jobs_open(struct ps_jobs **ret, const struct ps_jobs_config *config, struct ps_err *e)
{
    const struct ps_jobs_hooks *hooks = &config->hooks;
    PS_ASSERT(hooks->now_ms != NULL && hooks->started != NULL && hooks->finished != NULL);
    struct ps_jobs *j = calloc(1, sizeof *j + config->n * sizeof j->slots[0]);
    if (j == NULL)
        return ps_fail(e, PS_ENOMEM, "jobs: no memory for %zu", config->n);
    j->hooks = *hooks;
    ps_buf_init(&j->detail, PS_JOBS_DETAIL_MAX);
    int64_t now_ms = read_clock(j);
    for (size_t i = 0; i < config->n; i++) {
        const struct ps_job *job = &config->jobs[i];
        PS_ASSERT(job->name != NULL && job->run != NULL);
        if (find_slot(j, job->name) != NULL) {
            ps_jobs_close(j);
            return ps_fail(e, PS_EEXIST, "jobs: two are named \"%s\"", job->name);
        }
        struct slot *s = &j->slots[j->n++];
        int64_t last = config->last_start_ms != NULL ? config->last_start_ms[i] : 0;
        *s = (struct slot){.job = *job, .hold_ms = INT64_MIN, .retry_ms = PS_JOBS_NEVER};
        set_mark(s, last != 0 ? last : now_ms); /* one that lies ahead: see notice_set_back */
    }
    *ret = j;
    return PS_OK;
}

void ps_jobs_close(struct ps_jobs *j)
{
    if (j == NULL)
        return;
    PS_ASSERT(!j->running);
    ps_buf_done(&j->detail);
    free(j);
}

/* The text of a failure matters more than what the job had to say before. */
static void add_failure(struct ps_buf *detail, const char *text)
{
    const char *gap = detail->len > 0 ? ": " : "";
    if (text[0] == '\0' || (!detail->failed && ps_buf_format(detail, "%s%s", gap, text) >= 0))
        return;
    ps_buf_clear(detail);
    ps_buf_text(detail, text);
}

/* The mark moves before the job runs: times missed while it runs are then missed times like any
 * other, and a daemon that ends in the middle and opens again finds the same mark. */
static int run_slot(struct ps_jobs *j, struct slot *s, int64_t scheduled_ms,
                    struct ps_jobs_run *ret, struct ps_err *e)
{
    const struct ps_jobs_hooks *h = &j->hooks;
    struct ps_jobs_run run = {0};
    struct ps_err failure = {0};
    int code = h->started(h->ctx, s->job.name, scheduled_ms, read_clock(j), &run.run_id, e);
    if (code < 0)
        return code;
    s->hold_ms = INT64_MIN;
    move_mark(s, scheduled_ms);
    ps_buf_clear(&j->detail);
    run.outcome_code = s->job.run(s->job.ctx, scheduled_ms, &j->detail, &failure);
    if (run.outcome_code < 0)
        add_failure(&j->detail, failure.text);
    h->finished(h->ctx, run.run_id, read_clock(j), run.outcome_code,
                j->detail.len > 0 ? ps_buf_str(&j->detail) : PS_STR(""));
    *ret = run;
    return PS_OK;
}

static int64_t due_ms(const struct slot *s)
{
    int64_t due = s->retry_ms < s->next_ms ? s->retry_ms : s->next_ms;
    return s->job.enabled ? later(due, s->hold_ms) : PS_JOBS_NEVER;
}

static void plan_retry(struct slot *s, int outcome_code, int64_t now_ms)
{
    s->retry_ms = PS_JOBS_NEVER;
    s->failures = outcome_code < 0 ? s->failures + 1 : 0;
    if (s->failures == 0)
        return;
    int64_t wait_ms = PS_JOBS_RETRY_MS;
    for (unsigned i = 1; i < s->failures && wait_ms < PS_JOBS_RETRY_MAX_MS; i++)
        wait_ms *= 2;
    s->retry_ms = now_ms + (wait_ms < PS_JOBS_RETRY_MAX_MS ? wait_ms : PS_JOBS_RETRY_MAX_MS);
}

/* Returns false when the job asked to end the step. */
static bool run_due(struct ps_jobs *j, struct slot *s, int64_t now_ms)
{
    struct ps_jobs_run run = {0};
    struct ps_err unrecorded;
    int64_t scheduled_ms;
    if (ps_cron_prev(&s->job.when, now_ms, &scheduled_ms) < 0)
        scheduled_ms = s->next_ms; /* longer ago than a search goes back */
    if (run_slot(j, s, scheduled_ms, &run, &unrecorded) < 0)
        s->hold_ms = now_ms + PS_JOBS_RETRY_MS;
    else if (run.outcome_code != PS_ESTOP)
        plan_retry(s, run.outcome_code, read_clock(j));
    return run.outcome_code != PS_ESTOP;
}

int64_t ps_jobs_step(struct ps_jobs *j, int64_t now_ms)
{
    PS_ASSERT(!j->running);
    bool go_on = true;
    j->running = true;
    notice_set_back(j, now_ms);
    for (size_t i = 0; i < j->n && go_on; i++) {
        struct slot *s = &j->slots[i];
        if (due_ms(s) > now_ms)
            continue;
        go_on = run_due(j, s, now_ms);
        now_ms = later(now_ms, read_clock(j));
    }
    j->running = false;
    int64_t next_ms = PS_JOBS_NEVER;
    for (size_t i = 0; i < j->n; i++)
        next_ms = due_ms(&j->slots[i]) < next_ms ? due_ms(&j->slots[i]) : next_ms;
    return next_ms;
}

int ps_jobs_run_now(struct ps_jobs *j, const char *name, int64_t now_ms, struct ps_jobs_run *ret,
                    struct ps_err *e)
{
    struct slot *s = find_slot(j, name);
    if (s == NULL)
        return ps_fail(e, PS_ENOENT, "no job is named \"%s\"", name);
    if (j->running)
        return ps_fail(e, PS_EBUSY, "job \"%s\": another job is running", name);
    j->running = true;
    notice_set_back(j, now_ms);
    int code = run_slot(j, s, now_ms, ret, e);
    j->running = false;
    return code;
}
