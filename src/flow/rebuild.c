/* rebuild.c - see rebuild.h.  SPDX-License-Identifier: MIT */
#include "flow/rebuild.h"

#include "base/time.h"
#include "flow/hours.h"

#include <stdlib.h>

enum { HOURS_A_DAY = 24 };

void ps_rebuilds_clear(struct ps_rebuilds *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->list[i]);
    r->count = 0;
}

bool ps_rebuilds_has(const struct ps_rebuilds *r, int32_t hour, struct ps_str path)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i]->hour == hour && ps_str_equal(r->list[i]->path, path))
            return true;
    return false;
}

static int fail_row(int32_t hour, struct ps_str path, const char *why, struct ps_err *e)
{
    char text[PS_HOUR_LEN + 1];
    ps_time_format_hour(text, hour);
    return ps_fail(e, PS_ECORRUPT,
                   "the statistics of %.*s in %s are damaged and cannot be made again: %s",
                   (int)(path.len < 200 ? path.len : 200), path.ptr, text, why);
}

int ps_rebuilds_add(struct ps_rebuilds *r, int32_t hour, struct ps_str path, struct ps_err *e)
{
    if (ps_str_equal(path, PS_OTHER_PATH))
        return fail_row(hour, path, "they are of many paths; put back a backup", e);
    if (ps_rebuilds_has(r, hour, path))
        return fail_row(hour, path, "they were made once and are damaged again; put back a backup",
                        e);
    if (r->count == PS_REBUILDS_MAX)
        return fail_row(hour, path, "too many others are damaged, too; put back a backup", e);
    struct ps_rebuild *row = malloc(sizeof *row);
    if (row == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory for a damaged row");
    row->hour = hour;
    row->path = (struct ps_str){row->bytes, path.len};
    ps_copy(row->bytes, path.ptr, path.len);
    r->list[r->count++] = row;
    return 0;
}

struct rebuilding {
    const struct ps_rebuild *row;
    const struct ps_alloc *alloc;
    struct ps_aggregate *into;
};

static int take_event(void *ctx, const struct ps_event *event)
{
    struct rebuilding *b = ctx;
    if (ps_time_hour(event->timestamp_ms) != b->row->hour ||
        !ps_str_equal(event->path, b->row->path))
        return 0;
    return ps_aggregate_add(b->into, event, b->alloc);
}

int ps_rebuild_row(struct ps_store *store, const struct ps_rebuild *row,
                   const struct ps_alloc *alloc, struct ps_aggregate *ret, struct ps_err *e)
{
    struct rebuilding b = {row, alloc, ret};
    int r = ps_store_events(store, row->hour / HOURS_A_DAY, PS_ORDER_ANY, take_event, &b, e);
    if (r == 0 && ret->requests == 0)
        r = fail_row(row->hour, row->path,
                     "the events of that day were archived; put back a backup, or restore the day",
                     e);
    if (r < 0)
        ps_aggregate_done(ret, alloc);
    return r;
}
