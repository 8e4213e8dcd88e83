/* engine.c - see engine.h.  SPDX-License-Identifier: MIT */
#include "daemon/engine.h"

#include "backend/registry.h"
#include "base/check.h"
#include "base/log.h"
#include "daemon/identity.h"
#include "daemon/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_BYTES = 64 * 1024 * 1024,
    IDLE_POLL_MS = 20,
    STUCK_US = 10 * 1000 * 1000,
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
    ps_store_limit_log(*ret_store, (uint64_t)c->max_wal_size);
    struct ps_identity identity = {
        .store = *ret_store,
        .kv = g->kv,
        .secret = g->secret,
        .database = g->dir.database,
        .secret_file = g->dir.secret,
        .new_database = c->new_database,
        .new_secret = c->new_secret,
        .now_ms = ps_clock_now_ms(g->clock),
    };
    r = ps_identity_check(&identity, e);
    if (r < 0)
        return r;
    struct ps_aggregator_config config = {
        .store = *ret_store,
        .queue = g->queue,
        .kv = g->kv,
        .clock = g->clock,
        .troubles = &g->troubles,
        .admission = &g->admission,
        .new_database = c->new_database,
        .new_queue = c->new_queue,
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

/* Without its secret, data that is there would count each client and each requestId once more. */
static int load_secret(struct ps_engine *g, struct ps_err *e)
{
    bool made = false, has_data = ps_datadir_has_data(&g->dir);
    enum ps_secret_use use = g->config->new_secret ? PS_SECRET_REPLACE
                             : has_data            ? PS_SECRET_READ
                                                   : PS_SECRET_CREATE;
    int r = ps_secret_load(g->dir.secret, use, g->secret, &made, e);
    if (r == PS_ENOENT && has_data)
        return ps_fail(
            e, PS_ENOENT,
            "%s is missing, but %s holds data that was made with it: put it back from a "
            "backup, or start once with --new-secret (then all clients count as new, and "
            "events with a requestId that are sent again count twice)",
            g->dir.secret, g->dir.path);
    if (r == 0 && made && has_data)
        ps_log(PS_LOG_WARN, "%s is new, as --new-secret says: all clients count as new",
               g->dir.secret);
    return r;
}

static int open_kv(struct ps_engine *g, struct ps_err *e)
{
    int r = ps_kv_open(ps_kv_backend(g->config->kv), &g->kv, g->dir.kv, false, e);
    if (r == 0 && ps_kv_note(g->kv) != NULL)
        ps_log(PS_LOG_WARN, "%s", ps_kv_note(g->kv));
    return r;
}

static void wake_aggregator(void *ctx)
{
    struct ps_engine *g = ctx;
    ps_aggregator_wake(g->aggregator);
}

/* What the opening of the queue found and mended. */
static int tell_found(struct ps_engine *g, struct ps_err *e)
{
    struct ps_queue_info info;
    char text[PS_ERR_TEXT_MAX];
    int r = ps_queue_info(g->queue, &info, e);
    if (r == 0)
        g->first_position = info.end_position;
    if (r == 0 && info.cut_bytes > 0)
        ps_log(PS_LOG_WARN,
               "queue: cut off %llu bytes at its end, %s; they are kept in %s (segment.cut or "
               "dead-letters.cut)",
               (unsigned long long)info.cut_bytes,
               info.cut_in_doubt ? "a write that was not finished, or damage: some of it may have "
                                   "been acknowledged"
                                 : "a write that was not finished: those events were never "
                                   "acknowledged",
               g->dir.queue);
    if (r == 0 && info.letters_damaged > 0) {
        snprintf(text, sizeof text,
                 "the file was damaged in %llu %s, which cost a letter each at least; the others "
                 "are kept, and the damaged file is dead-letters.damaged in %.200s",
                 (unsigned long long)info.letters_damaged,
                 info.letters_damaged == 1 ? "place" : "places", g->dir.queue);
        ps_trouble_begin(&g->troubles, PS_TROUBLE_LETTERS_DAMAGED, PS_ECORRUPT, text);
    }
    return r;
}

static int open_parts(struct ps_engine *g, struct ps_err *e)
{
    const struct ps_config *c = g->config;
    struct ps_queue_limits limits = {
        .bytes_max = (uint64_t)c->queue_max,
        .segment_bytes = SEGMENT_BYTES,
        .dead_letter_bytes_max = (uint64_t)c->dead_letters_max,
        .dead_letter_reserve = (uint64_t)c->queue_max + PS_COMMIT_BYTES_MAX,
    };
    int r = check_backends(c, e);
    g->receipts = ps_receipts_open();
    if (r == 0 && g->receipts == NULL)
        r = ps_fail(e, PS_ENOMEM, "no memory");
    if (r == 0)
        r = ps_datadir_lock(&g->dir, e);
    if (r == 0)
        r = load_secret(g, e);
    if (r == 0)
        r = ps_queue_open(ps_queue_backend(c->queue), &g->queue, g->dir.queue, PS_QUEUE_WRITE,
                          &limits, e);
    if (r == 0)
        r = tell_found(g, e);
    if (r == 0)
        r = open_kv(g, e);
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
    ps_admission_init(&g->admission);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->dir.lock_fd = g->dir.folder_fd = -1;
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
    ps_admission_done(&g->admission);
    explicit_bzero(g->secret, sizeof g->secret);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
    free(g);
    return r;
}

/* --- waiting --- */

/* What is not stored for so long will not be soon: who waits is told why. */
static int fail_when_stuck(struct ps_engine *g, struct ps_err *e)
{
    static const enum ps_trouble which[] = {PS_TROUBLE_STORE, PS_TROUBLE_DEAD_LETTERS};
    struct ps_trouble_state state;
    for (size_t i = 0; i < PS_COUNT_OF(which); i++)
        if (ps_trouble_get(&g->troubles, which[i], &state) &&
            ps_clock_monotonic_us(g->clock) - state.since_us >= STUCK_US)
            return ps_fail(e, state.code, "%s", state.text);
    return 0;
}

int ps_engine_wait_idle(struct ps_engine *g, int (*shown)(void *ctx), void *ctx, struct ps_err *e)
{
    const struct ps_aggregator_counters *counters = ps_aggregator_counters(g->aggregator);
    for (;;) {
        struct ps_queue_info info;
        int r = ps_queue_info(g->queue, &info, e);
        if (r == 0 && counters->reached >= info.end_position)
            return 0;
        if (r == 0)
            r = fail_when_stuck(g, e);
        if (r == 0 && shown != NULL)
            r = shown(ctx);
        if (r < 0)
            return r;
        ps_clock_sleep_ms(g->clock, IDLE_POLL_MS);
    }
}

/* --- dead letters --- */

int ps_engine_replay(struct ps_engine *g, struct ps_replayed *ret, struct ps_err *e)
{
    const struct ps_replaying with = {.queue = g->queue,
                                      .commit = g->commit,
                                      .aggregator = ps_aggregator_counters(g->aggregator),
                                      .clock = g->clock};
    return ps_letters_replay(&with, ret, e);
}
