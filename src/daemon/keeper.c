/* keeper.c - see keeper.h.  SPDX-License-Identifier: MIT */
#include "daemon/keeper.h"

#include "base/check.h"
#include "base/log.h"
#include "base/time.h"
#include "base/wait.h"
#include "cron/jobs.h"
#include "daemon/letters.h"
#include "daemon/life.h"
#include "flow/capacity.h"
#include "flow/snapshot.h"
#include "flow/steady.h"
#include "wrap/webhook.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_EVERY_MS = 1000, /* whether so many batches have gone by */
    RUNS_LOOKED_AT = 100, /* for the last start of a job */
    ANSWER_MAX = 4096,
};

#define NO_DAY INT32_MIN

/* Orders that are no jobs come after them. */
enum { JOB_ARCHIVE, JOB_SNAPSHOT, JOB_CAPACITY, JOB_COUNT, ORDER_REPLAY = JOB_COUNT, ORDER_PURGE };

static const struct {
    const char *name;
    enum ps_trouble trouble;
} job_table[JOB_COUNT] = {
    [JOB_ARCHIVE] = {PS_JOB_ARCHIVE, PS_TROUBLE_ARCHIVE},
    [JOB_SNAPSHOT] = {PS_JOB_SNAPSHOT, PS_TROUBLE_SNAPSHOT},
    [JOB_CAPACITY] = {PS_JOB_CAPACITY, PS_TROUBLE_CAPACITY},
};

struct order {
    int job;
    int32_t day;
    struct ps_letter_filter filter;
    ps_keeper_done_fn *done;
    void *ctx;
};

struct ps_keeper {
    struct ps_keeper_config config; /* its clock is the steady one */
    struct ps_steady_clock steady;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool opened, started;
    int open_code;
    struct ps_err open_error;
    struct order orders[PS_KEEPER_ORDERS_MAX]; /* a ring */
    size_t first, count;
    _Atomic bool closing;
    _Atomic unsigned level;

    /* The thread's own. */
    struct ps_life life;
    struct ps_letter_care letters;
    struct ps_jobs *jobs;
    struct ps_snapshot_pacer pacer;
    int32_t ordered_day;     /* NO_DAY: the archive job takes every old day */
    bool ordered;            /* the job that runs was ordered; who did gets its failure told */
    enum ps_trouble running; /* whose trouble it is when the job that runs fails */
    struct ps_err last;      /* failure of the job that ran last */
    struct ps_buf answer;
};

/* --- what the jobs do --- */

static int stop_when_closing(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    struct ps_keeper *k = ctx;
    (void)day;
    (void)phase;
    (void)done;
    return k->closing ? PS_ESTOP : 0;
}

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

