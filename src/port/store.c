/* store.c - the store's front door; see store.h.  SPDX-License-Identifier: MIT */
#include "port/store.h"

#include "base/check.h"
#include "base/time.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

int ps_store_open(const struct ps_store_ops *ops, struct ps_store **ret, const char *target,
                  enum ps_store_mode mode, struct ps_err *e)
{
    PS_ASSERT(ops != NULL && target != NULL);
    struct ps_store *s = NULL;
    int r = ops->open(&s, target, mode, e);
    if (r < 0)
        return r;
    s->ops = ops;
    *ret = s;
    return 0;
}

void ps_store_close(struct ps_store *s)
{
    if (s == NULL)
        return;
    if (s->in_transaction)
        ps_store_rollback(s);
    s->ops->close(s);
}

static int fail_spoiled(struct ps_err *e)
{
    return ps_fail(e, PS_EIO, "store: a part of this transaction has failed");
}

int ps_store_apply(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                   struct ps_err *e)
{
    PS_ASSERT(b->count == 0 || (b->events != NULL && b->order != NULL && ret->outcomes != NULL));
    PS_ASSERT(b->direct ? s->in_transaction && b->count > 0
                        : b->first_position <= b->next_position);
    if (b->count > PS_BATCH_EVENTS_MAX)
        return ps_fail(e, PS_EINVAL, "store: a batch has at most %d events", PS_BATCH_EVENTS_MAX);
    ret->fresh = ret->duplicates = ret->refused = 0;
    if (s->spoiled)
        return fail_spoiled(e);
    int r = s->ops->apply(s, b, ret, e);
    s->spoiled = s->in_transaction && r < 0;
    PS_ASSERT(r < 0 || ret->fresh + ret->duplicates + ret->refused == b->count);
    return r;
}

int ps_store_settle(struct ps_store *s, const struct ps_stat_row *rows, size_t count,
                    uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    PS_ASSERT(count == 0 || rows != NULL);
    if (s->spoiled)
        return fail_spoiled(e);
    int r = s->ops->settle(s, rows, count, partition, watermark, now_ms, e);
    s->spoiled = s->in_transaction && r < 0;
    return r;
}

int ps_store_position(struct ps_store *s, uint32_t partition, uint64_t *ret_position,
                      uint64_t *ret_watermark, struct ps_err *e)
{
    int r = s->ops->position(s, partition, ret_position, ret_watermark, e);
    PS_ASSERT(r < 0 || *ret_watermark <= *ret_position);
    return r;
}

int ps_store_redo(struct ps_store *s, uint32_t partition, ps_redo_fn *fn, void *ctx,
                  struct ps_err *e)
{
    return s->ops->redo(s, partition, fn, ctx, e);
}

int ps_store_stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                   struct ps_err *e)
{
    PS_ASSERT(q->after.ptr == NULL || (q->path.ptr == NULL && q->from_hour == q->to_hour));
    return s->ops->stats(s, q, fn, ctx, e);
}

int ps_store_events(struct ps_store *s, int32_t day, enum ps_event_order order, ps_event_fn *fn,
                    void *ctx, struct ps_err *e)
{
    return s->ops->events(s, day, order, fn, ctx, e);
}

int ps_store_days(struct ps_store *s, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    return s->ops->days(s, fn, ctx, e);
}

int ps_store_freeze(struct ps_store *s, bool on, struct ps_err *e)
{
    return s->ops->freeze(s, on, e);
}

void ps_store_limit_log(struct ps_store *s, uint64_t max_bytes)
{
    PS_ASSERT(max_bytes > 0);
    if (s->ops->limit_log != NULL)
        s->ops->limit_log(s, max_bytes);
}

int ps_store_pressure(struct ps_store *s, struct ps_err *e)
{
    return s->ops->pressure == NULL ? 0 : s->ops->pressure(s, e);
}

bool ps_store_has_meta(const struct ps_store *s)
{
    return s->ops->meta != NULL;
}

int ps_store_meta(struct ps_store *s, const char *name, int64_t *ret, struct ps_err *e)
{
    return s->ops->meta(s, name, ret, e);
}

int ps_store_set_meta(struct ps_store *s, const char *name, int64_t value, struct ps_err *e)
{
    PS_ASSERT(!s->in_transaction);
    return s->ops->set_meta(s, name, value, e);
}

int ps_store_begin(struct ps_store *s, struct ps_err *e)
{
    PS_ASSERT(!s->in_transaction);
    int r = s->ops->transact(s, PS_BEGIN, e);
    s->in_transaction = r == 0;
    return r;
}

