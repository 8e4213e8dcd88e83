/* api_paths_test.c - the snapshot over HTTP.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "flow/snapshot.h"
#include "support/api_rig.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HOUR ((int32_t)(RIG_NOW_MS / PS_MS_PER_HOUR))

enum { PATHS = 5 };

/* --- GET /api/paths --- */

static void store_paths(struct rig *rig)
{
    struct ps_err e = {0};
    char names[PATHS][16];
    struct ps_stat_row rows[PATHS];
    for (size_t i = 0; i < PATHS; i++) {
        int n = snprintf(names[i], sizeof names[i], "/p/%zu", i);
        rows[i] = (struct ps_stat_row){HOUR, {names[i], (size_t)n}, {.requests = 10 + i}};
    }
    assert_int_equal(ps_store_settle(rig->store, rows, PATHS, 0, 0, RIG_NOW_MS, &e), 0);
}

static uint64_t refresh(struct rig *rig)
{
    struct ps_err e = {0};
    uint64_t version = 0;
    if (ps_snapshot_refresh(rig->store, rig->kv, &rig->clock.clock, 100, &version, &e) < 0)
        fail_msg("%s", e.text);
    return version;
}

static void expect_paths(struct rig *rig, uint64_t version, size_t count)
{
    json_error_t why;
    char tag[32];
    json_t *doc = json_loads(rig->reply.body, 0, &why);
    assert_int_equal(rig->reply.status, 200);
    assert_non_null(doc);
    assert_int_equal(json_integer_value(json_object_get(doc, "version")), version);
    assert_int_equal(json_integer_value(json_object_get(doc, "totalPaths")), PATHS);
    assert_int_equal(json_array_size(json_object_get(doc, "paths")), count);
    json_decref(doc);
    snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", version);
    assert_string_equal(http_header(&rig->reply, "ETag"), tag);
    assert_string_equal(http_header(&rig->reply, "Cache-Control"), "no-cache");
    assert_string_equal(http_header(&rig->reply, "Content-Type"), "application/json");
}

static void test_no_snapshot_yet(void **state)
{
    struct rig *rig = *state;
    rig_get(rig, "/api/paths");
    rig_expect(rig, 404, "{\"error\":{\"code\":\"no_snapshot\",\"message\":\"there is no snapshot");
}

static void test_latest_snapshot(void **state)
{
    struct rig *rig = *state;
    store_paths(rig);
    uint64_t first = refresh(rig);
    rig_get(rig, "/api/paths");
    expect_paths(rig, first, PATHS);
    ps_clock_sleep_ms(&rig->clock.clock, 1000);
    uint64_t second = refresh(rig);
    rig_get(rig, "/api/paths");
    expect_paths(rig, second, PATHS);
    ps_clock_sleep_ms(&rig->clock.clock, PS_SNAPSHOT_TTL_MS); /* no refresh for three days */
    rig_get(rig, "/api/paths");
    rig_expect(rig, 404, "\"no_snapshot\"");
}

static void test_limit(void **state)
{
    struct rig *rig = *state;
    store_paths(rig);
    uint64_t version = refresh(rig);
    rig_get(rig, "/api/paths?limit=2");
    expect_paths(rig, version, 2);
    assert_non_null(strstr(rig->reply.body, "\"/p/4\""));
    rig_get(rig, "/api/paths?limit=10000");
    expect_paths(rig, version, PATHS);
    static const char *const bad[] = {"0", "", "-1", "10001", "x", "1x", "99999999999999999999999"};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        char path[64];
        snprintf(path, sizeof path, "/api/paths?limit=%s", bad[i]);
        rig_get(rig, path);
        rig_expect(rig, 400, "\"invalid\"");
    }
}

static void ask_with_tag(struct rig *rig, const char *path, const char *value)
{
    char header[256];
    snprintf(header, sizeof header, "If-None-Match: %s\r\n", value);
    rig_ask(rig, "GET", path, header, "", 0);
}

