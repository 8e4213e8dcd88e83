/* api_conn_test.c - who may hold a connection, and for how long: deadlines, a full table.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api/conn.h"
#include "support/api_rig.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENT "{\"path\":\"/x\",\"timestamp\":1760536800000}"
#define HALF_HEAD "POST /api/events HTTP/1.1\r\nHost: loc"
#define WINDOW_BYTES (PS_CONN_WINDOW_S * PS_CONN_RATE)

enum { TABLE = 8, CROWD = 100, LARGE = 1024 * 1024, LONG_ANSWER = 1000 * 1000 };

static void expect_alive(struct rig *rig, int fd)
{
    http_request(fd, "GET", "/metrics", "", "", 0);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "pathstats_");
}

static int connect_and_ask(struct rig *rig)
{
    int fd = http_connect(ps_api_port(rig->api));
    expect_alive(rig, fd);
    return fd;
}

static int connect_and_send(struct rig *rig, const char *text)
{
    int fd = http_connect(ps_api_port(rig->api));
    http_send(fd, text, strlen(text));
    return fd;
}

/* --- deadlines --- */

static void test_a_head_has_a_deadline(void **state)
{
    struct rig *rig = *state;
    int kept = connect_and_ask(rig), half = connect_and_send(rig, HALF_HEAD),
        silent = http_connect(ps_api_port(rig->api));
    rig_pass_s(rig, 0);
    rig_pass_s(rig, PS_CONN_HEAD_S - 1);
    http_send(half, "alh", 3); /* a byte now and then gains no time */
    rig_pass_s(rig, 1);
    http_await_end(half);
    http_await_end(silent);
    expect_alive(rig, kept); /* who had an answer may be idle for longer */
    rig_pass_s(rig, PS_CONN_IDLE_S - 1);
    expect_alive(rig, kept);
    rig_pass_s(rig, PS_CONN_IDLE_S);
    http_await_end(kept);
    close(half);
    close(silent);
    close(kept);
}

static void send_zeros(int fd, size_t len)
{
    char *zeros = calloc(1, len);
    assert_non_null(zeros);
    http_send(fd, zeros, len);
    free(zeros);
}

/* A body must come at a rate, in each window; one that does is not cut off however long it takes.
 */
static void test_a_body_has_a_rate(void **state)
{
    enum { WINDOWS = 4 };
    struct rig *rig = *state;
    char head[256];
    snprintf(head, sizeof head,
             "POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
             WINDOWS * WINDOW_BYTES);
    int good = connect_and_send(rig, head), slow = connect_and_send(rig, head);
    for (int i = 0; i < WINDOWS - 1; i++) {
        send_zeros(good, WINDOW_BYTES);
        if (i <= 1)
            send_zeros(slow, WINDOW_BYTES / (i + 1)); /* enough, then half of it */
        rig_let_read(rig, WINDOW_BYTES);
        rig_pass_s(rig, PS_CONN_WINDOW_S);
        if (i != 1)
            continue;
        http_read(slow, &rig->reply, 0);
        rig_expect(rig, 408, "");
        http_await_end(slow);
    }
    send_zeros(good, WINDOW_BYTES);
    http_read(good, &rig->reply, 0);
    rig_expect(rig, 400, "\"error\""); /* it was taken, and is no event */
    close(good);
    close(slow);
}

static int open_large(void **state)
{
    return rig_open_as(state, &(struct rig_options){.body_limit = LARGE, .bodies_max = 8 * LARGE});
}

/* Small segments and a small window, or the whole answer would fit into the kernel's buffers. */
static int connect_narrow(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 30};
    int segment = 536, window = 4096;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void test_an_answer_must_be_read(void **state)
{
    struct rig *rig = *state;
    char *text = malloc(LONG_ANSWER + 1), got[4096];
    size_t total = 0;
    memset(text, ' ', LONG_ANSWER);
    text[LONG_ANSWER] = '\0';
    rig->order_text = text;
    int fd = connect_narrow(ps_api_port(rig->api));
    http_request(fd, "POST", "/admin/snapshot/refresh", "", "", 0);
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 30000), 1);
    rig_pass_s(rig, PS_CONN_IDLE_S + LONG_ANSWER / PS_CONN_RATE + 1);
    for (ssize_t n; (n = recv(fd, got, sizeof got, 0)) > 0;)
        total += (size_t)n;
    assert_true(total < LONG_ANSWER);
    close(fd);
    rig->order_text = "{}";
    free(text);
}

/* --- a full table --- */

static int open_narrow(void **state)
{
    return rig_open_as(state, &(struct rig_options){.connections = TABLE, .full = true});
}

