/* snapshot_test.c - the busiest paths under a version: what is in them, how versions grow, live and
 * go, and that who reads `latest` finds its version. Over mem and SQLite.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/check.h"
#include "flow/ranking.h"
#include "flow/snapshot.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW INT64_C(1760536987123) /* 2025-10-15T14:03:07.123Z */
#define HOUR ((int32_t)(NOW / PS_MS_PER_HOUR))

enum {
    ROWS_BATCH = 5000,
    READERS = 2,
    REFRESHES = 150,
    FOLDER_MAX = 256,
    TIME_BOUND_US = 20 * 1000 * 1000, /* generous: sanitizers, and other work beside it */
};

struct backend {
    const char *name;
    const struct ps_store_ops *store;
    const struct ps_kv_ops *kv;
};

static const struct backend in_memory = {"mem", &ps_store_mem, &ps_kv_mem};
static const struct backend in_sqlite = {"sqlite", &ps_store_sqlite, &ps_kv_sqlite};

struct world {
    const struct backend *backend;
    char folder[FOLDER_MAX], store_target[FOLDER_MAX + 8], kv_target[FOLDER_MAX + 8];
    struct ps_store *store;
    struct ps_kv *kv;
    struct ps_clock_manual clock;
    struct ps_buf document;
};

static struct ps_kv *open_kv(const struct world *w)
{
    struct ps_kv *kv;
    struct ps_err e = {0};
    if (ps_kv_open(w->backend->kv, &kv, w->kv_target, false, &e) < 0)
        fail_msg("%s", e.text);
    return kv;
}

