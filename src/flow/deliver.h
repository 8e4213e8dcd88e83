/* deliver.h - bring a range of queue records into the store, whatever it takes.
 *
 * Retries with back-off and jitter; after max_retries halves the range, until a poisonous event is
 * alone and goes to the dead letters. A store that refuses even an empty batch is down: that is
 * nobody's poison, so the same range is tried until it is up again or `stopping` says to give up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_DELIVER_H
#define PS_FLOW_DELIVER_H

#include "flow/aggregator.h"

/* The outcome of what deliver itself brought to the dead letters; others are enum ps_outcome. */
enum { PS_OUTCOME_BURIED = 255 };

struct ps_delivery {
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_clock *clock;
    struct ps_aggregator_counters *counters;
    const _Atomic bool *stopping;
    uint32_t partition;
    unsigned max_retries;
    uint64_t jitter; /* any seed; spreads retries, decides nothing that is kept */

    /* What is being delivered; all arrays have `count` entries in queue order. */
    const struct ps_record *records;
    struct ps_event *events;
    bool *decodes; /* the record is an event */
    uint32_t *order;
    struct ps_sort_key *sort_scratch; /* twice as many */
    uint8_t *outcomes;                /* filled here */
    size_t count;
    uint64_t next_position;
};

/* 0 when every record is stored, known, or a dead letter, and the position is past them. Negative:
 * told to stop, or the dead letters are full; the position tells how far it came. */
int ps_deliver(struct ps_delivery *d, struct ps_err *e);

#endif