static void test_the_same_is_not_sent_again(void **state)
{
    struct rig *rig = *state;
    char versioned[64];
    store_paths(rig);
    uint64_t version = refresh(rig);
    static const char *const same[] = {"\"%1$s\"", "W/\"%1$s\"", "\"a\", \"%1$s\"", "*",
                                       "\"%1$s\" ,\"b\""};
    static const char *const other[] = {"%1$s", "\"%1$s", "\"\"", "\"%1$s0\"", "\"a\",", ",", "W/"};
    char text[32], value[128];
    snprintf(text, sizeof text, "%" PRIu64, version);
    snprintf(versioned, sizeof versioned, "/api/paths/snapshot/%s", text);
    for (size_t i = 0; i < PS_COUNT_OF(same); i++) {
        snprintf(value, sizeof value, same[i], text);
        ask_with_tag(rig, "/api/paths", value);
        assert_int_equal(rig->reply.status, 304);
        assert_int_equal(rig->reply.len, 0);
        assert_non_null(strstr(http_header(&rig->reply, "ETag"), text));
        ask_with_tag(rig, versioned, value);
        assert_int_equal(rig->reply.status, 304);
    }
    for (size_t i = 0; i < PS_COUNT_OF(other); i++) {
        snprintf(value, sizeof value, other[i], text);
        ask_with_tag(rig, "/api/paths", value);
        expect_paths(rig, version, PATHS);
    }
    snprintf(value, sizeof value, "\"%s\"", text);
    ps_clock_sleep_ms(&rig->clock.clock, 1000);
    version = refresh(rig);
    ask_with_tag(rig, "/api/paths", value);
    expect_paths(rig, version, PATHS);
}

static void test_a_version(void **state)
{
    struct rig *rig = *state;
    char path[64];
    store_paths(rig);
    uint64_t first = refresh(rig);
    ps_clock_sleep_ms(&rig->clock.clock, 1000);
    refresh(rig);
    snprintf(path, sizeof path, "/api/paths/snapshot/%" PRIu64, first);
    rig_get(rig, path);
    expect_paths(rig, first, PATHS);
    snprintf(path, sizeof path, "/api/paths/snapshot/%" PRIu64 "?limit=1", first);
    rig_get(rig, path);
    expect_paths(rig, first, 1);
    rig_ask(rig, "HEAD", path, "", "", 0);
    assert_int_equal(rig->reply.status, 200);
    static const char *const unknown[] = {"12", "latest", "highest", "0", "01", "x"};
    for (size_t i = 0; i < PS_COUNT_OF(unknown); i++) {
        snprintf(path, sizeof path, "/api/paths/snapshot/%s", unknown[i]);
        rig_get(rig, path);
        rig_expect(rig, 404, "\"not_found\"");
    }
    rig_get(rig, "/api/paths/snapshot/");
    assert_int_equal(rig->reply.status, 404);
    rig_get(rig, "/api/paths/snapshot/1/2");
    rig_expect(rig, 404, "there is nothing under this path");
    rig_ask(rig, "POST", "/api/paths/snapshot/1/2", "", "", 0);
    assert_int_equal(rig->reply.status, 404); /* a path with a slash is no version: not 405 */
    rig_ask(rig, "POST", "/api/paths/snapshot/12", "", "", 0);
    assert_int_equal(rig->reply.status, 405);
    assert_string_equal(http_header(&rig->reply, "Allow"), "GET, HEAD");
}

/* Public requests are events, by template so that versions make no paths; an administrator's are
 * not. */
static void test_recorded(void **state)
{
    struct rig *rig = *state;
    struct ps_event event;
    static const struct {
        const char *ask, *path;
        int status;
    } asked[] = {{"/api/paths?limit=3", "/api/paths", 404},
                 {"/api/paths/snapshot/12", "/api/paths/snapshot/{version}", 404}};
    for (size_t i = 0; i < PS_COUNT_OF(asked); i++) {
        rig_get(rig, asked[i].ask);
        assert_int_equal(rig_await_records(rig), 1);
        assert_int_equal(
            ps_event_decode(rig->records.items[0].bytes, rig->records.items[0].len, &event), 0);
        assert_true(
            ps_str_equal(event.path, (struct ps_str){asked[i].path, strlen(asked[i].path)}));
        assert_int_equal(event.status, asked[i].status);
    }
    rig_ask(rig, "POST", "/admin/snapshot/refresh", "", "", 0);
    rig_get(rig, "/admin/archives");
    rig_get(rig, "/admin/jobs");
    rig_get(rig, "/admin/capacity");
    rig_get(rig, "/api/paths"); /* the next record is of this one */
    assert_int_equal(rig_await_records(rig), 1);
    assert_int_equal(
        ps_event_decode(rig->records.items[0].bytes, rig->records.items[0].len, &event), 0);
    assert_true(ps_str_equal(event.path, PS_STR("/api/paths")));
}

#define PLAIN(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_no_snapshot_yet),
        PLAIN(test_latest_snapshot),
        PLAIN(test_limit),
        PLAIN(test_the_same_is_not_sent_again),
        PLAIN(test_a_version),
        cmocka_unit_test_setup_teardown(test_recorded, rig_open_recording, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
