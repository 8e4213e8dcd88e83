/* snapshot_build.c - the document of a snapshot; see snapshot.h.  SPDX-License-Identifier: MIT */
#include "flow/snapshot.h"

#include "base/check.h"
#include "base/json.h"
#include "flow/ranking.h"

#include <inttypes.h>

static void write_times(struct ps_json *w, const struct ps_ranked *p)
{
    const struct {
        const char *name;
        uint64_t us;
    } times[] = {
        {"avgMs", p->count_us > 0 ? p->sum_us / p->count_us : 0},
        {"p50Ms", p->p50_us},
        {"p95Ms", p->p95_us},
        {"p99Ms", p->p99_us},
        {"minMs", p->min_us},
        {"maxMs", p->max_us},
    };
    for (size_t i = 0; i < PS_COUNT_OF(times); i++) {
        ps_json_key(w, times[i].name);
        if (p->count_us > 0)
            ps_json_us_as_ms(w, (int64_t)times[i].us);
        else
            ps_json_null(w);
    }
}

static int write_path(void *ctx, const struct ps_ranked *p)
{
    struct ps_json *w = ctx;
    ps_json_open(w, '{');
    ps_json_key(w, "path");
    ps_json_str(w, p->path);
    ps_json_key(w, "method");
    ps_json_str(w, p->method);
    ps_json_key(w, "requests");
    ps_json_uint(w, p->requests);
    ps_json_key(w, "errors");
    ps_json_uint(w, p->errors);
    ps_json_key(w, "errorRate");
    ps_json_double(w, (double)p->errors / (double)p->requests, 6);
    write_times(w, p);
    ps_json_key(w, "uniqueClients");
    ps_json_uint(w, p->clients);
    ps_json_key(w, "uniqueClientsExact");
    ps_json_bool(w, p->clients_exact);
    ps_json_close(w, '}');
    return w->out->failed;
}

static void write_head(struct ps_buf *out, uint64_t version, int64_t now_ms,
                       const struct ps_ranking_query *q, size_t total)
{
    char updated[PS_ISO_LEN + 1], from[PS_HOUR_LEN + 1], to[PS_HOUR_LEN + 1];
    ps_time_format_iso(updated, now_ms);
    ps_time_format_hour(from, q->from_hour);
    ps_time_format_hour(to, q->to_hour);
    ps_buf_format(out,
                  "{\"version\":%" PRIu64 ",\"updatedAt\":\"%s\",\"from\":\"%s\",\"to\":\"%s\","
                  "\"totalPaths\":%zu,\"paths\":",
                  version, updated, from, to, total);
}

/* The head needs the number of paths, which is known when the paths are. */
int ps_snapshot_build(struct ps_store *store, uint64_t version, int64_t now_ms, size_t limit,
                      struct ps_buf *ret, struct ps_err *e)
{
    struct ps_ranking_query q = {.to_hour = ps_time_hour(now_ms), .limit = limit};
    struct ps_buf paths;
    struct ps_json w;
    size_t total = 0;
    q.from_hour = q.to_hour - PS_SNAPSHOT_HOURS + 1;
    ps_buf_init(&paths, PS_SNAPSHOT_BYTES_MAX);
    ps_json_init(&w, &paths);
    ps_json_open(&w, '[');
    int r = ps_ranking(store, &q, write_path, &w, &total, e);
    ps_json_close(&w, ']');
    if (r == 0) {
        write_head(ret, version, now_ms, &q, total);
        ps_buf_append(ret, paths.ptr, paths.len);
        ps_buf_text(ret, "}");
    }
    int failed = paths.failed != 0 ? paths.failed : ret->failed;
    ps_buf_done(&paths);
    if (failed != 0)
        return ps_fail(e, failed,
                       "snapshot: %zu paths do not fit in %d bytes; lower snapshot_paths", limit,
                       PS_SNAPSHOT_BYTES_MAX);
    return r;
}

void ps_snapshot_cut(struct ps_buf *document, size_t limit)
{
    bool quoted = false;
    int depth = 0;
    PS_ASSERT(limit > 0);
    for (size_t i = 0; i < document->len; i++) {
        char c = document->ptr[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        depth += c == '{';
        depth -= c == '}';
        if (c == '}' && depth == 1 && --limit == 0) {
            document->len = i + 1;
            ps_buf_text(document, "]}"); /* no longer than what was there */
            return;
        }
    }
}
