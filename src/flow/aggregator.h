/* aggregator.h - the consumer: queue -> store, and the hourly statistics of what was new.
 *
 * One step: read a batch, decode, sort, ps_store_apply (I1, I4), then count the events that were
 * new. Statistics live in a bounded cache and are written behind with ps_store_settle; after a
 * crash open() reads the queue ranges of the redo records again and counts exactly the same events,
 * so the queue is trimmed at the watermark, not at the position.
 *
 * A failing batch is tried until it passes; only what its events cause takes it apart (deliver.h).
 *
 * Threads: step, take, flush, drain and close belong to one thread; wake, stop and the counters to
 * any; feed to one other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_AGGREGATOR_H
#define PS_FLOW_AGGREGATOR_H

#include "flow/admission.h"
#include "flow/outbox.h"
#include "flow/parcel.h"
#include "flow/receipts.h"
#include "flow/trouble.h"
#include "port/clock.h"
#include "port/kv.h"
#include "port/queue.h"
#include "port/store.h"

#include <stdatomic.h>

#define PS_HEARTBEAT_KEY "aggregator:heartbeat"
#define PS_HEARTBEAT_TTL_MS INT64_C(300000)
/* A new heartbeat is written this often, with the TTL above. */
#define PS_HEARTBEAT_EVERY_MS INT64_C(10000)

struct ps_aggregator_config {
    struct ps_store *store; /* opened for writing by the thread that will step */
    struct ps_queue *queue;
    struct ps_kv *kv; /* may be NULL: no heartbeat */
    struct ps_clock *clock;
    struct ps_troubles *troubles;   /* may be NULL */
    struct ps_admission *admission; /* kept up to date; may be NULL */
    bool new_database; /* it may begin at the oldest record of a queue that was trimmed */
    bool new_queue;    /* it may go on with another queue when nothing of its own is unsettled */
    struct ps_receipts *receipts; /* may be NULL: nobody asks what became of a submission */
    uint32_t partition;
    size_t batch_events;       /* 1 .. PS_BATCH_EVENTS_MAX */
    unsigned max_retries;      /* of a batch that its events make fail, before it is split */
    int64_t flush_interval_ms; /* statistics are at most this old while it idles */
    size_t cache_bytes;        /* of aggregates in memory */
    size_t max_paths_per_hour;
};

struct ps_aggregator_counters {
    _Atomic uint64_t batches, fresh, duplicates, closed_day, dead_letters, retries, flushes,
        position, watermark;
    _Atomic uint64_t reached; /* all of the queue up to here is stored and counted */
    _Atomic int failing;      /* the code of the failure it is retrying, or 0 */
    /* Monotonic, of the last turn of its loop (or try of a batch); 0: it does not run yet. */
    _Atomic int64_t turned_us;
};

struct ps_aggregator;

/* Opens and recovers. */
int ps_aggregator_open(struct ps_aggregator **ret, const struct ps_aggregator_config *config,
                       struct ps_err *e);
void ps_aggregator_close(struct ps_aggregator *a); /* writes nothing */

/* One batch. Returns how many events it took from the queue, 0 when there is none. */
int ps_aggregator_step(struct ps_aggregator *a, struct ps_err *e);
/* Stores and counts events (sorted) that can be had again where they come from (a file being
 * imported) and therefore need no queue, in one transaction with their statistics: at the latest at
 * the next flush, and until then another handle sees nothing of them and the queue has to wait.
 * What the store refuses is added to `refused`, to be brought through the queue, which keeps dead
 * letters. After a failure nothing taken since the last flush stays. */
int ps_aggregator_take(struct ps_aggregator *a, const struct ps_parcel *parcel,
                       struct ps_outbox *refused, struct ps_err *e);
/* Writes the statistics and moves the watermark; commits what was taken. */
int ps_aggregator_flush(struct ps_aggregator *a, struct ps_err *e);
/* Steps until the queue is empty, then flushes. */
int ps_aggregator_drain(struct ps_aggregator *a, struct ps_err *e);

/* Steps and waits until ps_aggregator_stop, then drains. */
int ps_aggregator_run(struct ps_aggregator *a, struct ps_err *e);
/* ps_aggregator_take by the running thread, for one other thread: waits until what was fed before
 * is taken, hands this over and returns; both are the aggregator's until the next feed returns.
 * `parcel` NULL: waits for the rest and for a flush. Once it has failed, it always fails.
 */
int ps_aggregator_feed(struct ps_aggregator *a, const struct ps_parcel *parcel,
                       struct ps_outbox *refused, struct ps_err *e);
void ps_aggregator_wake(struct ps_aggregator *a);
void ps_aggregator_stop(struct ps_aggregator *a);

const struct ps_aggregator_counters *ps_aggregator_counters(const struct ps_aggregator *a);
/* Dead letters that turned out to be duplicates. Any thread. */
void ps_aggregator_add_duplicates(struct ps_aggregator *a, uint64_t count);

#endif
