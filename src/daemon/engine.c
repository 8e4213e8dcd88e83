/* engine.c - see engine.h.  SPDX-License-Identifier: MIT */
#include "daemon/engine.h"

#include "backend/registry.h"
#include "daemon/watch.h"

#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_BYTES = 64 * 1024 * 1024,
    IDLE_POLL_MS = 20,
    REPLAY_LETTERS = 1000, /* go back together */
};

/* --- the consumer's thread --- */

static int open_aggregator(struct ps_engine *g, struct ps_store **ret_store,
                           struct ps_aggregator **ret, struct ps_err *e)
{
    const struct ps_config *c = g->config;
    int r =
        ps_store_open(ps_store_backend(c->store), ret_store, g->dir.database, PS_STORE_WRITE, e);
    if (r < 0)
        return r;
    struct ps_aggregator_config config = {
        .store = *ret_store,
        .queue = g->queue,
        .kv = g->kv,
        .clock = g->clock,
        .troubles = &g->troubles,
        .receipts = g->receipts,
        .batch_events = (size_t)c->batch_events,
        .max_retries = (unsigned)c->max_retries,
        .flush_interval_ms = c->flush_interval,
        .cache_bytes = (size_t)c->cache_size,
        .max_paths_per_hour = (size_t)c->max_paths_per_hour,
    };
    return ps_aggregator_open(ret, &config, e);
}

