/* aggregator.c - the steps; see aggregator.h.
 *
 * Memory after a step: the cache holds exactly the statistics of all events applied so far, or the
 * cache is cleared and `recovered` is false. A failure between apply and count can therefore never
 * leave an event stored and not counted: the next step recovers first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/aggregator_inner.h"

#include "base/check.h"
#include "base/time.h"
#include "base/wait.h"
#include "flow/deliver.h"
#include "flow/pending.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    UNSETTLED_EVENTS_MAX = 1 << 20, /* flush at the latest after so many: bounds recovery */
    TAKEN_BATCHES_MAX = 20,         /* of batch_events, and commit what was taken */
};

static int count_pending(void *ctx, const struct ps_event *event)
{
    struct ps_aggregator *a = ctx;
    a->unsettled++;
    if (a->rebuilds.count > 0 &&
        ps_rebuilds_has(&a->rebuilds, ps_time_hour(event->timestamp_ms), event->path))
        return 0; /* the row has it already */
    return ps_cache_count(a->cache, event, NULL);
}

/* The batch, or what of it was stored before a failure, is stored: who waits for that is told. */
static void tell_receipts(struct ps_aggregator *a)
{
    size_t stored = 0;
    while (a->untold && stored < a->records.count &&
           a->records.items[stored].position < a->position)
        stored++;
    a->untold = false;
    if (ps_receipts_any(a->config.receipts))
        ps_receipts_take(a->config.receipts, a->records.items, a->outcomes, stored, a->position);
}

/* The cache met a row that does not decode: the next recovery makes it again. Told as a trouble of
 * the store, which ends when that has worked. */
static int note_damage(struct ps_aggregator *a, struct ps_err *e)
{
    const struct ps_rebuild *row = ps_cache_damaged(a->cache);
    char hour[PS_HOUR_LEN + 1], text[PS_ERR_TEXT_MAX];
    if (row == NULL)
        return PS_ECORRUPT;
    int r = ps_rebuilds_add(&a->rebuilds, row->hour, row->path, e);
    if (r < 0)
        return r;
    ps_time_format_hour(hour, row->hour);
    snprintf(text, sizeof text,
             "the statistics of %.*s in %s are damaged: they are made again from their events",
             (int)(row->path.len < 200 ? row->path.len : 200), row->path.ptr, hour);
    ps_trouble_begin(a->config.troubles, PS_TROUBLE_STORE, PS_ECORRUPT, text);
    return 0;
}

static int recover_once(struct ps_aggregator *a, struct ps_err *e)
{
    const struct ps_aggregator_config *c = &a->config;
    struct ps_queue_info info;
    ps_cache_clear(a->cache);
    a->unsettled = 0;
    int r = ps_store_position(c->store, c->partition, &a->position, &a->watermark, e);
    if (r == 0)
        r = ps_queue_info(c->queue, &info, e);
    if (r == 0)
        r = ps_aggregator_match(a, &info, e);
    for (size_t i = 0; r == 0 && i < a->rebuilds.count; i++)
        r = ps_cache_rebuild(a->cache, a->rebuilds.list[i], e);
    if (r == 0)
        r = ps_pending_each(c->store, c->queue, c->partition, count_pending, a, e);
    if (r < 0)
        return r;
    a->counters.position = a->position;
    a->counters.watermark = a->watermark;
    a->recovered = true;
    tell_receipts(a);
    return 0;
}

static int recover(struct ps_aggregator *a, struct ps_err *e)
{
    for (;;) {
        int r = recover_once(a, e);
        if (r != PS_ECORRUPT || ps_cache_damaged(a->cache) == NULL)
            return r;
        r = note_damage(a, e);
        if (r < 0)
            return r;
    }
}

