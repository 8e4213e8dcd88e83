/* engine.h - the counting machine, put together: data directory, queue, committer, consumer.
 *
 * `serve` puts HTTP in front of it, `import` a file reader. It holds the data directory's lock from
 * open to close. The consumer runs on a thread of its own and owns the writing store handle.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_ENGINE_H
#define PS_DAEMON_ENGINE_H

#include "config/options.h"
#include "daemon/datadir.h"
#include "flow/aggregator.h"
#include "flow/commit.h"
#include "flow/letters.h"
#include "flow/trouble.h"
#include "wrap/secret.h"

#include <pthread.h>

struct ps_engine {
    const struct ps_config *config;
    struct ps_datadir dir;
    uint8_t secret[PS_SECRET_BYTES];
    struct ps_clock *clock;
    struct ps_troubles troubles; /* what is wrong right now, logged by this room */
    struct ps_admission admission;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_commit *commit;
    struct ps_receipts *receipts;

    pthread_t consumer;
    bool consuming; /* the thread exists */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool opened;                      /* the consumer has told how its opening went */
    struct ps_aggregator *aggregator; /* NULL when it failed */
    int outcome;                      /* of opening, then of running */
    struct ps_err failure;

    uint64_t first_position; /* the queue's end at open */
    bool stored;             /* the consumer has stored or buried something */
    bool keep_empty;         /* a new data directory stays although nothing was stored there */
};

/* Opens and recovers; the caller's config must outlive it. PS_EBUSY: the directory is in use. */
int ps_engine_open(struct ps_engine **ret, const struct ps_config *config, struct ps_err *e);

/* Until everything durable so far is stored and counted in memory. *shown (may be NULL) is called
 * now and then; a negative return of it ends the wait. */
int ps_engine_wait_idle(struct ps_engine *g, int (*shown)(void *ctx), void *ctx, struct ps_err *e);

/* Commits what is pending, stores and counts all of it, writes the statistics, gives the lock back.
 * Frees in any case; negative when something could not be finished (it will be at the next start).
 * A data directory that this engine made and nothing went into is removed, unless keep_empty. */
int ps_engine_close(struct ps_engine *g, struct ps_err *e);

int ps_engine_replay(struct ps_engine *g, struct ps_replayed *ret, struct ps_err *e);

#endif
