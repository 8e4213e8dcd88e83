/* api_paths_test.c - the snapshot over HTTP, and an administrator's orders and questions.
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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR ((int32_t)(RIG_NOW_MS / PS_MS_PER_HOUR))

enum { DAY = 20373 /* 2025-10-12 */, PATHS = 5, LONG_ANSWER = 300 * 1024 };

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

/* --- orders --- */

static void order(struct rig *rig, const char *path, const char *body)
{
    rig_ask(rig, "POST", path, "", body, strlen(body));
}

static void test_orders_are_answered(void **state)
{
    struct rig *rig = *state;
    order(rig, "/admin/snapshot/refresh", "");
    rig_expect(rig, 200, "{\"done\":true}");
    assert_int_equal(rig->ordered_day, INT32_MIN);
    order(rig, "/admin/archive/trigger", " {\"date\" : \"2025-10-12\"}\n");
    rig_expect(rig, 200, "{\"done\":true}");
    assert_int_equal(rig->ordered_day, DAY);
    order(rig, "/admin/archive/trigger", "{\"d\\u0061te\":\"2025\\u002d10-12\"}");
    rig_expect(rig, 200, "{\"done\":true}");
}

static void test_failed_orders(void **state)
{
    static const struct {
        int code, status;
        const char *text;
    } cases[] = {
        {PS_EINVAL, 400, "because"}, {PS_ENOENT, 404, "because"},    {PS_EEXIST, 409, "because"},
        {PS_EBUSY, 503, "because"},  {PS_EFULL, 503, "because"},     {PS_ESTOP, 503, "because"},
        {PS_EIO, 500, "internal"},   {PS_ECORRUPT, 500, "internal"},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        for (int taken = 0; taken < 2; taken++) {
            rig->order_text = "because";
            rig->order_code = taken ? cases[i].code : 0;
            rig->taken_code = taken ? 0 : cases[i].code;
            order(rig, "/admin/archive/trigger", "{\"date\":\"2025-10-12\"}");
            rig_expect(rig, cases[i].status, taken ? cases[i].text : "\"error\"");
            bool retry = http_header(&rig->reply, "Retry-After") != NULL;
            assert_true(retry == (cases[i].status == 503));
            if (cases[i].status == 500)
                assert_null(strstr(rig->reply.body, "because"));
        }
}

static void test_dates_are_strict(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "2025-10-12",
        "\"2025-10-12\"",
        "[\"2025-10-12\"]",
        "{\"date\":20251012}",
        "{\"date\":null}",
        "{\"date\":\"2025-10-1\"}",
        "{\"date\":\"2025-02-29\"}",
        "{\"date\":\"2025-10-12 \"}",
        "{\"date\":\"2025-10-12T00\"}",
        "{\"date\":\"2025-10-12\"",
        "{\"date\":\"2025-10-12\"}}",
        "{\"date\":\"2025-10-12\"}{}",
        "{\"date\":\"2025-10-12\",}",
        "{\"date\":\"2025-10-12\",\"date\":\"2025-10-13\"}",
        "{\"Date\":\"2025-10-12\"}",
        "{\"date\":\"2025-10-12\",\"force\":true}",
    };
    struct rig *rig = *state;
    rig->ordered_day = 7;
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        order(rig, "/admin/archive/trigger", bad[i]);
        rig_expect(rig, 400, "{\"error\":{\"code\":\"invalid\",\"message\":\"");
    }
    char *large = malloc(8192);
    memset(large, ' ', 8191);
    large[8191] = '\0';
    order(rig, "/admin/archive/trigger", large);
    rig_expect(rig, 400, "\"invalid\"");
    free(large);
    assert_int_equal(rig->ordered_day, 7);
}

/* An order that takes long holds up nobody else, and is answered when it is done. */
static void test_a_long_order_waits_alone(void **state)
{
    struct rig *rig = *state;
    static struct http_reply reply;
    rig_hold_orders(rig, true);
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, "POST", "/admin/snapshot/refresh", "", "", 0);
    rig_await_order(rig);
    for (int i = 0; i < 20; i++) {
        rig_get(rig, "/api/health");
        assert_int_equal(rig->reply.status, 200);
    }
    rig_post(rig, "{\"path\":\"/x\",\"timestamp\":1760536800000}");
    assert_int_equal(rig->reply.status, 202);
    rig_hold_orders(rig, false);
    http_read(fd, &reply, 0);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"done\":true}");
    /* the same connection again: nothing of the first answer is left */
    rig->order_text = "{\"second\":1}";
    http_request(fd, "POST", "/admin/snapshot/refresh", "", "", 0);
    http_read(fd, &reply, 0);
    assert_string_equal(reply.body, "{\"second\":1}");
    close(fd);
}

static void test_a_client_that_leaves_before_the_answer(void **state)
{
    struct rig *rig = *state;
    rig_hold_orders(rig, true);
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, "POST", "/admin/snapshot/refresh", "", "", 0);
    rig_await_order(rig);
    close(fd);
    rig_hold_orders(rig, false);
    order(rig, "/admin/snapshot/refresh", "");
    rig_expect(rig, 200, "{\"done\":true}");
}

static void test_a_long_answer(void **state)
{
    struct rig *rig = *state;
    char *text = malloc(LONG_ANSWER + 1);
    memset(text, 'x', LONG_ANSWER);
    memcpy(text, "{\"", 2);
    memcpy(text + LONG_ANSWER - 4, "\":1}", 5);
    rig->order_text = text;
    order(rig, "/admin/snapshot/refresh", "");
    assert_int_equal(rig->reply.status, 200);
    assert_string_equal(rig->reply.body, text);
    free(text);
    rig->order_text = "{}";
    order(rig, "/admin/snapshot/refresh", "");
    assert_string_equal(rig->reply.body, "{}");
}

