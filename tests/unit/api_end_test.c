/* api_end_test.c - requests whose client went away, and a server that ends while some are under
 * way.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/api_rig.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT "{\"path\":\"/x\",\"timestamp\":1760536800000}"

enum { CLIENTS = 40, ROUNDS = 3, BODY = 60 * 1000, MOMENT_MS = 200 };

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* The requests are with the committer when their clients leave. */
static void abandon(struct rig *rig, size_t clients, const char *body, size_t len)
{
    int fds[CLIENTS];
    gate_queue_hold(&rig->gate);
    for (size_t i = 0; i < clients; i++) {
        fds[i] = http_connect(ps_api_port(rig->api));
        http_request(fds[i], "POST", "/api/events", "", body, len);
    }
    gate_queue_await(&rig->gate);
    rig_let_read(rig, len);
    for (size_t i = 0; i < clients; i++)
        reset(fds[i]);
    for (int turns = 0; turns < 5; turns++)
        rig_get(rig, "/metrics"); /* the server had its turns to see it */
}

static size_t allocated(void)
{
    return mallinfo2().uordblks; /* nothing under a sanitizer, which finds leaks itself */
}

static void test_abandoned_requests_are_freed(void **state)
{
    struct rig *rig = *state;
    char *body = malloc(BODY);
    size_t before = 0;
    memset(body, ' ', BODY);
    memcpy(body, EVENT, strlen(EVENT));
    for (int i = 0; i < 1 + ROUNDS; i++) {
        abandon(rig, CLIENTS, body, BODY);
        gate_queue_release(&rig->gate);
        rig_post(rig, EVENT); /* answered after all before it */
        rig_expect(rig, 202, "\"accepted\":1");
        if (i == 0)
            before = allocated();
    }
    assert_true(allocated() < before + (size_t)ROUNDS * CLIENTS * BODY / 2);
    free(body);
}

struct watch {
    struct rig *rig;
    int idle;
    int seen; /* the server closed the connection before the committer had answered */
};

static void *watch_then_let_go(void *arg)
{
    struct watch *w = arg;
    struct pollfd fd = {.fd = w->idle, .events = POLLIN};
    w->seen = poll(&fd, 1, MOMENT_MS);
    gate_queue_release(&w->rig->gate);
    return NULL;
}

/* The committer still has a request nobody waits for: the server must be there when it answers. */
static void test_closing_waits_for_the_committer(void **state)
{
    struct rig *rig = *state;
    struct watch watch = {.rig = rig};
    pthread_t other;
    abandon(rig, 1, EVENT, strlen(EVENT));
    watch.idle = http_connect(ps_api_port(rig->api));
    http_request(watch.idle, "GET", "/metrics", "", "", 0);
    http_read(watch.idle, &rig->reply, 0);
    assert_int_equal(pthread_create(&other, NULL, watch_then_let_go, &watch), 0);
    rig_stop(rig);
    pthread_join(other, NULL);
    assert_int_equal(watch.seen, 0);
    assert_int_equal(rig_take_records(rig), 1); /* I3 */
    close(watch.idle);
}

/* A request that waits for the disk when the server is told to end still gets its answer. */
static void test_close_answers(void **state)
{
    struct rig *rig = *state;
    uint16_t port = ps_api_port(rig->api);
    int fd = http_connect(port), idle = http_connect(port);
    gate_queue_hold(&rig->gate);
    http_request(fd, "POST", "/api/events", "", EVENT, strlen(EVENT));
    gate_queue_await(&rig->gate);
    ps_api_stop_accepting(rig->api);
    gate_queue_release(&rig->gate);
    rig_stop(rig);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 202, "{\"accepted\":1,\"rejected\":0,\"rejections\":[],\"warnings\":[]}");
    assert_string_equal(http_header(&rig->reply, "Connection"), "close");
    assert_int_equal(rig_take_records(rig), 1); /* I3 */
    http_read(idle, &rig->reply, 0);
    assert_int_equal(rig->reply.status, 0);
    close(fd);
    close(idle);
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        RIGGED(test_abandoned_requests_are_freed),
        RIGGED(test_closing_waits_for_the_committer),
        RIGGED(test_close_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
