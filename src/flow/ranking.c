/* ranking.c - see ranking.h.  SPDX-License-Identifier: MIT */
#include "flow/ranking.h"

#include "base/check.h"
#include "base/time.h"
#include "flow/aggmap.h"
#include "flow/hour_merge.h"

#include <stdlib.h>

/* --- first pass: requests by path --- */

struct winner {
    uint64_t requests;
    struct ps_str path; /* its own bytes */
};

struct winners {
    struct winner *heap; /* the least of them on top */
    size_t count, limit;
    size_t paths; /* seen in all */
};

static bool is_before(const struct winner *a, const struct winner *b)
{
    if (a->requests != b->requests)
        return a->requests > b->requests;
    return ps_str_compare(a->path, b->path) < 0;
}

static int compare_ranks(const void *x, const void *y)
{
    const struct winner *a = x, *b = y;
    return is_before(a, b) ? -1 : is_before(b, a);
}

static void sift_down(struct winners *w)
{
    struct winner moving = w->heap[0];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->count; i = child) {
        if (child + 1 < w->count && is_before(&w->heap[child], &w->heap[child + 1]))
            child++;
        if (!is_before(&moving, &w->heap[child]))
            break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = moving;
}

static void sift_up(struct winners *w)
{
    size_t i = w->count - 1;
    struct winner moving = w->heap[i];
    for (size_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (!is_before(&w->heap[parent], &moving))
            break;
        w->heap[i] = w->heap[parent];
    }
    w->heap[i] = moving;
}

static int offer(void *ctx, struct ps_str path, uint64_t requests)
{
    struct winners *w = ctx;
    struct winner one = {requests, path};
    w->paths++;
    if (w->count == w->limit && !is_before(&one, &w->heap[0]))
        return 0;
    char *bytes = malloc(path.len + 1);
    if (bytes == NULL)
        return PS_ENOMEM;
    ps_copy(bytes, path.ptr, path.len);
    one.path.ptr = bytes;
    if (w->count < w->limit) {
        w->heap[w->count++] = one;
        sift_up(w);
    } else {
        free((char *)(uintptr_t)w->heap[0].path.ptr);
        w->heap[0] = one;
        sift_down(w);
    }
    return 0;
}

static void forget_winners(struct winners *w)
{
    for (size_t i = 0; i < w->count; i++)
        free((char *)(uintptr_t)w->heap[i].path.ptr);
    free(w->heap);
}

/* --- second pass: the summaries of one path --- */

struct merging {
    struct ps_aggmap *memory;
    struct ps_aggregate sum;
    struct ps_err *e;
};

static int merge_row(void *ctx, const struct ps_stat_row *row)
{
    struct merging *m = ctx;
    struct ps_aggregate hour;
    int r = ps_aggregate_unpack(&row->stat, &m->memory->alloc, &hour);
    if (r < 0)
        return ps_fail(m->e, r, "the row of %.*s does not decode; run `pathstats verify`",
                       (int)row->path.len, row->path.ptr);
    r = ps_aggregate_merge(&m->sum, &hour, &m->memory->alloc);
    ps_aggregate_done(&hour, &m->memory->alloc);
    return r < 0 ? ps_fail(m->e, r, "no memory to merge hours") : 0;
}

static void summarise(const struct ps_aggregate *a, struct ps_str path, struct ps_ranked *ret)
{
    uint64_t scratch[PS_SAMPLE_MAX];
    *ret = (struct ps_ranked){.path = path,
                              .method = ps_aggregate_method(a),
                              .requests = a->requests,
                              .errors = a->errors,
                              .count_us = a->count_us,
                              .sum_us = a->sum_us};
    ret->clients = ps_aggregate_clients(a, &ret->clients_exact);
    if (a->count_us == 0)
        return;
    ret->min_us = a->min_us;
    ret->max_us = a->max_us;
    ps_aggregate_percentile(a, 500, scratch, &ret->p50_us);
    ps_aggregate_percentile(a, 950, scratch, &ret->p95_us);
    ps_aggregate_percentile(a, 990, scratch, &ret->p99_us);
}

int ps_ranking_path(struct ps_store *store, int32_t from_hour, int32_t to_hour, struct ps_str path,
                    struct ps_ranked *ret, struct ps_err *e)
{
    struct ps_stats_query q = {.from_hour = from_hour, .to_hour = to_hour, .path = path};
    struct ps_aggmap memory;
    struct merging m = {.memory = &memory, .e = e};
    ps_aggmap_init(&memory);
    ps_aggregate_init(&m.sum);
    int r = ps_store_stats(store, &q, merge_row, &m, e);
    if (r == 0 && m.sum.requests == 0)
        r = ps_fail(e, PS_ENOENT, "no requests for that path in these hours");
    if (r == 0)
        summarise(&m.sum, path, ret);
    ps_aggregate_done(&m.sum, &memory.alloc);
    ps_aggmap_done(&memory);
    return r;
}

static int rank(struct ps_store *store, const struct ps_ranking_query *query, struct winners *w,
                ps_ranked_fn *fn, void *ctx, struct ps_err *e)
{
    int r = ps_hour_merge(store, query->from_hour, query->to_hour, offer, w, e);
    if (r == PS_ENOMEM)
        ps_fail(e, r, "no memory to rank paths");
    if (r == 0)
        qsort(w->heap, w->count, sizeof *w->heap, compare_ranks);
    for (size_t i = 0; r == 0 && i < w->count; i++) {
        struct ps_ranked ranked;
        r = ps_ranking_path(store, query->from_hour, query->to_hour, w->heap[i].path, &ranked, e);
        if (r == 0)
            r = fn(ctx, &ranked);
    }
    return r;
}

int ps_ranking(struct ps_store *store, const struct ps_ranking_query *query, ps_ranked_fn *fn,
               void *ctx, size_t *ret_paths, struct ps_err *e)
{
    struct winners w = {.limit = query->limit};
    PS_ASSERT(query->limit >= 1 && query->limit <= PS_RANKING_MAX);
    w.heap = calloc(query->limit, sizeof *w.heap);
    if (w.heap == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory for %zu paths", query->limit);
    int r = ps_store_freeze(store, true, e);
    if (r == 0) {
        r = rank(store, query, &w, fn, ctx, e);
        int thaw = ps_store_freeze(store, false, e);
        r = r < 0 ? r : thaw;
    }
    if (r == 0 && ret_paths != NULL)
        *ret_paths = w.paths;
    forget_winners(&w);
    return r;
}

/* --- where the newest hours are --- */

static int note_day(void *ctx, const struct ps_day *day)
{
    *(int32_t *)ctx = day->day;
    return 0;
}

static int note_hour(void *ctx, const struct ps_stat_row *row)
{
    *(int32_t *)ctx = row->hour;
    return 0;
}

int ps_ranking_newest_hour(struct ps_store *store, int32_t *ret, struct ps_err *e)
{
    int32_t day = -1, hour = -1;
    int r = ps_store_days(store, note_day, &day, e);
    if (r < 0)
        return r;
    struct ps_stats_query q = {.from_hour = day * 24, .to_hour = day * 24 + 23, .brief = true};
    if (day >= 0)
        r = ps_store_stats(store, &q, note_hour, &hour, e);
    if (r < 0)
        return r;
    if (hour < 0)
        return ps_fail(e, PS_ENOENT, "there are no statistics yet");
    *ret = hour;
    return 0;
}
