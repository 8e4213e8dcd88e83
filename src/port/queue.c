/* queue.c - the queue's front door; see queue.h.  SPDX-License-Identifier: MIT */
#include "port/queue.h"

#include "base/check.h"

#include <stdlib.h>

void ps_records_init(struct ps_records *r)
{
    *r = (struct ps_records){0};
    ps_buf_init(&r->bytes, SIZE_MAX / 2);
}

void ps_records_done(struct ps_records *r)
{
    free(r->items);
    ps_buf_done(&r->bytes);
    ps_records_init(r);
}

int ps_queue_open(const struct ps_queue_ops *ops, struct ps_queue **ret, const char *target,
                  enum ps_queue_mode mode, const struct ps_queue_limits *limits, struct ps_err *e)
{
    PS_ASSERT(ops != NULL && target != NULL && limits != NULL);
    struct ps_queue *q = NULL;
    int r = ops->open(&q, target, mode, limits, e);
    if (r < 0)
        return r;
    q->ops = ops;
    *ret = q;
    return 0;
}

void ps_queue_close(struct ps_queue *q)
{
    if (q != NULL)
        q->ops->close(q);
}

int ps_queue_append(struct ps_queue *q, const struct ps_str *records, size_t count,
                    struct ps_err *e)
{
    for (size_t i = 0; i < count; i++)
        if (records[i].len > PS_RECORD_BYTES_MAX)
            return ps_fail(e, PS_EINVAL, "queue: a record has at most %d bytes",
                           PS_RECORD_BYTES_MAX);
    return count == 0 ? 0 : q->ops->append(q, records, count, e);
}

int ps_queue_sync(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e)
{
    uint64_t end;
    int r = q->ops->sync(q, &end, e);
    if (r == 0 && ret_end != NULL)
        *ret_end = end;
    return r;
}

int ps_queue_read(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                  struct ps_err *e)
{
    if (records_max > PS_READ_RECORDS_MAX)
        records_max = PS_READ_RECORDS_MAX;
    ret->count = 0;
    ret->next_position = from;
    return q->ops->read(q, from, records_max, ret, e);
}

int ps_queue_trim(struct ps_queue *q, uint64_t before, struct ps_err *e)
{
    return q->ops->trim(q, before, e);
}

int ps_queue_bury(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                  struct ps_err *e)
{
    for (size_t i = 0; i < count; i++)
        PS_ASSERT(letters[i].why > PS_REJECT_NONE && letters[i].why < PS_REJECT_COUNT);
    return count == 0 ? 0 : q->ops->bury(q, letters, count, e);
}

int ps_queue_dead(struct ps_queue *q, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    return q->ops->dead(q, 0, fn, ctx, e);
}

int ps_queue_dead_from(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx,
                       struct ps_err *e)
{
    return q->ops->dead(q, from, fn, ctx, e);
}

int ps_queue_unbury(struct ps_queue *q, const uint64_t *positions, size_t count, struct ps_err *e)
{
    PS_ASSERT(count <= PS_UNBURY_MAX);
    return count == 0 ? 0 : q->ops->unbury(q, positions, count, e);
}

int ps_queue_info(struct ps_queue *q, struct ps_queue_info *ret, struct ps_err *e)
{
    return q->ops->info(q, ret, e);
}