static int set_up(void **state)
{
    struct ps_err e = {0};
    struct world *w = calloc(1, sizeof *w);
    w->backend = *state;
    const char *tmp = getenv("TMPDIR");
    snprintf(w->folder, sizeof w->folder, "%s/pathstats-snapshot-XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->store_target, sizeof w->store_target, "%s/store", w->folder);
    snprintf(w->kv_target, sizeof w->kv_target, "%s/kv", w->folder);
    if (ps_store_open(w->backend->store, &w->store, w->store_target, PS_STORE_WRITE, &e) < 0)
        fail_msg("%s", e.text);
    w->kv = open_kv(w);
    ps_clock_manual_init(&w->clock, NOW);
    ps_buf_init(&w->document, PS_SNAPSHOT_BYTES_MAX);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct world *w = *state;
    char name[FOLDER_MAX + 16];
    ps_store_close(w->store);
    ps_kv_close(w->kv);
    ps_mem_forget(w->store_target);
    ps_mem_forget(w->kv_target);
    for (size_t i = 0; i < PS_COUNT_OF(suffixes); i++) {
        snprintf(name, sizeof name, "%s%s", w->store_target, suffixes[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", w->kv_target, suffixes[i]);
        unlink(name);
    }
    rmdir(w->folder);
    ps_buf_done(&w->document);
    free(w);
    return 0;
}

/* --- rows --- */

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static const struct ps_alloc alloc = {resize, NULL};

static void add(struct ps_aggregate *a, uint64_t number, const char *method, int64_t us,
                uint64_t client, bool is_error)
{
    char id[24];
    int n = snprintf(id, sizeof id, "e-%" PRIu64, number);
    struct ps_event event = {.id = {id, (size_t)n},
                             .method = {method, method == NULL ? 0 : strlen(method)},
                             .response_us = us,
                             .response_bytes = PS_ABSENT,
                             .client_hash = client * UINT64_C(0x9e3779b97f4a7c15),
                             .has_client = client > 0,
                             .status = PS_ABSENT,
                             .is_error = is_error};
    assert_int_equal(ps_aggregate_add(a, &event, &alloc), 0);
}

static void settle(struct world *w, const struct ps_stat_row *rows, size_t count)
{
    struct ps_err e = {0};
    if (ps_store_settle(w->store, rows, count, 0, 0, NOW, &e) < 0)
        fail_msg("%s", e.text);
}

/* Packs `a` into one row, stores it, and frees it. */
static void store_row(struct world *w, int32_t hour, const char *path, struct ps_aggregate *a)
{
    struct ps_stat_row row = {.hour = hour, .path = {path, strlen(path)}};
    char *bytes = malloc(PS_STAT_BYTES_MAX);
    ps_aggregate_pack(a, bytes, &row.stat);
    settle(w, &row, 1);
    ps_aggregate_done(a, &alloc);
    free(bytes);
}

static void store_simple(struct world *w, int32_t hour, const char *path, uint64_t requests)
{
    struct ps_aggregate a;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < requests; i++)
        add(&a, i, "GET", PS_ABSENT, 0, false);
    store_row(w, hour, path, &a);
}

/* `paths` paths in each of `hours` hours up to now; path p has p + 1 requests. mem keeps rows in
 * one list, so the largest first is what it takes without a walk. */
static void store_many(struct world *w, size_t paths, int hours)
{
    static char names[ROWS_BATCH][24];
    struct ps_stat_row *rows = calloc(ROWS_BATCH, sizeof *rows);
    char *bytes = malloc(PS_STAT_BYTES_MAX);
    struct ps_aggregate a;
    struct ps_stat stat;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 40; i++)
        add(&a, i, "GET", (int64_t)(1000 + i * 37), 1 + i % 9, i % 10 == 0);
    ps_aggregate_pack(&a, bytes, &stat);
    size_t count = 0;
    for (int32_t hour = HOUR; hour > HOUR - hours; hour--)
        for (size_t p = paths; p-- > 0;) {
            int n = snprintf(names[count], sizeof *names, "/path/%08zu", p);
            rows[count] = (struct ps_stat_row){hour, {names[count], (size_t)n}, stat};
            rows[count].stat.requests = 40 + p;
            if (++count == ROWS_BATCH || (p == 0 && hour == HOUR - hours + 1)) {
                settle(w, rows, count);
                count = 0;
            }
        }
    ps_aggregate_done(&a, &alloc);
    free(bytes);
    free(rows);
}

/* --- asking --- */

static uint64_t refresh(struct world *w, size_t limit)
{
    struct ps_err e = {0};
    uint64_t version = 0;
    if (ps_snapshot_refresh(w->store, w->kv, &w->clock.clock, limit, &version, &e) < 0)
        fail_msg("%s", e.text);
    return version;
}

static int64_t now(struct world *w)
{
    return ps_clock_now_ms(&w->clock.clock);
}

static json_t *parse(const struct ps_buf *text)
{
    json_error_t why;
    json_t *json = json_loadb(text->ptr, text->len, JSON_REJECT_DUPLICATES, &why);
    if (json == NULL)
        fail_msg("%s in %.*s", why.text, (int)text->len, text->ptr);
    return json;
}

static json_t *latest(struct world *w, uint64_t *ret_version)
{
    struct ps_err e = {0};
    ps_buf_clear(&w->document);
    if (ps_snapshot_latest(w->kv, now(w), ret_version, &w->document, &e) < 0)
        fail_msg("%s", e.text);
    return parse(&w->document);
}

static int code_of_latest(struct world *w)
{
    struct ps_err e = {0};
    uint64_t version;
    ps_buf_clear(&w->document);
    return ps_snapshot_latest(w->kv, now(w), &version, &w->document, &e);
}

static bool exists(struct world *w, uint64_t version)
{
    struct ps_err e = {0};
    ps_buf_clear(&w->document);
    int r = ps_snapshot_get(w->kv, now(w), version, &w->document, &e);
    assert_true(r == 0 || r == PS_ENOENT);
    return r == 0;
}

static struct ps_snapshot_pointer pointer(struct world *w)
{
    struct ps_err e = {0};
    struct ps_snapshot_pointer p;
    if (ps_snapshot_pointer(w->kv, now(w), &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static json_int_t integer(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void expect_text(json_t *object, const char *key, const char *expected)
{
    assert_string_equal(json_string_value(json_object_get(object, key)), expected);
}

static void expect_number(json_t *object, const char *key, double expected)
{
    double value = json_number_value(json_object_get(object, key));
    if (value < expected - 1e-6 || value > expected + 1e-6)
        fail_msg("%s is %f, not %f", key, value, expected);
}

/* --- the document --- */

static void test_empty_store(void **state)
{
    struct world *w = *state;
    uint64_t version;
    assert_int_equal(code_of_latest(w), PS_ENOENT);
    assert_int_equal(refresh(w, 100), NOW);
    json_t *doc = latest(w, &version);
    assert_int_equal(version, NOW);
    assert_int_equal(integer(doc, "version"), NOW);
    assert_int_equal(integer(doc, "totalPaths"), 0);
    assert_int_equal(json_array_size(json_object_get(doc, "paths")), 0);
    assert_true(json_is_array(json_object_get(doc, "paths")));
    expect_text(doc, "updatedAt", "2025-10-15T14:03:07.123Z");
    expect_text(doc, "from", "2025-10-14T15");
    expect_text(doc, "to", "2025-10-15T14");
    json_decref(doc);
}

/* Two hours with 1 to 100 ms and 101 to 200 ms: averaging their percentiles would give others. */
static void store_two_hours(struct world *w)
{
    struct ps_aggregate a;
    for (int32_t k = 0; k < 2; k++) {
        ps_aggregate_init(&a);
        for (uint64_t i = 1; i <= 100; i++)
            add(&a, (uint64_t)k * 100 + i,
                k == 0    ? "POST"
                : i <= 60 ? "GET"
                          : NULL,
                ((int64_t)i + k * 100) * 1000, 1 + i % (k == 0 ? 10 : 20), i <= 15);
        store_row(w, k == 0 ? HOUR - 23 : HOUR, "/a\"b", &a);
    }
}

static void test_hours_are_merged(void **state) /* I2 */
{
    struct world *w = *state;
    uint64_t version;
    store_two_hours(w);
    store_simple(w, HOUR - 24, "/a\"b", 5000); /* too old */
    store_simple(w, HOUR + 1, "/a\"b", 5000);  /* not yet */
    store_simple(w, HOUR - 3, "/no/times", 7);
    refresh(w, 100);
    json_t *doc = latest(w, &version), *paths = json_object_get(doc, "paths");
    assert_int_equal(integer(doc, "totalPaths"), 2);
    assert_int_equal(json_array_size(paths), 2);
    json_t *p = json_array_get(paths, 0);
    expect_text(p, "path", "/a\"b");
    expect_text(p, "method", "POST"); /* 100 of it, 60 GET, 40 without */
    assert_int_equal(integer(p, "requests"), 200);
    assert_int_equal(integer(p, "errors"), 30);
    expect_number(p, "errorRate", 0.15);
    expect_number(p, "avgMs", 100.5);
    expect_number(p, "p50Ms", 100);
    expect_number(p, "p95Ms", 190);
    expect_number(p, "p99Ms", 198);
    expect_number(p, "minMs", 1);
    expect_number(p, "maxMs", 200);
    assert_int_equal(integer(p, "uniqueClients"), 20);
    assert_true(json_is_true(json_object_get(p, "uniqueClientsExact")));
    p = json_array_get(paths, 1);
    static const char *const times[] = {"avgMs", "p50Ms", "p95Ms", "p99Ms", "minMs", "maxMs"};
    for (size_t i = 0; i < PS_COUNT_OF(times); i++)
        assert_true(json_is_null(json_object_get(p, times[i])));
    assert_int_equal(json_object_size(p), 13);
    json_decref(doc);
}

static void test_clients_beyond_what_is_kept_are_estimated(void **state)
{
    struct world *w = *state;
    struct ps_aggregate a;
    uint64_t version;
    ps_aggregate_init(&a);
    for (uint64_t i = 0; i < 3000; i++)
        add(&a, i, NULL, PS_ABSENT, i + 1, false);
    store_row(w, HOUR, "/many", &a);
    refresh(w, 1);
    json_t *doc = latest(w, &version), *p = json_array_get(json_object_get(doc, "paths"), 0);
    assert_true(json_is_false(json_object_get(p, "uniqueClientsExact")));
    assert_in_range(integer(p, "uniqueClients"), 2700, 3300);
    assert_true(json_is_null(json_object_get(p, "method")));
    json_decref(doc);
}

static void test_most_requests_first_and_cut(void **state)
{
    struct world *w = *state;
    uint64_t version;
    store_simple(w, HOUR, "/}\\\"{", 9);
    store_simple(w, HOUR, "/b", 5);
    store_simple(w, HOUR - 1, "/b", 5);
    store_simple(w, HOUR, "/c", 9);
    store_simple(w, HOUR, "/d", 1);
    refresh(w, 3);
    json_t *doc = latest(w, &version), *paths = json_object_get(doc, "paths");
    assert_int_equal(integer(doc, "totalPaths"), 4);
    assert_int_equal(json_array_size(paths), 3);
    expect_text(json_array_get(paths, 0), "path", "/b");
    expect_text(json_array_get(paths, 1), "path", "/c"); /* a tie: by the bytes */
    expect_text(json_array_get(paths, 2), "path", "/}\\\"{");
    for (size_t limit = 4; limit > 0; limit--) {
        ps_snapshot_cut(&w->document, limit);
        json_t *cut = parse(&w->document);
        assert_int_equal(json_array_size(json_object_get(cut, "paths")), limit < 3 ? limit : 3);
        assert_int_equal(integer(cut, "totalPaths"), 4);
        json_decref(cut);
    }
    json_decref(doc);
}

/* --- versions --- */

static void test_versions_increase_whatever_the_clock_does(void **state)
{
    struct world *w = *state;
    static const int64_t clocks[] = {NOW,     NOW, NOW + 1,  NOW - 5000,       NOW - 5000,
                                     NOW + 2, 0,   NOW + 10, NOW - 1000000000, -5};
    uint64_t last = 0;
    for (size_t i = 0; i < PS_COUNT_OF(clocks); i++) {
        w->clock.now_ms = clocks[i];
        uint64_t version = refresh(w, 10);
        assert_true(version > last);
        assert_int_equal(pointer(w).version, version);
        last = version;
    }
    /* Everything expires and is swept, then the clock goes back to before. */
    struct ps_err e = {0};
    w->clock.now_ms = NOW + 10 * PS_MS_PER_DAY;
    assert_true(ps_kv_purge(w->kv, now(w), &e) > 0);
    assert_int_equal(code_of_latest(w), PS_ENOENT);
    w->clock.now_ms = NOW - PS_MS_PER_DAY;
    assert_true(refresh(w, 10) > last);
}

static void test_latest_never_outlives_its_version(void **state)
{
    struct world *w = *state;
    uint64_t version = refresh(w, 10);
    w->clock.now_ms = NOW + PS_SNAPSHOT_TTL_MS - PS_SNAPSHOT_GRACE_MS - 1;
    assert_int_equal(code_of_latest(w), 0);
    w->clock.now_ms++;
    assert_int_equal(code_of_latest(w), PS_ENOENT);
    assert_true(exists(w, version)); /* for who has read latest just before */
    w->clock.now_ms = NOW + PS_SNAPSHOT_TTL_MS - 1;
    assert_true(exists(w, version));
    w->clock.now_ms++;
    assert_false(exists(w, version));
    uint64_t next = refresh(w, 10);
    assert_int_equal(pointer(w).prev, 0); /* it is not there any more */
    assert_int_equal(pointer(w).version, next);
}

/* However long after a rollback: while latest can be read, its version can. */
static void test_latest_never_outlives_after_a_rollback(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    uint64_t old = refresh(w, 10), version;
    w->clock.now_ms += 50 * PS_MS_PER_HOUR;
    refresh(w, 10);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), 0, &version, &e), 0);
    assert_int_equal(version, old);
    for (int64_t minute = 0; minute < 23 * 60; minute++) {
        int r = code_of_latest(w);
        assert_true(r == 0 || r == PS_ENOENT);
        struct ps_snapshot_pointer p;
        if (ps_snapshot_pointer(w->kv, now(w), &p, &e) == 0)
            assert_true(exists(w, p.version));
        assert_true((r == 0) == (minute < 22 * 60 - 1));
        w->clock.now_ms += 60000;
    }
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), old, &version, &e), PS_ENOENT);
}

