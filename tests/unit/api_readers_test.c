/* api_readers_test.c - a question to the database holds up nobody but other questions.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api/readers.h"
#include "support/api_rig.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT "{\"path\":\"/x\",\"timestamp\":1760536800000}"

enum { MORE = 5, HELD = PS_READERS_THREADS + PS_READERS_WAITING_MAX, ALL = HELD + MORE };

static int ask(struct rig *rig)
{
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, "GET", "/admin/capacity", "", "", 0);
    return fd;
}

static size_t answered(const int *fds)
{
    struct pollfd polled[ALL];
    for (size_t i = 0; i < ALL; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    return (size_t)poll(polled, ALL, 0);
}

static void expect_all_else_works(struct rig *rig)
{
    for (int i = 0; i < 20; i++) {
        rig_get(rig, "/api/health");
        rig_expect(rig, 200, "\"ok\"");
        rig_post(rig, EVENT);
        rig_expect(rig, 202, "\"accepted\":1");
    }
}

/* I8: the line has an end, and past it a question is told to come again. */
static void test_slow_questions(void **state)
{
    struct rig *rig = *state;
    int fds[ALL];
    size_t busy = 0;
    rig_hold_questions(rig, true);
    for (size_t i = 0; i < PS_READERS_THREADS; i++)
        fds[i] = ask(rig);
    rig_await_questions(rig, PS_READERS_THREADS);
    expect_all_else_works(rig);
    for (size_t i = PS_READERS_THREADS; i < ALL; i++)
        fds[i] = ask(rig);
    while (answered(fds) < MORE)
        rig_get(rig, "/metrics");
    expect_all_else_works(rig);
    assert_int_equal(answered(fds), MORE);
    rig_hold_questions(rig, false);
    for (size_t i = 0; i < ALL; i++) {
        http_read(fds[i], &rig->reply, 0);
        if (rig->reply.status == 503) {
            rig_expect(rig, 503, "64 questions are waiting already");
            assert_string_equal(http_header(&rig->reply, "Retry-After"), "1");
            busy++;
        } else {
            rig_expect(rig, 200, "{\"bytes\":1}");
        }
        close(fds[i]);
    }
    assert_int_equal(busy, MORE);
}

/* On one connection answers keep their order and their content. */
static void test_one_connection(void **state)
{
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    for (int i = 0; i < 50; i++) {
        http_request(fd, "GET", "/admin/jobs", "", "", 0);
        http_request(fd, "GET", "/admin/capacity", "", "", 0);
        http_request(fd, "HEAD", "/admin/archives", "", "", 0);
        http_request(fd, "POST", "/api/events", "", EVENT, strlen(EVENT));
        http_read(fd, &rig->reply, 0);
        rig_expect(rig, 200, "{\"jobs\":[]}");
        http_read(fd, &rig->reply, 0);
        rig_expect(rig, 200, "{\"bytes\":1}");
        http_read(fd, &rig->reply, 1);
        assert_int_equal(rig->reply.status, 200);
        http_read(fd, &rig->reply, 0);
        rig_expect(rig, 202, "\"accepted\":1");
    }
    close(fd);
}

static void test_who_leaves(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct rig *rig = *state;
    rig_hold_questions(rig, true);
    for (size_t i = 0; i < PS_READERS_THREADS; i++) {
        int fd = ask(rig);
        rig_await_questions(rig, i + 1);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    rig_hold_questions(rig, false);
    rig_get(rig, "/admin/capacity");
    rig_expect(rig, 200, "{\"bytes\":1}");
}

static void *let_go(void *arg)
{
    rig_hold_questions(arg, false);
    return NULL;
}

/* Closing the server waits for a question, and closes what the readers opened. */
static void test_closing(void **state)
{
    struct rig *rig = *state;
    pthread_t other;
    assert_int_equal(rig->readers, PS_READERS_THREADS);
    rig_hold_questions(rig, true);
    int fd = ask(rig);
    rig_await_questions(rig, 1);
    ps_api_stop_accepting(rig->api);
    assert_int_equal(pthread_create(&other, NULL, let_go, rig), 0);
    rig_stop(rig);
    pthread_join(other, NULL);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "{\"bytes\":1}");
    assert_string_equal(http_header(&rig->reply, "Connection"), "close");
    assert_int_equal(rig->readers, 0);
    close(fd);
}

static void test_a_reader_that_does_not_open(void **state)
{
    struct rig *rig = *state;
    struct ps_api *api = NULL;
    struct ps_err e = {0};
    struct ps_api_config config = {
        .host = "localhost",
        .body_limit = RIG_BODY_LIMIT,
        .secret = rig->secret,
        .queue = rig->inner,
        .commit = rig->commit,
        .kv = rig->kv,
        .clock = &rig->clock.clock,
        .version = "1",
        .data_dir = "data",
        .reading = &rig->reading,
    };
    rig->readers_max = rig->readers + PS_READERS_THREADS - 1;
    assert_int_equal(ps_api_open(&api, &config, &e), PS_ECORRUPT);
    assert_string_equal(e.text, "no reader");
    assert_null(api);
    assert_int_equal(rig->readers, PS_READERS_THREADS); /* the rig's own */
}

int main(void)
{
#define FULL(f) cmocka_unit_test_setup_teardown(f, rig_open_full, rig_close)
    const struct CMUnitTest tests[] = {
        FULL(test_slow_questions),
        FULL(test_one_connection),
        FULL(test_who_leaves),
        FULL(test_closing),
        FULL(test_a_reader_that_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