static int run_snapshot(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e)
{
    struct ps_keeper *k = ctx;
    const struct ps_keeper_config *c = &k->config;
    uint64_t version;
    int64_t start_us = ps_clock_monotonic_us(c->clock);
    (void)scheduled_ms;
    int r = ps_snapshot_refresh(k->life.store, c->kv, c->clock, (size_t)c->config->snapshot_paths,
                                &version, e);
    int64_t now_us = ps_clock_monotonic_us(c->clock);
    ps_snapshot_pacer_ran(&k->pacer, c->aggregator->batches, now_us, now_us - start_us);
    if (r == 0)
        ps_buf_format(detail, "{\"version\":%" PRIu64 "}", version);
    return r;
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

static int open_jobs(struct ps_keeper *k, struct ps_err *e)
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

/* --- orders --- */

static bool take_order(struct ps_keeper *k, struct order *ret)
{
    pthread_mutex_lock(&k->lock);
    bool any = k->count > 0;
    if (any) {
        *ret = k->orders[k->first];
        k->first = (k->first + 1) % PS_KEEPER_ORDERS_MAX;
        k->count--;
    }
    pthread_mutex_unlock(&k->lock);
    return any;
}

static void tend_letters(struct ps_keeper *k, const struct order *order)
{
    struct ps_err e = {0};
    ps_buf_clear(&k->answer);
    int r = order->job == ORDER_REPLAY
                ? ps_letter_care_replay(&k->letters, &k->answer, &e)
                : ps_letter_care_purge(&k->letters, &order->filter, &k->answer, &e);
    ps_buf_append(&k->answer, "", 1);
    order->done(order->ctx, r, r < 0 ? e.text : k->answer.ptr);
}

static void look_letters_up(struct ps_keeper *k)
{
    struct ps_err e = {0};
    int r = ps_letter_care_look(&k->letters, &e);
    if (r < 0 && r != PS_ESTOP)
        ps_log(PS_LOG_ERROR, "dead letters: %s", e.text);
}

static void carry_out(struct ps_keeper *k, const struct order *order)
{
    if (order->job >= JOB_COUNT) {
        tend_letters(k, order);
        return;
    }
    struct ps_jobs_run run = {0};
    struct ps_err e = {0};
    int64_t now_ms = ps_clock_now_ms(k->config.clock);
    /* What makes no sense is answered, not recorded as a run. */
    int r = order->job == JOB_ARCHIVE ? ps_archive_check(&k->life.archiver, order->day, &e) : 0;
    if (r == 0) {
        k->ordered_day = order->job == JOB_ARCHIVE ? order->day : NO_DAY;
        k->ordered = true;
        r = ps_jobs_run_now(k->jobs, job_table[order->job].name, now_ms, &run, &e);
        k->ordered = false;
        k->ordered_day = NO_DAY;
        if (r == 0 && run.outcome_code < 0) {
            r = run.outcome_code;
            e = k->last;
        }
    }
    ps_buf_append(&k->answer, "", 1);
    order->done(order->ctx, r, r < 0 ? e.text : k->answer.ptr);
}

static int give_order(struct ps_keeper *k, struct order order, struct ps_err *e)
{
    pthread_mutex_lock(&k->lock);
    bool closing = k->closing, fits = k->count < PS_KEEPER_ORDERS_MAX && !closing;
    if (fits) {
        k->orders[(k->first + k->count) % PS_KEEPER_ORDERS_MAX] = order;
        k->count++;
        pthread_cond_signal(&k->changed);
    }
    pthread_mutex_unlock(&k->lock);
    if (closing)
        return ps_fail(e, PS_ESTOP, "the server is stopping");
    return fits ? 0
                : ps_fail(e, PS_EFULL, "%d orders are waiting already, try later",
                          PS_KEEPER_ORDERS_MAX);
}

int ps_keeper_archive(struct ps_keeper *k, int32_t day, ps_keeper_done_fn *done, void *ctx,
                      struct ps_err *e)
{
    return give_order(k, (struct order){.job = JOB_ARCHIVE, .day = day, .done = done, .ctx = ctx},
                      e);
}

int ps_keeper_snapshot(struct ps_keeper *k, ps_keeper_done_fn *done, void *ctx, struct ps_err *e)
{
    return give_order(k, (struct order){.job = JOB_SNAPSHOT, .done = done, .ctx = ctx}, e);
}

int ps_keeper_replay(struct ps_keeper *k, ps_keeper_done_fn *done, void *ctx, struct ps_err *e)
{
    return give_order(k, (struct order){.job = ORDER_REPLAY, .done = done, .ctx = ctx}, e);
}

int ps_keeper_purge(struct ps_keeper *k, const struct ps_letter_filter *filter,
                    ps_keeper_done_fn *done, void *ctx, struct ps_err *e)
{
    struct order order = {.job = ORDER_PURGE, .filter = *filter, .done = done, .ctx = ctx};
    return give_order(k, order, e);
}

/* --- the thread --- */

static void refresh_if_due(struct ps_keeper *k)
{
    const struct ps_keeper_config *c = &k->config;
    struct ps_buf detail;
    struct ps_err e = {0};
    if (!ps_snapshot_pacer_due(&k->pacer, c->aggregator->batches, ps_clock_monotonic_us(c->clock)))
        return;
    ps_buf_init(&detail, ANSWER_MAX);
    int r = run_snapshot(k, 0, &detail, &e);
    ps_trouble_report(c->troubles, PS_TROUBLE_SNAPSHOT, r, e.text);
    ps_buf_done(&detail);
}

static void wait_for_work(struct ps_keeper *k, int64_t next_ms)
{
    int64_t ms =
        next_ms == PS_JOBS_NEVER ? LOOK_EVERY_MS : next_ms - ps_clock_now_ms(k->config.clock);
    ms = ms < 0 ? 0 : ms > LOOK_EVERY_MS ? LOOK_EVERY_MS : ms;
    struct timespec until = ps_wait_deadline(ms);
    pthread_mutex_lock(&k->lock);
    if (!k->closing && k->count == 0)
        ps_cond_wait_until(&k->changed, &k->lock, &until);
    pthread_mutex_unlock(&k->lock);
}

static void keep(struct ps_keeper *k)
{
    struct order order;
    while (!k->closing) {
        int64_t next_ms = ps_jobs_step(k->jobs, ps_clock_now_ms(k->config.clock));
        refresh_if_due(k);
        ps_archive_mend(&k->life.archiver, NULL); /* until it can be written down */
        look_letters_up(k);
        while (!k->closing && take_order(k, &order))
            carry_out(k, &order);
        wait_for_work(k, next_ms);
    }
    while (take_order(k, &order))
        order.done(order.ctx, PS_ESTOP, "the server is stopping");
}

static int open_here(struct ps_keeper *k, struct ps_err *e)
{
    const struct ps_keeper_config *c = &k->config;
    int r = ps_life_open(&k->life, c->config, c->dir, c->clock, PS_LIFE_WRITE, e);
    if (r < 0)
        return r;
    k->life.archiver.progress = stop_when_closing;
    k->life.archiver.ctx = k;
    k->letters = (struct ps_letter_care){
        .with = {.queue = c->queue,
                 .commit = c->commit,
                 .aggregator = c->aggregator,
                 .clock = c->clock,
                 .stopping = &k->closing},
        .archiver = &k->life.archiver,
        .troubles = c->troubles,
        .counting = c->counting,
    };
    k->life.archiver.left_pending = true; /* maybe, by a process that died */
    snprintf(k->life.archiver.why, sizeof k->life.archiver.why, "it was cut short");
    return open_jobs(k, e);
}

static void *run(void *arg)
{
    struct ps_keeper *k = arg;
    struct ps_err e = {0};
    int r = open_here(k, &e);
    pthread_mutex_lock(&k->lock);
    k->opened = true;
    k->open_code = r;
    k->open_error = e;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    if (r == 0)
        keep(k);
    ps_jobs_close(k->jobs);
    ps_life_close(&k->life);
    return NULL;
}

int ps_keeper_open(struct ps_keeper **ret, const struct ps_keeper_config *config, struct ps_err *e)
{
    struct ps_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    k->config = *config;
    ps_steady_clock_init(&k->steady, config->clock, config->troubles);
    k->config.clock = &k->steady.clock;
    k->ordered_day = NO_DAY;
    ps_buf_init(&k->answer, ANSWER_MAX + PS_JOBS_DETAIL_MAX);
    ps_snapshot_pacer_init(&k->pacer, (uint64_t)config->config->snapshot_batches);
    pthread_mutex_init(&k->lock, NULL);
    ps_cond_init(&k->changed);
    if (pthread_create(&k->thread, NULL, run, k) != 0) {
        ps_keeper_close(k);
        return ps_fail(e, PS_ENOMEM, "cannot start a thread");
    }
    k->started = true;
    pthread_mutex_lock(&k->lock);
    while (!k->opened)
        pthread_cond_wait(&k->changed, &k->lock);
    pthread_mutex_unlock(&k->lock);
    int r = k->open_code;
    if (r < 0) {
        if (e != NULL)
            *e = k->open_error;
        ps_keeper_close(k);
        return r;
    }
    *ret = k;
    return 0;
}

void ps_keeper_stop(struct ps_keeper *k)
{
    if (k == NULL)
        return;
    pthread_mutex_lock(&k->lock);
    k->closing = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    if (k->started)
        pthread_join(k->thread, NULL);
    k->started = false;
}

void ps_keeper_close(struct ps_keeper *k)
{
    if (k == NULL)
        return;
    ps_keeper_stop(k);
    ps_buf_done(&k->answer);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->changed);
    free(k);
}

const _Atomic unsigned *ps_keeper_level(const struct ps_keeper *k)
{
    return &k->level;
}