static void *let_go_when_closing(void *arg)
{
    rig_hold_orders(arg, false);
    return NULL;
}

/* The server does not end under an order that is being carried out. */
static void test_closing_waits_for_orders(void **state)
{
    struct rig *rig = *state;
    static struct http_reply reply;
    pthread_t other;
    rig_hold_orders(rig, true);
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, "POST", "/admin/archive/trigger", "", "{\"date\":\"2025-10-12\"}", 21);
    rig_await_order(rig);
    ps_api_stop_accepting(rig->api);
    assert_int_equal(pthread_create(&other, NULL, let_go_when_closing, rig), 0);
    rig_stop(rig);
    pthread_join(other, NULL);
    http_read(fd, &reply, 0);
    assert_int_equal(reply.status, 200);
    close(fd);
}

/* --- questions --- */

static void test_archives(void **state)
{
    struct rig *rig = *state;
    struct ps_err e = {0};
    rig_get(rig, "/admin/archives");
    rig_expect(rig, 200, "{\"archives\":[]}");
    struct ps_day day = {.day = DAY,
                         .state = PS_DAY_PENDING,
                         .object = PS_STR("events-archive/2025/10/2025-10-12.jsonl.gz")};
    assert_int_equal(ps_ledger_mark(rig->ledger, &day, PS_FROM_STATE(PS_DAY_OPEN), &e), 0);
    day.state = PS_DAY_COMPLETED;
    day.record_count = 12;
    day.file_size_bytes = 345;
    day.archived_at_ms = RIG_NOW_MS;
    day.sha256 = PS_STR("abcdef");
    assert_int_equal(ps_ledger_mark(rig->ledger, &day, PS_FROM_STATE(PS_DAY_PENDING), &e), 0);
    rig_get(rig, "/admin/archives");
    rig_expect(rig, 200,
               "{\"archives\":[{\"date\":\"2025-10-12\",\"status\":\"completed\",\"stored\":");
    rig_expect(rig, 200,
               "\"object\":\"events-archive/2025/10/2025-10-12.jsonl.gz\",\"events\":12,"
               "\"objectBytes\":345,\"archivedAt\":\"2025-10-15T14:00:00.000Z\","
               "\"sha256\":\"abcdef\",\"error\":");
}

static void test_jobs(void **state)
{
    struct rig *rig = *state;
    struct ps_err e = {0};
    int64_t id;
    rig_get(rig, "/admin/jobs");
    rig_expect(rig, 200, "{\"jobs\":[]}");
    for (int i = 0; i < 3; i++) {
        struct ps_run run = {
            .scheduled_ms = RIG_NOW_MS, .started_ms = RIG_NOW_MS + i, .job = PS_STR("snapshot")};
        assert_int_equal(ps_ledger_run_started(rig->ledger, &run, &id, &e), 0);
        run.id = id;
        run.finished_ms = RIG_NOW_MS + 1000;
        run.outcome = PS_STR("ok");
        run.detail = PS_STR("{\"version\":1}");
        if (i < 2)
            assert_int_equal(ps_ledger_run_finished(rig->ledger, &run, &e), 0);
    }
    rig_get(rig, "/admin/jobs?limit=2");
    rig_expect(rig, 200, "\"startedAt\":\"2025-10-15T14:00:00.002Z\",\"finishedAt\":null,");
    rig_expect(rig, 200,
               "\"job\":\"snapshot\",\"scheduledAt\":\"2025-10-15T14:00:00.000Z\","
               "\"startedAt\":\"2025-10-15T14:00:00.001Z\","
               "\"finishedAt\":\"2025-10-15T14:00:01.000Z\",\"outcome\":\"ok\","
               "\"detail\":\"{\\\"version\\\":1}\"}]}");
    rig_get(rig, "/admin/jobs?limit=1001");
    rig_expect(rig, 400, "\"invalid\"");
}

static void test_capacity(void **state)
{
    struct rig *rig = *state;
    rig_get(rig, "/admin/capacity");
    rig_expect(rig, 200, "{\"bytes\":1}");
    rig->capacity_code = PS_EIO;
    rig_get(rig, "/admin/capacity");
    rig_expect(rig, 500, "\"internal\"");
    assert_null(strstr(rig->reply.body, "secret"));
}

static void test_without_the_parts(void **state)
{
    struct rig *rig = *state;
    static const char *const paths[] = {"/admin/archives", "/admin/jobs", "/admin/capacity"};
    for (size_t i = 0; i < PS_COUNT_OF(paths); i++) {
        rig_get(rig, paths[i]);
        rig_expect(rig, 501, "\"not_here\"");
    }
    order(rig, "/admin/snapshot/refresh", "");
    rig_expect(rig, 501, "\"not_here\"");
    order(rig, "/admin/archive/trigger", "{\"date\":\"2025-10-12\"}");
    rig_expect(rig, 501, "\"not_here\"");
}

#define PLAIN(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
#define FULL(name) cmocka_unit_test_setup_teardown(name, rig_open_full, rig_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_no_snapshot_yet),
        PLAIN(test_latest_snapshot),
        PLAIN(test_limit),
        PLAIN(test_the_same_is_not_sent_again),
        PLAIN(test_a_version),
        cmocka_unit_test_setup_teardown(test_recorded, rig_open_recording, rig_close),
        FULL(test_orders_are_answered),
        FULL(test_failed_orders),
        FULL(test_dates_are_strict),
        FULL(test_a_long_order_waits_alone),
        FULL(test_a_client_that_leaves_before_the_answer),
        FULL(test_a_long_answer),
        FULL(test_closing_waits_for_orders),
        FULL(test_archives),
        FULL(test_jobs),
        FULL(test_capacity),
        PLAIN(test_without_the_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
