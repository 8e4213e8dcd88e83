/* kv.c - `ps_kv_mem`: an ordered list under a lock.  SPDX-License-Identifier: MIT */
#include "backend/mem/mem.h"
#include "backend/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    struct pair *next;
    struct ps_buf key, value;
    int64_t expires_ms; /* 0: never */
};

struct shared {
    struct shared *next;
    char *target;
    struct pair *pairs; /* by key */
};

struct mem_kv {
    struct ps_kv base;
    struct shared *shared;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *all;

static struct shared *shared_of(struct ps_kv *kv)
{
    return ((struct mem_kv *)kv)->shared;
}

static int open_kv(struct ps_kv **ret, const char *target, bool read_only, struct ps_err *e)
{
    struct mem_kv *kv = calloc(1, sizeof *kv);
    (void)read_only;
    if (kv == NULL)
        return ps_fail(e, PS_ENOMEM, "kv: no memory");
    pthread_mutex_lock(&lock);
    struct shared *s = all;
    while (s != NULL && strcmp(s->target, target) != 0)
        s = s->next;
    if (s == NULL && (s = calloc(1, sizeof *s)) != NULL) {
        s->target = strdup(target);
        s->next = all;
        all = s;
    }
    pthread_mutex_unlock(&lock);
    kv->shared = s;
    *ret = &kv->base;
    return 0;
}

static void close_kv(struct ps_kv *kv)
{
    free(kv);
}

static void free_pair(struct pair *p)
{
    ps_buf_done(&p->key);
    ps_buf_done(&p->value);
    free(p);
}

/* The link to the first pair whose key is not below. */
static struct pair **find(struct shared *s, struct ps_str key)
{
    struct pair **link = &s->pairs;
    while (*link != NULL && ps_str_compare(ps_buf_str(&(*link)->key), key) < 0)
        link = &(*link)->next;
    return link;
}

static bool holds(struct pair *p, struct ps_str key)
{
    return p != NULL && ps_str_equal(ps_buf_str(&p->key), key);
}

static bool lives(const struct pair *p, int64_t now_ms)
{
    return p->expires_ms == 0 || p->expires_ms > now_ms;
}

static int get_value(struct ps_kv *kv, struct ps_str key, int64_t now_ms, struct ps_buf *ret,
                     struct ps_err *e)
{
    pthread_mutex_lock(&lock);
    struct pair *p = *find(shared_of(kv), key);
    int r = holds(p, key) && lives(p, now_ms)
                ? ps_buf_append(ret, p->value.ptr, p->value.len)
                : ps_fail(e, PS_ENOENT, "kv: there is no %.*s", (int)key.len, key.ptr);
    pthread_mutex_unlock(&lock);
    return r;
}

static int remove_locked(struct shared *s, struct ps_str key)
{
    struct pair **link = find(s, key), *p = *link;
    if (holds(p, key)) {
        *link = p->next;
        free_pair(p);
    }
    return 0;
}

static int put_value(struct ps_kv *kv, struct ps_str key, struct ps_str value, int64_t ttl_ms,
                     int64_t now_ms, struct ps_err *e)
{
    struct pair *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ps_fail(e, PS_ENOMEM, "kv: no memory");
    ps_buf_init(&p->key, PS_KV_KEY_MAX);
    ps_buf_init(&p->value, PS_KV_VALUE_MAX);
    ps_buf_append(&p->key, key.ptr, key.len);
    ps_buf_append(&p->value, value.ptr, value.len);
    p->expires_ms = ttl_ms == 0 ? 0 : now_ms + ttl_ms;
    pthread_mutex_lock(&lock);
    remove_locked(shared_of(kv), key);
    struct pair **link = find(shared_of(kv), key);
    p->next = *link;
    *link = p;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int remove_value(struct ps_kv *kv, struct ps_str key, struct ps_err *e)
{
    (void)e;
    pthread_mutex_lock(&lock);
    remove_locked(shared_of(kv), key);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int list_keys(struct ps_kv *kv, struct ps_str prefix, int64_t now_ms, ps_kv_fn *fn,
                     void *ctx, struct ps_err *e)
{
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (struct pair *p = *find(shared_of(kv), prefix); p != NULL && r == 0; p = p->next) {
        if (p->key.len < prefix.len || ps_bytes_compare(p->key.ptr, prefix.ptr, prefix.len) != 0)
            break;
        if (lives(p, now_ms))
            r = fn(ctx, ps_buf_str(&p->key), p->expires_ms);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static int purge(struct ps_kv *kv, int64_t now_ms, struct ps_err *e)
{
    int removed = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (struct pair **link = &shared_of(kv)->pairs; *link != NULL;) {
        struct pair *p = *link;
        if (lives(p, now_ms)) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        free_pair(p);
        removed++;
    }
    pthread_mutex_unlock(&lock);
    return removed;
}

void ps_mem_kv_forget(const char *target)
{
    pthread_mutex_lock(&lock);
    for (struct shared **link = &all; *link != NULL; link = &(*link)->next) {
        struct shared *s = *link;
        if (strcmp(s->target, target) != 0)
            continue;
        *link = s->next;
        while (s->pairs != NULL) {
            struct pair *p = s->pairs;
            s->pairs = p->next;
            free_pair(p);
        }
        free(s->target);
        free(s);
        break;
    }
    pthread_mutex_unlock(&lock);
}

const struct ps_kv_ops ps_kv_mem = {
    .name = "mem",
    .open = open_kv,
    .close = close_kv,
    .get = get_value,
    .put = put_value,
    .remove = remove_value,
    .list = list_keys,
    .purge = purge,
};
