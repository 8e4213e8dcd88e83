/* commit.c - see commit.h.
 *
 * Two groups take turns: producers fill one under the lock while the thread writes the other. A
 * producer's wait is therefore one sync at best and two at worst, however many producers there are.
 *
 * A queue that is full refuses a group whole (append is all or nothing), so each submission of the
 * group is then offered alone: a small one may still fit. When none fits, a probe tells whether the
 * queue takes anything: one large body more than there is room for is no trouble of everybody's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/commit.h"

#include "base/check.h"
#include "base/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { GATHER_WAITERS_MIN = 4, GATHER_NS = 500 * 1000 };

struct waiter {
    ps_commit_fn *fn;
    void *ctx;
    size_t records_end; /* of this submission in the group */
    int code;           /* of its append, when it goes alone */
    struct ps_receipts *receipts;
    ps_receipt_fn *told; /* NULL: no receipt is wanted */
};

struct group {
    struct ps_outbox outbox;
    struct waiter *waiters;
    size_t count, cap;
};

struct ps_commit {
    struct ps_queue *queue;
    void (*wake)(void *ctx);
    void *wake_ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct group groups[2];
    int filling; /* the group that takes submissions */
    bool closing;
    _Atomic uint64_t turns;
    struct ps_troubles *troubles;
    bool failing;        /* the thread's own, as are: */
    struct ps_str *strs; /* record views of the group being written */
    size_t strs_cap;
};

static int group_reserve(struct group *g)
{
    if (g->count < g->cap)
        return 0;
    if (g->count == PS_COMMIT_WAITERS_MAX)
        return PS_EFULL;
    size_t cap = g->cap == 0 ? 64 : g->cap * 2;
    struct waiter *waiters = realloc(g->waiters, cap * sizeof *waiters);
    if (waiters == NULL)
        return PS_ENOMEM;
    g->waiters = waiters;
    g->cap = cap;
    return 0;
}

static int view_records(struct ps_commit *c, const struct group *g)
{
    const struct ps_outbox *o = &g->outbox;
    if (o->count > c->strs_cap) {
        struct ps_str *strs = realloc(c->strs, o->cap * sizeof *strs);
        if (strs == NULL)
            return PS_ENOMEM;
        c->strs = strs;
        c->strs_cap = o->cap;
    }
    for (size_t i = 0, at = 0; i < o->count; at = o->ends[i++])
        c->strs[i] = (struct ps_str){o->bytes.ptr + at, o->ends[i] - at};
    return 0;
}

static void answer(const struct waiter *w, int code, const char *text)
{
    if (w->fn != NULL)
        w->fn(w->ctx, code, text);
}

/* --- whether it works --- */

bool ps_commit_is_probe(const uint8_t *bytes, size_t len)
{
    return len == PS_COMMIT_PROBE_BYTES && bytes[0] == 0; /* an event begins with its version */
}

/* Before the answers: who was refused finds the trouble in the health. */
static void tell(struct ps_commit *c, int code, const char *text)
{
    c->failing = code < 0;
    ps_trouble_report(c->troubles, PS_TROUBLE_QUEUE, code, text);
}

static void probe(struct ps_commit *c)
{
    static const char zeros[PS_COMMIT_PROBE_BYTES];
    struct ps_str record = {zeros, sizeof zeros};
    struct ps_err e = {0};
    int r = ps_queue_append(c->queue, &record, 1, &e);
    if (r == 0)
        r = ps_queue_sync(c->queue, NULL, &e);
    tell(c, r, e.text);
}

/* --- one group --- */

static size_t records_begin(const struct group *g, size_t waiter)
{
    return waiter == 0 ? 0 : g->waiters[waiter - 1].records_end;
}

static int append_submissions(struct ps_commit *c, const struct group *g, size_t from, size_t to,
                              struct ps_err *e)
{
    size_t begin = records_begin(g, from), end = records_begin(g, to);
    return ps_queue_append(c->queue, c->strs + begin, end - begin, e);
}

