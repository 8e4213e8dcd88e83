/* ledger.c - the ledger's front door; see ledger.h.  SPDX-License-Identifier: MIT */
#include "port/ledger.h"

#include "base/check.h"
#include "base/time.h"

int ps_ledger_open(const struct ps_ledger_ops *ops, struct ps_ledger **ret, const char *target,
                   enum ps_store_mode mode, struct ps_err *e)
{
    struct ps_ledger *l = NULL;
    PS_ASSERT(ops != NULL && target != NULL);
    int r = ops->open(&l, target, mode, e);
    if (r < 0)
        return r;
    l->ops = ops;
    *ret = l;
    return 0;
}

void ps_ledger_close(struct ps_ledger *l)
{
    if (l != NULL)
        l->ops->close(l);
}

int ps_ledger_mark(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e)
{
    PS_ASSERT(day->state > PS_DAY_OPEN && day->state <= PS_DAY_RESTORED);
    return l->ops->mark(l, day, from, e);
}

int ps_ledger_clean(struct ps_ledger *l, int32_t day, struct ps_err *e)
{
    return l->ops->clean(l, day, e);
}

int ps_ledger_restore(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                      bool last, struct ps_err *e)
{
    PS_ASSERT(count <= PS_BATCH_EVENTS_MAX);
    for (size_t i = 0; i < count; i++)
        if (ps_time_day(events[i].timestamp_ms) != day)
            return ps_fail(e, PS_EINVAL, "restore: the event %.*s is of another day",
                           (int)events[i].id.len, events[i].id.ptr);
    return l->ops->restore(l, day, events, count, last, e);
}

int ps_ledger_run_started(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                          struct ps_err *e)
{
    PS_ASSERT(run->job.len > 0 && run->job.len <= PS_JOB_NAME_MAX);
    return l->ops->run_started(l, run, ret_id, e);
}

int ps_ledger_run_finished(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e)
{
    struct ps_run cut = *run;
    if (cut.detail.len > PS_RUN_DETAIL_MAX)
        cut.detail.len = PS_RUN_DETAIL_MAX;
    return l->ops->run_finished(l, &cut, e);
}

int ps_ledger_runs(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                   struct ps_err *e)
{
    return l->ops->runs(l, job, limit, fn, ctx, e);
}

int ps_ledger_size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e)
{
    return l->ops->size(l, ret, e);
}
