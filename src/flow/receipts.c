/* receipts.c - see receipts.h.  SPDX-License-Identifier: MIT */
#include "flow/receipts.h"

#include "base/check.h"
#include "base/err.h"
#include "port/queue.h"
#include "port/store.h"

#include <stdatomic.h>
#include <stdlib.h>

struct open_receipt {
    uint64_t first, next; /* next UINT64_MAX: not known yet */
    struct ps_receipt counted;
    ps_receipt_fn *done;
    void *ctx;
};

struct ps_receipts {
    pthread_mutex_t lock;
    _Atomic size_t count;
    uint64_t reached; /* the consumer is past this position */
    struct open_receipt open[PS_RECEIPTS_MAX];
};

struct ps_receipts *ps_receipts_open(void)
{
    struct ps_receipts *r = calloc(1, sizeof *r);
    if (r != NULL)
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

void ps_receipts_close(struct ps_receipts *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int ps_receipts_expect(struct ps_receipts *r, uint64_t first, ps_receipt_fn *done, void *ctx)
{
    PS_ASSERT(done != NULL && ctx != NULL);
    pthread_mutex_lock(&r->lock);
    bool fits = r->count < PS_RECEIPTS_MAX;
    if (fits)
        r->open[r->count++] =
            (struct open_receipt){.first = first, .next = UINT64_MAX, .done = done, .ctx = ctx};
    pthread_mutex_unlock(&r->lock);
    return fits ? 0 : PS_EFULL;
}

static struct open_receipt *find(struct ps_receipts *r, const void *ctx)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->open[i].ctx == ctx)
            return &r->open[i];
    return NULL;
}

static struct open_receipt remove_one(struct ps_receipts *r, struct open_receipt *gone)
{
    struct open_receipt copy = *gone;
    r->count--;
    *gone = r->open[r->count];
    return copy;
}

static void tell(const struct open_receipt *o)
{
    o->done(o->ctx, &o->counted);
}

void ps_receipts_end(struct ps_receipts *r, void *ctx, uint64_t next)
{
    pthread_mutex_lock(&r->lock);
    struct open_receipt *o = find(r, ctx), complete = {0};
    if (o != NULL) /* given up meanwhile */
        o->next = next;
    bool is_complete = o != NULL && r->reached >= next;
    if (is_complete)
        complete = remove_one(r, o);
    pthread_mutex_unlock(&r->lock);
    if (is_complete)
        tell(&complete);
}

bool ps_receipts_give_up(struct ps_receipts *r, void *ctx)
{
    pthread_mutex_lock(&r->lock);
    struct open_receipt *o = find(r, ctx);
    if (o != NULL)
        remove_one(r, o);
    pthread_mutex_unlock(&r->lock);
    return o != NULL;
}

bool ps_receipts_any(const struct ps_receipts *r)
{
    return r != NULL && r->count > 0;
}

static void count_range(struct open_receipt *o, const struct ps_record *records,
                        const uint8_t *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (records[i].position < o->first || records[i].position >= o->next)
            continue;
        o->counted.fresh += outcomes[i] == PS_OUTCOME_NEW;
        o->counted.duplicates += outcomes[i] == PS_OUTCOME_DUPLICATE;
        o->counted.refused += outcomes[i] != PS_OUTCOME_NEW && outcomes[i] != PS_OUTCOME_DUPLICATE;
    }
}

static bool take_complete(struct ps_receipts *r, struct open_receipt *ret)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->open[i].next <= r->reached) {
            *ret = remove_one(r, &r->open[i]);
            return true;
        }
    return false;
}

void ps_receipts_take(struct ps_receipts *r, const struct ps_record *records,
                      const uint8_t *outcomes, size_t count, uint64_t next_position)
{
    struct open_receipt complete;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count; i++)
        count_range(&r->open[i], records, outcomes, count);
    r->reached = next_position;
    while (take_complete(r, &complete)) {
        pthread_mutex_unlock(&r->lock);
        tell(&complete);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}
