/* aggregator_inner.h - the aggregator from the inside: its steps (aggregator.c) and its thread
 * (aggregator_run.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_AGGREGATOR_INNER_H
#define PS_FLOW_AGGREGATOR_INNER_H

#include "flow/aggregator.h"
#include "flow/cache.h"
#include "flow/rebuild.h"

#include <pthread.h>

/* What another thread has handed over. */
struct feed {
    bool busy;                      /* being taken */
    const struct ps_parcel *parcel; /* NULL: only flush */
    struct ps_outbox *refused;
    int code; /* of the last one */
    struct ps_err failure;
    pthread_cond_t answered;
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
    struct ps_rebuilds rebuilds; /* rows made again since the last flush */
    bool untold;                 /* what became of `records` was not told to the receipts yet */
    bool transacting;            /* events are taken that did not come from the queue */
    uint64_t taken_fresh, taken_duplicates; /* of these; counted when they are committed */
    int64_t flushed_us, flush_cost_us, heartbeat_us;
    struct ps_aggregator_counters counters;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool awake;
    _Atomic bool stopping;
    struct feed feed; /* under the lock, as is awake */
};

/* match.c: do the database, of which `position` and `watermark` were read, and the queue belong
 * together? PS_ECORRUPT: they do not, and no option says that they shall from now on; else the two
 * may have been moved. The cache is empty. */
int ps_aggregator_match(struct ps_aggregator *a, const struct ps_queue_info *info,
                        struct ps_err *e);

#endif
