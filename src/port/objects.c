/* objects.c - the front door of objects; see objects.h.
 *
 * What every backend may rely on is checked here once: valid keys and prefixes, sizes, and the
 * rules of parts (all but the last have PS_OBJECT_PART_BYTES, the last is not empty, there are at
 * most PS_OBJECT_PARTS_MAX). The writer keeps the part rules by sending a full part only when more
 * bytes follow; an object of exactly one part is therefore a plain put.
 *
 * SPDX-License-Identifier: MIT
 */
#include "port/objects.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)PS_OBJECT_PART_BYTES >= (int)PS_OBJECT_PART_MIN, "S3 refuses smaller parts");

/* --- keys ------------------------------------------------------------------------------------- */

static bool is_key_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '=' || c == '-';
}

/* The last segment of a prefix may be empty: "a/" and "" are prefixes, but not keys. */
static bool has_valid_segments(const char *key, bool is_prefix)
{
    size_t segment = 0, len = 0;
    for (; key[len] != '\0'; len++) {
        if (len == PS_OBJECT_KEY_MAX)
            return false;
        if (key[len] == '/') {
            if (segment == 0)
                return false;
            segment = 0;
            continue;
        }
        if (!is_key_char(key[len]) || (segment == 0 && key[len] == '.') ||
            ++segment > PS_OBJECT_SEGMENT_MAX)
            return false;
    }
    return segment > 0 || is_prefix;
}

bool ps_object_key_is_valid(const char *key)
{
    return has_valid_segments(key, false);
}

/* The key itself stays out of the text: it may hold anything, of any length. */
static int check_key(const char *key, struct ps_err *e)
{
    return ps_object_key_is_valid(key)
               ? 0
               : ps_fail(e, PS_EINVAL,
                         "objects: a key has 1 to %d bytes, segments of A-Z a-z 0-9 . _ = - with "
                         "at most %d, none beginning with a dot",
                         PS_OBJECT_KEY_MAX, PS_OBJECT_SEGMENT_MAX);
}

static int check_prefix(const char *prefix, struct ps_err *e)
{
    return has_valid_segments(prefix, true)
               ? 0
               : ps_fail(e, PS_EINVAL, "objects: a prefix is the beginning of a valid key");
}

/* --- the verbs -------------------------------------------------------------------------------- */

int ps_objects_open(const struct ps_objects_ops *ops, struct ps_objects **ret,
                    const struct ps_objects_config *config, struct ps_err *e)
{
    PS_ASSERT(ops != NULL && config != NULL && config->timeout_ms >= 0);
    struct ps_objects *o = NULL;
    if (config->target == NULL || config->target[0] == '\0')
        return ps_fail(e, PS_EINVAL, "objects: %s needs a target", ops->name);
    int r = ops->open(&o, config, e);
    if (r < 0)
        return r;
    o->ops = ops;
    *ret = o;
    return 0;
}

void ps_objects_close(struct ps_objects *o)
{
    if (o != NULL)
        o->ops->close(o);
}

int ps_objects_put(struct ps_objects *o, const char *key, const void *bytes, size_t len,
                   struct ps_err *e)
{
    PS_ASSERT(bytes != NULL || len == 0);
    int r = check_key(key, e);
    if (r == 0 && len > PS_OBJECT_PUT_MAX)
        r = ps_fail(e, PS_EINVAL, "objects: one put has at most %d bytes", PS_OBJECT_PUT_MAX);
    return r < 0 ? r : o->ops->put(o, key, len > 0 ? bytes : "", len, e);
}

int ps_objects_get(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
                   struct ps_err *e)
{
    PS_ASSERT(fn != NULL);
    int r = check_key(key, e);
    return r < 0 ? r : o->ops->get(o, key, fn, ctx, e);
}

int ps_objects_head(struct ps_objects *o, const char *key, struct ps_object_info *ret,
                    struct ps_err *e)
{
    int r = check_key(key, e);
    return r < 0 ? r : o->ops->head(o, key, ret, e);
}

int ps_objects_list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
                    struct ps_err *e)
{
    PS_ASSERT(fn != NULL);
    int r = check_prefix(prefix, e);
    return r < 0 ? r : o->ops->list(o, prefix, fn, ctx, e);
}

int ps_objects_remove(struct ps_objects *o, const char *key, struct ps_err *e)
{
    int r = check_key(key, e);
    return r < 0 ? r : o->ops->remove(o, key, e);
}

int ps_objects_abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e)
{
    int r = check_prefix(prefix, e);
    return r < 0 ? r : o->ops->abort_uploads(o, prefix, e);
}

/* --- the writer ------------------------------------------------------------------------------- */

int ps_object_writer_open(struct ps_object_writer *w, struct ps_objects *o, const char *key,
                          struct ps_err *e)
{
    *w = (struct ps_object_writer){.objects = o}; /* done is fine whatever happens now */
    int r = check_key(key, e);
    if (r < 0)
        return r;
    w->part = malloc(PS_OBJECT_PART_BYTES);
    if (w->part == NULL)
        return ps_fail(e, PS_ENOMEM, "objects: no memory for a part of %s", key);
    strcpy(w->key, key);
    return 0;
}

static int send_part(struct ps_object_writer *w, struct ps_err *e)
{
    const struct ps_objects_ops *ops = w->objects->ops;
    PS_ASSERT(w->part_len > 0);
    if (w->parts == PS_OBJECT_PARTS_MAX)
        return ps_fail(e, PS_EFULL, "objects: %s has more than %d parts of %d bytes", w->key,
                       PS_OBJECT_PARTS_MAX, PS_OBJECT_PART_BYTES);
    if (w->upload == NULL) {
        struct ps_object_upload *upload = NULL;
        int r = ops->upload_begin(w->objects, w->key, &upload, e);
        if (r < 0)
            return r;
        w->upload = upload;
    }
    int r = ops->upload_part(w->upload, w->part, w->part_len, e);
    if (r < 0)
        return r;
    w->parts++;
    w->part_len = 0;
    return 0;
}

int ps_object_writer_write(struct ps_object_writer *w, const void *bytes, size_t len,
                           struct ps_err *e)
{
    const char *from = bytes;
    PS_ASSERT(w->part != NULL);
    while (len > 0) {
        int r = w->part_len == PS_OBJECT_PART_BYTES ? send_part(w, e) : 0;
        if (r < 0)
            return r;
        size_t room = PS_OBJECT_PART_BYTES - w->part_len;
        size_t n = len < room ? len : room;
        memcpy(w->part + w->part_len, from, n);
        w->part_len += n;
        w->size_bytes += n;
        from += n;
        len -= n;
    }
    return 0;
}

int ps_object_writer_finish(struct ps_object_writer *w, struct ps_err *e)
{
    const struct ps_objects_ops *ops = w->objects->ops;
    PS_ASSERT(w->part != NULL);
    if (w->upload == NULL)
        return ops->put(w->objects, w->key, w->part, w->part_len, e);
    int r = send_part(w, e);
    if (r == 0)
        r = ops->upload_finish(w->upload, e);
    if (r == 0)
        w->upload = NULL; /* the backend freed it */
    return r;
}

void ps_object_writer_done(struct ps_object_writer *w)
{
    if (w->upload != NULL)
        w->objects->ops->upload_abort(w->upload);
    free(w->part);
    *w = (struct ps_object_writer){0};
}
