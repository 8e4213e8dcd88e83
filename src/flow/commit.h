/* commit.h - group commit: many producers, one append and one sync for all that wait (I3).
 *
 * A thread of its own owns the queue's appending side. Producers hand over copies and are told when
 * the bytes are durable. What is pending has a maximum; past it submit says PS_EFULL (I8).
 *
 * A queue that takes nothing is the trouble PS_TROUBLE_QUEUE, from the first commit that fails.
 * While it lasts a probe goes the whole way each PS_COMMIT_PROBE_EVERY_MS, so that the trouble ends
 * when the queue works again, also when nobody submits anything any more (decision 15).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_COMMIT_H
#define PS_FLOW_COMMIT_H

#include "flow/outbox.h"
#include "flow/receipts.h"
#include "flow/trouble.h"
#include "port/queue.h"

enum {
    PS_COMMIT_BYTES_MAX = 128 * 1024 * 1024,
    PS_COMMIT_WAITERS_MAX = 65536,
    PS_COMMIT_PROBE_EVERY_MS = 1000,
    PS_COMMIT_PROBE_BYTES = 4096, /* a page of a file system, so that it needs room of its own */
};

/* A record that is no event: the consumer passes over it. */
bool ps_commit_is_probe(const uint8_t *bytes, size_t len);

struct ps_commit;

/* code 0: durable. PS_EFULL: the queue is full, try later. Else the queue's failure. Runs on the
 * committer's thread: be brief, do not call ps_commit_*. */
typedef void ps_commit_fn(void *ctx, int code, const char *text);

/* `wake(wake_ctx)` is called after each sync: there is something to read. May be NULL, as may
 * `troubles`. */
int ps_commit_open(struct ps_commit **ret, struct ps_queue *queue, void (*wake)(void *ctx),
                   void *wake_ctx, struct ps_troubles *troubles, struct ps_err *e);
/* Commits what is pending, answers everybody, joins the thread. */
void ps_commit_close(struct ps_commit *c);

/* How often it began to write and was done with it; odd while it writes. Any thread. */
uint64_t ps_commit_turns(const struct ps_commit *c);

/* Any thread. Copies the outbox; fn may be NULL. Negative: nothing was taken and fn will not be
 * called. */
int ps_commit_submit(struct ps_commit *c, const struct ps_outbox *o, ps_commit_fn *fn, void *ctx,
                     struct ps_err *e);
/* The same, and once its events are stored `told` is called with what became of them, unless `fn`
 * was told of a failure. `fn` and `told` get the same ctx, which names the receipt. */
int ps_commit_submit_for_receipt(struct ps_commit *c, const struct ps_outbox *o,
                                 struct ps_receipts *receipts, ps_commit_fn *fn,
                                 ps_receipt_fn *told, void *ctx, struct ps_err *e);
/* The same as submit and waits until it is durable. */
int ps_commit_wait(struct ps_commit *c, const struct ps_outbox *o, struct ps_err *e);

#endif
