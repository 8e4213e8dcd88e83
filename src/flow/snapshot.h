/* snapshot.h - the busiest paths of the last 24 hours, kept in the kv under a version.
 *
 *     paths:snapshot:<version>   the document below, for PS_SNAPSHOT_TTL_MS
 *     paths:snapshot:latest      {"version":n,"prev":n|null,"updatedAt":"..."}
 *     paths:snapshot:highest     the highest version ever given, for good
 *
 *     {"version":n,"updatedAt":"2025-10-15T14:05:00.000Z","from":"2025-10-14T15",
 *      "to":"2025-10-15T14","totalPaths":n,"paths":[{"path","method","requests","errors",
 *      "errorRate","avgMs","p50Ms","p95Ms","p99Ms","minMs","maxMs","uniqueClients",
 *      "uniqueClientsExact"},...]}
 *
 * `method` is the most frequent one or null; times are null where no request had one; `paths` is
 * the last member, by requests, most first.
 *
 * Who reads `latest` finds its version. The document is written first; `latest` expires
 * PS_SNAPSHOT_GRACE_MS before it, so that refreshes that stop for three days leave nothing dangling
 * either; and neither the version `latest` names nor the one before is thinned out.
 *
 * Versions strictly increase: the time in milliseconds, or one more than the highest, which a clock
 * set back, a rollback and an expiry leave alone.
 *
 * A refresh a second for three days would make 260,000 documents, so older ones are thinned: the
 * newest PS_SNAPSHOT_RECENT_KEPT stay, of the rest the oldest of each PS_SNAPSHOT_SLOT_MS.
 *
 * Threads: refresh in one thread of one process at a time (whoever holds the data directory's
 * lock); everything else anywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_SNAPSHOT_H
#define PS_FLOW_SNAPSHOT_H

#include "base/time.h"
#include "port/clock.h"
#include "port/kv.h"
#include "port/store.h"

#define PS_SNAPSHOT_PREFIX "paths:snapshot:"
#define PS_SNAPSHOT_TTL_MS (72 * PS_MS_PER_HOUR)
#define PS_SNAPSHOT_GRACE_MS INT64_C(60000)
#define PS_SNAPSHOT_SLOT_MS INT64_C(300000)
#define PS_SNAPSHOT_PAUSE_US INT64_C(1000000) /* between two that batches ask for */

enum {
    PS_SNAPSHOT_SHARE = 10,
    PS_SNAPSHOT_HOURS = 24,
    PS_SNAPSHOT_RECENT_KEPT = 100,
    PS_SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024, /* of one document */
};

/* Builds the document of `limit` paths (1 to PS_RANKING_MAX), ending at the clock's hour, and makes
 * it the latest. Also forgets what is old. PS_EFULL: the document would be too large. */
int ps_snapshot_refresh(struct ps_store *store, struct ps_kv *kv, struct ps_clock *clock,
                        size_t limit, uint64_t *ret_version, struct ps_err *e);

/* The document alone, appended to `ret`. */
int ps_snapshot_build(struct ps_store *store, uint64_t version, int64_t now_ms, size_t limit,
                      struct ps_buf *ret, struct ps_err *e);

/* The value of `latest`. */
struct ps_snapshot_pointer {
    uint64_t version, prev; /* prev 0: none */
    char updated_at[PS_ISO_LEN + 1];
};
/* PS_ENOENT: there is none yet, or the last is too old. */
int ps_snapshot_pointer(struct ps_kv *kv, int64_t now_ms, struct ps_snapshot_pointer *ret,
                        struct ps_err *e);

/* Appends the document to `ret`, which holds PS_SNAPSHOT_BYTES_MAX more. PS_ENOENT. */
int ps_snapshot_latest(struct ps_kv *kv, int64_t now_ms, uint64_t *ret_version, struct ps_buf *ret,
                       struct ps_err *e);
int ps_snapshot_get(struct ps_kv *kv, int64_t now_ms, uint64_t version, struct ps_buf *ret,
                    struct ps_err *e);

typedef int ps_snapshot_fn(void *ctx, uint64_t version, int64_t expires_ms);
/* Those that can be read, the newest first; a negative return of `fn` ends it. */
int ps_snapshot_list(struct ps_kv *kv, int64_t now_ms, ps_snapshot_fn *fn, void *ctx,
                     struct ps_err *e);

/* Points `latest` at `version`, or with 0 at the one before; its prev becomes the next older one,
 * so that doing it again goes further back. PS_ENOENT: there is no such version. */
int ps_snapshot_rollback(struct ps_kv *kv, int64_t now_ms, uint64_t version, uint64_t *ret_version,
                         struct ps_err *e);

/* A version as text: decimal without leading zeros, at least 1. False for anything else. */
bool ps_snapshot_parse_version(const char *text, size_t len, uint64_t *ret);

/* Cuts a document to its first `limit` paths, in place. */
void ps_snapshot_cut(struct ps_buf *document, size_t limit);

/* --- when batches ask for one --- */

/* They take at most one part in PS_SNAPSHOT_SHARE of the time, and pause PS_SNAPSHOT_PAUSE_US. */
struct ps_snapshot_pacer {
    uint64_t every;   /* batches */
    uint64_t batches; /* counted when it last ran */
    int64_t ran_us;   /* when it ended; INT64_MIN: never */
    int64_t pause_us; /* from then on */
};

void ps_snapshot_pacer_init(struct ps_snapshot_pacer *p, uint64_t every_batches);
/* `batches` so far and the monotonic time: is one due? */
bool ps_snapshot_pacer_due(const struct ps_snapshot_pacer *p, uint64_t batches, int64_t now_us);
/* One was made or tried, for whatever reason, in `cost_us`. */
void ps_snapshot_pacer_ran(struct ps_snapshot_pacer *p, uint64_t batches, int64_t now_us,
                           int64_t cost_us);

#endif
