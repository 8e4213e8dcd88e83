/* gate_queue.c - see gate_queue.h.  SPDX-License-Identifier: MIT */
#include "support/gate_queue.h"

static struct gate_queue *gate(struct ps_queue *q)
{
    return (struct gate_queue *)q;
}

static struct gate_faults faults_of(struct gate_queue *g)
{
    pthread_mutex_lock(&g->lock);
    struct gate_faults faults = g->faults;
    pthread_mutex_unlock(&g->lock);
    return faults;
}

static int append(struct ps_queue *q, const struct ps_str *records, size_t count, struct ps_err *e)
{
    struct gate_faults faults = faults_of(gate(q));
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += records[i].len;
    if (faults.append == 0 && faults.room > 0 && bytes > faults.room)
        faults.append = PS_EFULL;
    if (faults.append != 0)
        return ps_fail(e, faults.append, "the gate refuses, and this is a secret of the log");
    return ps_queue_append(gate(q)->inner, records, count, e);
}

static int sync_inner(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e)
{
    struct gate_queue *g = gate(q);
    pthread_mutex_lock(&g->lock);
    g->at_gate++;
    g->syncs++;
    pthread_cond_broadcast(&g->changed);
    while (g->held)
        pthread_cond_wait(&g->changed, &g->lock);
    g->at_gate--;
    int code = g->faults.sync;
    pthread_mutex_unlock(&g->lock);
    return code != 0 ? ps_fail(e, code, "the gate does not sync")
                     : ps_queue_sync(g->inner, ret_end, e);
}

static int read_inner(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                      struct ps_err *e)
{
    struct gate_queue *g = gate(q);
    pthread_mutex_lock(&g->lock);
    g->reads++;
    int code = g->faults.read;
    pthread_mutex_unlock(&g->lock);
    return code != 0 ? ps_fail(e, code, "the gate does not read")
                     : ps_queue_read(g->inner, from, records_max, ret, e);
}

static int bury(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    int code = faults_of(gate(q)).bury;
    return code != 0 ? ps_fail(e, code, "the gate keeps no letters")
                     : ps_queue_bury(gate(q)->inner, letters, count, e);
}

static int dead(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    return ps_queue_dead_from(gate(q)->inner, from, fn, ctx, e);
}

static int trim(struct ps_queue *q, uint64_t before, struct ps_err *e)
{
    return ps_queue_trim(gate(q)->inner, before, e);
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
    .trim = trim,
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
    gate_queue_fail(g, (struct gate_faults){.append = code});
}

void gate_queue_fail(struct gate_queue *g, struct gate_faults faults)
{
    pthread_mutex_lock(&g->lock);
    g->faults = faults;
    pthread_mutex_unlock(&g->lock);
}

unsigned gate_queue_reads(struct gate_queue *g)
{
    pthread_mutex_lock(&g->lock);
    unsigned reads = g->reads;
    pthread_mutex_unlock(&g->lock);
    return reads;
}