static void test_new_ones_get_in(void **state)
{
    struct rig *rig = *state;
    int fds[CROWD], open = 0;
    for (int i = 0; i < CROWD; i++)
        fds[i] = connect_and_send(rig, HALF_HEAD);
    rig_post(rig, EVENT); /* no time has passed: there is room at once */
    rig_expect(rig, 202, "\"accepted\":1");
    rig_pass_s(rig, 1);
    for (int i = 0; i < CROWD; i++) {
        char byte;
        open += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
    assert_in_range(open, 1, TABLE); /* I8 */
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
}

/* The oldest of those that are idle goes, not one whose request is being worked on. */
static void test_who_goes(void **state)
{
    struct rig *rig = *state;
    enum { IDLE = TABLE - 2 };
    int idle[IDLE];
    static struct http_reply reply;
    rig_hold_orders(rig, true);
    int busy = http_connect(ps_api_port(rig->api));
    http_request(busy, "POST", "/admin/snapshot/refresh", "", "", 0);
    rig_await_order(rig);
    for (int i = 0; i < IDLE; i++)
        idle[i] = connect_and_ask(rig);
    expect_alive(rig, idle[0]); /* used last */
    rig_pass_s(rig, 2);         /* with one connection more the table is full, and no fuller */
    int last = connect_and_ask(rig), late = connect_and_ask(rig);
    http_await_end(idle[1]);
    expect_alive(rig, last);
    expect_alive(rig, idle[0]);
    for (int i = 2; i < IDLE; i++)
        expect_alive(rig, idle[i]);
    rig_hold_orders(rig, false);
    http_read(busy, &reply, 0);
    assert_int_equal(reply.status, 200);
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    close(last);
    close(late);
    close(busy);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* When all are being worked on nobody goes, and no more come in than a few. */
static void test_all_at_work(void **state)
{
    enum { MOST = TABLE + PS_API_CONNECTIONS_SPARE, MORE = 10 };
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    struct rig *rig = *state;
    int fds[MOST + MORE];
    size_t before = open_descriptors();
    gate_queue_hold(&rig->gate);
    for (int i = 0; i < MOST + MORE; i++) {
        fds[i] = http_connect(ps_api_port(rig->api));
        http_request(fds[i], "POST", "/api/events", "", EVENT, strlen(EVENT));
        if (i == 0)
            gate_queue_await(&rig->gate);
    }
    size_t most = 0;
    for (int i = 0; i < 100; i++) { /* a server without a limit would have taken them by now */
        nanosleep(&moment, NULL);
        most = open_descriptors() > most ? open_descriptors() : most;
    }
    gate_queue_release(&rig->gate);
    assert_true(most <= before + MOST + MOST + MORE); /* theirs and ours */
    for (int i = 0; i < MOST + MORE; i++) {
        http_read(fds[i], &rig->reply, 0);
        rig_expect(rig, 202, "\"accepted\":1");
        close(fds[i]);
    }
}

/* --- memory for bodies --- */

static char *spaces_after_event(size_t len)
{
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, ' ', len);
    memcpy(text, EVENT, strlen(EVENT));
    return text;
}

/* Unfinished large bodies keep out others as large, and nobody else. I8 */
static void test_small_bodies_find_room(void **state)
{
    static const char head[] = "POST /api/events HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 1000000\r\n\r\n";
    enum { FIT = 5, MIDDLE = 200 * 1000 };
    struct rig *rig = *state;
    char *large = spaces_after_event(LARGE);
    int fds[FIT];
    for (int i = 0; i < FIT; i++) { /* with each a quarter of what is left is still larger */
        fds[i] = connect_and_send(rig, head);
        http_send(fds[i], large, 900 * 1000);
    }
    rig_let_read(rig, 900 * 1000);
    rig_ask(rig, "POST", "/api/events", "", large, 900 * 1000);
    rig_expect(rig, 503, "\"busy\"");
    assert_non_null(http_header(&rig->reply, "Retry-After"));
    rig_ask(rig, "POST", "/api/events", "", large, MIDDLE);
    rig_expect(rig, 202, "\"accepted\":1");
    rig_post(rig, EVENT);
    rig_expect(rig, 202, "\"accepted\":1");
    for (int i = 0; i < FIT; i++)
        close(fds[i]);
    rig_pass_s(rig, 0);
    for (int i = 0; i < 10; i++) {
        rig_ask(rig, "POST", "/api/events", "", large, 900 * 1000);
        rig_expect(rig, 202, "\"accepted\":1");
    }
    free(large);
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* Clients that leave while their bodies wait for the disk leave no claim to memory behind. */
static void test_abandoned_bodies(void **state)
{
    struct rig *rig = *state;
    char *large = spaces_after_event(LARGE);
    for (int i = 0; i < 10; i++) {
        gate_queue_hold(&rig->gate);
        int fd = http_connect(ps_api_port(rig->api));
        http_request(fd, "POST", "/api/events", "", large, 900 * 1000);
        gate_queue_await(&rig->gate);
        reset(fd);
        rig_pass_s(rig, 0);
        gate_queue_release(&rig->gate);
        rig_ask(rig, "POST", "/api/events", "", large, 900 * 1000);
        rig_expect(rig, 202, "\"accepted\":1");
    }
    free(large);
}

/* A refused body is read so that the client listens, but not for ever. I8 */
static void test_a_refused_body_has_an_end(void **state)
{
    enum { PIECE = 0x10000, PIECES = 400 }; /* 25 MB, and 16 are read */
    struct rig *rig = *state;
    char *piece = calloc(1, PIECE);
    int fd = connect_and_send(rig, "POST /nothing HTTP/1.1\r\nHost: localhost\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < PIECES; i++) {
        http_send(fd, "10000\r\n", 7);
        http_send(fd, piece, PIECE);
        http_send(fd, "\r\n", 2);
    }
    http_send(fd, "0\r\n\r\n", 5);
    http_read(fd, &rig->reply, 0);
    assert_int_equal(rig->reply.status, 0);
    close(fd);
    free(piece);
}

int main(void)
{
#define PLAIN(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
#define FULL(f) cmocka_unit_test_setup_teardown(f, rig_open_full, rig_close)
#define NARROW(f) cmocka_unit_test_setup_teardown(f, open_narrow, rig_close)
#define LARGE(f) cmocka_unit_test_setup_teardown(f, open_large, rig_close)
    const struct CMUnitTest tests[] = {
        PLAIN(test_a_head_has_a_deadline),
        LARGE(test_a_body_has_a_rate),
        FULL(test_an_answer_must_be_read),
        NARROW(test_new_ones_get_in),
        NARROW(test_who_goes),
        NARROW(test_all_at_work),
        LARGE(test_small_bodies_find_room),
        LARGE(test_abandoned_bodies),
        PLAIN(test_a_refused_body_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
