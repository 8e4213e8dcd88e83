/* ranking.h - the busiest paths of a stretch of hours, merged (never averaged) over them.
 *
 * Two passes: requests path by path from the rows' counts (hour_merge.h), of which only the winners
 * are kept; then the summaries of the winners alone. Memory does not grow with the number of paths,
 * nor does the cost of the second pass.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_RANKING_H
#define PS_FLOW_RANKING_H

#include "port/store.h"

enum { PS_RANKING_MAX = 10000 };

/* One path over the hours. Times are microseconds, meaningful when count_us > 0. */
struct ps_ranked {
    struct ps_str path, method; /* the most frequent method, or absent */
    uint64_t requests, errors, count_us, sum_us, min_us, max_us, p50_us, p95_us, p99_us;
    uint64_t clients;
    bool clients_exact;
};

struct ps_ranking_query {
    int32_t from_hour, to_hour; /* both inclusive */
    size_t limit;               /* 1 .. PS_RANKING_MAX */
};

typedef int ps_ranked_fn(void *ctx, const struct ps_ranked *path);

/* By requests, the most first; then by path bytes. *ret_paths (may be NULL): how many there are in
 * all. PS_EFULL: too many hours. */
int ps_ranking(struct ps_store *store, const struct ps_ranking_query *query, ps_ranked_fn *fn,
               void *ctx, size_t *ret_paths, struct ps_err *e);

/* One path. PS_ENOENT: no row in these hours. */
int ps_ranking_path(struct ps_store *store, int32_t from_hour, int32_t to_hour, struct ps_str path,
                    struct ps_ranked *ret, struct ps_err *e);

/* The newest hour that has a row; PS_ENOENT when there is none. */
int ps_ranking_newest_hour(struct ps_store *store, int32_t *ret, struct ps_err *e);

#endif
