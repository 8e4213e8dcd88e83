/* keeper_jobs.c - what the keeper's jobs do, and what is recorded and told of their runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/keeper_inner.h"

#include "base/check.h"
#include "base/log.h"
#include "base/time.h"
#include "flow/capacity.h"
#include "wrap/webhook.h"

#include <inttypes.h>
#include <string.h>

enum { RUNS_LOOKED_AT = 100 /* for the last start of a job */ };

static const struct {
    const char *name;
    enum ps_trouble trouble;
} job_table[JOB_COUNT] = {
    [JOB_ARCHIVE] = {PS_JOB_ARCHIVE, PS_TROUBLE_ARCHIVE},
    [JOB_SNAPSHOT] = {PS_JOB_SNAPSHOT, PS_TROUBLE_SNAPSHOT},
    [JOB_CAPACITY] = {PS_JOB_CAPACITY, PS_TROUBLE_CAPACITY},
};

/* --- what they do --- */

static void write_archived(const struct ps_archived *a, bool one_day, struct ps_buf *out)
{
    struct ps_json w;
    char date[PS_DATE_LEN + 1];
    ps_json_init(&w, out);
    ps_json_open(&w, '{');
    if (one_day) {
        ps_time_format_date(date, a->day);
        ps_json_key(&w, "date");
        ps_json_text(&w, date);
    } else {
        ps_json_key(&w, "days");
        ps_json_int(&w, a->day);
    }
    ps_json_key(&w, "events");
    ps_json_uint(&w, a->events);
    ps_json_key(&w, "objectBytes");
    ps_json_uint(&w, a->object_bytes);
    ps_json_key(&w, "jsonBytes");
    ps_json_uint(&w, a->json_bytes);
    if (a->warning[0] != '\0') {
        ps_json_key(&w, "warning");
        ps_json_text(&w, a->warning);
        ps_log(PS_LOG_WARN, "archive: %s", a->warning);
    }
    ps_json_close(&w, '}');
}

static int run_archive(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct ps_keeper *k = ctx;
    struct ps_archived archived = {0};
    bool one_day = k->ordered_day != NO_DAY;
    (void)scheduled_ms;
    int r = one_day ? ps_archive_day(&k->life.archiver, k->ordered_day, &archived, e)
                    : ps_archive_run(&k->life.archiver, &archived, e);
    ps_letter_care_again(&k->letters);
    if (r == 0 || archived.events > 0)
        write_archived(&archived, one_day, detail);
    return r;
}

int ps_keeper_make_snapshot(struct ps_keeper *k, struct ps_buf *detail, struct ps_err *e)
{
    const struct ps_keeper_config *c = &k->config;
    uint64_t version;
    int64_t start_us = ps_clock_monotonic_us(c->clock);
    int r = ps_snapshot_refresh(k->life.store, c->kv, c->clock, (size_t)c->config->snapshot_paths,
                                &version, e);
    int64_t now_us = ps_clock_monotonic_us(c->clock);
    ps_snapshot_pacer_ran(&k->pacer, c->aggregator->batches, now_us, now_us - start_us);
    if (r == 0)
        ps_buf_format(detail, "{\"version\":%" PRIu64 "}", version);
    return r;
}

static int run_snapshot(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    (void)scheduled_ms;
    return ps_keeper_make_snapshot(ctx, detail, e);
}

static int tell_capacity(struct ps_keeper *k, const struct ps_capacity *m, struct ps_buf *detail)
{
    struct ps_json w;
    struct ps_err e = {0};
    ps_json_init(&w, detail);
    ps_capacity_write(m, &w);
    if (m->level > 0)
        ps_log(PS_LOG_WARN,
               "the database is %u %% full (max_db_size): archive sooner (retention_days) or give "
               "it more",
               m->percent);
    if (m->level <= k->level || k->config.config->webhook[0] == '\0')
        return 0;
    int r = ps_webhook_post(k->config.config->webhook, ps_buf_str(detail), &e);
    if (r < 0)
        ps_log(PS_LOG_ERROR, "%s", e.text);
    return r;
}

/* A webhook that cannot be reached is told again the next time; the measurement stands. */
static int run_capacity(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct ps_keeper *k = ctx;
    const struct ps_keeper_config *c = &k->config;
    struct ps_capacity_config config = {.store = k->life.store,
                                        .ledger = k->life.ledger,
                                        .queue = c->queue,
                                        .kv = c->kv,
                                        .clock = c->clock,
                                        .max_db_bytes = (uint64_t)c->config->max_db_size};
    struct ps_capacity m;
    int32_t day;
    (void)scheduled_ms;
    int r = ps_capacity_measure(&config, &m, e);
    if (r == 0)
        r = ps_capacity_remember(&config, &m, e);
    if (r < 0)
        return r;
    if (tell_capacity(k, &m, detail) == 0)
        k->level = m.level;
    if (m.level < PS_CAPACITY_WARN_3 || ps_archive_oldest(&k->life.archiver, &day, NULL) < 0)
        return 0;
    struct ps_archived archived;
    ps_letter_care_again(&k->letters);
    return ps_archive_day(&k->life.archiver, day, &archived, e);
}

