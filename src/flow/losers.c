/* losers.c - see losers.h.  SPDX-License-Identifier: MIT */
#include "flow/losers.h"

#include "base/check.h"
#include "core/hash.h"
#include "flow/hours.h"

#include <stdlib.h>

/* Two paths may share a hash; beyond that a few more do no harm, and the rest is learned next. */
enum { ITEMS_MAX = PS_LOSERS_MAX + 64 };

void ps_losers_done(struct ps_losers *l)
{
    free(l->items);
    ps_buf_done(&l->text);
    *l = (struct ps_losers){.items = NULL};
}

size_t ps_losers_memory(const struct ps_losers *l)
{
    return (l->items != NULL ? ITEMS_MAX * sizeof *l->items : 0) + l->text.cap;
}

struct learning {
    struct ps_losers *losers;
    uint64_t from_hash, to_hash;
};

static int learn(void *ctx, const struct ps_stat_row *row)
{
    struct learning *learning = ctx;
    struct ps_losers *l = learning->losers;
    uint64_t hash = ps_hash64(row->path.ptr, row->path.len, 0);
    if (hash < learning->from_hash || hash > learning->to_hash || l->count == ITEMS_MAX ||
        ps_str_equal(row->path, PS_OTHER_PATH))
        return 0;
    l->items[l->count++] = (struct ps_loser){hash, l->text.len, (uint32_t)row->path.len};
    return ps_buf_append(&l->text, row->path.ptr, row->path.len);
}

static int compare_hashes(const void *x, const void *y)
{
    const struct ps_loser *a = x, *b = y;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

int ps_losers_read(struct ps_losers *l, struct ps_store *store, int32_t hour, uint64_t from_hash,
                   uint64_t to_hash, struct ps_err *e)
{
    struct learning learning = {l, from_hash, to_hash};
    struct ps_stats_query q = {.from_hour = hour, .to_hour = hour, .brief = true};
    ps_losers_done(l);
    ps_buf_init(&l->text, (size_t)ITEMS_MAX * PS_PATH_MAX);
    l->items = calloc(ITEMS_MAX, sizeof *l->items);
    if (l->items == NULL)
        return ps_fail(e, PS_ENOMEM, "cache: no memory for the paths of an hour");
    int r = ps_store_stats(store, &q, learn, &learning, e);
    if (l->text.failed != 0)
        ps_fail(e, r, "cache: no memory for the paths of an hour");
    if (r == 0)
        qsort(l->items, l->count, sizeof *l->items, compare_hashes);
    return r;
}

bool ps_losers_find(const struct ps_losers *l, uint64_t hash, struct ps_str *ret_path)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->items[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == l->count || l->items[low].hash != hash)
        return false;
    *ret_path = (struct ps_str){l->text.ptr + l->items[low].at, l->items[low].len};
    return true;
}
