/* verify.h - the audit: recompute every hot aggregate from the stored events and compare the rows
 * byte for byte (I1, I2). Works beside a running daemon: what the statistics do not hold yet is
 * added from the redo records and the queue. It reads day by day, and many events not in one state
 * of the store: that would keep a transaction open for minutes (docs/decisions/0018).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_VERIFY_H
#define PS_FLOW_VERIFY_H

#include "port/queue.h"
#include "port/store.h"

enum ps_mismatch_kind { PS_MISMATCH_MISSING_ROW, PS_MISMATCH_EXTRA_ROW, PS_MISMATCH_DIFFERENT };

struct ps_mismatch {
    enum ps_mismatch_kind kind;
    int32_t hour;
    struct ps_str path;
    uint64_t requests_stored, requests_computed;
};

struct ps_verified {
    uint64_t days, events, rows, mismatches;
};

enum { PS_VERIFY_STATE_EVENTS = 1 << 22 };

struct ps_verify_options {
    uint32_t partition;
    size_t max_paths_per_hour;
    uint64_t state_events; /* read in one state at most, but for a day; 0: as above */
    void (*mismatch)(void *ctx, const struct ps_mismatch *m); /* may be NULL */
    /* Now and then: so_far->days are all there are now, its events those read. May be NULL. */
    void (*progress)(void *ctx, size_t days_done, const struct ps_verified *so_far);
    void *ctx;
};

/* 0 also when there are mismatches: see *ret. Negative: the audit itself could not be done. */
int ps_verify(struct ps_store *store, struct ps_queue *queue,
              const struct ps_verify_options *options, struct ps_verified *ret, struct ps_err *e);

#endif
