/* api_test.c - what the HTTP server says to what arrives: ingest, refusals, routes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/event.h"
#include "support/api_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT(path) "{\"path\":\"" path "\",\"timestamp\":1760536800000}"
#define ACCEPTED(n) "{\"accepted\":" #n ",\"rejected\":0,\"rejections\":[],\"warnings\":[]}"

static void expect_paths(struct rig *rig, const char *const *paths, size_t count)
{
    assert_int_equal(rig_take_records(rig), count);
    for (size_t i = 0; i < count; i++) {
        struct ps_event event;
        const struct ps_record *record = &rig->records.items[i];
        assert_int_equal(ps_event_decode(record->bytes, record->len, &event), 0);
        assert_int_equal(event.path.len, strlen(paths[i]));
        assert_memory_equal(event.path.ptr, paths[i], event.path.len);
    }
}

static void test_forms(void **state)
{
    struct rig *rig = *state;
    rig_post(rig, EVENT("/one"));
    rig_expect(rig, 202, ACCEPTED(1));
    /* I3: the record can be read at once, no later than the answer. */
    expect_paths(rig, (const char *const[]){"/one"}, 1);
    rig_post(rig, "[" EVENT("/a") "," EVENT("/b") "]");
    rig_expect(rig, 202, ACCEPTED(2));
    expect_paths(rig, (const char *const[]){"/a", "/b"}, 2);
    rig_post(rig, EVENT("/c") "\n\n" EVENT("/d") "\n" EVENT("/e"));
    rig_expect(rig, 202, ACCEPTED(3));
    expect_paths(rig, (const char *const[]){"/c", "/d", "/e"}, 3);
    assert_string_equal(http_header(&rig->reply, "Content-Type"), "application/json");
}

/* I3: as long as the sync has not returned there is no answer. */
static void test_answer_waits_for_sync(void **state)
{
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    gate_queue_hold(&rig->gate);
    http_request(fd, "POST", "/api/events", "", EVENT("/x"), strlen(EVENT("/x")));
    gate_queue_await(&rig->gate);
    rig_get(rig, "/metrics"); /* others are served meanwhile, so the server had its turn */
    rig_expect(rig, 200, "pathstats_events_accepted_total 0\n");
    assert_int_equal(poll(&readable, 1, 0), 0);
    assert_int_equal(rig_take_records(rig), 0);
    gate_queue_release(&rig->gate);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 202, ACCEPTED(1));
    expect_paths(rig, (const char *const[]){"/x"}, 1);
    close(fd);
}

static void test_many_wait_together(void **state)
{
    enum { CLIENTS = 40 };
    struct rig *rig = *state;
    int fds[CLIENTS];
    gate_queue_hold(&rig->gate);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = http_connect(ps_api_port(rig->api));
        http_request(fds[i], "POST", "/api/events", "", EVENT("/x"), strlen(EVENT("/x")));
    }
    gate_queue_await(&rig->gate);
    gate_queue_release(&rig->gate);
    for (int i = 0; i < CLIENTS; i++) {
        http_read(fds[i], &rig->reply, 0);
        rig_expect(rig, 202, ACCEPTED(1));
        close(fds[i]);
    }
    assert_int_equal(rig_take_records(rig), CLIENTS);
}

/* Clients that break off while their events are on the way to the disk: the server's thread sees it
 * before the committer answers. What they sent counts, and their requests' memory is nobody's
 * twice.
 */