static void tell_opened(struct ps_engine *g, struct ps_aggregator *aggregator, int outcome,
                        const struct ps_err *e)
{
    pthread_mutex_lock(&g->lock);
    g->opened = true;
    g->aggregator = aggregator;
    g->outcome = outcome;
    g->failure = *e;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void *consume(void *ctx)
{
    pthread_setname_np(pthread_self(), "consumer"); /* for top and perf */
    struct ps_engine *g = ctx;
    struct ps_store *store = NULL;
    struct ps_aggregator *aggregator = NULL;
    struct ps_err e = {0};
    int r = open_aggregator(g, &store, &aggregator, &e);
    tell_opened(g, r == 0 ? aggregator : NULL, r, &e);
    if (r == 0) {
        r = ps_aggregator_run(aggregator, &e);
        pthread_mutex_lock(&g->lock);
        g->outcome = r;
        g->failure = e;
        pthread_mutex_unlock(&g->lock);
    }
    ps_store_close(store);
    return NULL;
}

static int start_consumer(struct ps_engine *g, struct ps_err *e)
{
    if (pthread_create(&g->consumer, NULL, consume, g) != 0)
        return ps_fail(e, PS_ENOMEM, "cannot start a thread");
    g->consuming = true;
    pthread_mutex_lock(&g->lock);
    while (!g->opened)
        pthread_cond_wait(&g->changed, &g->lock);
    int r = g->outcome;
    if (r < 0 && e != NULL)
        *e = g->failure;
    pthread_mutex_unlock(&g->lock);
    return r;
}

/* --- opening --- */

static int check_backends(const struct ps_config *c, struct ps_err *e)
{
    if (ps_store_backend(c->store) == NULL)
        return ps_fail(e, PS_EINVAL, "store: there is no backend \"%s\"; try sqlite", c->store);
    if (ps_queue_backend(c->queue) == NULL)
        return ps_fail(e, PS_EINVAL, "queue: there is no backend \"%s\"; try file", c->queue);
    if (ps_kv_backend(c->kv) == NULL)
        return ps_fail(e, PS_EINVAL, "kv: there is no backend \"%s\"; try sqlite", c->kv);
    return 0;
}

static void wake_aggregator(void *ctx)
{
    struct ps_engine *g = ctx;
    ps_aggregator_wake(g->aggregator);
}

static int note_end(struct ps_engine *g, struct ps_err *e)
{
    struct ps_queue_info info;
    int r = ps_queue_info(g->queue, &info, e);
    if (r == 0)
        g->first_position = info.end_position;
    return r;
}

static int open_parts(struct ps_engine *g, struct ps_err *e)
{
    const struct ps_config *c = g->config;
    struct ps_queue_limits limits = {
        .bytes_max = (uint64_t)c->queue_max,
        .segment_bytes = SEGMENT_BYTES,
        .dead_letter_bytes_max = (uint64_t)c->dead_letters_max,
    };
    int r = check_backends(c, e);
    g->receipts = ps_receipts_open();
    if (r == 0 && g->receipts == NULL)
        r = ps_fail(e, PS_ENOMEM, "no memory");
    if (r == 0)
        r = ps_datadir_lock(&g->dir, e);
    if (r == 0)
        r = ps_secret_load(g->dir.secret, true, g->secret, e);
    if (r == 0)
        r = ps_queue_open(ps_queue_backend(c->queue), &g->queue, g->dir.queue, PS_QUEUE_WRITE,
                          &limits, e);
    if (r == 0)
        r = note_end(g, e);
    if (r == 0)
        r = ps_kv_open(ps_kv_backend(c->kv), &g->kv, g->dir.kv, false, e);
    if (r == 0)
        r = start_consumer(g, e);
    if (r == 0)
        r = ps_commit_open(&g->commit, g->queue, wake_aggregator, g, &g->troubles, e);
    return r;
}

int ps_engine_open(struct ps_engine **ret, const struct ps_config *config, struct ps_err *e)
{
    struct ps_engine *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    g->config = config;
    g->clock = ps_clock_system();
    ps_troubles_init(&g->troubles, g->clock, ps_watch_log, NULL);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->dir.lock_fd = -1;
    int r = ps_datadir_init(&g->dir, config->data_dir, e);
    if (r == 0)
        r = open_parts(g, e);
    if (r < 0) {
        ps_engine_close(g, NULL);
        return r;
    }
    *ret = g;
    return 0;
}

/* --- closing --- */

static int stop_consumer(struct ps_engine *g, struct ps_err *e)
{
    if (!g->consuming)
        return 0;
    if (g->aggregator != NULL)
        ps_aggregator_stop(g->aggregator);
    pthread_join(g->consumer, NULL);
    if (g->aggregator != NULL) {
        const struct ps_aggregator_counters *k = ps_aggregator_counters(g->aggregator);
        g->stored = k->fresh > 0 || k->dead_letters > 0;
    }
    ps_aggregator_close(g->aggregator);
    if (g->outcome < 0 && e != NULL)
        *e = g->failure;
    return g->outcome;
}

/* A command that failed before it stored anything leaves nothing behind. */
static bool leaves_nothing(struct ps_engine *g)
{
    struct ps_queue_info info;
    if (g->keep_empty || g->stored)
        return false;
    return g->queue == NULL || (ps_queue_info(g->queue, &info, NULL) == 0 &&
                                info.end_position == g->first_position && info.dead_letters == 0);
}

int ps_engine_close(struct ps_engine *g, struct ps_err *e)
{
    if (g->commit != NULL)
        ps_commit_close(g->commit);
    int r = stop_consumer(g, e);
    ps_receipts_close(g->receipts);
    bool undo = leaves_nothing(g);
    ps_queue_close(g->queue);
    ps_kv_close(g->kv);
    if (undo)
        ps_datadir_undo(&g->dir);
    ps_datadir_unlock(&g->dir);
    ps_troubles_done(&g->troubles);
    explicit_bzero(g->secret, sizeof g->secret);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
    free(g);
    return r;
}

/* --- waiting --- */

int ps_engine_wait_idle(struct ps_engine *g, int (*shown)(void *ctx), void *ctx, struct ps_err *e)
{
    const struct ps_aggregator_counters *counters = ps_aggregator_counters(g->aggregator);
    for (;;) {
        struct ps_queue_info info;
        int r = ps_queue_info(g->queue, &info, e);
        if (r == 0 && counters->reached >= info.end_position)
            return 0;
        if (r == 0 && shown != NULL)
            r = shown(ctx);
        if (r < 0)
            return r;
        ps_clock_sleep_ms(g->clock, IDLE_POLL_MS);
    }
}

/* --- dead letters --- */

struct replay {
    struct ps_outbox outbox;
    uint64_t positions[REPLAY_LETTERS];
    size_t count;
};

static int collect_letter(void *ctx, const struct ps_dead_letter *letter)
{
    struct replay *replay = ctx;
    if (replay->count == REPLAY_LETTERS)
        return PS_ESTOP;
    int r = ps_outbox_record(&replay->outbox, letter->bytes, letter->len);
    if (r == 0)
        replay->positions[replay->count++] = letter->position;
    return r;
}

/* Durable in the queue first, then no longer a dead letter: a crash in between delivers twice, and
 * twice counts once. Only letters that are there now, so that one which comes back is not taken
 * again: each run goes up to the last position that was buried when it began. */
static int replay_some(struct ps_engine *g, struct replay *replay, struct ps_err *e)
{
    replay->count = 0;
    ps_outbox_clear(&replay->outbox);
    int r = ps_queue_dead(g->queue, collect_letter, replay, e);
    if (r < 0 && r != PS_ESTOP)
        return r;
    if (replay->count == 0)
        return 0;
    r = ps_commit_wait(g->commit, &replay->outbox, e);
    if (r == 0)
        r = ps_queue_unbury(g->queue, replay->positions, replay->count, e);
    return r < 0 ? r : 0;
}

int ps_engine_replay(struct ps_engine *g, size_t *ret_count, struct ps_err *e)
{
    struct ps_queue_info info;
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    ps_outbox_init(&replay->outbox, PS_COMMIT_BYTES_MAX);
    int r = ps_queue_info(g->queue, &info, e);
    uint64_t left = r == 0 ? info.dead_letters : 0;
    *ret_count = 0;
    while (r == 0 && left > 0) {
        r = replay_some(g, replay, e);
        *ret_count += r == 0 ? replay->count : 0;
        left = r < 0 || replay->count == 0 || replay->count >= left ? 0 : left - replay->count;
    }
    ps_outbox_done(&replay->outbox);
    free(replay);
    return r;
}