static int allocate(struct ps_aggregator *a)
{
    size_t n = a->config.batch_events;
    a->events = calloc(n, sizeof *a->events);
    a->decodes = calloc(n, sizeof *a->decodes);
    a->order = calloc(n, sizeof *a->order);
    a->sort_scratch = calloc(2 * n, sizeof *a->sort_scratch);
    a->outcomes = calloc(PS_BATCH_EVENTS_MAX, sizeof *a->outcomes);
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
    ps_cond_init(&a->woken);
    pthread_cond_init(&a->feed.answered, NULL);
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
    ps_rebuilds_clear(&a->rebuilds);
    ps_records_done(&a->records);
    free(a->events);
    free(a->decodes);
    free(a->order);
    free(a->sort_scratch);
    free(a->outcomes);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->woken);
    pthread_cond_destroy(&a->feed.answered);
    free(a);
}

const struct ps_aggregator_counters *ps_aggregator_counters(const struct ps_aggregator *a)
{
    return &a->counters;
}

void ps_aggregator_add_duplicates(struct ps_aggregator *a, uint64_t count)
{
    a->counters.duplicates += count;
}

static int deliver_batch(struct ps_aggregator *a, struct ps_err *e)
{
    struct ps_delivery d = {
        .store = a->config.store,
        .queue = a->config.queue,
        .clock = a->config.clock,
        .troubles = a->config.troubles,
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
    for (size_t i = 0; i < d.count; i++) {
        a->decodes[i] = ps_event_decode(d.records[i].bytes, d.records[i].len, &a->events[i]) == 0;
        if (a->decodes[i])
            ps_event_prepare(&a->events[i]);
        else /* it becomes a dead letter and counts nowhere */
            a->outcomes[i] = PS_OUTCOME_BURIED;
    }
    return ps_deliver(&d, e);
}

enum { COUNTED_AHEAD = 8 };

/* Those that were new. */
static int count_events(struct ps_aggregator *a, const struct ps_event *events, size_t count,
                        struct ps_err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (i + COUNTED_AHEAD < count && a->outcomes[i + COUNTED_AHEAD] == PS_OUTCOME_NEW)
            ps_cache_prefetch(a->cache, &events[i + COUNTED_AHEAD]);
        if (a->outcomes[i] != PS_OUTCOME_NEW)
            continue;
        int r = ps_cache_count(a->cache, &events[i], e);
        if (r < 0)
            return r;
        a->unsettled++;
    }
    return 0;
}

static int flush_when_full(struct ps_aggregator *a, struct ps_err *e)
{
    bool much_taken = a->transacting && a->unsettled >= TAKEN_BATCHES_MAX * a->config.batch_events;
    return ps_cache_is_full(a->cache) || a->unsettled >= UNSETTLED_EVENTS_MAX || much_taken
               ? ps_aggregator_flush(a, e)
               : 0;
}

int ps_aggregator_step(struct ps_aggregator *a, struct ps_err *e)
{
    PS_ASSERT(!a->transacting);
    int r = a->recovered ? 0 : recover(a, e);
    if (r == 0)
        r = ps_queue_read(a->config.queue, a->position, a->config.batch_events, &a->records, e);
    if (r == 0 && a->records.count == 0)
        a->counters.reached = a->records.next_position;
    if (r < 0 || a->records.count == 0)
        return r;
    a->recovered = false; /* until the batch is applied and counted */
    a->untold = true;
    r = deliver_batch(a, e);
    if (r == 0)
        r = count_events(a, a->events, a->records.count, e);
    if (r < 0)
        return r;
    a->recovered = true;
    a->position = a->records.next_position;
    a->counters.position = a->position;
    tell_receipts(a);
    r = flush_when_full(a, e);
    return r < 0 ? r : (int)a->records.count;
}

/* --- events that come from no queue --- */

/* The store waits a while for its turn by itself. */
static int begin(struct ps_aggregator *a, struct ps_err *e)
{
    int r = a->transacting ? 0 : ps_store_begin(a->config.store, e);
    for (unsigned i = 0; r == PS_EBUSY && i < a->config.max_retries && !a->stopping; i++)
        r = ps_store_begin(a->config.store, e);
    a->transacting = r == 0;
    return r;
}

