/* aggregator.c - see aggregator.h.
 *
 * Memory after a step: the cache holds exactly the statistics of all events applied so far, or the
 * cache is cleared and `recovered` is false. A failure between apply and count can therefore never
 * leave an event stored and not counted: the next step recovers first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/aggregator.h"

#include "base/check.h"
#include "flow/cache.h"
#include "flow/deliver.h"
#include "flow/pending.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    IDLE_WAIT_MS = 200,
    FLUSH_SHARE = 10,          /* a flush may take one part in so many of the time */
    REDO_EVENTS_MAX = 1 << 20, /* flush at the latest after so many: bounds recovery */
    RETRY_AFTER_MS = 1000,     /* after a failed flush or recovery */
    SMALL_BATCH_EVENTS = 1000, /* after a smaller one, let some more arrive: */
    GATHER_MS = 5,             /* a transaction costs the same for one event as for a hundred */
};

struct ps_aggregator {
    struct ps_aggregator_config config;
    struct ps_cache *cache;
    struct ps_records records;
    struct ps_event *events;
    bool *decodes;
    uint32_t *order;
    struct ps_sort_key *sort_scratch;
    uint8_t *outcomes;
    uint64_t position;  /* the store's */
    uint64_t unsettled; /* events applied since the last flush */
    uint64_t watermark;
    bool recovered;
    int64_t flushed_us, flush_cost_us, heartbeat_us;
    struct ps_aggregator_counters counters;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool awake;
    _Atomic bool stopping;
};

static int count_pending(void *ctx, const struct ps_event *event)
{
    struct ps_aggregator *a = ctx;
    a->unsettled++;
    return ps_cache_count(a->cache, event, NULL);
}

static int recover(struct ps_aggregator *a, struct ps_err *e)
{
    const struct ps_aggregator_config *c = &a->config;
    struct ps_queue_info info;
    ps_cache_clear(a->cache);
    a->unsettled = 0;
    int r = ps_store_position(c->store, c->partition, &a->position, &a->watermark, e);
    if (r == 0)
        r = ps_queue_info(c->queue, &info, e);
    if (r == 0 && a->position > info.end_position)
        r = ps_fail(
            e, PS_ECORRUPT,
            "the store has read the queue to %llu, but the queue ends at %llu: put back the "
            "queue directory that belongs to this store",
            (unsigned long long)a->position, (unsigned long long)info.end_position);
    if (r == 0)
        r = ps_pending_each(c->store, c->queue, c->partition, count_pending, a, e);
    if (r < 0)
        return r;
    a->counters.position = a->position;
    a->counters.watermark = a->watermark;
    a->recovered = true;
    return 0;
}

static int allocate(struct ps_aggregator *a)
{
    size_t n = a->config.batch_events;
    a->events = calloc(n, sizeof *a->events);
    a->decodes = calloc(n, sizeof *a->decodes);
    a->order = calloc(n, sizeof *a->order);
    a->sort_scratch = calloc(2 * n, sizeof *a->sort_scratch);
    a->outcomes = calloc(n, sizeof *a->outcomes);
    return a->events && a->decodes && a->order && a->sort_scratch && a->outcomes ? 0 : PS_ENOMEM;
}

int ps_aggregator_open(struct ps_aggregator **ret, const struct ps_aggregator_config *config,
                       struct ps_err *e)
{
    PS_ASSERT(config->batch_events >= 1 && config->batch_events <= PS_BATCH_EVENTS_MAX);
    PS_ASSERT(config->max_paths_per_hour >= 1);
    struct ps_aggregator *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ps_fail(e, PS_ENOMEM, "aggregator: no memory");
    a->config = *config;
    ps_records_init(&a->records);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->woken, NULL);
    a->flushed_us = ps_clock_monotonic_us(config->clock);
    a->heartbeat_us = a->flushed_us - PS_HEARTBEAT_EVERY_MS * 1000;
    int r = allocate(a);
    if (r < 0)
        ps_fail(e, r, "aggregator: no memory for batches of %zu", config->batch_events);
    if (r == 0)
        r = ps_cache_open(&a->cache, config->store, config->cache_bytes, config->max_paths_per_hour,
                          e);
    if (r == 0)
        r = recover(a, e);
    if (r < 0) {
        ps_aggregator_close(a);
        return r;
    }
    *ret = a;
    return 0;
}

void ps_aggregator_close(struct ps_aggregator *a)
{
    if (a == NULL)
        return;
    ps_cache_close(a->cache);
    ps_records_done(&a->records);
    free(a->events);
    free(a->decodes);
    free(a->order);
    free(a->sort_scratch);
    free(a->outcomes);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->woken);
    free(a);
}

const struct ps_aggregator_counters *ps_aggregator_counters(const struct ps_aggregator *a)
{
    return &a->counters;
}

