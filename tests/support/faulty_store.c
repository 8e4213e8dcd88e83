/* faulty_store.c - see faulty_store.h.  SPDX-License-Identifier: MIT */
#include "support/faulty_store.h"

#include "backend/registry.h"

#include <stdlib.h>
#include <string.h>

struct faults faults;

struct faulty {
    struct ps_store base;
    struct ps_store *inner;
};

static struct ps_store *inner(struct ps_store *s)
{
    return ((struct faulty *)s)->inner;
}

static int faulty_open(struct ps_store **ret, const char *target, enum ps_store_mode mode,
                       struct ps_err *e)
{
    struct faulty *f = calloc(1, sizeof *f);
    int r = ps_store_open(faults.behind != NULL ? faults.behind : &ps_store_mem, &f->inner, target,
                          mode, e);
    if (r < 0) {
        free(f);
        return r;
    }
    *ret = &f->base;
    return 0;
}

static void faulty_close(struct ps_store *s)
{
    ps_store_close(inner(s));
    free(s);
}

static int forget(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                  struct ps_err *e)
{
    struct ps_batch empty = {.partition = b->partition,
                             .first_position = b->first_position,
                             .next_position = b->next_position};
    memset(ret->outcomes, PS_OUTCOME_NEW, b->count);
    struct ps_applied none = {.outcomes = ret->outcomes};
    ret->fresh = b->count;
    return ps_store_apply(inner(s), &empty, &none, e);
}

static int faulty_apply(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                        struct ps_err *e)
{
    if (faults.apply_fails > 0) {
        faults.apply_fails--;
        return ps_fail(e, faults.apply_code, "injected: apply");
    }
    for (size_t i = 0; faults.poison != NULL && i < b->count; i++)
        if (b->events[i].id.len == strlen(faults.poison) &&
            memcmp(b->events[i].id.ptr, faults.poison, b->events[i].id.len) == 0) {
            if (faults.poison_works > 0 && --faults.poison_works == 0)
                faults.poison = NULL;
            return ps_fail(e, faults.poison_code != 0 ? faults.poison_code : PS_EINVAL,
                           "injected: poison");
        }
    if (faults.forgets)
        return forget(s, b, ret, e);
    int r = ps_store_apply(inner(s), b, ret, e);
    if (r < 0 || faults.apply_lies == 0 || b->direct)
        return r;
    faults.apply_lies--;
    return ps_fail(e, faults.apply_code, "injected: apply, after it was committed");
}

static int faulty_settle(struct ps_store *s, const struct ps_stat_row *rows, size_t count,
                         uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    if (faults.settle_passes > 0) {
        faults.settle_passes--;
    } else if (faults.settle_fails > 0) {
        faults.settle_fails--;
        return ps_fail(e, PS_EIO, "injected: settle");
    }
    return ps_store_settle(inner(s), rows, count, partition, watermark, now_ms, e);
}

static int faulty_position(struct ps_store *s, uint32_t partition, uint64_t *ret_position,
                           uint64_t *ret_watermark, struct ps_err *e)
{
    if (faults.position_fails > 0) {
        faults.position_fails--;
        return ps_fail(e, PS_EIO, "injected: position");
    }
    return ps_store_position(inner(s), partition, ret_position, ret_watermark, e);
}

static int faulty_redo(struct ps_store *s, uint32_t partition, ps_redo_fn *fn, void *ctx,
                       struct ps_err *e)
{
    return ps_store_redo(inner(s), partition, fn, ctx, e);
}

static int faulty_stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn,
                        void *ctx, struct ps_err *e)
{
    if (faults.stats_fails > 0) {
        faults.stats_fails--;
        return ps_fail(e, PS_EIO, "injected: stats");
    }
    return ps_store_stats(inner(s), q, fn, ctx, e);
}

static int faulty_events(struct ps_store *s, int32_t day, enum ps_event_order order,
                         ps_event_fn *fn, void *ctx, struct ps_err *e)
{
    return ps_store_events(inner(s), day, order, fn, ctx, e);
}

static int faulty_days(struct ps_store *s, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    return ps_store_days(inner(s), fn, ctx, e);
}

static int faulty_freeze(struct ps_store *s, bool on, struct ps_err *e)
{
    return ps_store_freeze(inner(s), on, e);
}

static int faulty_transact(struct ps_store *s, enum ps_transact what, struct ps_err *e)
{
    if (what == PS_BEGIN)
        return ps_store_begin(inner(s), e);
    if (what == PS_COMMIT && faults.commit_fails == 0) {
        int r = ps_store_commit(inner(s), e);
        if (r < 0 || faults.commit_lies == 0)
            return r;
        faults.commit_lies--;
        return ps_fail(e, PS_EIO, "injected: commit, after it was committed");
    }
    ps_store_rollback(inner(s));
    if (what == PS_ROLLBACK)
        return 0;
    faults.commit_fails--;
    return ps_fail(e, PS_EIO, "injected: commit");
}

const struct ps_store_ops store_faulty = {
    .name = "faulty",
    .open = faulty_open,
    .close = faulty_close,
    .apply = faulty_apply,
    .settle = faulty_settle,
    .position = faulty_position,
    .redo = faulty_redo,
    .stats = faulty_stats,
    .events = faulty_events,
    .days = faulty_days,
    .freeze = faulty_freeze,
    .transact = faulty_transact,
};
