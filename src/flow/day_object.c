/* day_object.c - see day_object.h.  SPDX-License-Identifier: MIT */
#include "flow/day_object.h"

#include "core/archive_line.h"

#include <stdlib.h>
#include <string.h>

enum {
    PROGRESS_EVENTS = 4096,
    RESTORE_EVENTS = 20000, /* a transaction: short enough to let the aggregator in between */
    RESTORE_BYTES = 32 * 1024 * 1024,
};

/* --- writing --- */

struct writing {
    struct ps_object_writer out;
    struct ps_sha256 *sha;
    struct ps_packer *packer;
    struct ps_day_object *ret;
    ps_day_progress_fn *progress;
    void *ctx;
    struct ps_err *e;
    char line[PS_ARCHIVE_LINE_MAX];
};

static int store_packed(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    struct writing *w = ctx;
    ps_sha256_add(w->sha, bytes, len);
    w->ret->object_bytes += len;
    return ps_object_writer_write(&w->out, bytes, len, e);
}

static int write_event(void *ctx, const struct ps_event *event)
{
    struct writing *w = ctx;
    size_t len = ps_archive_line_write(event, w->line);
    w->ret->json_bytes += len;
    w->ret->events++;
    int r = ps_packer_write(w->packer, w->line, len, w->e);
    if (r == 0 && w->progress != NULL && w->ret->events % PROGRESS_EVENTS == 0)
        r = w->progress(w->ctx, w->ret->events);
    return r;
}

static int write_all(struct writing *w, struct ps_store *store, int32_t day)
{
    int r = ps_sha256_open(&w->sha, w->e);
    if (r == 0)
        r = ps_packer_open(&w->packer, 0, store_packed, w, w->e);
    if (r == 0)
        r = ps_store_events(store, day, PS_ORDER_TIME, write_event, w, w->e);
    if (r == 0)
        r = ps_packer_finish(w->packer, w->e);
    if (r == 0)
        r = ps_object_writer_finish(&w->out, w->e);
    if (r == 0)
        ps_sha256_finish(w->sha, w->ret->sha256);
    return r;
}

int ps_day_object_write(struct ps_store *store, int32_t day, struct ps_objects *objects,
                        const char *key, ps_day_progress_fn *progress, void *ctx,
                        struct ps_day_object *ret, struct ps_err *e)
{
    struct ps_day_object object = {0};
    struct writing *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ps_fail(e, PS_ENOMEM, "archive: no memory");
    w->ret = &object;
    w->progress = progress;
    w->ctx = ctx;
    w->e = e;
    int r = ps_object_writer_open(&w->out, objects, key, e);
    if (r == 0) {
        r = write_all(w, store, day);
        ps_packer_close(w->packer);
        ps_sha256_close(w->sha);
        ps_object_writer_done(&w->out);
    }
    free(w);
    if (r == 0)
        *ret = object;
    return r;
}

/* --- reading --- */

struct reading {
    struct ps_unpacker *unpacker;
    struct ps_sha256 *sha;
    struct ps_day_object object;
    ps_pack_fn *fn;
    void *fn_ctx;
    ps_day_progress_fn *progress;
    void *ctx;
    struct ps_err *e;
    char last; /* byte of the plain text */
};

static int take_plain(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    struct reading *rd = ctx;
    const char *at = bytes, *end = at + len;
    rd->object.json_bytes += len;
    rd->last = end[-1];
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        rd->object.events++;
        if (++at == end)
            break;
    }
    int r = rd->progress == NULL ? 0 : rd->progress(rd->ctx, rd->object.events);
    if (r == 0 && rd->fn != NULL)
        r = rd->fn(rd->fn_ctx, bytes, len, e);
    return r;
}

static int take_packed(void *ctx, const void *bytes, size_t len)
{
    struct reading *rd = ctx;
    ps_sha256_add(rd->sha, bytes, len);
    rd->object.object_bytes += len;
    return ps_unpacker_feed(rd->unpacker, bytes, len, rd->e);
}

/* What zlib or the network says of bytes does not say whose they are. */
static void name_object(struct ps_err *e, const char *key)
{
    struct ps_err bare;
    if (e == NULL || strstr(e->text, key) != NULL)
        return;
    bare = *e;
    ps_fail(e, bare.code, "%s: %.300s", key, bare.text);
}

