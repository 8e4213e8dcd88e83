/* snapshot_handler.c - GET /api/paths and GET /api/paths/snapshot/{version}.
 *
 * The document goes out as it lies in the kv, cut when asked. Its version is its ETag, so a
 * dashboard that asks every second is told "the same as before" without the document being read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "flow/ranking.h"
#include "flow/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TAG_MAX = 24 };

static struct ps_kv *kv_of(const struct ps_request *rq)
{
    return rq->reader->kv != NULL ? rq->reader->kv : rq->api->config.kv;
}

/* SIZE_MAX when there is no limit; false: answered. */
static bool take_limit(struct ps_request *rq, size_t *ret)
{
    *ret = SIZE_MAX;
    if (ps_request_number(rq, "limit", PS_RANKING_MAX, ret) >= 0)
        return true;
    ps_respond_error(rq, MHD_HTTP_BAD_REQUEST, "invalid", "limit: a number from 1 to %d",
                     PS_RANKING_MAX);
    return false;
}

/* A version that is there is in rq->answer when it must be sent. */
static void respond_document(struct ps_request *rq, uint64_t version, size_t limit)
{
    char tag[TAG_MAX];
    snprintf(tag, sizeof tag, "%" PRIu64, version);
    if (limit != SIZE_MAX && rq->answer->len > 0)
        ps_snapshot_cut(rq->answer, limit);
    ps_respond_tagged(rq, tag);
}

static bool is_known(struct ps_request *rq, uint64_t version)
{
    char tag[TAG_MAX];
    snprintf(tag, sizeof tag, "%" PRIu64, version);
    return ps_respond_is_known(rq, tag);
}

static void respond_none(struct ps_request *rq)
{
    ps_respond_error(rq, MHD_HTTP_NOT_FOUND, "no_snapshot",
                     "there is no snapshot yet: one is made every few minutes while the server "
                     "runs, or at once by POST /admin/snapshot/refresh");
}

void ps_handle_paths(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    struct ps_snapshot_pointer pointer;
    struct ps_err e = {0};
    size_t limit;
    uint64_t version = 0;
    int64_t now_ms = ps_clock_now_ms(api->config.clock);
    if (!take_limit(rq, &limit))
        return;
    ps_buf_clear(rq->answer);
    int r = ps_snapshot_pointer(kv_of(rq), now_ms, &pointer, &e);
    if (r == 0 && is_known(rq, pointer.version))
        version = pointer.version;
    else if (r == 0)
        r = ps_snapshot_latest(kv_of(rq), now_ms, &version, rq->answer, &e);
    if (r == PS_ENOENT)
        respond_none(rq);
    else if (r < 0)
        ps_respond_code(rq, r, e.text);
    else
        respond_document(rq, version, limit);
}

void ps_handle_snapshot(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    const char *text = ps_routes_rest(rq->route, rq->path);
    struct ps_err e = {0};
    size_t limit;
    uint64_t version;
    if (!ps_snapshot_parse_version(text, strlen(text), &version)) {
        ps_respond_error(rq, MHD_HTTP_NOT_FOUND, "not_found",
                         "a version is a number, as in \"version\" of GET /api/paths");
        return;
    }
    if (!take_limit(rq, &limit))
        return;
    ps_buf_clear(rq->answer);
    int r = ps_snapshot_get(kv_of(rq), ps_clock_now_ms(api->config.clock), version, rq->answer, &e);
    if (r < 0)
        ps_respond_code(rq, r, e.text);
    else
        respond_document(rq, version, limit);
}
