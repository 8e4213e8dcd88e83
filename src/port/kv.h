/* kv.h - small values under names, each with an optional time to live.
 *
 * Time comes from the caller. An expired value is as good as gone for get and list at once.
 * Threads: a handle may be used by any thread, one at a time inside (the backend locks).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_KV_H
#define PS_PORT_KV_H

#include "base/buf.h"
#include "base/err.h"

struct ps_kv;

enum { PS_KV_KEY_MAX = 512, PS_KV_VALUE_MAX = 25 * 1024 * 1024 };

typedef int ps_kv_fn(void *ctx, struct ps_str key, int64_t expires_ms /* 0: never */);

struct ps_kv_ops {
    const char *name;
    int (*open)(struct ps_kv **ret, const char *target, bool read_only, struct ps_err *e);
    void (*close)(struct ps_kv *kv);
    int (*get)(struct ps_kv *kv, struct ps_str key, int64_t now_ms, struct ps_buf *ret,
               struct ps_err *e);
    int (*put)(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
               int64_t now_ms, struct ps_err *e);
    int (*remove)(struct ps_kv *kv, struct ps_str key, struct ps_err *e);
    int (*list)(struct ps_kv *kv, struct ps_str prefix, int64_t now_ms, ps_kv_fn *fn, void *ctx,
                struct ps_err *e);
    int (*purge)(struct ps_kv *kv, int64_t now_ms, struct ps_err *e);
};

struct ps_kv {
    const struct ps_kv_ops *ops;
    char note[PS_ERR_TEXT_MAX]; /* what opening had to do, for a log; "" nearly always */
};

int ps_kv_open(const struct ps_kv_ops *ops, struct ps_kv **ret, const char *target, bool read_only,
               struct ps_err *e);
void ps_kv_close(struct ps_kv *kv); /* NULL is fine */
/* A sentence for the log when the values were lost and the place was made anew; else NULL. */
const char *ps_kv_note(const struct ps_kv *kv);
/* Appends the value to `ret`; PS_ENOENT when there is none. */
int ps_kv_get(struct ps_kv *kv, struct ps_str key, int64_t now_ms, struct ps_buf *ret,
              struct ps_err *e);
/* ttl_ms 0: for good. Durable like the store's commits. */
int ps_kv_put(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
              int64_t now_ms, struct ps_err *e);
/* 0 also when there was none. */
int ps_kv_remove(struct ps_kv *kv, struct ps_str key, struct ps_err *e);
/* Keys with the prefix, in byte order. */
int ps_kv_list(struct ps_kv *kv, struct ps_str prefix, int64_t now_ms, ps_kv_fn *fn, void *ctx,
               struct ps_err *e);
/* Removes what has expired; returns how many. */
int ps_kv_purge(struct ps_kv *kv, int64_t now_ms, struct ps_err *e);

#endif
