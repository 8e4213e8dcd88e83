/* cache.c - see cache.h.
 *
 * An hour's set of path hashes is read from the store when the hour is first touched; after that a
 * path the set does not know has no row, and no query is made for it. Rows are read one by one, by
 * their paths.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/cache.h"

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
    uint32_t generation;       /* one more at each settle */
    struct ps_rebuild damaged; /* the row that did not decode; path absent: none */
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
    c->damaged.path = PS_STR_NONE;
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
    int r = ps_hour_load(&fresh, c->store, hour, c->max_paths, e);
    if (r < 0)
        return r;
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
    struct ps_cache *cache;
    struct ps_aggregate *into;
    struct ps_err *e;
};

static int load_row(void *ctx, const struct ps_stat_row *row)
{
    struct row_load *load = ctx;
    struct ps_rebuild *damaged = &load->cache->damaged;
    int r = ps_aggregate_unpack(&row->stat, &load->cache->map.alloc, load->into);
    if (r != PS_ECORRUPT || row->path.len > sizeof damaged->bytes)
        return r < 0 ? ps_fail(load->e, r, "cache: no memory for a row") : 0;
    damaged->hour = row->hour;
    ps_copy(damaged->bytes, row->path.ptr, row->path.len);
    damaged->path = (struct ps_str){damaged->bytes, row->path.len};
    return ps_fail(load->e, r, "the statistics of a path do not decode");
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
            struct row_load load = {.cache = c, .into = &entry->aggregate, .e = e};
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

const struct ps_rebuild *ps_cache_damaged(const struct ps_cache *c)
{
    return c->damaged.path.ptr != NULL ? &c->damaged : NULL;
}

int ps_cache_rebuild(struct ps_cache *c, const struct ps_rebuild *row, struct ps_err *e)
{
    uint64_t hash = ps_hash64(row->path.ptr, row->path.len, 0);
    struct ps_hour *hour;
    int r = find_hour(c, row->hour, &hour, e);
    if (r < 0)
        return r;
    PS_ASSERT(ps_aggmap_find(&c->map, row->hour, row->path, hash) == NULL);
    struct ps_aggmap_entry *entry = ps_aggmap_add(&c->map, row->hour, row->path, hash);
    if (entry == NULL)
        return ps_fail(e, PS_ENOMEM, "cache: no memory for an aggregate");
    entry->touched = c->generation;
    mark_dirty(c, entry);
    return ps_rebuild_row(c->store, row, &c->map.alloc, &entry->aggregate, e);
}

/* The loser's entry, from memory or from its row. */
static int find_loser(struct ps_cache *c, struct ps_hour *h, uint64_t loser,
                      struct ps_aggmap_entry **ret, struct ps_err *e)
{
    struct ps_str path;
    *ret = ps_aggmap_find_hash(&c->map, h->hour, loser);
    if (*ret != NULL)
        return 0;
    int r = ps_hour_loser_path(h, c->store, loser, &path, e);
    return r < 0 ? r : find_entry(c, h->hour, path, loser, true, ret, e);
}

/* The path with the largest hash gave its place away: its aggregate joins the other's. */
static int demote(struct ps_cache *c, struct ps_hour *h, uint64_t loser, struct ps_err *e)
{
    struct ps_aggmap_entry *entry, *other;
    struct ps_str path = PS_OTHER_PATH;
    int r = find_loser(c, h, loser, &entry, e);
    if (r == 0)
        r = find_entry(c, h->hour, path, ps_hash64(path.ptr, path.len, 0), true, &other, e);
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

void ps_cache_prefetch(const struct ps_cache *c, const struct ps_event *event)
{
    ps_aggmap_prefetch(&c->map, ps_time_hour(event->timestamp_ms), ps_event_path_hash(event));
}

int ps_cache_count(struct ps_cache *c, const struct ps_event *event, struct ps_err *e)
{
    int32_t hour = ps_time_hour(event->timestamp_ms);
    struct ps_str path = event->path;
    uint64_t path_hash = ps_event_path_hash(event), loser;
    struct ps_aggmap_entry *entry = ps_aggmap_find(&c->map, hour, path, path_hash);
    int r;
    if (entry == NULL || entry->removed) {
        struct ps_hour *h;
        r = find_hour(c, hour, &h, e);
        if (r < 0)
            return r;
        int admission = ps_str_equal(path, PS_OTHER_PATH) ? PS_ADMIT_OTHER
                                                          : ps_hour_admit(h, path_hash, &loser);
        if (admission < 0)
            return ps_fail(e, admission, "cache: no memory for the hour's paths");
        if (admission == PS_ADMIT_OTHER) {
            path = PS_OTHER_PATH;
            path_hash = ps_hash64(path.ptr, path.len, 0);
        } else if (admission == PS_ADMIT_SWAP) {
            r = demote(c, h, loser, e);
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

/* Rows go to the store some at a time, so that their bytes need not all be there at once. */
enum { SLICE_ROWS = 256, SLICE_BYTES = 16 * PS_STAT_BYTES_MAX };

struct settling {
    struct ps_aggmap_entry **dirty; /* in the order of the rows */
    size_t count, at;
    struct ps_stat_row *rows; /* SLICE_ROWS */
    char *bytes;              /* SLICE_BYTES */
};

static int collect_dirty(void *ctx, struct ps_aggmap_entry *entry)
{
    struct settling *s = ctx;
    if (entry->dirty)
        s->dirty[s->count++] = entry;
    return 0;
}

static int compare_entries(const void *x, const void *y)
{
    const struct ps_aggmap_entry *a = *(struct ps_aggmap_entry *const *)x,
                                 *b = *(struct ps_aggmap_entry *const *)y;
    if (a->hour != b->hour)
        return a->hour < b->hour ? -1 : 1;
    return ps_str_compare(ps_aggmap_path(a), ps_aggmap_path(b));
}

/* Where the bytes of a packed row end. */
static const char *end_of(const struct ps_stat *stat, const char *start)
{
    const struct ps_str parts[] = {stat->samples, stat->sample_keys, stat->clients,
                                   stat->sketch,  stat->methods,     stat->statuses};
    for (size_t i = 0; i < PS_COUNT_OF(parts); i++)
        if (parts[i].len > 0 && parts[i].ptr + parts[i].len > start)
            start = parts[i].ptr + parts[i].len;
    return start;
}

/* The next rows, as many as there is room for. */
static size_t pack_slice(struct settling *s)
{
    char *to = s->bytes;
    size_t n = 0;
    while (s->at < s->count && n < SLICE_ROWS && to + PS_STAT_BYTES_MAX <= s->bytes + SLICE_BYTES) {
        struct ps_aggmap_entry *entry = s->dirty[s->at++];
        struct ps_stat_row *row = &s->rows[n++];
        row->hour = entry->hour;
        row->path = ps_aggmap_path(entry);
        ps_aggregate_pack(&entry->aggregate, to, &row->stat);
        to = (char *)(uintptr_t)end_of(&row->stat, to);
    }
    return n;
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

static int write_slices(struct ps_cache *c, struct settling *s, uint32_t partition,
                        uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    int r;
    do {
        size_t n = pack_slice(s);
        r = ps_store_settle(c->store, s->rows, n, partition, watermark, now_ms, e);
    } while (r == 0 && s->at < s->count);
    return r;
}

/* In the transaction that is open, or in one of its own. */
static int write_dirty(struct ps_cache *c, struct settling *s, uint32_t partition,
                       uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    bool own = !c->store->in_transaction;
    int r = own ? ps_store_begin(c->store, e) : 0;
    if (r < 0)
        return r;
    r = write_slices(c, s, partition, watermark, now_ms, e);
    if (own && r == 0)
        return ps_store_commit(c->store, e);
    if (own)
        ps_store_rollback(c->store);
    return r;
}

int ps_cache_settle(struct ps_cache *c, uint32_t partition, uint64_t watermark, int64_t now_ms,
                    struct ps_err *e)
{
    struct settling s = {
        .dirty = malloc((c->dirty + 1) * sizeof(struct ps_aggmap_entry *)),
        .rows = malloc(SLICE_ROWS * sizeof *s.rows),
        .bytes = malloc(SLICE_BYTES),
    };
    int r = 0;
    if (s.dirty == NULL || s.rows == NULL || s.bytes == NULL) {
        r = ps_fail(e, PS_ENOMEM, "cache: no memory to write %zu aggregates", c->dirty);
    } else {
        ps_aggmap_each(&c->map, collect_dirty, &s);
        qsort(s.dirty, s.count, sizeof(struct ps_aggmap_entry *), compare_entries);
        r = write_dirty(c, &s, partition, watermark, now_ms, e);
    }
    free(s.dirty);
    free(s.rows);
    free(s.bytes);
    if (r < 0)
        return r;
    ps_aggmap_each(&c->map, clean_entry, NULL);
    c->dirty = 0;
    c->generation++;
    evict(c);
    return 0;
}
