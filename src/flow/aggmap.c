/* aggmap.c - see aggmap.h. A chained hash table that doubles at one entry a bucket.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/aggmap.h"

#include "base/check.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 1024 };

static void *resize_counted(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    struct ps_aggmap *m = ctx;
    void *grown = NULL;
    if (new_size == 0) {
        free(ptr);
    } else {
        grown = realloc(ptr, new_size);
        if (grown == NULL)
            return NULL;
    }
    m->memory = m->memory - old_size + new_size;
    return grown;
}

void ps_aggmap_init(struct ps_aggmap *m)
{
    *m = (struct ps_aggmap){.alloc = {resize_counted, m}};
}

static void free_entry(struct ps_aggmap *m, struct ps_aggmap_entry *entry)
{
    ps_aggregate_done(&entry->aggregate, &m->alloc);
    m->memory -= sizeof *entry + entry->path_len;
    m->count--;
    free(entry);
}

static bool keep_none(void *ctx, struct ps_aggmap_entry *entry)
{
    (void)ctx;
    (void)entry;
    return false;
}

void ps_aggmap_done(struct ps_aggmap *m)
{
    ps_aggmap_filter(m, keep_none, NULL);
    free(m->buckets);
    ps_aggmap_init(m);
}

static size_t bucket_of(const struct ps_aggmap *m, int32_t hour, uint64_t path_hash)
{
    uint64_t h = path_hash ^ ((uint64_t)(uint32_t)hour * UINT64_C(0x9e3779b97f4a7c15));
    return (size_t)(h ^ h >> 32) & (m->bucket_count - 1);
}

void ps_aggmap_prefetch(const struct ps_aggmap *m, int32_t hour, uint64_t path_hash)
{
    if (m->bucket_count > 0)
        __builtin_prefetch(m->buckets[bucket_of(m, hour, path_hash)]);
}

struct ps_aggmap_entry *ps_aggmap_find(const struct ps_aggmap *m, int32_t hour, struct ps_str path,
                                       uint64_t path_hash)
{
    if (m->bucket_count == 0)
        return NULL;
    struct ps_aggmap_entry *entry = m->buckets[bucket_of(m, hour, path_hash)];
    while (entry != NULL && (entry->path_hash != path_hash || entry->hour != hour ||
                             !ps_str_equal(ps_aggmap_path(entry), path)))
        entry = entry->next;
    return entry;
}

struct ps_aggmap_entry *ps_aggmap_find_hash(const struct ps_aggmap *m, int32_t hour,
                                            uint64_t path_hash)
{
    if (m->bucket_count == 0)
        return NULL;
    struct ps_aggmap_entry *entry = m->buckets[bucket_of(m, hour, path_hash)];
    while (entry != NULL && (entry->path_hash != path_hash || entry->hour != hour))
        entry = entry->next;
    return entry;
}

static bool grow(struct ps_aggmap *m)
{
    size_t old_count = m->bucket_count;
    struct ps_aggmap_entry **old = m->buckets;
    size_t count = old_count == 0 ? FIRST_BUCKETS : old_count * 2;
    struct ps_aggmap_entry **buckets = calloc(count, sizeof(struct ps_aggmap_entry *));
    if (buckets == NULL)
        return false;
    m->buckets = buckets;
    m->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        struct ps_aggmap_entry *entry = old[i], *next;
        for (; entry != NULL; entry = next) {
            size_t at = bucket_of(m, entry->hour, entry->path_hash);
            next = entry->next;
            entry->next = buckets[at];
            buckets[at] = entry;
        }
    }
    free(old);
    return true;
}

struct ps_aggmap_entry *ps_aggmap_add(struct ps_aggmap *m, int32_t hour, struct ps_str path,
                                      uint64_t path_hash)
{
    if (m->count >= m->bucket_count && !grow(m))
        return NULL;
    struct ps_aggmap_entry *entry = calloc(1, sizeof *entry + path.len);
    if (entry == NULL)
        return NULL;
    size_t at = bucket_of(m, hour, path_hash);
    ps_aggregate_init(&entry->aggregate);
    entry->path_hash = path_hash;
    entry->hour = hour;
    entry->path_len = (uint32_t)path.len;
    ps_copy(entry->path, path.ptr, path.len);
    entry->next = m->buckets[at];
    m->buckets[at] = entry;
    m->count++;
    m->memory += sizeof *entry + path.len;
    return entry;
}

void ps_aggmap_filter(struct ps_aggmap *m, bool (*keep)(void *ctx, struct ps_aggmap_entry *entry),
                      void *ctx)
{
    for (size_t i = 0; i < m->bucket_count; i++) {
        struct ps_aggmap_entry **link = &m->buckets[i];
        while (*link != NULL) {
            struct ps_aggmap_entry *entry = *link;
            if (keep(ctx, entry)) {
                link = &entry->next;
            } else {
                *link = entry->next;
                free_entry(m, entry);
            }
        }
    }
}

int ps_aggmap_each(const struct ps_aggmap *m, int (*fn)(void *ctx, struct ps_aggmap_entry *entry),
                   void *ctx)
{
    for (size_t i = 0; i < m->bucket_count; i++)
        for (struct ps_aggmap_entry *entry = m->buckets[i]; entry != NULL; entry = entry->next) {
            int r = fn(ctx, entry);
            if (r < 0)
                return r;
        }
    return 0;
}
