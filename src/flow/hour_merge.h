/* hour_merge.h - the rows of many hours as one list of paths, each once, with its requests.
 *
 * Rows lie by path within an hour, so the hours are merged like sorted files: a page of rows of
 * each is in memory, and no list of all paths ever is. Memory is PS_HOUR_MERGE_BYTES, shared among
 * the hours, but at least one page of PS_HOUR_MERGE_PAGE_MIN for each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_HOUR_MERGE_H
#define PS_FLOW_HOUR_MERGE_H

#include "port/store.h"

enum {
    PS_HOUR_MERGE_HOURS_MAX = 10000, /* hours that have rows: over a year */
    PS_HOUR_MERGE_BYTES = 8 * 1024 * 1024,
    PS_HOUR_MERGE_PAGE_MIN = 2048, /* holds any row */
};

typedef int ps_hour_merge_fn(void *ctx, struct ps_str path, uint64_t requests);

/* By path bytes; a negative return of fn ends it and is handed on. The store should be frozen.
 * PS_EFULL: more than PS_HOUR_MERGE_HOURS_MAX hours have rows. */
int ps_hour_merge(struct ps_store *store, int32_t from_hour, int32_t to_hour, ps_hour_merge_fn *fn,
                  void *ctx, struct ps_err *e);

#endif