static void test_rollback(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    uint64_t v[4], version = 77;
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), 0, &version, &e), PS_ENOENT);
    for (size_t i = 0; i < 4; i++) {
        store_simple(w, HOUR, "/x", i + 1);
        v[i] = refresh(w, 10);
        w->clock.now_ms += 1000;
    }
    assert_int_equal(pointer(w).prev, v[2]);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), 0, &version, &e), 0);
    assert_int_equal(version, v[2]);
    json_t *doc = latest(w, &version); /* the document is the old one */
    assert_int_equal(version, v[2]);
    assert_int_equal(integer(json_array_get(json_object_get(doc, "paths"), 0), "requests"), 3);
    json_decref(doc);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), 0, &version, &e), 0);
    assert_int_equal(version, v[1]); /* again: further back */
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), v[3], &version, &e), 0);
    assert_int_equal(pointer(w).version, v[3]);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), v[3] + 1, &version, &e), PS_ENOENT);
    assert_int_equal(pointer(w).version, v[3]);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), v[0], &version, &e), 0);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), 0, &version, &e), PS_ENOENT);
    version = refresh(w, 10);
    assert_true(version > v[3]);
    assert_int_equal(pointer(w).version, version);
    assert_int_equal(pointer(w).prev, v[0]);
}

static int note_version(void *ctx, uint64_t version, int64_t expires_ms)
{
    uint64_t **at = ctx;
    assert_true(expires_ms > 0);
    *(*at)++ = version;
    return 0;
}

