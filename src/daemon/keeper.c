/* keeper.c - its thread, and the orders it is given; see keeper.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/keeper_inner.h"

#include "base/log.h"
#include "base/wait.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_EVERY_MS = 1000 /* whether so many batches have gone by */ };

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
        r = ps_jobs_run_now(k->jobs, ps_keeper_job_name(order->job), now_ms, &run, &e);
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
    ps_buf_init(&detail, PS_KEEPER_ANSWER_MAX);
    int r = ps_keeper_make_snapshot(k, &detail, &e);
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

static int stop_when_closing(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    struct ps_keeper *k = ctx;
    (void)day;
    (void)phase;
    (void)done;
    return k->closing ? PS_ESTOP : 0;
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
    return ps_keeper_open_jobs(k, e);
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
    ps_buf_init(&k->answer, PS_KEEPER_ANSWER_MAX + PS_JOBS_DETAIL_MAX);
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
