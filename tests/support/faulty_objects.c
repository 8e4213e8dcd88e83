/* faulty_objects.c - see faulty_objects.h.  SPDX-License-Identifier: MIT */
#include "support/faulty_objects.h"

#include "base/check.h"

#include <stdlib.h>

struct object_faults object_faults;
struct ledger_faults ledger_faults;

void faults_end(void)
{
    object_faults = (struct object_faults){0};
    ledger_faults = (struct ledger_faults){0};
}

/* --- objects --- */

struct faulty {
    struct ps_objects base;
    struct ps_objects *inner;
};

struct ps_object_upload {
    struct ps_objects *inner;
    struct ps_object_upload *upload;
    char key[PS_OBJECT_KEY_MAX + 1];
};

static struct ps_objects *inner(struct ps_objects *o)
{
    return ((struct faulty *)o)->inner;
}

static int object_call(const char *what, struct ps_err *e)
{
    object_faults.calls++;
    return object_faults.calls == object_faults.fail_at
               ? ps_fail(e, object_faults.code, "injected: %s", what)
               : 0;
}

static int lose(struct ps_objects *in, const char *key, int r, struct ps_err *e)
{
    return r == 0 && object_faults.loses ? ps_objects_remove(in, key, e) : r;
}

static void close_objects(struct ps_objects *o)
{
    ps_objects_close(inner(o));
    free(o);
}

static int put(struct ps_objects *o, const char *key, const void *bytes, size_t len,
               struct ps_err *e)
{
    int r = object_call("put", e);
    return r < 0 ? r : lose(inner(o), key, ps_objects_put(inner(o), key, bytes, len, e), e);
}

static int gather(void *ctx, const void *bytes, size_t len)
{
    return ps_buf_append(ctx, bytes, len);
}

static int get(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
               struct ps_err *e)
{
    struct ps_buf whole;
    int r = object_call("get", e);
    if (r < 0 || object_faults.read == READ_WELL)
        return r < 0 ? r : ps_objects_get(inner(o), key, fn, ctx, e);
    ps_buf_init(&whole, SIZE_MAX / 2);
    r = ps_objects_get(inner(o), key, gather, &whole, e);
    struct ps_str bytes = ps_buf_str(&whole);
    if (r == 0 && object_faults.read == READ_TRUNCATED && bytes.len > 0)
        bytes.len--;
    else if (r == 0 && object_faults.read == READ_FLIPPED && bytes.len > 0)
        whole.ptr[whole.len / 2] ^= 1;
    else if (object_faults.read == READ_OTHER)
        bytes = object_faults.other;
    else
        bytes.len = 0;
    if (r == 0 && bytes.len > 0)
        r = fn(ctx, bytes.ptr, bytes.len);
    ps_buf_done(&whole);
    return r;
}

static int head(struct ps_objects *o, const char *key, struct ps_object_info *ret, struct ps_err *e)
{
    int r = object_call("head", e);
    return r < 0 ? r : ps_objects_head(inner(o), key, ret, e);
}

static int list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
                struct ps_err *e)
{
    int r = object_call("list", e);
    return r < 0 ? r : ps_objects_list(inner(o), prefix, fn, ctx, e);
}

static int remove_object(struct ps_objects *o, const char *key, struct ps_err *e)
{
    int r = object_call("remove", e);
    return r < 0 ? r : ps_objects_remove(inner(o), key, e);
}

static int upload_begin(struct ps_objects *o, const char *key, struct ps_object_upload **ret,
                        struct ps_err *e)
{
    int r = object_call("upload begin", e);
    if (r < 0)
        return r;
    struct ps_object_upload *u = calloc(1, sizeof *u);
    PS_ASSERT(u != NULL);
    u->inner = inner(o);
    ps_copy(u->key, key, __builtin_strlen(key));
    r = u->inner->ops->upload_begin(u->inner, key, &u->upload, e);
    if (r < 0)
        free(u);
    else
        *ret = u;
    return r;
}