static void test_list_is_newest_first(void **state)
{
    struct world *w = *state;
    struct ps_err e = {0};
    uint64_t listed[8], *at = listed;
    w->clock.now_ms = 998; /* 998, 999, 1000: byte order would have 1000 first */
    for (int i = 0; i < 3; i++)
        refresh(w, 10);
    assert_int_equal(ps_snapshot_list(w->kv, 1000, note_version, &at, &e), 0);
    assert_int_equal(at - listed, 3);
    assert_true(listed[0] == 1000 && listed[1] == 999 && listed[2] == 998);
    w->clock.now_ms = NOW;
    refresh(w, 10);
    at = listed;
    assert_int_equal(ps_snapshot_list(w->kv, NOW, note_version, &at, &e), 0);
    assert_int_equal(at - listed, 1); /* the others expired in 1970 */
    assert_int_equal(listed[0], NOW);
}

static void test_old_ones_are_thinned(void **state) /* I8 */
{
    struct world *w = *state;
    struct ps_err e = {0};
    enum { MADE = 900 };
    static uint64_t made[MADE], listed[MADE + 1];
    for (size_t i = 0; i < MADE; i++) {
        made[i] = refresh(w, 1);
        w->clock.now_ms += 1000; /* fifteen minutes in all */
    }
    uint64_t *at = listed;
    assert_int_equal(ps_snapshot_list(w->kv, now(w), note_version, &at, &e), 0);
    size_t count = (size_t)(at - listed);
    assert_in_range(count, PS_SNAPSHOT_RECENT_KEPT, PS_SNAPSHOT_RECENT_KEPT + 4);
    for (size_t i = 0; i < PS_SNAPSHOT_RECENT_KEPT; i++)
        assert_int_equal(listed[i], made[MADE - 1 - i]);
    assert_int_equal(listed[count - 1], made[0]);
    /* What latest pointed at a moment ago is not taken from under its readers. */
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), made[0], &made[1], &e), 0);
    assert_int_equal(ps_snapshot_rollback(w->kv, now(w), made[MADE - 100], &made[1], &e), 0);
    refresh(w, 1);
    assert_true(exists(w, made[MADE - 100]));
    refresh(w, 1);
    refresh(w, 1);
    assert_false(exists(w, made[MADE - 100]));
}