int ps_day_object_read(struct ps_objects *objects, const char *key, ps_pack_fn *fn, void *fn_ctx,
                       ps_day_progress_fn *progress, void *ctx, struct ps_day_object *ret,
                       struct ps_err *e)
{
    struct reading rd = {
        .fn = fn, .fn_ctx = fn_ctx, .progress = progress, .ctx = ctx, .e = e, .last = '\n'};
    int r = ps_sha256_open(&rd.sha, e);
    if (r == 0)
        r = ps_unpacker_open(&rd.unpacker, take_plain, &rd, e);
    if (r == 0)
        r = ps_objects_get(objects, key, take_packed, &rd, e);
    if (r == 0)
        r = ps_unpacker_finish(rd.unpacker, e);
    if (r == 0 && rd.last != '\n')
        r = ps_fail(e, PS_ECORRUPT, "%s ends in the middle of a line", key);
    if (r == 0) {
        ps_sha256_finish(rd.sha, rd.object.sha256);
        *ret = rd.object;
    } else if (r != PS_ESTOP) {
        name_object(e, key);
    }
    ps_unpacker_close(rd.unpacker);
    ps_sha256_close(rd.sha);
    return r;
}

/* --- restoring --- */

struct restoring {
    struct ps_ledger *ledger;
    int32_t day;
    struct ps_buf lines; /* whole lines and the beginning of the next */
    struct ps_buf scratch;
    struct ps_event *events;
    size_t count;
    size_t parsed; /* bytes of `lines` that are events already */
};

static int put_back(struct restoring *rs, bool last, struct ps_err *e)
{
    int r = ps_ledger_restore(rs->ledger, rs->day, rs->events, rs->count, last, e);
    size_t rest = rs->lines.len - rs->parsed;
    if (rest > 0)
        memmove(rs->lines.ptr, rs->lines.ptr + rs->parsed, rest);
    rs->lines.len = rest;
    rs->count = rs->parsed = rs->scratch.len = 0;
    return r;
}

/* Every line that is whole. Events point into the buffers, so these do not move before put_back:
 * room for RESTORE_BYTES is there from the beginning. */
static int parse_lines(struct restoring *rs, struct ps_err *e)
{
    for (;;) {
        char *line = rs->lines.ptr + rs->parsed;
        char *end = memchr(line, '\n', rs->lines.len - rs->parsed);
        if (end == NULL)
            return 0;
        size_t len = (size_t)(end - line);
        if (rs->count == RESTORE_EVENTS || rs->scratch.len + len > rs->scratch.cap) {
            int r = put_back(rs, false, e);
            if (r < 0)
                return r;
            continue;
        }
        int r = ps_archive_line_parse(line, len, rs->scratch.ptr + rs->scratch.len,
                                      &rs->events[rs->count]);
        if (r < 0)
            return ps_fail(e, r, "a line of the archive is not an event: %.*s",
                           (int)(len < 100 ? len : 100), line);
        rs->scratch.len += len;
        rs->parsed += len + 1;
        rs->count++;
    }
}

static int take_lines(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    struct restoring *rs = ctx;
    int r = 0;
    if (rs->lines.len + len > rs->lines.cap)
        r = put_back(rs, false, e);
    if (r == 0 && rs->lines.len + len > rs->lines.cap)
        r = ps_fail(e, PS_ECORRUPT, "a line of the archive does not end");
    if (r < 0)
        return r;
    memcpy(rs->lines.ptr + rs->lines.len, bytes, len);
    rs->lines.len += len;
    return parse_lines(rs, e);
}

int ps_day_object_restore(struct ps_objects *objects, const char *key, struct ps_ledger *ledger,
                          int32_t day, ps_day_progress_fn *progress, void *ctx, struct ps_err *e)
{
    struct restoring rs = {.ledger = ledger, .day = day};
    struct ps_day_object object;
    ps_buf_init(&rs.lines, SIZE_MAX / 2);
    ps_buf_init(&rs.scratch, SIZE_MAX / 2);
    rs.events = calloc(RESTORE_EVENTS, sizeof *rs.events);
    int r = rs.events == NULL || ps_buf_reserve(&rs.lines, RESTORE_BYTES) < 0 ||
                    ps_buf_reserve(&rs.scratch, RESTORE_BYTES) < 0
                ? ps_fail(e, PS_ENOMEM, "restore: no memory")
                : 0;
    if (r == 0)
        r = ps_day_object_read(objects, key, take_lines, &rs, progress, ctx, &object, e);
    if (r == 0)
        r = put_back(&rs, true, e);
    free(rs.events);
    ps_buf_done(&rs.lines);
    ps_buf_done(&rs.scratch);
    return r;
}
