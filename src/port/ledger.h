/* ledger.h - what became of each day and of each job: the book the life of a day is written in.
 *
 * It lives where the store lives, so that a sealed day and an event for it meet in one transaction
 * order: an event is applied before its day is sealed, and then archived, or refused after (I6).
 *
 *     open ──mark──► pending ──► completed ──clean──► cleaned ──restore──► restored
 *                       └──► failed (takes events again, tried again)          └──► pending
 *
 * Ownership: arguments belong to the caller; rows handed to a callback are valid during the call.
 * Threads: a handle belongs to one thread at a time; its writes take turns with the store's.
 * Errors: PS_EBUSY, PS_EIO, PS_EFULL, PS_ECORRUPT as the store.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_LEDGER_H
#define PS_PORT_LEDGER_H

#include "port/store.h"

struct ps_ledger;

enum {
    PS_JOB_NAME_MAX = 32,
    PS_RUN_DETAIL_MAX = 4096,
    PS_RUNS_KEPT = 10000, /* older runs are forgotten */
};

/* One run of a job. finished_ms 0: still running, or the process died. */
struct ps_run {
    int64_t id, scheduled_ms, started_ms, finished_ms;
    struct ps_str job, outcome, detail; /* outcome: "ok" or the name of the failure */
};

struct ps_ledger_size {
    uint64_t bytes;      /* of the database on disk, without its write-ahead log */
    uint64_t free_bytes; /* of these, waiting to be used again */
    uint64_t log_bytes;  /* of the write-ahead log on disk */
};

typedef int ps_run_fn(void *ctx, const struct ps_run *run);

struct ps_ledger_ops {
    const char *name; /* the same word as the store's */
    int (*open)(struct ps_ledger **ret, const char *target, enum ps_store_mode mode,
                struct ps_err *e);
    void (*close)(struct ps_ledger *l);
    int (*mark)(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e);
    int (*clean)(struct ps_ledger *l, int32_t day, struct ps_err *e);
    int (*restore)(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                   bool last, struct ps_err *e);
    int (*run_started)(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                       struct ps_err *e);
    int (*run_finished)(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e);
    int (*runs)(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                struct ps_err *e);
    int (*size)(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e);
};

struct ps_ledger {
    const struct ps_ledger_ops *ops;
};

int ps_ledger_open(const struct ps_ledger_ops *ops, struct ps_ledger **ret, const char *target,
                   enum ps_store_mode mode, struct ps_err *e);
void ps_ledger_close(struct ps_ledger *l); /* NULL is fine */

#define PS_FROM_STATE(state) (1u << (state))

/* Writes the day's record (all fields but `stored`) if its present state is one of `from`, a sum of
 * PS_FROM_STATE; a day without a record is open. PS_EEXIST: it is in another state. */
int ps_ledger_mark(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e);

/* Drops the events of a completed day and marks it cleaned, in one transaction; 0 also when it is
 * cleaned already. PS_EINVAL in any other state. */
int ps_ledger_clean(struct ps_ledger *l, int32_t day, struct ps_err *e);

/* Puts events of a cleaned day back, without counting them, in pieces; with `last` the day becomes
 * restored. Events that are there already are left alone, so an interrupted restore is run again
 * from its beginning. PS_EINVAL when the day is not cleaned, or an event is of another day. */
int ps_ledger_restore(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                      bool last, struct ps_err *e);

/* job, scheduled_ms and started_ms of `run` count; *ret_id names it from now on. */
int ps_ledger_run_started(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                          struct ps_err *e);
/* id, finished_ms, outcome and detail of `run` count. */
int ps_ledger_run_finished(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e);
/* The newest first, at most `limit`; absent job: of every job. */
int ps_ledger_runs(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                   struct ps_err *e);

int ps_ledger_size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e);

#endif
