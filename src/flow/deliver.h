/* deliver.h - bring a range of queue records into the store, whatever it takes.
 *
 * A failure is retried with back-off and jitter: the same range, until it passes or `stopping` says
 * to give up. Only one that the events caused (PS_EINVAL: the same input fails again) takes the
 * range apart after max_retries, until a poisonous event is alone and goes to the dead letters, and
 * only while the store takes an empty batch. A full or failing disk is nobody's poison.
 *
 * A store may have committed what it says has failed. So after a failure the position is read again
 * before anything else: past the range, the events are stored, and the redo record says which of
 * them were new.
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
    struct ps_troubles *troubles;
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
    /* Private. An apply failed and may be committed all the same. Of the last apply: the store has
     * said which events it refuses, and these are buried; it failed because that failed. */
    bool unsure, refused, burying_fails;
};

/* 0 when every record is stored, known, or a dead letter, and the position is past them. Negative:
 * told to stop, or a dead letter could not be buried; the position tells how far it came. Troubles
 * hear of the store and of the dead letters, when they fail and when they work again. */
int ps_deliver(struct ps_delivery *d, struct ps_err *e);

/* Whether a reader keeps the store's log from shrinking, as a trouble. */
void ps_deliver_tell_log(struct ps_store *store, struct ps_troubles *troubles);

#endif
