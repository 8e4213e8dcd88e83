/* hour_merge.c - see hour_merge.h: a heap of hours, the one with the smallest path on top.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/hour_merge.h"

#include "base/check.h"
#include "core/limits.h"

#include <stdlib.h>
#include <string.h>

/* Before each path in a page. */
struct entry {
    uint64_t requests;
    size_t path_len;
};

_Static_assert(sizeof(struct entry) + PS_PATH_MAX <= PS_HOUR_MERGE_PAGE_MIN, "any row fits");

struct cursor {
    int32_t hour;
    char *page;
    size_t len, at;
    bool more; /* the page was full before the hour ended */
    struct entry entry;
    struct ps_str path; /* where it stands, in the page */
};

struct merge {
    struct ps_store *store;
    struct ps_err *e;
    struct cursor *cursors, **heap;
    size_t count, standing; /* hours; those not at their end */
    char *pages;
    size_t page_bytes;
};

/* --- one hour --- */

struct filling {
    struct cursor *cursor;
    size_t room;
};

static int take_row(void *ctx, const struct ps_stat_row *row)
{
    struct filling *f = ctx;
    struct cursor *c = f->cursor;
    struct entry entry = {row->stat.requests, row->path.len};
    if (row->path.len > PS_PATH_MAX)
        return PS_ECORRUPT;
    c->more = c->len + sizeof entry + row->path.len > f->room;
    if (c->more)
        return PS_ESTOP;
    memcpy(c->page + c->len, &entry, sizeof entry);
    ps_copy(c->page + c->len + sizeof entry, row->path.ptr, row->path.len);
    c->len += sizeof entry + row->path.len;
    return 0;
}

/* The rows behind the path where it stands. */
static int fill(struct merge *m, struct cursor *c)
{
    char after[PS_PATH_MAX];
    struct filling f = {c, m->page_bytes};
    struct ps_stats_query q = {.from_hour = c->hour, .to_hour = c->hour, .brief = true};
    if (c->path.ptr != NULL) {
        ps_copy(after, c->path.ptr, c->path.len);
        q.after = (struct ps_str){after, c->path.len};
    }
    c->len = c->at = 0;
    c->more = false;
    int r = ps_store_stats(m->store, &q, take_row, &f, m->e);
    if (r == PS_ECORRUPT)
        return ps_fail(m->e, r, "hour %d has a path of over %d bytes; run `pathstats verify`",
                       (int)c->hour, PS_PATH_MAX);
    return r < 0 && r != PS_ESTOP ? r : 0;
}

/* 1, or 0 at the end of the hour. */
static int advance(struct merge *m, struct cursor *c)
{
    if (c->at == c->len && c->more) {
        int r = fill(m, c);
        if (r < 0)
            return r;
    }
    if (c->at == c->len)
        return 0;
    memcpy(&c->entry, c->page + c->at, sizeof c->entry);
    c->path = (struct ps_str){c->page + c->at + sizeof c->entry, c->entry.path_len};
    c->at += sizeof c->entry + c->path.len;
    return 1;
}

/* --- all of them --- */

static void sift_down(struct merge *m, size_t at)
{
    struct cursor *moving = m->heap[at];
    for (size_t child; (child = 2 * at + 1) < m->standing; at = child) {
        if (child + 1 < m->standing &&
            ps_str_compare(m->heap[child + 1]->path, m->heap[child]->path) < 0)
            child++;
        if (ps_str_compare(moving->path, m->heap[child]->path) <= 0)
            break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = moving;
}

static int advance_top(struct merge *m)
{
    int r = advance(m, m->heap[0]);
    if (r == 0)
        m->heap[0] = m->heap[--m->standing];
    if (r >= 0 && m->standing > 0)
        sift_down(m, 0);
    return r < 0 ? r : 0;
}

static int merge_all(struct merge *m, ps_hour_merge_fn *fn, void *ctx)
{
    char bytes[PS_PATH_MAX];
    int r = 0;
    while (r == 0 && m->standing > 0) {
        struct ps_str path = {bytes, m->heap[0]->path.len};
        uint64_t requests = 0;
        ps_copy(bytes, m->heap[0]->path.ptr, path.len);
        while (r == 0 && m->standing > 0 && ps_str_equal(m->heap[0]->path, path)) {
            requests += m->heap[0]->entry.requests;
            r = advance_top(m);
        }
        if (r == 0)
            r = fn(ctx, path, requests);
    }
    return r;
}

static int note_hour(void *ctx, const struct ps_stat_row *row)
{
    *(int32_t *)ctx = row->hour;
    return PS_ESTOP;
}

/* The hours that have rows, by looking for the first row after each. */
static int find_hours(struct merge *m, int32_t from_hour, int32_t to_hour)
{
    struct ps_stats_query q = {.from_hour = from_hour, .to_hour = to_hour, .brief = true};
    size_t cap = 0;
    while (q.from_hour <= to_hour) {
        int32_t hour;
        int r = ps_store_stats(m->store, &q, note_hour, &hour, m->e);
        if (r != PS_ESTOP)
            return r;
        if (m->count == PS_HOUR_MERGE_HOURS_MAX)
            return ps_fail(m->e, PS_EFULL, "more than %d hours; ask for fewer",
                           PS_HOUR_MERGE_HOURS_MAX);
        if (m->count == cap) {
            cap = cap == 0 ? 32 : 2 * cap;
            struct cursor *grown = realloc(m->cursors, cap * sizeof *grown);
            if (grown == NULL)
                return ps_fail(m->e, PS_ENOMEM, "no memory for %zu hours", cap);
            m->cursors = grown;
        }
        m->cursors[m->count++] = (struct cursor){.hour = hour, .more = true};
        if (hour == to_hour)
            break;
        q.from_hour = hour + 1;
    }
    return 0;
}

static int open_hours(struct merge *m)
{
    m->page_bytes = PS_HOUR_MERGE_BYTES / m->count;
    if (m->page_bytes < PS_HOUR_MERGE_PAGE_MIN)
        m->page_bytes = PS_HOUR_MERGE_PAGE_MIN;
    m->pages = malloc(m->count * m->page_bytes);
    m->heap = calloc(m->count, sizeof *m->heap);
    if (m->pages == NULL || m->heap == NULL)
        return ps_fail(m->e, PS_ENOMEM, "no memory for the rows of %zu hours", m->count);
    for (size_t i = 0; i < m->count; i++) {
        m->cursors[i].page = m->pages + i * m->page_bytes;
        int r = advance(m, &m->cursors[i]);
        if (r < 0)
            return r;
        if (r > 0)
            m->heap[m->standing++] = &m->cursors[i];
    }
    for (size_t i = m->standing / 2; i-- > 0;)
        sift_down(m, i);
    return 0;
}

int ps_hour_merge(struct ps_store *store, int32_t from_hour, int32_t to_hour, ps_hour_merge_fn *fn,
                  void *ctx, struct ps_err *e)
{
    struct merge m = {.store = store, .e = e};
    int r = find_hours(&m, from_hour, to_hour);
    if (r == 0 && m.count > 0)
        r = open_hours(&m);
    if (r == 0)
        r = merge_all(&m, fn, ctx);
    free(m.cursors);
    free(m.heap);
    free(m.pages);
    return r;
}