/* They did not fit together: each submission alone, then one sync for those that did. */
static void commit_one_by_one(struct ps_commit *c, struct group *g, size_t from, size_t to)
{
    struct ps_err full = {0}, e = {0};
    size_t kept = 0;
    int r = 0;
    for (size_t i = from; i < to; i++) {
        g->waiters[i].code = append_submissions(c, g, i, i + 1, &full);
        kept += g->waiters[i].code == 0;
    }
    if (kept > 0) {
        r = ps_queue_sync(c->queue, NULL, &e);
        tell(c, r, e.text);
    } else {
        probe(c);
    }
    for (size_t i = from; i < to; i++) {
        const struct waiter *w = &g->waiters[i];
        w->code < 0 ? answer(w, w->code, full.text) : answer(w, r, e.text);
    }
}

static void commit_together(struct ps_commit *c, struct group *g, size_t from, size_t to)
{
    struct ps_err e = {0};
    int r = append_submissions(c, g, from, to, &e);
    if (r == PS_EFULL) {
        commit_one_by_one(c, g, from, to);
        return;
    }
    if (r == 0)
        r = ps_queue_sync(c->queue, NULL, &e);
    tell(c, r, e.text);
    for (size_t i = from; i < to; i++)
        answer(&g->waiters[i], r, e.text);
}

/* Alone, so that its range is known; expected before it can be read. */
static void commit_for_receipt(struct ps_commit *c, struct group *g, size_t i)
{
    const struct waiter *w = &g->waiters[i];
    struct ps_err e = {0};
    uint64_t first = 0, next = 0;
    int r = ps_queue_sync(c->queue, &first, &e);
    if (r == 0 && ps_receipts_expect(w->receipts, first, w->told, w->ctx) < 0) {
        ps_fail(&e, PS_EFULL, "%d submissions wait for a receipt already: try again later",
                PS_RECEIPTS_MAX);
        answer(w, PS_EFULL, e.text);
        return;
    }
    bool expected = r == 0;
    if (r == 0)
        r = append_submissions(c, g, i, i + 1, &e);
    if (r == 0)
        r = ps_queue_sync(c->queue, &next, &e);
    if (r < 0 && expected)
        ps_receipts_give_up(w->receipts, w->ctx);
    r == PS_EFULL ? probe(c) : tell(c, r, e.text);
    answer(w, r, e.text);
    if (r == 0)
        ps_receipts_end(w->receipts, w->ctx, next);
}

static void fail_group(struct ps_commit *c, struct group *g, int code)
{
    struct ps_err e = {0};
    ps_fail(&e, code, "commit: no memory for %zu records", g->outbox.count);
    tell(c, code, e.text);
    for (size_t i = 0; i < g->count; i++)
        answer(&g->waiters[i], code, e.text);
}

static void commit_group(struct ps_commit *c, struct group *g)
{
    c->turns++;
    int r = view_records(c, g);
    if (r < 0)
        fail_group(c, g, r);
    for (size_t from = 0, to; r == 0 && from < g->count; from = to) {
        to = from + 1;
        while (g->waiters[from].told == NULL && to < g->count && g->waiters[to].told == NULL)
            to++;
        if (g->waiters[from].told != NULL)
            commit_for_receipt(c, g, from);
        else
            commit_together(c, g, from, to);
    }
    if (c->wake != NULL)
        c->wake(c->wake_ctx);
    ps_outbox_clear(&g->outbox);
    g->count = 0;
    c->turns++;
}

/* When many waited for the last sync, many more are about to come: a moment's patience halves the
 * number of syncs, which are what a small event costs most. One that comes alone does not wait. */
static void gather(struct ps_commit *c, size_t last_count)
{
    const struct timespec moment = {.tv_nsec = GATHER_NS};
    if (last_count < GATHER_WAITERS_MIN || c->groups[c->filling].count >= last_count)
        return;
    pthread_mutex_unlock(&c->lock);
    nanosleep(&moment, NULL);
    pthread_mutex_lock(&c->lock);
}

