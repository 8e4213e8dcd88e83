/* cache.c - see cache.h.
 *
 * An hour's set of path hashes is read from the store when the hour is first touched; after that a
 * path the set does not know has no row, and no query is made for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/cache.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"
#include "flow/aggmap.h"
#include "flow/hours.h"

#include <stdlib.h>

struct ps_cache {
    struct ps_store *store;
    size_t bytes_max, max_paths;
    struct ps_aggmap map;
    struct ps_hour *hours; /* by hour, ascending */
    size_t hour_count, hour_cap;
    size_t last_hour; /* index of the hour used last */
    size_t dirty;
    uint32_t generation; /* one more at each settle */
};

int ps_cache_open(struct ps_cache **ret, struct ps_store *store, size_t bytes_max,
                  size_t max_paths_per_hour, struct ps_err *e)
{
    struct ps_cache *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ps_fail(e, PS_ENOMEM, "cache: no memory");
    c->store = store;
    c->bytes_max = bytes_max;
    c->max_paths = max_paths_per_hour;
    ps_aggmap_init(&c->map);
    *ret = c;
    return 0;
}

static void forget_hours(struct ps_cache *c)
{
    for (size_t i = 0; i < c->hour_count; i++)
        ps_hour_done(&c->hours[i]);
    c->hour_count = 0;
    c->last_hour = 0;
}

void ps_cache_clear(struct ps_cache *c)
{
    ps_aggmap_done(&c->map);
    ps_aggmap_init(&c->map);
    forget_hours(c);
    c->dirty = 0;
}

void ps_cache_close(struct ps_cache *c)
{
    if (c == NULL)
        return;
    ps_cache_clear(c);
    free(c->hours);
    free(c);
}

bool ps_cache_is_dirty(const struct ps_cache *c)
{
    return c->dirty > 0;
}

static size_t memory(const struct ps_cache *c)
{
    size_t sum = c->map.memory;
    for (size_t i = 0; i < c->hour_count; i++)
        sum += ps_hour_memory(&c->hours[i]);
    return sum;
}

bool ps_cache_is_full(const struct ps_cache *c)
{
    return memory(c) > c->bytes_max;
}

/* --- hours --- */

static size_t hour_index(const struct ps_cache *c, int32_t hour)
{
    size_t low = 0, high = c->hour_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->hours[middle].hour < hour)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int learn_path(void *ctx, const struct ps_stat_row *row)
{
    uint64_t loser;
    if (ps_str_equal(row->path, PS_OTHER_PATH))
        return 0;
    /* Rows written under a larger limit keep their aggregates: no limit while loading. */
    int r = ps_hour_admit(ctx, ps_hash64(row->path.ptr, row->path.len, 0), SIZE_MAX, &loser);
    return r < 0 ? r : 0;
}

static int insert_hour(struct ps_cache *c, size_t at, int32_t hour, struct ps_err *e)
{
    if (c->hour_count == c->hour_cap) {
        size_t cap = c->hour_cap == 0 ? 64 : c->hour_cap * 2;
        struct ps_hour *hours = realloc(c->hours, cap * sizeof *hours);
        if (hours == NULL)
            return ps_fail(e, PS_ENOMEM, "cache: no memory for hours");
        c->hours = hours;
        c->hour_cap = cap;
    }
    struct ps_hour fresh;
    struct ps_stats_query q = {.from_hour = hour, .to_hour = hour};
    ps_hour_init(&fresh, hour);
    int r = ps_store_stats(c->store, &q, learn_path, &fresh, e);
    if (r < 0) {
        ps_hour_done(&fresh);
        return r;
    }
    __builtin_memmove(&c->hours[at + 1], &c->hours[at], (c->hour_count - at) * sizeof *c->hours);
    c->hours[at] = fresh;
    c->hour_count++;
    return 0;
}

static int find_hour(struct ps_cache *c, int32_t hour, struct ps_hour **ret, struct ps_err *e)
{
    size_t at = c->last_hour;
    if (at >= c->hour_count || c->hours[at].hour != hour) {
        at = hour_index(c, hour);
        if (at == c->hour_count || c->hours[at].hour != hour) {
            int r = insert_hour(c, at, hour, e);
            if (r < 0)
                return r;
        }
        c->last_hour = at;
    }
    *ret = &c->hours[at];
    (*ret)->touched = c->generation;
    return 0;
}

/* --- entries --- */

struct row_load {
    const struct ps_alloc *alloc;
    struct ps_aggregate *into;
};

static int load_row(void *ctx, const struct ps_stat_row *row)
{
    struct row_load *load = ctx;
    return ps_aggregate_unpack(&row->stat, load->alloc, load->into);
}

