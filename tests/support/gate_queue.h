/* gate_queue.h - a queue in front of another, whose sync can be held and whose append can be full.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_GATE_QUEUE_H
#define PS_TEST_GATE_QUEUE_H

#include "port/queue.h"

#include <pthread.h>

struct gate_queue {
    struct ps_queue queue;
    struct ps_queue *inner; /* the caller's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;        /* sync waits */
    unsigned at_gate; /* syncs that wait */
    int refuse;       /* append fails with this code */
};

void gate_queue_init(struct gate_queue *g, struct ps_queue *inner);
void gate_queue_hold(struct gate_queue *g);
void gate_queue_release(struct gate_queue *g);
/* Returns when a sync waits at the gate. */
void gate_queue_await(struct gate_queue *g);
void gate_queue_refuse(struct gate_queue *g, int code);

#endif
