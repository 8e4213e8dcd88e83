/* watch.h - what the main thread looks after: troubles (flow/trouble.h) as log lines, and a
 * consumer that says nothing any more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_WATCH_H
#define PS_DAEMON_WATCH_H

#include "flow/aggregator.h"
#include "flow/trouble.h"

/* So long without a turn of its loop: it has ended or hangs. One batch, or writing all statistics,
 * takes seconds on a slow disk; a failing store makes turns all the while. */
#define PS_WATCH_CONSUMER_US (INT64_C(60) * 1000 * 1000)

/* A ps_trouble_fn: one line when a trouble begins, each minute while it lasts, and when it ends. */
void ps_watch_log(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                  const struct ps_trouble_state *state, int64_t lasted_us);

/* Begins PS_TROUBLE_CONSUMER when it has made no turn for so long, ends it when it turns again. */
void ps_watch_consumer(struct ps_troubles *t, struct ps_clock *clock,
                       const struct ps_aggregator_counters *consumer);

#endif
