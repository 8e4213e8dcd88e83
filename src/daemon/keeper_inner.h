/* keeper_inner.h - the keeper from the inside: its thread and its orders (keeper.c), and what its
 * jobs do (keeper_jobs.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_KEEPER_INNER_H
#define PS_DAEMON_KEEPER_INNER_H

#include "cron/jobs.h"
#include "daemon/keeper.h"
#include "daemon/letters.h"
#include "daemon/life.h"
#include "flow/snapshot.h"
#include "flow/steady.h"

#include <pthread.h>

enum { PS_KEEPER_ANSWER_MAX = 4096 };

#define NO_DAY INT32_MIN

/* Orders that are no jobs come after them. */
enum { JOB_ARCHIVE, JOB_SNAPSHOT, JOB_CAPACITY, JOB_COUNT, ORDER_REPLAY = JOB_COUNT, ORDER_PURGE };

struct order {
    int job;
    int32_t day;
    struct ps_letter_filter filter;
    ps_keeper_done_fn *done;
    void *ctx;
};

struct ps_keeper {
    struct ps_keeper_config config; /* its clock is the steady one */
    struct ps_steady_clock steady;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool opened, started;
    int open_code;
    struct ps_err open_error;
    struct order orders[PS_KEEPER_ORDERS_MAX]; /* a ring */
    size_t first, count;
    _Atomic bool closing;
    _Atomic unsigned level;

    /* The thread's own. */
    struct ps_life life;
    struct ps_letter_care letters;
    struct ps_jobs *jobs;
    struct ps_snapshot_pacer pacer;
    int32_t ordered_day;     /* NO_DAY: the archive job takes every old day */
    bool ordered;            /* the job that runs was ordered; who did gets its failure told */
    enum ps_trouble running; /* whose trouble it is when the job that runs fails */
    struct ps_err last;      /* failure of the job that ran last */
    struct ps_buf answer;
};

/* The job's word, as in the ledger. */
const char *ps_keeper_job_name(int job);
/* Its triggers, and the runs that are due from before this start. The ledger is open. */
int ps_keeper_open_jobs(struct ps_keeper *k, struct ps_err *e);
/* Outside of a job: nothing of it is recorded. */
int ps_keeper_make_snapshot(struct ps_keeper *k, struct ps_buf *detail, struct ps_err *e);

#endif