static void test_clients_break_off_while_they_wait(void **state)
{
    enum { CLIENTS = 20 };
    const struct linger reset = {.l_onoff = 1};
    struct rig *rig = *state;
    int fds[CLIENTS];
    for (int round = 0; round < 3; round++) {
        gate_queue_hold(&rig->gate);
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = http_connect(ps_api_port(rig->api));
            http_request(fds[i], "POST", "/api/events", "", EVENT("/x"), strlen(EVENT("/x")));
        }
        gate_queue_await(&rig->gate);
        rig_get(rig, "/metrics"); /* so all of them were taken */
        for (int i = 0; i < CLIENTS; i++) {
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(fds[i]);
        }
        for (int turns = 0; turns < 5; turns++)
            rig_get(rig, "/metrics"); /* the server had its turns to see it */
        gate_queue_release(&rig->gate);
        rig_post(rig, EVENT("/y"));
        rig_expect(rig, 202, ACCEPTED(1));
    }
    assert_int_equal(rig_take_records(rig), 3 * (CLIENTS + 1));
}

/* A client that is gone when its events are durable; others that leave in the middle of a body. */
static void test_clients_leave(void **state)
{
    static const char half[] = "POST /api/events HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 60000\r\n\r\n{\"path\":";
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    gate_queue_hold(&rig->gate);
    http_request(fd, "POST", "/api/events", "", EVENT("/x"), strlen(EVENT("/x")));
    gate_queue_await(&rig->gate);
    close(fd);
    gate_queue_release(&rig->gate);
    for (int i = 0; i < 20; i++) {
        fd = http_connect(ps_api_port(rig->api));
        http_send(fd, half, sizeof half - 1 - (size_t)i);
        close(fd);
    }
    rig_post(rig, EVENT("/y"));
    rig_expect(rig, 202, ACCEPTED(1));
    expect_paths(rig, (const char *const[]){"/x", "/y"}, 2);
}

static void test_rejections(void **state)
{
    struct rig *rig = *state;
    rig_post(rig, EVENT("/ok") "\n{broken\n\n{\"path\":\"/late\"}\n" EVENT("/fine") "\n");
    rig_expect(rig, 202,
               "{\"accepted\":2,\"rejected\":2,\"rejections\":[{\"line\":2,\"index\":1,"
               "\"reason\":\"json_syntax\",\"message\":\"");
    rig_expect(rig, 202, "{\"line\":4,\"index\":2,\"reason\":\"timestamp_missing\"");
    expect_paths(rig, (const char *const[]){"/ok", "/fine"}, 2);
    rig_post(rig, "[{\"path\":\"/late\"},\n{\"timestamp\":1760536800000}]");
    rig_expect(rig, 400, "\"code\":\"all_rejected\"");
    rig_expect(rig, 400, "\"accepted\":0,\"rejected\":2,\"rejections\":[{\"line\":1,\"index\":0");
    rig_expect(rig, 400, "{\"line\":2,\"index\":1,\"reason\":\"path_missing\"");
    rig_get(rig, "/metrics");
    rig_expect(rig, 200, "pathstats_events_rejected_total{reason=\"timestamp_missing\"} 2\n");
    rig_expect(rig, 200, "pathstats_events_accepted_total 2\n");
}

/* A field that cannot be used costs itself, and the answer says so once for each name. */
static void test_warnings(void **state)
{
    struct rig *rig = *state;
    rig_post(rig, "[{\"path\":\"/a\",\"timestamp\":1760536800000,\"statusCode\":500},\n"
                  "{\"path\":\"/b\\ud83d\",\"timestamp\":1760536800000,\"statusCode\":500},\n"
                  "{\"path\":\"/c\",\"timestamp\":1760536800000,\"responseTime\":-1}]");
    rig_expect(rig, 202,
               "{\"accepted\":3,\"rejected\":0,\"rejections\":[],\"warnings\":["
               "{\"field\":\"statusCode\",\"reason\":\"unknown_field\",\"message\":"
               "\"unknown field statusCode: did you mean status?\",\"count\":2},"
               "{\"field\":\"path\",\"reason\":\"json_utf8\"");
    rig_expect(rig, 202, "{\"field\":\"responseTime\",\"reason\":\"response_time_range\"");
    expect_paths(rig, (const char *const[]){"/a", "/b\xef\xbf\xbd", "/c"}, 3);
    rig_post(rig, "{\"url\":\"/a\",\"timestamp\":1760536800000}");
    rig_expect(rig, 400, "\"reason\":\"path_missing\"");
    rig_expect(rig, 400, "unknown field url: did you mean path?");
    rig_post(rig, EVENT("/d")); /* and the next answer has none of it */
    rig_expect(rig, 202, ACCEPTED(1));
    rig_get(rig, "/metrics");
    rig_expect(rig, 200, "pathstats_fields_ignored_total{reason=\"unknown_field\"} 3\n");
    rig_expect(rig, 200, "pathstats_fields_ignored_total{reason=\"response_time_range\"} 1\n");
    rig_expect(rig, 200, "pathstats_events_rejected_total{reason=\"path_missing\"} 1\n");
}

