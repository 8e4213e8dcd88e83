/* outbox.c - see outbox.h.  SPDX-License-Identifier: MIT */
#include "flow/outbox.h"

#include "base/err.h"

#include <stdlib.h>

enum { FIRST_RECORDS = 64 };

void ps_outbox_init(struct ps_outbox *o, size_t bytes_max)
{
    *o = (struct ps_outbox){0};
    ps_buf_init(&o->bytes, bytes_max < UINT32_MAX ? bytes_max : UINT32_MAX);
}

void ps_outbox_done(struct ps_outbox *o)
{
    ps_buf_done(&o->bytes);
    free(o->ends);
    *o = (struct ps_outbox){0};
}

void ps_outbox_clear(struct ps_outbox *o)
{
    ps_buf_clear(&o->bytes);
    o->count = 0;
}

static int reserve(struct ps_outbox *o, size_t records, size_t bytes)
{
    int r = ps_buf_reserve(&o->bytes, bytes);
    if (r < 0) {
        o->bytes.failed = 0; /* the caller may send what is here and go on */
        return r;
    }
    if (o->count + records <= o->cap)
        return 0;
    size_t cap = o->cap == 0 ? FIRST_RECORDS : o->cap;
    while (cap < o->count + records)
        cap *= 2;
    uint32_t *ends = realloc(o->ends, cap * sizeof *ends);
    if (ends == NULL)
        return PS_ENOMEM;
    o->ends = ends;
    o->cap = cap;
    return 0;
}

static void end_record(struct ps_outbox *o, size_t len)
{
    o->bytes.len += len;
    o->ends[o->count++] = (uint32_t)o->bytes.len;
}

int ps_outbox_event(struct ps_outbox *o, const struct ps_event *event)
{
    int r = reserve(o, 1, PS_EVENT_ENCODED_MAX);
    if (r < 0)
        return r;
    end_record(o, ps_event_encode(event, (uint8_t *)o->bytes.ptr + o->bytes.len));
    return 0;
}

int ps_outbox_record(struct ps_outbox *o, const uint8_t *bytes, size_t len)
{
    int r = reserve(o, 1, len);
    if (r < 0)
        return r;
    ps_copy(o->bytes.ptr + o->bytes.len, bytes, len);
    end_record(o, len);
    return 0;
}

int ps_outbox_append(struct ps_outbox *o, const struct ps_outbox *more)
{
    int r = reserve(o, more->count, more->bytes.len);
    if (r < 0)
        return r;
    uint32_t base = (uint32_t)o->bytes.len;
    ps_copy(o->bytes.ptr + base, more->bytes.ptr, more->bytes.len);
    o->bytes.len += more->bytes.len;
    for (size_t i = 0; i < more->count; i++)
        o->ends[o->count++] = base + more->ends[i];
    return 0;
}