static void test_damaged_latest(void **state)
{
    static const char *const bad[] = {"", "{}", "x",
                                      "{\"version\":0,\"prev\":null,\"updatedAt\":\"\"}",
                                      "{\"version\":12,\"prev\":null,\"updatedAt\":"
                                      "\"2025-10-15T14:03:07.123Z\"} "};
    struct world *w = *state;
    struct ps_err e = {0};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        struct ps_str text = {bad[i], strlen(bad[i])};
        assert_int_equal(ps_kv_put(w->kv, PS_STR("paths:snapshot:latest"), text, 0, now(w), &e), 0);
        assert_int_equal(code_of_latest(w), PS_ECORRUPT);
        refresh(w, 1);
        assert_int_equal(code_of_latest(w), 0);
    }
}

/* --- two readers and a writer --- */

struct reading {
    const struct world *w;
    _Atomic bool *stop;
    pthread_t thread;
    uint64_t reads, versions;
    const char *trouble;
};

/* As a stranger to this code reads: `latest` first, then the version it names. */
/* A reader that sleeps between its two reads may find its version thinned out, but not before so
 * many came after it; under a clock that stands still they are numbered one by one. */
static bool was_overtaken(struct ps_kv *kv, int64_t now_ms, uint64_t version)
{
    struct ps_snapshot_pointer p = {.version = 0};
    ps_snapshot_pointer(kv, now_ms, &p, NULL);
    return p.version >= version + PS_SNAPSHOT_RECENT_KEPT;
}