/* I8: what was read is told, and that the rest was not. */
static void test_too_many_refused(void **state)
{
    struct rig *rig = *state;
    char *body = malloc(RIG_BODY_LIMIT);
    assert_non_null(body);
    memset(body, '{', RIG_BODY_LIMIT);
    for (size_t i = 1; i < RIG_BODY_LIMIT; i += 2)
        body[i] = '}';
    memcpy(body, EVENT("/first"), strlen(EVENT("/first")));
    body[strlen(EVENT("/first"))] = ' ';
    rig_ask(rig, "POST", "/api/events", "", body, RIG_BODY_LIMIT);
    rig_expect(rig, 202, "{\"accepted\":1,\"rejected\":10000,\"rejections\":[{");
    rig_expect(rig, 202, "\"stopped\":true,\"message\":\"10000 events were refused, and the rest");
    expect_paths(rig, (const char *const[]){"/first"}, 1);
    rig_ask(rig, "POST", "/api/events", "", body + 100, RIG_BODY_LIMIT - 100);
    rig_expect(rig, 400, "\"all_rejected\"");
    rig_expect(rig, 400, "\"accepted\":0,\"rejected\":10000,");
    rig_expect(rig, 400, "\"stopped\":true");
    free(body);
}

static void test_broken_array(void **state)
{
    struct rig *rig = *state;
    rig_post(rig, "[" EVENT("/a") ",\n" EVENT("/b") ",\n{\"path\":");
    rig_expect(rig, 400, "\"code\":\"not_json\"");
    rig_expect(rig, 400, "\"accepted\":0");
    rig_expect(rig, 400, "\"line\":3");
    assert_int_equal(rig_take_records(rig), 0);
    rig_post(rig, "[" EVENT("/a") ",\n{\"path\":},\n" EVENT("/c") "]");
    rig_expect(rig, 202,
               "\"accepted\":2,\"rejected\":1,\"rejections\":[{\"line\":2,\"index\":1,"
               "\"reason\":\"json_syntax\"");
    expect_paths(rig, (const char *const[]){"/a", "/c"}, 2);
    rig_post(rig, "");
    rig_expect(rig, 400, "\"empty_body\"");
    rig_post(rig, " \n ");
    rig_expect(rig, 400, "\"empty_body\"");
    rig_post(rig, "[]"); /* is something to say */
    rig_expect(rig, 202, ACCEPTED(0));
    assert_int_equal(rig_take_records(rig), 0);
}

static void test_guard(void **state)
{
    static const char evil[] = "POST /api/events HTTP/1.1\r\nHost: evil.example:8787\r\n"
                               "Content-Length: 42\r\n\r\n" EVENT("/evil");
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    http_send(fd, evil, sizeof evil - 1);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 403, "\"host_denied\"");
    http_request(fd, "GET", "/api/health", "", "", 0); /* the same connection goes on */
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "\"status\":\"ok\"");
    close(fd);
    rig_ask(rig, "POST", "/api/events", "Origin: http://evil.example\r\n", EVENT("/evil"), 42);
    rig_expect(rig, 403, "\"origin_denied\"");
    rig_ask(rig, "POST", "/admin/dead-letters/replay", "Origin: null\r\n", "", 0);
    rig_expect(rig, 403, "\"origin_denied\"");
    assert_int_equal(rig_take_records(rig), 0);
    rig_ask(rig, "POST", "/api/events", "Origin: http://localhost:8787\r\n", EVENT("/good"), 42);
    rig_expect(rig, 202, ACCEPTED(1));
}