static int upload_part(struct ps_object_upload *u, const void *bytes, size_t len, struct ps_err *e)
{
    int r = object_call("upload part", e);
    return r < 0 ? r : u->inner->ops->upload_part(u->upload, bytes, len, e);
}

static int upload_finish(struct ps_object_upload *u, struct ps_err *e)
{
    int r = object_call("upload finish", e);
    if (r == 0)
        r = u->inner->ops->upload_finish(u->upload, e);
    if (r < 0)
        return r;
    r = lose(u->inner, u->key, 0, e);
    free(u);
    return r;
}

static void upload_abort(struct ps_object_upload *u)
{
    u->inner->ops->upload_abort(u->upload);
    free(u);
}

static int abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e)
{
    int r = object_call("abort uploads", e);
    return r < 0 ? r : ps_objects_abort_uploads(inner(o), prefix, e);
}

static const struct ps_objects_ops objects_ops = {
    .name = "faulty",
    .close = close_objects,
    .put = put,
    .get = get,
    .head = head,
    .list = list,
    .remove = remove_object,
    .upload_begin = upload_begin,
    .upload_part = upload_part,
    .upload_finish = upload_finish,
    .upload_abort = upload_abort,
    .abort_uploads = abort_uploads,
};

struct ps_objects *faulty_objects(struct ps_objects *in)
{
    struct faulty *f = calloc(1, sizeof *f);
    PS_ASSERT(f != NULL);
    *f = (struct faulty){{&objects_ops}, in};
    return &f->base;
}

/* --- ledger --- */

struct faulty_book {
    struct ps_ledger base;
    struct ps_ledger *inner;
};

static struct ps_ledger *book(struct ps_ledger *l)
{
    return ((struct faulty_book *)l)->inner;
}

static int ledger_call(const char *what, struct ps_err *e)
{
    int call = ++ledger_faults.calls;
    if (ledger_faults.before != NULL)
        ledger_faults.before(ledger_faults.ctx, call);
    return call >= ledger_faults.fail_from && call <= ledger_faults.fail_to
               ? ps_fail(e, ledger_faults.code, "injected: %s", what)
               : 0;
}

static void close_ledger(struct ps_ledger *l)
{
    ps_ledger_close(book(l));
    free(l);
}

static int mark(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e)
{
    int r = ledger_call("mark", e);
    return r < 0 ? r : ps_ledger_mark(book(l), day, from, e);
}

static int clean(struct ps_ledger *l, int32_t day, struct ps_err *e)
{
    int r = ledger_call("clean", e);
    return r < 0 ? r : ps_ledger_clean(book(l), day, e);
}

static int restore(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                   bool last, struct ps_err *e)
{
    int r = ledger_call("restore", e);
    return r < 0 ? r : ps_ledger_restore(book(l), day, events, count, last, e);
}

static int run_started(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                       struct ps_err *e)
{
    return ps_ledger_run_started(book(l), run, ret_id, e);
}

static int run_finished(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e)
{
    return ps_ledger_run_finished(book(l), run, e);
}

static int runs(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                struct ps_err *e)
{
    return ps_ledger_runs(book(l), job, limit, fn, ctx, e);
}

static int size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e)
{
    return ps_ledger_size(book(l), ret, e);
}

static const struct ps_ledger_ops ledger_ops = {
    .name = "faulty",
    .close = close_ledger,
    .mark = mark,
    .clean = clean,
    .restore = restore,
    .run_started = run_started,
    .run_finished = run_finished,
    .runs = runs,
    .size = size,
};

struct ps_ledger *faulty_ledger(struct ps_ledger *in)
{
    struct faulty_book *f = calloc(1, sizeof *f);
    PS_ASSERT(f != NULL);
    *f = (struct faulty_book){{&ledger_ops}, in};
    return &f->base;
}
