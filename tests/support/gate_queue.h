/* gate_queue.h - a queue in front of another, whose sync can be held and whose calls can fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_GATE_QUEUE_H
#define PS_TEST_GATE_QUEUE_H

#include "port/queue.h"

#include <pthread.h>

/* Each call fails with its code while it is not 0. */
struct gate_faults {
    int append, sync, read, bury;
    size_t room; /* of an append, in bytes of records; beyond it is PS_EFULL; 0: no such limit */
};

struct gate_queue {
    struct ps_queue queue;
    struct ps_queue *inner; /* the caller's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;        /* sync waits */
    unsigned at_gate; /* syncs that wait */
    struct gate_faults faults;
    unsigned reads, syncs; /* asked for so far */
};

void gate_queue_init(struct gate_queue *g, struct ps_queue *inner);
void gate_queue_hold(struct gate_queue *g);
void gate_queue_release(struct gate_queue *g);
/* Returns when a sync waits at the gate. */
void gate_queue_await(struct gate_queue *g);
/* Appends fail with this code. */
void gate_queue_refuse(struct gate_queue *g, int code);
void gate_queue_fail(struct gate_queue *g, struct gate_faults faults);
unsigned gate_queue_reads(struct gate_queue *g);

#endif
