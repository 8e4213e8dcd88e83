/* pending.h - the events that the store holds and the statistics do not: what lies between the
 * watermark and the position, read again from the queue as the redo records say.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_PENDING_H
#define PS_FLOW_PENDING_H

#include "port/queue.h"
#include "port/store.h"

/* Calls fn for every such event once, in queue order. PS_ECORRUPT when the queue no longer has a
 * range: it belongs to another store, or was deleted. PS_ENOENT when it was trimmed meanwhile. */
int ps_pending_each(struct ps_store *store, struct ps_queue *queue, uint32_t partition,
                    ps_event_fn *fn, void *ctx, struct ps_err *e);

#endif