static const char *read_once(struct ps_kv *kv, int64_t now_ms, struct ps_buf *text, uint64_t *last)
{
    struct ps_err e = {0};
    struct ps_snapshot_pointer p;
    char expected[64];
    int r = ps_snapshot_pointer(kv, now_ms, &p, &e);
    if (r == PS_ENOENT && *last == 0)
        return NULL;
    if (r < 0)
        return "no latest";
    if (p.version < *last)
        return "latest went back";
    *last = p.version;
    ps_buf_clear(text);
    if (ps_snapshot_get(kv, now_ms, p.version, text, &e) < 0)
        return was_overtaken(kv, now_ms, p.version) ? NULL : "latest without its version";
    int n = snprintf(expected, sizeof expected, "{\"version\":%" PRIu64 ",", p.version);
    return strncmp(text->ptr, expected, (size_t)n) == 0 ? NULL : "another version's document";
}

static void *keep_reading(void *arg)
{
    struct reading *reading = arg;
    struct ps_kv *kv = open_kv(reading->w);
    struct ps_buf text;
    uint64_t last = 0, before = 0;
    ps_buf_init(&text, PS_SNAPSHOT_BYTES_MAX);
    while (reading->trouble == NULL && !atomic_load(reading->stop)) {
        reading->trouble = read_once(kv, NOW, &text, &last);
        reading->reads++;
        reading->versions += last != before;
        before = last;
    }
    ps_buf_done(&text);
    ps_kv_close(kv);
    return NULL;
}

static void test_readers_of_latest_find_its_version(void **state)
{
    struct world *w = *state;
    struct reading readers[READERS];
    _Atomic bool stop = false;
    uint64_t last = 0;
    store_many(w, 50, 1);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reading){.w = w, .stop = &stop};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, keep_reading, &readers[i]), 0);
    }
    for (int i = 0; i < REFRESHES; i++) {
        uint64_t version = refresh(w, 50);
        assert_true(version > last);
        last = version;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        if (readers[i].trouble != NULL)
            fail_msg("%s", readers[i].trouble);
        print_message("# reader %zu: %" PRIu64 " reads, %" PRIu64 " versions\n", i,
                      readers[i].reads, readers[i].versions);
    }
}

/* --- speed --- */

static void time_refresh(struct world *w, const char *what, size_t limit)
{
    struct ps_clock *clock = ps_clock_system();
    int64_t start_us = ps_clock_monotonic_us(clock);
    refresh(w, limit);
    int64_t us = ps_clock_monotonic_us(clock) - start_us;
    print_message("# %s, %s, top %zu: %.3f s\n", w->backend->name, what, limit, (double)us / 1e6);
    assert_true(us < TIME_BOUND_US);
}

static void test_a_thousand_paths_over_a_day(void **state)
{
    struct world *w = *state;
    uint64_t version;
    store_many(w, 1000, 24);
    time_refresh(w, "1,000 paths x 24 hours", 100);
    json_t *doc = latest(w, &version), *paths = json_object_get(doc, "paths");
    assert_int_equal(integer(doc, "totalPaths"), 1000);
    assert_int_equal(json_array_size(paths), 100);
    expect_text(json_array_get(paths, 0), "path", "/path/00000999");
    assert_int_equal(integer(json_array_get(paths, 0), "requests"), 24 * (40 + 999));
    json_decref(doc);
}

