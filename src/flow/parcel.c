/* parcel.c - see parcel.h.  SPDX-License-Identifier: MIT */
#include "flow/parcel.h"

#include "base/err.h"
#include "base/pages.h"

#include <stdlib.h>

enum { EVENTS = PS_PARCEL_EVENTS_MAX };

int ps_parcel_init(struct ps_parcel *p)
{
    *p = (struct ps_parcel){
        .events = ps_pages_alloc(EVENTS * sizeof *p->events),
        .order = malloc(EVENTS * sizeof *p->order),
        .scratch = ps_pages_alloc(2 * EVENTS * sizeof *p->scratch),
        .bytes = ps_pages_alloc(PS_PARCEL_BYTES_MAX),
    };
    if (p->events != NULL && p->order != NULL && p->scratch != NULL && p->bytes != NULL)
        return 0;
    ps_parcel_done(p);
    return PS_ENOMEM;
}

void ps_parcel_done(struct ps_parcel *p)
{
    ps_pages_free(p->events, EVENTS * sizeof *p->events);
    free(p->order);
    ps_pages_free(p->scratch, 2 * EVENTS * sizeof *p->scratch);
    ps_pages_free(p->bytes, PS_PARCEL_BYTES_MAX);
    *p = (struct ps_parcel){0};
}

void ps_parcel_clear(struct ps_parcel *p)
{
    p->count = p->used = 0;
}

static struct ps_str keep(struct ps_parcel *p, struct ps_str s)
{
    if (s.ptr == NULL)
        return s;
    struct ps_str kept = {p->bytes + p->used, s.len};
    ps_copy(p->bytes + p->used, s.ptr, s.len);
    p->used += s.len;
    return kept;
}

bool ps_parcel_add(struct ps_parcel *p, const struct ps_event *event)
{
    size_t need = event->id.len + event->path.len + event->method.len + event->user_agent.len +
                  event->country.len;
    if (p->count == EVENTS || p->used + need > PS_PARCEL_BYTES_MAX)
        return false;
    struct ps_event *kept = &p->events[p->count++];
    *kept = *event;
    kept->id = keep(p, event->id);
    kept->path = keep(p, event->path);
    kept->method = keep(p, event->method);
    kept->user_agent = keep(p, event->user_agent);
    kept->country = keep(p, event->country);
    ps_event_prepare(kept);
    return true;
}

void ps_parcel_sort(struct ps_parcel *p)
{
    ps_batch_sort(p->events, p->count, p->order, p->scratch);
}
