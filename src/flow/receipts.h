/* receipts.h - what became of a submission: how many of its events were new, once they are stored.
 *
 * Acknowledged means durable (I3), and nobody has to wait for more. Who wants to know more, such as
 * an import that must tell duplicates from new events, asks for a receipt: the committer opens it
 * before it appends and closes it at the end of the submission's range; the consumer counts the
 * outcomes of that range, and `done` tells them.
 *
 * Threads: expect, ends and give_up by whoever submits, taken by the consumer; `done` runs on the
 * thread that finds the receipt complete, without the lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_RECEIPTS_H
#define PS_FLOW_RECEIPTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PS_RECEIPTS_MAX = 256 }; /* open at one time */

struct ps_receipt {
    uint64_t fresh, duplicates, refused; /* refused: dead letters, with a reason */
};

typedef void ps_receipt_fn(void *ctx, const struct ps_receipt *receipt);

struct ps_receipts; /* opaque; bounded */

struct ps_receipts *ps_receipts_open(void);    /* NULL: no memory */
void ps_receipts_close(struct ps_receipts *r); /* NULL is fine; open receipts are never told */

/* The next records, from position `first` on, are this receipt's. PS_EFULL: too many are open. */
int ps_receipts_expect(struct ps_receipts *r, uint64_t first, ps_receipt_fn *done, void *ctx);
/* Its records end before `next`: told now, when the consumer is past it already. */
void ps_receipts_end(struct ps_receipts *r, void *ctx, uint64_t next);
/* Nobody waits any more. True: `done` has not been called, and will not be. */
bool ps_receipts_give_up(struct ps_receipts *r, void *ctx);

/* Is any open? Cheap: the consumer asks once a batch. */
bool ps_receipts_any(const struct ps_receipts *r);
/* The consumer is past `position`; `outcomes` (enum ps_outcome) of the records at `positions`. */
struct ps_record;
void ps_receipts_take(struct ps_receipts *r, const struct ps_record *records,
                      const uint8_t *outcomes, size_t count, uint64_t next_position);

#endif