static int deliver_batch(struct ps_aggregator *a, struct ps_err *e)
{
    struct ps_delivery d = {
        .store = a->config.store,
        .queue = a->config.queue,
        .clock = a->config.clock,
        .counters = &a->counters,
        .stopping = &a->stopping,
        .partition = a->config.partition,
        .max_retries = a->config.max_retries,
        .jitter = a->position ^ UINT64_C(0x9e3779b97f4a7c15),
        .records = a->records.items,
        .events = a->events,
        .decodes = a->decodes,
        .order = a->order,
        .sort_scratch = a->sort_scratch,
        .outcomes = a->outcomes,
        .count = a->records.count,
        .next_position = a->records.next_position,
    };
    for (size_t i = 0; i < d.count; i++)
        a->decodes[i] = ps_event_decode(d.records[i].bytes, d.records[i].len, &a->events[i]) == 0;
    return ps_deliver(&d, e);
}

static int count_batch(struct ps_aggregator *a, struct ps_err *e)
{
    for (size_t i = 0; i < a->records.count; i++) {
        if (!a->decodes[i] || a->outcomes[i] != PS_OUTCOME_NEW)
            continue;
        int r = ps_cache_count(a->cache, &a->events[i], e);
        if (r < 0)
            return r;
        a->unsettled++;
    }
    return 0;
}

int ps_aggregator_step(struct ps_aggregator *a, struct ps_err *e)
{
    int r = a->recovered ? 0 : recover(a, e);
    if (r == 0)
        r = ps_queue_read(a->config.queue, a->position, a->config.batch_events, &a->records, e);
    if (r == 0 && a->records.count == 0)
        a->counters.reached = a->records.next_position;
    if (r < 0 || a->records.count == 0)
        return r;
    a->recovered = false; /* until the batch is applied and counted */
    r = deliver_batch(a, e);
    if (r == 0)
        r = count_batch(a, e);
    if (r < 0)
        return r;
    a->recovered = true;
    a->position = a->records.next_position;
    a->counters.position = a->position;
    if (ps_cache_is_full(a->cache) || a->unsettled >= REDO_EVENTS_MAX) {
        r = ps_aggregator_flush(a, e);
        if (r < 0)
            return r;
    }
    return (int)a->records.count;
}

int ps_aggregator_flush(struct ps_aggregator *a, struct ps_err *e)
{
    const struct ps_aggregator_config *c = &a->config;
    int64_t start_us = ps_clock_monotonic_us(c->clock);
    int r = a->recovered ? 0 : recover(a, e);
    if (r < 0 || a->watermark == a->position)
        return r;
    r = ps_cache_settle(a->cache, c->partition, a->position, ps_clock_now_ms(c->clock), e);
    if (r < 0)
        return r;
    a->watermark = a->position;
    a->counters.watermark = a->watermark;
    a->counters.flushes++;
    a->unsettled = 0;
    a->flushed_us = ps_clock_monotonic_us(c->clock);
    a->flush_cost_us = a->flushed_us - start_us;
    return ps_queue_trim(c->queue, a->watermark, e);
}

int ps_aggregator_drain(struct ps_aggregator *a, struct ps_err *e)
{
    int r;
    while ((r = ps_aggregator_step(a, e)) > 0)
        continue;
    return r < 0 ? r : ps_aggregator_flush(a, e);
}

/* --- the running thread --- */

/* `for_all`: not even new records end the wait. */
static void wait_until(struct ps_aggregator *a, int64_t ms, bool for_all)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&a->lock);
    while ((for_all || !a->awake) && !a->stopping)
        if (pthread_cond_timedwait(&a->woken, &a->lock, &until) != 0)
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

/* A lost heartbeat is what it is there to show, so a failure to write one is not an error. */
static void beat(struct ps_aggregator *a)
{
    int64_t now_us = ps_clock_monotonic_us(a->config.clock);
    if (a->config.kv == NULL || now_us - a->heartbeat_us < PS_HEARTBEAT_EVERY_MS * 1000)
        return;
    char text[20];
    int64_t now_ms = ps_clock_now_ms(a->config.clock);
    struct ps_str value = {text, ps_format_u64(text, (uint64_t)now_ms)};
    a->heartbeat_us = now_us;
    ps_kv_put(a->config.kv, PS_STR(PS_HEARTBEAT_KEY), value, PS_HEARTBEAT_TTL_MS, now_ms, NULL);
}

int ps_aggregator_run(struct ps_aggregator *a, struct ps_err *e)
{
    while (!a->stopping) {
        int taken = ps_aggregator_step(a, e);
        int r = taken >= 0 && flush_is_due(a) ? ps_aggregator_flush(a, e) : taken;
        a->counters.failing = r < 0 ? r : 0;
        if (r < 0)
            wait_for_work(a, RETRY_AFTER_MS);
        else
            beat(a);
        if (taken == 0)
            wait_for_work(a, IDLE_WAIT_MS);
        else if (taken > 0 && taken < SMALL_BATCH_EVENTS)
            wait_until(a, GATHER_MS, true);
    }
    return ps_aggregator_drain(a, e);
}