static int keep_refused(struct ps_aggregator *a, const struct ps_parcel *parcel,
                        struct ps_outbox *refused, struct ps_err *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < parcel->count; i++)
        if (a->outcomes[i] != PS_OUTCOME_NEW && a->outcomes[i] != PS_OUTCOME_DUPLICATE)
            r = ps_outbox_event(refused, &parcel->events[i]);
    return r < 0 ? ps_fail(e, r, "aggregator: no memory for what is refused") : 0;
}

static int store_and_count(struct ps_aggregator *a, const struct ps_parcel *parcel,
                           struct ps_outbox *refused, struct ps_err *e)
{
    struct ps_batch batch = {
        .events = parcel->events, .count = parcel->count, .order = parcel->order, .direct = true};
    struct ps_applied applied = {.outcomes = a->outcomes};
    int r = ps_store_apply(a->config.store, &batch, &applied, e);
    if (r == 0)
        r = count_events(a, parcel->events, parcel->count, e);
    if (r == 0 && applied.refused > 0)
        r = keep_refused(a, parcel, refused, e);
    if (r < 0)
        return r;
    a->taken_fresh += applied.fresh;
    a->taken_duplicates += applied.duplicates;
    return 0;
}

/* Nothing that was taken since the last flush stays, in the store and in memory. */
static void give_up(struct ps_aggregator *a)
{
    ps_store_rollback(a->config.store);
    a->transacting = a->recovered = false;
    a->taken_fresh = a->taken_duplicates = 0;
}

int ps_aggregator_take(struct ps_aggregator *a, const struct ps_parcel *parcel,
                       struct ps_outbox *refused, struct ps_err *e)
{
    int r = a->recovered ? 0 : recover(a, e);
    if (r == 0 && parcel->count > 0)
        r = begin(a, e);
    if (r < 0 || parcel->count == 0)
        return r;
    r = store_and_count(a, parcel, refused, e);
    if (r == PS_ECORRUPT && ps_cache_damaged(a->cache) != NULL)
        note_damage(a,
                    NULL); /* so that the next flush mends the row, and the next import goes on */
    if (r < 0)
        give_up(a);
    return r < 0 ? r : flush_when_full(a, e);
}

/* --- the statistics --- */

/* Commits what was taken, with the statistics that were just settled, unless that failed. */
static int end_transaction(struct ps_aggregator *a, int outcome, struct ps_err *e)
{
    if (outcome < 0) {
        give_up(a);
        return outcome;
    }
    a->transacting = false;
    int r = ps_store_commit(a->config.store, e);
    a->recovered = r == 0;
    if (r == 0) {
        a->counters.batches++;
        a->counters.fresh += a->taken_fresh;
        a->counters.duplicates += a->taken_duplicates;
    }
    a->taken_fresh = a->taken_duplicates = 0;
    return r;
}

int ps_aggregator_flush(struct ps_aggregator *a, struct ps_err *e)
{
    const struct ps_aggregator_config *c = &a->config;
    int64_t start_us = ps_clock_monotonic_us(c->clock);
    int r = a->recovered ? 0 : recover(a, e);
    if (r < 0 || (a->watermark == a->position && !a->transacting && a->rebuilds.count == 0))
        return r;
    r = ps_cache_settle(a->cache, c->partition, a->position, ps_clock_now_ms(c->clock), e);
    if (a->transacting)
        r = end_transaction(a, r, e);
    if (r < 0)
        return r;
    ps_rebuilds_clear(&a->rebuilds);
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
    int r = a->transacting ? ps_aggregator_flush(a, e) : 0;
    while (r >= 0 && (r = ps_aggregator_step(a, e)) > 0)
        continue;
    return r < 0 ? r : ps_aggregator_flush(a, e);
}
