/* case_world.c - see case_world.h.
 *
 * An event goes the way of the daemon less its I/O: check, make, encode, decode, drop it when its
 * id was seen, count.
 *
 * SPDX-License-Identifier: MIT
 */
#include "case_world.h"

#include "base/check.h"
#include "base/time.h"
#include "case_tools.h"
#include "core/hash.h"

struct row {
    struct ps_str path;
    int32_t hour;
    struct ps_aggregate a;
};

struct ps_case_world {
    uint64_t fresh; /* how many ids were made of chance: their source here */
    struct row rows[PS_CASE_ROWS_MAX];
    size_t row_count;
    struct ps_str ids[PS_CASE_ID_SLOTS]; /* open addressing by hash */
    size_t id_count;
};

struct ps_case_world *ps_case_world(void)
{
    return ps_case_take(sizeof(struct ps_case_world));
}

static struct ps_str keep(struct ps_str s)
{
    char *copy = ps_case_take(s.len);
    ps_copy(copy, s.ptr, s.len);
    return (struct ps_str){copy, s.len};
}

static bool is_new(struct ps_case_world *w, struct ps_str id)
{
    size_t slot = ps_hash64(id.ptr, id.len, 0) % PS_CASE_ID_SLOTS;
    for (; w->ids[slot].ptr != NULL; slot = (slot + 1) % PS_CASE_ID_SLOTS)
        if (ps_str_equal(w->ids[slot], id))
            return false;
    PS_ASSERT(w->id_count++ < PS_CASE_ID_SLOTS / 2);
    w->ids[slot] = keep(id);
    return true;
}

static struct row *find_row(struct ps_case_world *w, struct ps_str path, int32_t hour)
{
    for (size_t i = 0; i < w->row_count; i++)
        if (w->rows[i].hour == hour && ps_str_equal(w->rows[i].path, path))
            return &w->rows[i];
    PS_ASSERT(w->row_count < PS_CASE_ROWS_MAX);
    struct row *row = &w->rows[w->row_count++];
    *row = (struct row){.path = keep(path), .hour = hour};
    return row;
}

static void count(struct ps_case_world *w, const struct ps_event *event,
                  struct ps_case_counts *counts)
{
    if (!is_new(w, event->id))
        return;
    struct row *row = find_row(w, event->path, ps_time_hour(event->timestamp_ms));
    int r = ps_aggregate_add(&row->a, event, &ps_case_alloc);
    PS_ASSERT(r == 0);
    counts->fresh++;
}

static void hash_client(const struct ps_raw_event *raw, struct ps_normal *with)
{
    char canonical[PS_ADDRESS_MAX];
    struct ps_sender sender;
    ps_event_sender(raw, canonical, &sender);
    with->has_client = sender.present;
    with->client_hash =
        sender.is_hash ? sender.hash : ps_hash64(sender.text.ptr, sender.text.len, 0);
}

enum ps_reject ps_case_event(struct ps_case_world *w, int64_t now_ms,
                             const struct ps_raw_event *raw, struct ps_warnings *warnings,
                             struct ps_case_counts *counts)
{
    char rewritten[PS_EVENT_SCRATCH_BYTES];
    uint8_t encoded[PS_EVENT_ENCODED_MAX];
    struct ps_event event, queued;
    struct ps_normal with = {.now_ms = now_ms, .warnings = warnings};
    enum ps_reject why = ps_event_check(raw, now_ms);
    if (why != PS_REJECT_NONE)
        return why;
    hash_client(raw, &with);
    if (ps_event_needs_fresh(raw)) {
        w->fresh++;
        with.fresh = ps_hash64(&w->fresh, sizeof w->fresh, 0);
    }
    ps_event_make(raw, &with, rewritten, &event);
    int r = ps_event_decode(encoded, ps_event_encode(&event, encoded), &queued);
    PS_ASSERT(r == 0);
    counts->accepted++;
    count(w, &queued, counts);
    return PS_REJECT_NONE;
}

/* --- printing --- */

static bool comes_before(const struct row *a, const struct row *b)
{
    int c = ps_str_compare(a->path, b->path);
    return c < 0 || (c == 0 && a->hour < b->hour);
}

static void sort_rows(struct ps_case_world *w)
{
    for (size_t i = 1; i < w->row_count; i++) {
        struct row row = w->rows[i];
        size_t at = i;
        for (; at > 0 && comes_before(&row, &w->rows[at - 1]); at--)
            w->rows[at] = w->rows[at - 1];
        w->rows[at] = row;
    }
}

void ps_case_rows(struct ps_case_world *w, struct ps_case_out *o)
{
    char hour[PS_HOUR_LEN + 1];
    sort_rows(w);
    for (size_t i = 0; i < w->row_count; i++) {
        ps_time_format_hour(hour, w->rows[i].hour);
        ps_case_put(o, w->rows[i].path);
        ps_case_put(o, PS_STR(" "));
        ps_case_put(o, (struct ps_str){hour, PS_HOUR_LEN});
        ps_case_put_row(o, &w->rows[i].a);
    }
}

void ps_case_merge(struct ps_case_world *w, struct ps_str path, struct ps_case_out *o)
{
    struct ps_aggregate up = {0}, down = {0};
    for (size_t i = 0; i < w->row_count; i++) {
        struct row *first = &w->rows[i], *last = &w->rows[w->row_count - 1 - i];
        int r = 0;
        if (ps_str_equal(first->path, path))
            r |= ps_aggregate_merge(&up, &first->a, &ps_case_alloc);
        if (ps_str_equal(last->path, path))
            r |= ps_aggregate_merge(&down, &last->a, &ps_case_alloc);
        PS_ASSERT(r == 0);
    }
    ps_case_put(o, path);
    ps_case_put(o, PS_STR(" merged"));
    ps_case_put_row(o, &up);
    if (ps_case_row_hash(&up, 0) != ps_case_row_hash(&down, 0))
        ps_case_put(o, PS_STR("error: merged from the other end, the row is another\n"));
}