/* Under the lock. For a submission; while the queue fails also for the time of the next probe. */
static void wait_for_work(struct ps_commit *c)
{
    if (!c->failing) {
        pthread_cond_wait(&c->changed, &c->lock);
        return;
    }
    struct timespec until = ps_wait_deadline(PS_COMMIT_PROBE_EVERY_MS);
    if (ps_cond_wait_until(&c->changed, &c->lock, &until))
        return;
    pthread_mutex_unlock(&c->lock);
    c->turns++;
    probe(c);
    c->turns++;
    pthread_mutex_lock(&c->lock);
}

static void *run(void *arg)
{
    pthread_setname_np(pthread_self(), "committer"); /* for top and perf */
    struct ps_commit *c = arg;
    size_t last_count = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct group *g = &c->groups[c->filling];
        if (g->count == 0) {
            if (c->closing)
                break;
            wait_for_work(c);
            continue;
        }
        gather(c, last_count);
        last_count = g->count;
        c->filling = !c->filling;
        pthread_mutex_unlock(&c->lock);
        commit_group(c, g);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int ps_commit_open(struct ps_commit **ret, struct ps_queue *queue, void (*wake)(void *ctx),
                   void *wake_ctx, struct ps_troubles *troubles, struct ps_err *e)
{
    struct ps_commit *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ps_fail(e, PS_ENOMEM, "commit: no memory");
    c->queue = queue;
    c->wake = wake;
    c->wake_ctx = wake_ctx;
    c->troubles = troubles;
    pthread_mutex_init(&c->lock, NULL);
    ps_cond_init(&c->changed);
    for (int i = 0; i < 2; i++)
        ps_outbox_init(&c->groups[i].outbox, PS_COMMIT_BYTES_MAX);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        free(c);
        return ps_fail(e, PS_ENOMEM, "commit: cannot start its thread");
    }
    *ret = c;
    return 0;
}

void ps_commit_close(struct ps_commit *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    for (int i = 0; i < 2; i++) {
        ps_outbox_done(&c->groups[i].outbox);
        free(c->groups[i].waiters);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c->strs);
    free(c);
}

uint64_t ps_commit_turns(const struct ps_commit *c)
{
    return c->turns;
}

static int submit(struct ps_commit *c, const struct ps_outbox *o, struct waiter w, struct ps_err *e)
{
    pthread_mutex_lock(&c->lock);
    struct group *g = &c->groups[c->filling];
    int r = c->closing ? PS_EBUSY : group_reserve(g);
    if (r == 0)
        r = ps_outbox_append(&g->outbox, o);
    if (r == 0) {
        w.records_end = g->outbox.count;
        g->waiters[g->count++] = w;
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return ps_fail(e, r, "commit: too much is waiting for the disk: try again later");
    return 0;
}

int ps_commit_submit(struct ps_commit *c, const struct ps_outbox *o, ps_commit_fn *fn, void *ctx,
                     struct ps_err *e)
{
    return submit(c, o, (struct waiter){.fn = fn, .ctx = ctx}, e);
}

int ps_commit_submit_for_receipt(struct ps_commit *c, const struct ps_outbox *o,
                                 struct ps_receipts *receipts, ps_commit_fn *fn,
                                 ps_receipt_fn *told, void *ctx, struct ps_err *e)
{
    PS_ASSERT(receipts != NULL && told != NULL && ctx != NULL);
    return submit(c, o, (struct waiter){.fn = fn, .ctx = ctx, .receipts = receipts, .told = told},
                  e);
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool answered;
    int code;
    char text[PS_ERR_TEXT_MAX];
};

static void end_wait(void *ctx, int code, const char *text)
{
    struct wait *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->answered = true;
    w->code = code;
    snprintf(w->text, sizeof w->text, "%s", code < 0 ? text : "");
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

int ps_commit_wait(struct ps_commit *c, const struct ps_outbox *o, struct ps_err *e)
{
    struct wait w = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    if (o->count == 0)
        return 0;
    int r = ps_commit_submit(c, o, end_wait, &w, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&w.lock);
    while (!w.answered)
        pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.done);
    return w.code < 0 ? ps_fail(e, w.code, "%s", w.text) : 0;
}