/* --- the job table and its records --- */

static int64_t tell_now(void *ctx)
{
    struct ps_keeper *k = ctx;
    return ps_clock_now_ms(k->config.clock);
}

const char *ps_keeper_job_name(int job)
{
    return job_table[job].name;
}

static enum ps_trouble trouble_of(const char *job)
{
    int i = 0;
    while (strcmp(job_table[i].name, job) != 0)
        i++;
    return job_table[i].trouble;
}

static int record_start(void *ctx, const char *job, int64_t scheduled_ms, int64_t started_ms,
                        int64_t *ret_id, struct ps_err *e)
{
    struct ps_keeper *k = ctx;
    struct ps_err local = {0};
    struct ps_run run = {
        .job = {job, strlen(job)}, .scheduled_ms = scheduled_ms, .started_ms = started_ms};
    int r = ps_ledger_run_started(k->life.ledger, &run, ret_id, &local);
    k->running = trouble_of(job);
    if (r < 0 && !k->ordered)
        ps_trouble_begin(k->config.troubles, k->running, r, local.text);
    if (r < 0 && e != NULL)
        *e = local;
    return r;
}

/* What was stopped is neither a failure nor a success. A failed order is told to who gave it; one
 * day that could be archived by order says nothing of the others. */
static void tell_outcome(struct ps_keeper *k, int code, struct ps_str detail)
{
    bool one_day = k->ordered && k->running == PS_TROUBLE_ARCHIVE;
    ps_fail(&k->last, code, "%.*s", (int)detail.len, detail.ptr);
    if (code == PS_ESTOP || (code >= 0 && one_day))
        return;
    if (code < 0 && k->ordered)
        ps_log(PS_LOG_ERROR, "%s, by order: %s", ps_trouble_name(k->running), k->last.text);
    else
        ps_trouble_report(k->config.troubles, k->running, code, k->last.text);
}

static void record_end(void *ctx, int64_t id, int64_t finished_ms, int code, struct ps_str detail)
{
    struct ps_keeper *k = ctx;
    struct ps_err e = {0};
    const char *outcome = code < 0 ? ps_code_name(code) : "ok";
    struct ps_run run = {.id = id,
                         .finished_ms = finished_ms,
                         .outcome = {outcome, strlen(outcome)},
                         .detail = detail};
    tell_outcome(k, code, detail);
    ps_buf_clear(&k->answer);
    ps_buf_append(&k->answer, detail.ptr, detail.len);
    if (ps_ledger_run_finished(k->life.ledger, &run, &e) < 0)
        ps_log(PS_LOG_ERROR, "%s: its end cannot be recorded: %s", ps_trouble_name(k->running),
               e.text);
}

/* A run that was cut short, by a stop or a crash, is due again at once. */
static int take_latest_start(void *ctx, const struct ps_run *run)
{
    int64_t *latest = ctx;
    const char *stopped = ps_code_name(PS_ESTOP);
    bool cut_short = run->finished_ms == 0 ||
                     ps_str_equal(run->outcome, (struct ps_str){stopped, strlen(stopped)});
    int64_t ms = cut_short ? run->scheduled_ms - 1 : run->started_ms;
    if (ms > *latest)
        *latest = ms;
    return 0;
}

static int plan(struct ps_job *job, const char *text, struct ps_err *e)
{
    job->enabled = strcmp(text, "off") != 0;
    return ps_cron_parse(&job->when, job->enabled ? text : "0 0 1 1 *", e);
}

int ps_keeper_open_jobs(struct ps_keeper *k, struct ps_err *e)
{
    const struct ps_config *c = k->config.config;
    struct ps_job jobs[JOB_COUNT] = {
        [JOB_ARCHIVE] = {.run = run_archive, .ctx = k},
        [JOB_SNAPSHOT] = {.run = run_snapshot, .ctx = k},
        [JOB_CAPACITY] = {.run = run_capacity, .ctx = k},
    };
    int64_t last[JOB_COUNT] = {0};
    int r = plan(&jobs[JOB_ARCHIVE], c->cron_archive, e);
    if (r == 0)
        r = plan(&jobs[JOB_SNAPSHOT], c->cron_snapshot, e);
    if (r == 0)
        r = plan(&jobs[JOB_CAPACITY], c->cron_capacity, e);
    for (int i = 0; i < JOB_COUNT; i++)
        jobs[i].name = job_table[i].name;
    for (int i = 0; r == 0 && i < JOB_COUNT; i++)
        r = ps_ledger_runs(k->life.ledger, (struct ps_str){jobs[i].name, strlen(jobs[i].name)},
                           RUNS_LOOKED_AT, take_latest_start, &last[i], e);
    struct ps_jobs_config config = {
        .jobs = jobs,
        .last_start_ms = last,
        .n = JOB_COUNT,
        .hooks = {.ctx = k, .now_ms = tell_now, .started = record_start, .finished = record_end},
    };
    return r < 0 ? r : ps_jobs_open(&k->jobs, &config, e);
}
