/* watch.h - what the main thread looks after: troubles (flow/trouble.h) as log lines, and a
 * consumer that says nothing any more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_WATCH_H
#define PS_DAEMON_WATCH_H

#include "flow/aggregator.h"
#include "flow/trouble.h"

/* So long without a turn: a thread has ended, or hangs. One batch, or writing all statistics, takes
 * seconds on a slow disk; what fails and is tried again makes turns all the while. */
#define PS_WATCH_STILL_US (INT64_C(60) * 1000 * 1000)

/* A ps_trouble_fn: one line when a trouble begins, each minute while it lasts, and when it ends. */
void ps_watch_log(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                  const struct ps_trouble_state *state, int64_t lasted_us);

struct ps_watch {
    struct ps_troubles *troubles;
    struct ps_clock *clock;
    uint64_t turns; /* of the committer, and when they were seen to change */
    int64_t turned_us;
};

/* PS_TROUBLE_CONSUMER and PS_TROUBLE_COMMITTER, begun and ended. `turns`: ps_commit_turns. */
void ps_watch_consumer(struct ps_watch *w, const struct ps_aggregator_counters *consumer);
void ps_watch_committer(struct ps_watch *w, uint64_t turns);

#endif
