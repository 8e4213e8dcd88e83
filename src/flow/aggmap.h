/* aggmap.h - aggregates in memory by (hour, path). The key is a struct, never a joined string.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_AGGMAP_H
#define PS_FLOW_AGGMAP_H

#include "core/aggregate.h"

struct ps_aggmap_entry {
    struct ps_aggregate aggregate;
    uint64_t path_hash;           /* ps_hash64(path, 0) */
    struct ps_aggmap_entry *next; /* in its bucket; private */
    int32_t hour;
    uint32_t touched; /* the owner's: generation of the last use */
    bool dirty;       /* the owner's: differs from the row */
    bool removed;     /* the owner's: its row is to go */
    uint32_t path_len;
    char path[];
};

struct ps_aggmap {
    struct ps_aggmap_entry **buckets;
    size_t bucket_count, count;
    size_t memory;         /* bytes of entries and aggregates */
    struct ps_alloc alloc; /* counts into memory; for the aggregates inside */
};

void ps_aggmap_init(struct ps_aggmap *m);
void ps_aggmap_done(struct ps_aggmap *m);

static inline struct ps_str ps_aggmap_path(const struct ps_aggmap_entry *entry)
{
    return (struct ps_str){entry->path, entry->path_len};
}

/* NULL when there is none. */
struct ps_aggmap_entry *ps_aggmap_find(const struct ps_aggmap *m, int32_t hour, struct ps_str path,
                                       uint64_t path_hash);
/* Says that this entry will be looked up soon. */
void ps_aggmap_prefetch(const struct ps_aggmap *m, int32_t hour, uint64_t path_hash);
/* An entry of the hour whose path has this hash, whatever its text. */
struct ps_aggmap_entry *ps_aggmap_find_hash(const struct ps_aggmap *m, int32_t hour,
                                            uint64_t path_hash);
/* A new empty entry (there must be none); NULL: no memory. */
struct ps_aggmap_entry *ps_aggmap_add(struct ps_aggmap *m, int32_t hour, struct ps_str path,
                                      uint64_t path_hash);

/* Keeps the entries for which keep() says so, frees the rest. */
void ps_aggmap_filter(struct ps_aggmap *m, bool (*keep)(void *ctx, struct ps_aggmap_entry *entry),
                      void *ctx);
/* Every entry, in no order; stops at the first negative return and hands it on. */
int ps_aggmap_each(const struct ps_aggmap *m, int (*fn)(void *ctx, struct ps_aggmap_entry *entry),
                   void *ctx);

#endif