/* The entry of a path that may have a row: from memory, else from the store, else empty. */
static int find_entry(struct ps_cache *c, int32_t hour, struct ps_str path, uint64_t path_hash,
                      bool may_have_row, struct ps_aggmap_entry **ret, struct ps_err *e)
{
    struct ps_aggmap_entry *entry = ps_aggmap_find(&c->map, hour, path, path_hash);
    if (entry == NULL) {
        entry = ps_aggmap_add(&c->map, hour, path, path_hash);
        if (entry == NULL)
            return ps_fail(e, PS_ENOMEM, "cache: no memory for an aggregate");
        if (may_have_row) {
            struct row_load load = {.alloc = &c->map.alloc, .into = &entry->aggregate};
            struct ps_stats_query q = {.from_hour = hour, .to_hour = hour, .path = path};
            int r = ps_store_stats(c->store, &q, load_row, &load, e);
            if (r < 0)
                return r;
        }
    }
    entry->touched = c->generation;
    *ret = entry;
    return 0;
}

static void mark_dirty(struct ps_cache *c, struct ps_aggmap_entry *entry)
{
    if (!entry->dirty) {
        entry->dirty = true;
        c->dirty++;
    }
}

struct loser_search {
    uint64_t hash;
    struct ps_cache *cache;
};

static int load_loser(void *ctx, const struct ps_stat_row *row)
{
    struct loser_search *search = ctx;
    if (ps_hash64(row->path.ptr, row->path.len, 0) != search->hash)
        return 0;
    struct ps_aggmap *map = &search->cache->map;
    struct ps_aggmap_entry *entry = ps_aggmap_add(map, row->hour, row->path, search->hash);
    if (entry == NULL)
        return PS_ENOMEM;
    int r = ps_aggregate_unpack(&row->stat, &map->alloc, &entry->aggregate);
    return r < 0 ? r : PS_ESTOP;
}

/* The path with the largest hash gave its place away: its aggregate joins the other's. */
static int demote(struct ps_cache *c, int32_t hour, uint64_t loser, struct ps_err *e)
{
    struct ps_aggmap_entry *entry = ps_aggmap_find_hash(&c->map, hour, loser), *other;
    if (entry == NULL) {
        struct loser_search search = {.hash = loser, .cache = c};
        struct ps_stats_query q = {.from_hour = hour, .to_hour = hour};
        int r = ps_store_stats(c->store, &q, load_loser, &search, e);
        if (r < 0 && r != PS_ESTOP)
            return r;
        entry = ps_aggmap_find_hash(&c->map, hour, loser);
    }
    if (entry == NULL)
        return ps_fail(e, PS_ECORRUPT, "cache: an aggregate of hour %d is missing", (int)hour);
    struct ps_str path = PS_OTHER_PATH;
    int r = find_entry(c, hour, path, ps_hash64(path.ptr, path.len, 0), true, &other, e);
    if (r < 0)
        return r;
    if (ps_aggregate_merge(&other->aggregate, &entry->aggregate, &c->map.alloc) < 0)
        return ps_fail(e, PS_ENOMEM, "cache: no memory to merge");
    ps_aggregate_done(&entry->aggregate, &c->map.alloc);
    ps_aggregate_init(&entry->aggregate);
    entry->removed = true;
    mark_dirty(c, entry);
    mark_dirty(c, other);
    return 0;
}

int ps_cache_count(struct ps_cache *c, const struct ps_event *event, struct ps_err *e)
{
    int32_t hour = ps_time_hour(event->timestamp_ms);
    struct ps_str path = event->path;
    uint64_t path_hash = ps_hash64(path.ptr, path.len, 0), loser;
    struct ps_aggmap_entry *entry = ps_aggmap_find(&c->map, hour, path, path_hash);
    int r;
    if (entry == NULL || entry->removed) {
        struct ps_hour *h;
        r = find_hour(c, hour, &h, e);
        if (r < 0)
            return r;
        int admission = ps_str_equal(path, PS_OTHER_PATH)
                            ? PS_ADMIT_OTHER
                            : ps_hour_admit(h, path_hash, c->max_paths, &loser);
        if (admission < 0)
            return ps_fail(e, admission, "cache: no memory for the hour's paths");
        if (admission == PS_ADMIT_OTHER) {
            path = PS_OTHER_PATH;
            path_hash = ps_hash64(path.ptr, path.len, 0);
        } else if (admission == PS_ADMIT_SWAP) {
            r = demote(c, hour, loser, e);
            if (r < 0)
                return r;
        }
        bool may_have_row = admission == PS_ADMIT_KNOWN || admission == PS_ADMIT_OTHER;
        r = find_entry(c, hour, path, path_hash, may_have_row, &entry, e);
        if (r < 0)
            return r;
    }
    entry->touched = c->generation;
    mark_dirty(c, entry);
    r = ps_aggregate_add(&entry->aggregate, event, &c->map.alloc);
    return r < 0 ? ps_fail(e, r, "cache: no memory to count") : 0;
}

