/* cache.h - the aggregates being counted, in bounded memory, written behind.
 *
 * Loads a row when its path is counted again after it was evicted. Nothing leaves memory before
 * ps_cache_settle has written it. After any failure of ps_cache_count the content is no longer what
 * the store's events say: clear it and recover.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_CACHE_H
#define PS_FLOW_CACHE_H

#include "flow/rebuild.h"
#include "port/store.h"

struct ps_cache;

int ps_cache_open(struct ps_cache **ret, struct ps_store *store, size_t bytes_max,
                  size_t max_paths_per_hour, struct ps_err *e);
void ps_cache_close(struct ps_cache *c);

/* Says that this event will be counted soon. */
void ps_cache_prefetch(const struct ps_cache *c, const struct ps_event *event);
/* Counts one new event in the aggregate of its path and hour, or in the other's. */
int ps_cache_count(struct ps_cache *c, const struct ps_event *event, struct ps_err *e);
/* The row that made ps_cache_count fail with PS_ECORRUPT, until the next clear; or NULL. */
const struct ps_rebuild *ps_cache_damaged(const struct ps_cache *c);
/* Right after a clear: the row as all its stored events make it, to be written at the next settle.
 */
int ps_cache_rebuild(struct ps_cache *c, const struct ps_rebuild *row, struct ps_err *e);
bool ps_cache_is_dirty(const struct ps_cache *c);
/* Over its bytes: settle now. */
bool ps_cache_is_full(const struct ps_cache *c);
/* Writes what is dirty with the watermark, then evicts what has not been used for long. */
int ps_cache_settle(struct ps_cache *c, uint32_t partition, uint64_t watermark, int64_t now_ms,
                    struct ps_err *e);
/* Forgets everything, written or not. */
void ps_cache_clear(struct ps_cache *c);

#endif
