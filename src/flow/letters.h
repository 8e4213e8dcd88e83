/* letters.h - what can be done with dead letters: deliver them again, or throw them away.
 *
 * Threads: any, one at a time. The consumer runs meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_LETTERS_H
#define PS_FLOW_LETTERS_H

#include "flow/aggregator.h"
#include "flow/commit.h"

/* How long a replay waits for room in the queue, and in the end for the consumer. */
#define PS_REPLAY_PATIENCE_MS INT64_C(30000)

struct ps_replaying {
    struct ps_queue *queue;
    struct ps_commit *commit;
    const struct ps_aggregator_counters *aggregator;
    struct ps_clock *clock;
    const _Atomic bool *stopping; /* may be NULL; then it ends early, with PS_ESTOP */
};

struct ps_replayed {
    uint64_t replayed; /* letters that went back into the queue, also after a failure */
    uint64_t returned; /* of these are letters again, refused once more */
    bool settled;      /* the consumer has had all of them, so `returned` is final */
};

/* Every letter that is there when it begins goes back into the queue, durably, and then leaves. */
int ps_letters_replay(const struct ps_replaying *with, struct ps_replayed *ret, struct ps_err *e);

struct ps_letter_filter {
    enum ps_reject why; /* PS_REJECT_NONE: whatever the reason */
    int64_t before_ms;  /* buried before that; INT64_MAX: whenever */
};

bool ps_letter_matches(const struct ps_letter_filter *f, const struct ps_dead_letter *letter);
/* *ret: how many have left for good, also after a failure. */
int ps_letters_purge(struct ps_queue *queue, const struct ps_letter_filter *f, uint64_t *ret,
                     struct ps_err *e);

#endif