/* --- settling --- */

struct settling {
    struct ps_stat_row *rows;
    size_t count;
    struct ps_buf bytes; /* of all packed rows */
};

/* Packs every dirty entry. Pointers are set when all bytes are there: the buffer moves as it grows,
 * so until then a row's strings hold offsets. */
static int pack_entry(void *ctx, struct ps_aggmap_entry *entry)
{
    struct settling *s = ctx;
    if (!entry->dirty)
        return 0;
    struct ps_stat_row *row = &s->rows[s->count];
    int r = ps_buf_reserve(&s->bytes, PS_STAT_BYTES_MAX);
    if (r < 0)
        return r;
    char *base = s->bytes.ptr + s->bytes.len;
    row->hour = entry->hour;
    row->path = ps_aggmap_path(entry);
    ps_aggregate_pack(&entry->aggregate, base, &row->stat);
    struct ps_str *parts[] = {&row->stat.samples, &row->stat.sample_keys, &row->stat.clients,
                              &row->stat.sketch, &row->stat.methods};
    size_t used = 0;
    for (size_t i = 0; i < PS_COUNT_OF(parts); i++) {
        size_t at = parts[i]->len == 0 ? 0 : (size_t)(parts[i]->ptr - base);
        if (at + parts[i]->len > used)
            used = at + parts[i]->len;
        parts[i]->ptr = (const char *)(uintptr_t)(s->bytes.len + at);
    }
    s->bytes.len += used;
    s->count++;
    return 0;
}

static void point_rows(struct settling *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct ps_stat *stat = &s->rows[i].stat;
        struct ps_str *parts[] = {&stat->samples, &stat->sample_keys, &stat->clients, &stat->sketch,
                                  &stat->methods};
        for (size_t k = 0; k < PS_COUNT_OF(parts); k++)
            parts[k]->ptr = s->bytes.ptr + (uintptr_t)parts[k]->ptr;
    }
}

static int compare_rows(const void *x, const void *y)
{
    const struct ps_stat_row *a = x, *b = y;
    if (a->hour != b->hour)
        return a->hour < b->hour ? -1 : 1;
    return ps_str_compare(a->path, b->path);
}

static bool keep_recent(void *ctx, struct ps_aggmap_entry *entry)
{
    struct ps_cache *c = ctx;
    return !entry->removed && c->generation - entry->touched < 2;
}

static int clean_entry(void *ctx, struct ps_aggmap_entry *entry)
{
    (void)ctx;
    entry->dirty = false;
    return 0;
}

static bool keep_living(void *ctx, struct ps_aggmap_entry *entry)
{
    (void)ctx;
    return !entry->removed;
}

/* Everything is written: first what has not been used since the last settle goes, then, when the
 * working set itself is too big, all of it. */
static void evict(struct ps_cache *c)
{
    ps_aggmap_filter(&c->map, keep_living, NULL);
    if (memory(c) <= c->bytes_max / 2)
        return;
    ps_aggmap_filter(&c->map, keep_recent, c);
    if (memory(c) > c->bytes_max / 2)
        ps_cache_clear(c);
}

int ps_cache_settle(struct ps_cache *c, uint32_t partition, uint64_t watermark, int64_t now_ms,
                    struct ps_err *e)
{
    struct settling s = {0};
    ps_buf_init(&s.bytes, SIZE_MAX / 4);
    s.rows = calloc(c->dirty + 1, sizeof *s.rows);
    int r = s.rows == NULL ? PS_ENOMEM : ps_aggmap_each(&c->map, pack_entry, &s);
    if (r < 0) {
        r = ps_fail(e, r, "cache: no memory to write %zu aggregates", c->dirty);
    } else {
        point_rows(&s);
        qsort(s.rows, s.count, sizeof *s.rows, compare_rows);
        r = ps_store_settle(c->store, s.rows, s.count, partition, watermark, now_ms, e);
    }
    free(s.rows);
    ps_buf_done(&s.bytes);
    if (r < 0)
        return r;
    ps_aggmap_each(&c->map, clean_entry, NULL);
    c->dirty = 0;
    c->generation++;
    evict(c);
    return 0;
}