static void test_routes(void **state)
{
    struct rig *rig = *state;
    rig_get(rig, "/nothing");
    rig_expect(rig, 404, "\"not_found\"");
    rig_get(rig, "/api/health/");
    rig_expect(rig, 404, "\"not_found\"");
    rig_get(rig, "/api/events");
    rig_expect(rig, 405, "\"method_not_allowed\"");
    assert_string_equal(http_header(&rig->reply, "Allow"), "POST");
    rig_ask(rig, "DELETE", "/api/health", "", "", 0);
    rig_expect(rig, 405, "\"method_not_allowed\"");
    assert_string_equal(http_header(&rig->reply, "Allow"), "GET, HEAD");
    rig_ask(rig, "HEAD", "/api/health", "", "", 0);
    assert_int_equal(rig->reply.status, 200);
    assert_true(atoi(http_header(&rig->reply, "Content-Length")) > 0);
    rig_get(rig, "/metrics");
    rig_expect(rig, 200, "pathstats_http_requests_total{code=\"4xx\"} 4\n");
    rig_expect(rig, 200, "pathstats_http_requests_total{code=\"2xx\"} 1\n");
}

static void test_queue_full(void **state)
{
    struct rig *rig = *state;
    gate_queue_refuse(&rig->gate, PS_EFULL); /* I8 */
    rig_post(rig, EVENT("/x"));
    rig_expect(rig, 503, "\"queue_full\"");
    assert_string_equal(http_header(&rig->reply, "Retry-After"), "1");
    gate_queue_refuse(&rig->gate, PS_EBUSY);
    rig_post(rig, EVENT("/x"));
    rig_expect(rig, 503, "\"queue_full\"");
    gate_queue_refuse(&rig->gate, PS_EIO); /* the queue tries again with the next events */
    rig_post(rig, EVENT("/x"));
    rig_expect(rig, 503, "\"not_durable\"");
    assert_null(strstr(rig->reply.body, "secret"));
    assert_string_equal(http_header(&rig->reply, "Retry-After"), "1");
    gate_queue_refuse(&rig->gate, PS_ECORRUPT);
    rig_post(rig, EVENT("/x"));
    rig_expect(rig, 500, "\"internal\"");
    assert_null(strstr(rig->reply.body, "secret"));
    assert_null(http_header(&rig->reply, "Retry-After"));
    gate_queue_refuse(&rig->gate, 0);
    rig_post(rig, EVENT("/y"));
    rig_expect(rig, 202, ACCEPTED(1));
    expect_paths(rig, (const char *const[]){"/y"}, 1);
}

/* The buffers of one request are the next one's: nothing may be left in them. */
static void test_keep_alive(void **state)
{
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    for (int i = 0; i < 50; i++) {
        const char *body = i % 2 == 0 ? "[" EVENT("/long/one") "," EVENT("/2") "]" : EVENT("/3");
        http_request(fd, "POST", "/api/events", "", body, strlen(body));
        http_read(fd, &rig->reply, 0);
        rig_expect(rig, 202, i % 2 == 0 ? ACCEPTED(2) : ACCEPTED(1));
    }
    close(fd);
    assert_int_equal(rig_take_records(rig), 75);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        CASE(test_forms),
        CASE(test_answer_waits_for_sync),
        CASE(test_many_wait_together),
        CASE(test_clients_break_off_while_they_wait),
        CASE(test_clients_leave),
        CASE(test_rejections),
        CASE(test_warnings),
        CASE(test_too_many_refused),
        CASE(test_broken_array),
        CASE(test_guard),
        CASE(test_routes),
        CASE(test_queue_full),
        CASE(test_keep_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