int ps_store_commit(struct ps_store *s, struct ps_err *e)
{
    PS_ASSERT(s->in_transaction);
    if (s->spoiled) {
        ps_store_rollback(s);
        return fail_spoiled(e);
    }
    s->in_transaction = false;
    return s->ops->transact(s, PS_COMMIT, e);
}

void ps_store_rollback(struct ps_store *s)
{
    PS_ASSERT(s->in_transaction);
    s->in_transaction = s->spoiled = false;
    s->ops->transact(s, PS_ROLLBACK, NULL);
}

enum { DAYS_FIRST = 64 };

int ps_day_list_add(struct ps_day_list *list, int32_t day, struct ps_err *e)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? DAYS_FIRST : list->room * 2;
        int32_t *days = realloc(list->days, room * sizeof *days);
        if (days == NULL)
            return ps_fail(e, PS_ENOMEM, "no memory for a list of %zu days", room);
        list->days = days;
        list->room = room;
    }
    list->days[list->count++] = day;
    return 0;
}

void ps_day_list_done(struct ps_day_list *list)
{
    free(list->days);
    *list = (struct ps_day_list){0};
}

const char *ps_day_state_name(enum ps_day_state state)
{
    static const char *const names[] = {"open",    "pending", "completed",
                                        "cleaned", "failed",  "restored"};
    PS_ASSERT((size_t)state < PS_COUNT_OF(names));
    return names[state];
}

/* --- sorting a batch --- */

enum { ID_TIME_BYTES = 14 }; /* "1760529600000-": the same in all events of one time */

static uint64_t load_head(struct ps_str id, size_t from)
{
    uint64_t head = 0;
    if (id.len >= from + 8)
        memcpy(&head, id.ptr + from, 8);
    else if (id.len > from)
        memcpy(&head, id.ptr + from, id.len - from);
    return be64toh(head);
}

static struct ps_sort_key key_of(const struct ps_event *event, size_t index)
{
    struct ps_sort_key key = {.timestamp_ms = event->timestamp_ms, .index = (uint32_t)index};
    size_t from = event->id.len > ID_TIME_BYTES ? ID_TIME_BYTES : 0;
    if (ps_event_id_is_made(event, &key.head[0]))
        return key;
    key.head[0] = load_head(event->id, from);
    key.head[1] = load_head(event->id, from + 8);
    return key;
}

static bool in_order(const struct ps_event *events, const struct ps_sort_key *a,
                     const struct ps_sort_key *b)
{
    if (a->timestamp_ms != b->timestamp_ms)
        return a->timestamp_ms < b->timestamp_ms;
    if (a->head[0] != b->head[0])
        return a->head[0] < b->head[0];
    if (a->head[1] != b->head[1])
        return a->head[1] < b->head[1];
    int c = ps_str_compare(events[a->index].id, events[b->index].id);
    return c != 0 ? c < 0 : a->index < b->index;
}

enum { RUN = 16 };

static void sort_run(const struct ps_event *events, struct ps_sort_key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct ps_sort_key key = keys[i];
        size_t at = i;
        for (; at > 0 && in_order(events, &key, &keys[at - 1]); at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* Two runs side by side become one; `scratch` has room for the left one. */
static void merge_runs(const struct ps_event *events, struct ps_sort_key *keys, size_t left,
                       size_t count, struct ps_sort_key *scratch)
{
    memcpy(scratch, keys, left * sizeof *keys);
    for (size_t a = 0, b = left, k = 0; a < left; k++)
        keys[k] = b == count || in_order(events, &scratch[a], &keys[b]) ? scratch[a++] : keys[b++];
}

/* Merge sort from short runs up; live traffic comes nearly sorted, and what is in order stays. */
static void sort_keys(const struct ps_event *events, struct ps_sort_key *keys, size_t count,
                      struct ps_sort_key *scratch)
{
    for (size_t low = 0; low < count; low += RUN)
        sort_run(events, keys + low, count - low < RUN ? count - low : RUN);
    for (size_t width = RUN; width < count; width *= 2)
        for (size_t low = 0; low + width < count; low += 2 * width) {
            size_t both = count - low < 2 * width ? count - low : 2 * width;
            if (!in_order(events, &keys[low + width - 1], &keys[low + width]))
                merge_runs(events, keys + low, width, both, scratch);
        }
}

void ps_batch_sort(const struct ps_event *events, size_t count, uint32_t *order,
                   struct ps_sort_key *scratch)
{
    for (size_t i = 0; i < count; i++)
        scratch[i] = key_of(&events[i], i);
    sort_keys(events, scratch, count, scratch + count);
    for (size_t i = 0; i < count; i++)
        order[i] = scratch[i].index;
}
