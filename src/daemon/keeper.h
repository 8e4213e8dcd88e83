/* keeper.h - the thread that keeps the house: cron jobs, and what an administrator orders.
 *
 *     archive   every day older than the retention, oldest first
 *     snapshot  by its trigger, and after so many batches, at most once a second
 *     capacity  measure, warn, and at 95 % archive the oldest eligible day
 *
 * They go by a steady clock (flow/steady): a wall clock that jumps archives nothing before its new
 * time has lasted some minutes. A run that fails is the trouble of its job until one passes; it is
 * tried again within minutes (cron/jobs).
 *
 * One thing at a time, so no job overlaps itself. Runs are recorded in the ledger; runs by the
 * number of batches are not. A job that is running when the keeper is closed is stopped between two
 * events and taken up again at the next start.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_KEEPER_H
#define PS_DAEMON_KEEPER_H

#include "config/options.h"
#include "daemon/datadir.h"
#include "flow/aggregator.h"
#include "flow/letters.h"

enum { PS_KEEPER_ORDERS_MAX = 64 };

#define PS_JOB_ARCHIVE "archive"
#define PS_JOB_SNAPSHOT "snapshot"
#define PS_JOB_CAPACITY "capacity"

struct ps_keeper_config {
    const struct ps_config *config;
    const struct ps_datadir *dir;
    struct ps_queue *queue;
    struct ps_commit *commit;       /* for replays */
    struct ps_aggregator *counting; /* is told of duplicates among dead letters; may be NULL */
    struct ps_kv *kv;
    struct ps_clock *clock;
    struct ps_troubles *troubles;
    const struct ps_aggregator_counters *aggregator;
};

struct ps_keeper;

/* A keeper's answer, once, from its thread. code 0: text is a JSON object. */
typedef void ps_keeper_done_fn(void *ctx, int code, const char *text);

int ps_keeper_open(struct ps_keeper **ret, const struct ps_keeper_config *config, struct ps_err *e);
/* Answers what is still waiting with PS_ESTOP and takes no more orders. */
void ps_keeper_stop(struct ps_keeper *k); /* NULL is fine */
/* Nobody may order any more. */
void ps_keeper_close(struct ps_keeper *k);

/* Any thread. PS_EFULL: too many wait already. Negative: done will not be called. */
int ps_keeper_archive(struct ps_keeper *k, int32_t day, ps_keeper_done_fn *done, void *ctx,
                      struct ps_err *e);
int ps_keeper_snapshot(struct ps_keeper *k, ps_keeper_done_fn *done, void *ctx, struct ps_err *e);
int ps_keeper_replay(struct ps_keeper *k, ps_keeper_done_fn *done, void *ctx, struct ps_err *e);
int ps_keeper_purge(struct ps_keeper *k, const struct ps_letter_filter *filter,
                    ps_keeper_done_fn *done, void *ctx, struct ps_err *e);

/* The warning level measured last: 0, 70, 85 or 95. Any thread. */
const _Atomic unsigned *ps_keeper_level(const struct ps_keeper *k);

#endif