static void test_a_hundred_thousand_paths(void **state)
{
    struct world *w = *state;
    uint64_t version;
    store_many(w, 100000, 1);
    time_refresh(w, "100,000 paths in an hour", 100);
    json_t *doc = latest(w, &version), *paths = json_object_get(doc, "paths");
    assert_int_equal(integer(doc, "totalPaths"), 100000);
    expect_text(json_array_get(paths, 99), "path", "/path/00099900");
    json_decref(doc);
}

/* --- what needs no backend --- */

static void test_pacer(void **state)
{
    struct ps_snapshot_pacer p;
    (void)state;
    ps_snapshot_pacer_init(&p, 10);
    assert_false(ps_snapshot_pacer_due(&p, 0, 0));
    assert_false(ps_snapshot_pacer_due(&p, 9, 0));
    assert_true(ps_snapshot_pacer_due(&p, 10, 0));
    assert_true(ps_snapshot_pacer_due(&p, 11, 5)); /* until it ran */
    ps_snapshot_pacer_ran(&p, 11, 5, 1000);
    assert_false(ps_snapshot_pacer_due(&p, 20, 2000000));
    assert_false(ps_snapshot_pacer_due(&p, 500, 5 + 999999)); /* a busy second */
    assert_true(ps_snapshot_pacer_due(&p, 500, 5 + 1000000));
    assert_true(ps_snapshot_pacer_due(&p, 21, 2000000));
    ps_snapshot_pacer_ran(&p, 21, 2000000, 1000);
    assert_false(ps_snapshot_pacer_due(&p, 21, INT64_MAX)); /* nothing new: the cron's business */
}

/* One that takes seconds is made seldom: at most a tenth of the time goes into them. */
static void test_pacer_keeps_its_share(void **state)
{
    struct ps_snapshot_pacer p;
    int64_t now_us = 0, spent_us = 0, cost_us = 3000000;
    (void)state;
    ps_snapshot_pacer_init(&p, 1);
    for (uint64_t batches = 1; now_us < INT64_C(3600) * 1000000; batches++) {
        if (ps_snapshot_pacer_due(&p, batches, now_us)) {
            now_us += cost_us;
            spent_us += cost_us;
            ps_snapshot_pacer_ran(&p, batches, now_us, cost_us);
        }
        now_us += 100000;
    }
    assert_true(spent_us <= now_us / PS_SNAPSHOT_SHARE + cost_us);
    assert_true(spent_us >= now_us / PS_SNAPSHOT_SHARE - 5 * cost_us); /* and not much less */
}

static void test_versions_as_text(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "01",
                                      "-1",
                                      "+1",
                                      "1 ",
                                      " 1",
                                      "1x",
                                      "9223372036854775808",
                                      "99999999999999999999",
                                      "latest"};
    uint64_t version = 5;
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++)
        assert_false(ps_snapshot_parse_version(bad[i], strlen(bad[i]), &version));
    assert_int_equal(version, 5);
    assert_true(ps_snapshot_parse_version("1760536987123x", 13, &version));
    assert_true(version == 1760536987123);
    assert_true(ps_snapshot_parse_version("9223372036854775807", 19, &version));
}

#define ON(name, b)                                                                                \
    {                                                                                              \
#name " (" #b ")", name, set_up, tear_down, (void *)(uintptr_t) & (b)                      \
    }
#define BOTH(name) ON(name, in_memory), ON(name, in_sqlite)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_empty_store),
        BOTH(test_hours_are_merged),
        BOTH(test_clients_beyond_what_is_kept_are_estimated),
        BOTH(test_most_requests_first_and_cut),
        BOTH(test_versions_increase_whatever_the_clock_does),
        BOTH(test_latest_never_outlives_its_version),
        BOTH(test_latest_never_outlives_after_a_rollback),
        BOTH(test_rollback),
        BOTH(test_list_is_newest_first),
        BOTH(test_old_ones_are_thinned),
        BOTH(test_damaged_latest),
        BOTH(test_readers_of_latest_find_its_version),
        BOTH(test_a_thousand_paths_over_a_day),
        ON(test_a_hundred_thousand_paths, in_sqlite),
        cmocka_unit_test(test_pacer),
        cmocka_unit_test(test_pacer_keeps_its_share),
        cmocka_unit_test(test_versions_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
