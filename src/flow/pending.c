/* pending.c - see pending.h.  SPDX-License-Identifier: MIT */
#include "flow/pending.h"

struct walk {
    struct ps_queue *queue;
    struct ps_records records;
    ps_event_fn *fn;
    void *ctx;
    struct ps_err *e;
};

static bool is_fresh(const struct ps_redo *redo, size_t i)
{
    return redo->fresh[i / 8] >> (i % 8) & 1;
}

static int replay_record(struct walk *w, const struct ps_record *record)
{
    struct ps_event event;
    int r = ps_event_decode(record->bytes, record->len, &event);
    if (r < 0)
        return ps_fail(w->e, r, "queue record at %llu no longer decodes",
                       (unsigned long long)record->position);
    return w->fn(w->ctx, &event);
}

static int replay_range(void *ctx, const struct ps_redo *redo)
{
    struct walk *w = ctx;
    uint64_t at = redo->first_position;
    size_t done = 0;
    while (done < redo->count) {
        int r = ps_queue_read(w->queue, at, redo->count - done, &w->records, w->e);
        if (r < 0)
            return r;
        if (w->records.count == 0)
            return ps_fail(w->e, PS_ECORRUPT,
                           "the queue ends at %llu, but the store has read to %llu: this queue "
                           "belongs to another store, or was deleted",
                           (unsigned long long)at, (unsigned long long)redo->next_position);
        for (size_t i = 0; i < w->records.count; i++, done++) {
            r = is_fresh(redo, done) ? replay_record(w, &w->records.items[i]) : 0;
            if (r < 0)
                return r;
        }
        at = w->records.next_position;
    }
    return 0;
}

int ps_pending_each(struct ps_store *store, struct ps_queue *queue, uint32_t partition,
                    ps_event_fn *fn, void *ctx, struct ps_err *e)
{
    struct walk w = {.queue = queue, .fn = fn, .ctx = ctx, .e = e};
    ps_records_init(&w.records);
    int r = ps_store_redo(store, partition, replay_range, &w, e);
    ps_records_done(&w.records);
    return r;
}
