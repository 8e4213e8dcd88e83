/* kv.c - the kv's front door; see kv.h.  SPDX-License-Identifier: MIT */
#include "port/kv.h"

#include "base/check.h"

int ps_kv_open(const struct ps_kv_ops *ops, struct ps_kv **ret, const char *target, bool read_only,
               struct ps_err *e)
{
    PS_ASSERT(ops != NULL && target != NULL);
    struct ps_kv *kv = NULL;
    int r = ops->open(&kv, target, read_only, e);
    if (r < 0)
        return r;
    kv->ops = ops;
    *ret = kv;
    return 0;
}

const char *ps_kv_note(const struct ps_kv *kv)
{
    return kv->note[0] != '\0' ? kv->note : NULL;
}

void ps_kv_close(struct ps_kv *kv)
{
    if (kv != NULL)
        kv->ops->close(kv);
}

static int check_key(struct ps_str key, struct ps_err *e)
{
    return key.len >= 1 && key.len <= PS_KV_KEY_MAX
               ? 0
               : ps_fail(e, PS_EINVAL, "kv: a key has 1 to %d bytes", PS_KV_KEY_MAX);
}

int ps_kv_get(struct ps_kv *kv, struct ps_str key, int64_t now_ms, struct ps_buf *ret,
              struct ps_err *e)
{
    int r = check_key(key, e);
    return r < 0 ? r : kv->ops->get(kv, key, now_ms, ret, e);
}

int ps_kv_put(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
              int64_t now_ms, struct ps_err *e)
{
    int r = check_key(key, e);
    PS_ASSERT(ttl_ms >= 0);
    if (r == 0 && value.len > PS_KV_VALUE_MAX)
        r = ps_fail(e, PS_EINVAL, "kv: a value has at most %d bytes", PS_KV_VALUE_MAX);
    return r < 0 ? r : kv->ops->put(kv, key, value, ttl_ms, now_ms, e);
}

int ps_kv_remove(struct ps_kv *kv, struct ps_str key, struct ps_err *e)
{
    int r = check_key(key, e);
    return r < 0 ? r : kv->ops->remove(kv, key, e);
}

int ps_kv_list(struct ps_kv *kv, struct ps_str prefix, int64_t now_ms, ps_kv_fn *fn, void *ctx,
               struct ps_err *e)
{
    return kv->ops->list(kv, prefix, now_ms, fn, ctx, e);
}

int ps_kv_purge(struct ps_kv *kv, int64_t now_ms, struct ps_err *e)
{
    return kv->ops->purge(kv, now_ms, e);
}
