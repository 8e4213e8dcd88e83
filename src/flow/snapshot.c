/* snapshot.c - see snapshot.h.  SPDX-License-Identifier: MIT */
#include "flow/snapshot.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX = 48,
    POINTER_BYTES_MAX = 256,
    VERSIONS_MAX = 1 << 20, /* listed: more than a refresh a millisecond would leave behind */
    LATEST_TRIES = 10,      /* of a reader that the writer overtakes each time */
};

#define LATEST PS_STR(PS_SNAPSHOT_PREFIX "latest")
#define HIGHEST PS_STR(PS_SNAPSHOT_PREFIX "highest")

static struct ps_str key_of(char to[KEY_MAX], uint64_t version)
{
    int n = snprintf(to, KEY_MAX, PS_SNAPSHOT_PREFIX "%" PRIu64, version);
    return (struct ps_str){to, (size_t)n};
}

bool ps_snapshot_parse_version(const char *text, size_t len, uint64_t *ret)
{
    uint64_t value = 0;
    if (len == 0 || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || value > (INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/* --- which versions there are --- */

struct versions {
    struct version {
        uint64_t version;
        int64_t expires_ms;
    } * items;
    size_t count, cap;
};

static int collect(void *ctx, struct ps_str key, int64_t expires_ms)
{
    struct versions *v = ctx;
    const size_t skip = sizeof PS_SNAPSHOT_PREFIX - 1;
    uint64_t version;
    if (!ps_snapshot_parse_version(key.ptr + skip, key.len - skip, &version))
        return 0; /* latest, highest */
    if (v->count == v->cap) {
        size_t cap = v->cap == 0 ? 256 : v->cap * 2;
        void *items = cap > VERSIONS_MAX ? NULL : realloc(v->items, cap * sizeof *v->items);
        if (items == NULL)
            return PS_ENOMEM;
        v->items = items;
        v->cap = cap;
    }
    v->items[v->count++] = (struct version){version, expires_ms};
    return 0;
}

static int compare_versions(const void *x, const void *y)
{
    const struct version *a = x, *b = y;
    return a->version > b->version ? -1 : a->version < b->version;
}

/* Newest first; the caller frees the items, also after a failure. */
static int load_versions(struct ps_kv *kv, int64_t now_ms, struct versions *ret, struct ps_err *e)
{
    *ret = (struct versions){0};
    int r = ps_kv_list(kv, PS_STR(PS_SNAPSHOT_PREFIX), now_ms, collect, ret, e);
    if (r == PS_ENOMEM)
        ps_fail(e, r, "snapshot: no memory to list versions");
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof *ret->items, compare_versions);
    return r;
}

int ps_snapshot_list(struct ps_kv *kv, int64_t now_ms, ps_snapshot_fn *fn, void *ctx,
                     struct ps_err *e)
{
    struct versions v;
    int r = load_versions(kv, now_ms, &v, e);
    for (size_t i = 0; r == 0 && i < v.count; i++)
        r = fn(ctx, v.items[i].version, v.items[i].expires_ms);
    free(v.items);
    return r;
}

/* --- latest --- */

/* True and past it when `at` begins with the literal. */
static bool take(const char **at, const char *end, const char *literal)
{
    size_t len = strlen(literal);
    if ((size_t)(end - *at) < len || memcmp(*at, literal, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool take_version(const char **at, const char *end, uint64_t *ret)
{
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
    return ps_snapshot_parse_version(start, (size_t)(*at - start), ret);
}

/* Only what put_pointer writes. */
static bool parse_pointer(struct ps_str text, struct ps_snapshot_pointer *ret)
{
    struct ps_snapshot_pointer p = {0};
    const char *at = text.ptr, *end = at + text.len;
    if (!take(&at, end, "{\"version\":") || !take_version(&at, end, &p.version) ||
        !take(&at, end, ",\"prev\":"))
        return false;
    if (!take(&at, end, "null") && !take_version(&at, end, &p.prev))
        return false;
    if (!take(&at, end, ",\"updatedAt\":\"") || end - at != PS_ISO_LEN + 2)
        return false;
    memcpy(p.updated_at, at, PS_ISO_LEN);
    at += PS_ISO_LEN;
    *ret = p;
    return take(&at, end, "\"}");
}

static int put_pointer(struct ps_kv *kv, uint64_t version, uint64_t prev, int64_t ttl_ms,
                       int64_t now_ms, struct ps_err *e)
{
    char text[POINTER_BYTES_MAX], before[24] = "null", updated[PS_ISO_LEN + 1];
    if (prev != 0)
        snprintf(before, sizeof before, "%" PRIu64, prev);
    ps_time_format_iso(updated, now_ms);
    int n =
        snprintf(text, sizeof text, "{\"version\":%" PRIu64 ",\"prev\":%s,\"updatedAt\":\"%s\"}",
                 version, before, updated);
    return ps_kv_put(kv, LATEST, (struct ps_str){text, (size_t)n}, ttl_ms, now_ms, e);
}

int ps_snapshot_pointer(struct ps_kv *kv, int64_t now_ms, struct ps_snapshot_pointer *ret,
                        struct ps_err *e)
{
    struct ps_buf text;
    ps_buf_init(&text, POINTER_BYTES_MAX);
    int r = ps_kv_get(kv, LATEST, now_ms, &text, e);
    if (r == PS_ENOENT)
        ps_fail(e, r, "there is no snapshot yet: run `pathstats snapshot refresh`");
    else if (text.failed != 0 || (r == 0 && !parse_pointer(ps_buf_str(&text), ret)))
        r = ps_fail(e, PS_ECORRUPT,
                    "paths:snapshot:latest is not what was written; the next "
                    "refresh writes it anew");
    ps_buf_done(&text);
    return r;
}

/* --- reading --- */

int ps_snapshot_get(struct ps_kv *kv, int64_t now_ms, uint64_t version, struct ps_buf *ret,
                    struct ps_err *e)
{
    char key[KEY_MAX];
    int r = ps_kv_get(kv, key_of(key, version), now_ms, ret, e);
    return r != PS_ENOENT ? r
                          : ps_fail(e, r, "there is no snapshot %" PRIu64 " (any more)", version);
}

int ps_snapshot_latest(struct ps_kv *kv, int64_t now_ms, uint64_t *ret_version, struct ps_buf *ret,
                       struct ps_err *e)
{
    struct ps_snapshot_pointer p;
    int r = PS_ENOENT;
    /* A reader asleep between its two reads for long may find the version thinned out. */
    for (int tries = 0; r == PS_ENOENT && tries < LATEST_TRIES; tries++) {
        int found = ps_snapshot_pointer(kv, now_ms, &p, e);
        if (found < 0)
            return found;
        r = ps_snapshot_get(kv, now_ms, p.version, ret, e);
    }
    if (r == 0)
        *ret_version = p.version;
    return r;
}

/* --- writing --- */

static int highest_given(struct ps_kv *kv, int64_t now_ms, const struct versions *v, uint64_t *ret,
                         struct ps_err *e)
{
    struct ps_buf text;
    uint64_t highest = v->count > 0 ? v->items[0].version : 0, kept = 0;
    ps_buf_init(&text, POINTER_BYTES_MAX);
    int r = ps_kv_get(kv, HIGHEST, now_ms, &text, e);
    if (r == PS_ENOENT)
        r = 0;
    else if (r == 0 && !ps_snapshot_parse_version(text.ptr, text.len, &kept))
        r = ps_fail(e, PS_ECORRUPT, "paths:snapshot:highest is not a version: remove it");
    ps_buf_done(&text);
    *ret = kept > highest ? kept : highest;
    return r;
}

static int put_highest(struct ps_kv *kv, uint64_t version, int64_t now_ms, struct ps_err *e)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, version);
    return ps_kv_put(kv, HIGHEST, (struct ps_str){text, (size_t)n}, 0, now_ms, e);
}

/* `v` is from before the refresh, so it does not hold the new version; `prev` stays in any case. */
static int thin(struct ps_kv *kv, const struct versions *v, uint64_t prev, struct ps_err *e)
{
    char key[KEY_MAX];
    int r = 0;
    for (size_t i = PS_SNAPSHOT_RECENT_KEPT - 1; r == 0 && i < v->count; i++) {
        uint64_t version = v->items[i].version;
        bool oldest_of_slot = i + 1 == v->count || v->items[i + 1].version / PS_SNAPSHOT_SLOT_MS !=
                                                       version / PS_SNAPSHOT_SLOT_MS;
        if (version != prev && !oldest_of_slot)
            r = ps_kv_remove(kv, key_of(key, version), e);
    }
    return r;
}

/* The order is the contract: the number is taken, the document is there, then `latest` names it. */
static int publish(struct ps_kv *kv, uint64_t version, uint64_t prev, const struct ps_buf *document,
                   int64_t now_ms, struct ps_err *e)
{
    char key[KEY_MAX];
    int r = put_highest(kv, version, now_ms, e);
    if (r == 0)
        r = ps_kv_put(kv, key_of(key, version), ps_buf_str(document), PS_SNAPSHOT_TTL_MS, now_ms,
                      e);
    if (r == 0)
        r = put_pointer(kv, version, prev, PS_SNAPSHOT_TTL_MS - PS_SNAPSHOT_GRACE_MS, now_ms, e);
    return r;
}

static int previous(struct ps_kv *kv, int64_t now_ms, uint64_t *ret, struct ps_err *e)
{
    struct ps_snapshot_pointer p = {0};
    int r = ps_snapshot_pointer(kv, now_ms, &p, e);
    *ret = r == 0 ? p.version : 0;
    return r == PS_ENOENT || r == PS_ECORRUPT ? 0 : r;
}

int ps_snapshot_refresh(struct ps_store *store, struct ps_kv *kv, struct ps_clock *clock,
                        size_t limit, uint64_t *ret_version, struct ps_err *e)
{
    struct versions v;
    struct ps_buf document;
    uint64_t version = 0, prev = 0;
    int64_t now_ms = ps_clock_now_ms(clock);
    ps_buf_init(&document, PS_SNAPSHOT_BYTES_MAX);
    int r = load_versions(kv, now_ms, &v, e);
    if (r == 0)
        r = highest_given(kv, now_ms, &v, &version, e);
    if (r == 0)
        r = previous(kv, now_ms, &prev, e);
    version = now_ms > (int64_t)version ? (uint64_t)now_ms : version + 1;
    if (r == 0)
        r = ps_snapshot_build(store, version, now_ms, limit, &document, e);
    if (r == 0)
        r = publish(kv, version, prev, &document, now_ms, e);
    if (r == 0)
        r = thin(kv, &v, prev, e);
    if (r == 0)
        r = ps_kv_purge(kv, now_ms, e);
    if (r >= 0)
        *ret_version = version;
    ps_buf_done(&document);
    free(v.items);
    return r < 0 ? r : 0;
}

/* The index of the version to go to, or of none: count. */
static size_t find_version(const struct versions *v, uint64_t version)
{
    size_t i = 0;
    while (i < v->count && v->items[i].version != version)
        i++;
    return i;
}

int ps_snapshot_rollback(struct ps_kv *kv, int64_t now_ms, uint64_t version, uint64_t *ret_version,
                         struct ps_err *e)
{
    struct ps_snapshot_pointer p = {0};
    struct versions v;
    int r = version == 0 ? ps_snapshot_pointer(kv, now_ms, &p, e) : 0;
    if (r == 0 && version == 0 && p.prev == 0)
        r = ps_fail(e, PS_ENOENT, "there is no snapshot before %" PRIu64, p.version);
    if (r < 0)
        return r;
    if (version == 0)
        version = p.prev;
    r = load_versions(kv, now_ms, &v, e);
    size_t at = find_version(&v, version);
    int64_t left_ms = at < v.count ? v.items[at].expires_ms - now_ms : 0;
    uint64_t prev = at + 1 < v.count ? v.items[at + 1].version : 0;
    free(v.items);
    if (r == 0 && left_ms <= PS_SNAPSHOT_GRACE_MS)
        r = ps_fail(e, PS_ENOENT,
                    "there is no snapshot %" PRIu64
                    " (any more); `pathstats snapshot list` shows what there is",
                    version);
    if (r == 0)
        r = put_pointer(kv, version, prev, left_ms - PS_SNAPSHOT_GRACE_MS, now_ms, e);
    if (r == 0)
        *ret_version = version;
    return r;
}

/* --- pace --- */

void ps_snapshot_pacer_init(struct ps_snapshot_pacer *p, uint64_t every_batches)
{
    PS_ASSERT(every_batches > 0);
    *p = (struct ps_snapshot_pacer){.every = every_batches, .ran_us = INT64_MIN};
}

bool ps_snapshot_pacer_due(const struct ps_snapshot_pacer *p, uint64_t batches, int64_t now_us)
{
    if (batches - p->batches < p->every)
        return false;
    return p->ran_us == INT64_MIN || now_us - p->ran_us >= p->pause_us;
}

void ps_snapshot_pacer_ran(struct ps_snapshot_pacer *p, uint64_t batches, int64_t now_us,
                           int64_t cost_us)
{
    int64_t idle_us = cost_us * (PS_SNAPSHOT_SHARE - 1);
    p->batches = batches;
    p->ran_us = now_us;
    p->pause_us = idle_us > PS_SNAPSHOT_PAUSE_US ? idle_us : PS_SNAPSHOT_PAUSE_US;
}
