/* gate_queue.c - see gate_queue.h.  SPDX-License-Identifier: MIT */
#include "support/gate_queue.h"

static struct gate_queue *gate(struct ps_queue *q)
{
    return (struct gate_queue *)q;
}

static int append(struct ps_queue *q, const struct ps_str *records, size_t count, struct ps_err *e)
{
    struct gate_queue *g = gate(q);
    pthread_mutex_lock(&g->lock);
    int refuse = g->refuse;
    pthread_mutex_unlock(&g->lock);
    if (refuse != 0)
        return ps_fail(e, refuse, "the gate refuses, and this is a secret of the log");
    return ps_queue_append(g->inner, records, count, e);
}

static int sync_inner(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e)
{
    struct gate_queue *g = gate(q);
    pthread_mutex_lock(&g->lock);
    g->at_gate++;
    pthread_cond_broadcast(&g->changed);
    while (g->held)
        pthread_cond_wait(&g->changed, &g->lock);
    g->at_gate--;
    pthread_mutex_unlock(&g->lock);
    return ps_queue_sync(g->inner, ret_end, e);
}

static int read_inner(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                      struct ps_err *e)
{
    return ps_queue_read(gate(q)->inner, from, records_max, ret, e);
}

static int bury(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    return ps_queue_bury(gate(q)->inner, letters, count, e);
}

static int dead(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    return ps_queue_dead_from(gate(q)->inner, from, fn, ctx, e);
}

static int info(struct ps_queue *q, struct ps_queue_info *ret, struct ps_err *e)
{
    return ps_queue_info(gate(q)->inner, ret, e);
}

static const struct ps_queue_ops gate_ops = {
    .name = "gate",
    .append = append,
    .sync = sync_inner,
    .read = read_inner,
    .bury = bury,
    .dead = dead,
    .info = info,
};

void gate_queue_init(struct gate_queue *g, struct ps_queue *inner)
{
    *g = (struct gate_queue){.queue.ops = &gate_ops, .inner = inner};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static void set_held(struct gate_queue *g, bool held)
{
    pthread_mutex_lock(&g->lock);
    g->held = held;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void gate_queue_hold(struct gate_queue *g)
{
    set_held(g, true);
}

void gate_queue_release(struct gate_queue *g)
{
    set_held(g, false);
}

void gate_queue_await(struct gate_queue *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->at_gate == 0)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

void gate_queue_refuse(struct gate_queue *g, int code)
{
    pthread_mutex_lock(&g->lock);
    g->refuse = code;
    pthread_mutex_unlock(&g->lock);
}
