/* admission.h - whom to refuse while the dead letters are full: whoever sends events of closed
 * days, and nobody else.
 *
 * Such an event would become a dead letter. When there is no room for more, its source is told
 * before the event is acknowledged, so that all others go on being counted. What was acknowledged
 * before still finds its place in the letters' reserve.
 *
 * Threads: the consumer refreshes; any may ask.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_ADMISSION_H
#define PS_FLOW_ADMISSION_H

#include "flow/trouble.h"
#include "port/queue.h"
#include "port/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define PS_ADMISSION_EVERY_US INT64_C(200000)

struct ps_admission {
    _Atomic bool full;
    pthread_mutex_t lock;
    int32_t *days; /* closed, ascending; while full */
    size_t count, cap;
    int64_t looked_us;
};

void ps_admission_init(struct ps_admission *a);
void ps_admission_done(struct ps_admission *a);

/* `a` may be NULL. Cheap while there is room. */
bool ps_admission_refuses(struct ps_admission *a, int64_t timestamp_ms);
/* What to tell who was refused. */
#define PS_ADMISSION_TEXT                                                                          \
    "the dead letters are full, and the events are of a day that is archived: restore the day "    \
    "and "                                                                                         \
    "replay them, or purge some (pathstats dead-letters)"

/* Looks whether the letters are full, and then which days are closed; at most every
 * PS_ADMISSION_EVERY_US. Reports PS_TROUBLE_LETTERS_FULL. `a` may be NULL. */
void ps_admission_refresh(struct ps_admission *a, struct ps_queue *queue, struct ps_store *store,
                          int64_t now_us, struct ps_troubles *troubles);

#endif
