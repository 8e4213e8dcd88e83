/* api_admin_test.c - an administrator's orders and questions over HTTP.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "support/api_rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY = 20373 /* 2025-10-12 */, LONG_ANSWER = 300 * 1024 };

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

static const struct {
    const char *path, *body;
    int32_t taken; /* as rig->ordered_day */
} all_orders[] = {
    {"/admin/snapshot/refresh", "", RIG_SNAPSHOT},
    {"/admin/archive/trigger", "{\"date\":\"2025-10-12\"}", DAY},
    {"/admin/dead-letters/replay", "", RIG_REPLAY},
    {"/admin/dead-letters/purge", "{\"all\":true}", RIG_PURGE},
};

/* An order that takes long holds up nobody else, and is answered when it is done. */
static void test_a_long_order_waits_alone(void **state)
{
    struct rig *rig = *state;
    static struct http_reply reply;
    int fd = http_connect(ps_api_port(rig->api));
    for (size_t i = 0; i < PS_COUNT_OF(all_orders); i++) {
        rig->order_text = i % 2 == 0 ? "{\"first\":1}" : "{\"second\":1}";
        rig_hold_orders(rig, true);
        http_request(fd, "POST", all_orders[i].path, "", all_orders[i].body,
                     strlen(all_orders[i].body));
        rig_await_order(rig);
        assert_int_equal(rig->ordered_day, all_orders[i].taken);
        for (int k = 0; k < 20; k++) {
            rig_get(rig, "/api/health");
            assert_int_equal(rig->reply.status, 200);
        }
        rig_post(rig, "{\"path\":\"/x\",\"timestamp\":1760536800000}");
        assert_int_equal(rig->reply.status, 202);
        rig_hold_orders(rig, false);
        http_read(fd, &reply, 0);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, rig->order_text); /* nothing is left of the one before */
        rig_forget_order(rig);
    }
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
