/* aggregator_run.c - the aggregator's thread: when it steps, flushes, waits, and what it is fed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/aggregator_inner.h"
#include "flow/deliver.h"

#include "base/wait.h"

enum {
    IDLE_WAIT_MS = 200,
    FLUSH_SHARE = 10,          /* a flush may take one part in so many of the time */
    RETRY_AFTER_MS = 1000,     /* after a failed flush or recovery */
    SMALL_BATCH_EVENTS = 1000, /* after a smaller one, let some more arrive: */
    GATHER_MS = 5,             /* a transaction costs the same for one event as for a hundred */
};

/* `for_all`: not even new records end the wait. */
static void wait_until(struct ps_aggregator *a, int64_t ms, bool for_all)
{
    struct timespec until = ps_wait_deadline(ms);
    pthread_mutex_lock(&a->lock);
    while ((for_all || !a->awake) && !a->stopping)
        if (!ps_cond_wait_until(&a->woken, &a->lock, &until))
            break;
    a->awake = false;
    pthread_mutex_unlock(&a->lock);
}

static void wait_for_work(struct ps_aggregator *a, int64_t ms)
{
    wait_until(a, ms, false);
}

void ps_aggregator_wake(struct ps_aggregator *a)
{
    pthread_mutex_lock(&a->lock);
    a->awake = true;
    pthread_cond_signal(&a->woken);
    pthread_mutex_unlock(&a->lock);
}

void ps_aggregator_stop(struct ps_aggregator *a)
{
    a->stopping = true;
    ps_aggregator_wake(a);
}

static bool flush_is_due(const struct ps_aggregator *a)
{
    int64_t every_us = a->config.flush_interval_ms * 1000;
    if (every_us < a->flush_cost_us * FLUSH_SHARE)
        every_us = a->flush_cost_us * FLUSH_SHARE;
    return a->watermark != a->position &&
           ps_clock_monotonic_us(a->config.clock) - a->flushed_us >= every_us;
}

/* Says to whoever reads the kv that all is well: nobody else may be failing either. */
static void beat(struct ps_aggregator *a)
{
    int64_t now_us = ps_clock_monotonic_us(a->config.clock);
    if (a->config.kv == NULL || now_us - a->heartbeat_us < PS_HEARTBEAT_EVERY_MS * 1000 ||
        ps_troubles_are_failing(a->config.troubles))
        return;
    char text[20];
    struct ps_err e = {0};
    int64_t now_ms = ps_clock_now_ms(a->config.clock);
    struct ps_str value = {text, ps_format_u64(text, (uint64_t)now_ms)};
    a->heartbeat_us = now_us;
    int r =
        ps_kv_put(a->config.kv, PS_STR(PS_HEARTBEAT_KEY), value, PS_HEARTBEAT_TTL_MS, now_ms, &e);
    ps_trouble_report(a->config.troubles, PS_TROUBLE_HEARTBEAT, r, e.text);
}

/* --- fed by another thread --- */

static int wait_for_answer(struct ps_aggregator *a, struct ps_err *e)
{
    while (a->feed.busy)
        pthread_cond_wait(&a->feed.answered, &a->lock);
    return a->feed.code < 0 ? ps_fail(e, a->feed.code, "%s", a->feed.failure.text) : 0;
}

int ps_aggregator_feed(struct ps_aggregator *a, const struct ps_parcel *parcel,
                       struct ps_outbox *refused, struct ps_err *e)
{
    pthread_mutex_lock(&a->lock);
    int r = wait_for_answer(a, e);
    if (r == 0) {
        a->feed.parcel = parcel;
        a->feed.refused = refused;
        a->feed.busy = a->awake = true;
        pthread_cond_signal(&a->woken);
    }
    if (r == 0 && parcel == NULL)
        r = wait_for_answer(a, e);
    pthread_mutex_unlock(&a->lock);
    return r;
}

static bool is_fed(struct ps_aggregator *a)
{
    pthread_mutex_lock(&a->lock);
    bool fed = a->feed.busy;
    pthread_mutex_unlock(&a->lock);
    return fed;
}

/* A failure is told to the one who feeds, and by him. */
static void take_feed(struct ps_aggregator *a)
{
    struct ps_err e = {0};
    int r = a->feed.parcel != NULL ? ps_aggregator_take(a, a->feed.parcel, a->feed.refused, &e)
                                   : ps_aggregator_flush(a, &e);
    pthread_mutex_lock(&a->lock);
    a->feed.code = r < 0 ? r : 0;
    a->feed.failure = e;
    a->feed.busy = false;
    pthread_cond_signal(&a->feed.answered);
    pthread_mutex_unlock(&a->lock);
    if (r >= 0)
        beat(a);
}

/* --- the loop --- */

/* When a dead letter cannot be kept, that has been told, and nothing is wrong with the store. */
static void tell_store(struct ps_aggregator *a, int code, const struct ps_err *why)
{
    struct ps_trouble_state other;
    a->counters.failing = code < 0 ? code : 0;
    if (code >= 0 || !ps_trouble_get(a->config.troubles, PS_TROUBLE_DEAD_LETTERS, &other))
        ps_trouble_report(a->config.troubles, PS_TROUBLE_STORE, code, code < 0 ? why->text : "");
}

/* One turn with the queue. While a transaction of fed events is open the queue has to wait. */
static void run_queue(struct ps_aggregator *a)
{
    const struct ps_aggregator_config *c = &a->config;
    struct ps_err e = {0};
    ps_admission_refresh(c->admission, c->queue, c->store, ps_clock_monotonic_us(c->clock),
                         c->troubles);
    int taken = ps_aggregator_step(a, &e);
    int r = taken >= 0 && flush_is_due(a) ? ps_aggregator_flush(a, &e) : taken;
    tell_store(a, r, &e);
    if (r < 0)
        wait_for_work(a, RETRY_AFTER_MS);
    else
        beat(a);
    if (taken == 0) {
        ps_deliver_tell_log(a->config.store, a->config.troubles); /* batches tell by themselves */
        wait_for_work(a, IDLE_WAIT_MS);
    } else if (taken > 0 && taken < SMALL_BATCH_EVENTS)
        wait_until(a, GATHER_MS, true);
}

int ps_aggregator_run(struct ps_aggregator *a, struct ps_err *e)
{
    while (!a->stopping) {
        a->counters.turned_us = ps_clock_monotonic_us(a->config.clock);
        if (is_fed(a))
            take_feed(a);
        else if (a->transacting)
            wait_for_work(a, IDLE_WAIT_MS);
        else
            run_queue(a);
    }
    return ps_aggregator_drain(a, e);
}
