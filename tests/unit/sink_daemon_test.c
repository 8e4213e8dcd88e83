/* sink_daemon_test.c - an import through a daemon that answers as it is told: what is counted as
 * stored, as waiting, as rejected, and when it gives up.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/sink.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORED(new, duplicate, refused)                                                            \
    "\"stored\":{\"new\":" #new ",\"duplicate\":" #duplicate ",\"refused\":" #refused "}}"
#define TOO_LARGE                                                                                  \
    {                                                                                              \
        413, "{\"error\":{\"code\":\"too_large\",\"message\":\"too large for me\"}}"               \
    }

enum { ANSWERS_MAX = 8, REQUEST_MAX = 1 << 16 };

struct answer {
    int status; /* 0: none, the connection ends */
    const char *body;
};

struct daemon {
    struct answer answers[ANSWERS_MAX];
    int fd, asked;
    size_t events[ANSWERS_MAX]; /* of each body */
    pthread_t thread;
    char host_port[32];
    struct ps_sink_daemon *sink;
    struct ps_parcel parcel;
    struct ps_sunk sunk;
    struct ps_err e;
};

/* Lines of the body. */
static size_t read_request(int fd)
{
    static char text[REQUEST_MAX + 1];
    size_t len = 0, lines = 0;
    for (ssize_t n; (n = recv(fd, text + len, REQUEST_MAX - len, 0)) > 0;) {
        len += (size_t)n;
        text[len] = '\0';
        const char *body = strstr(text, "\r\n\r\n"), *size = strstr(text, "Content-Length: ");
        if (body == NULL || size == NULL)
            continue;
        body += 4;
        if (len - (size_t)(body - text) < strtoull(size + strlen("Content-Length: "), NULL, 10))
            continue;
        for (; *body != '\0'; body++)
            lines += *body == '\n';
        break;
    }
    return lines;
}

static void *serve(void *arg)
{
    struct daemon *d = arg;
    char head[128];
    for (int fd; (fd = accept(d->fd, NULL, NULL)) >= 0; close(fd)) {
        const struct answer *a = &d->answers[d->asked];
        d->events[d->asked] = read_request(fd);
        d->asked += d->asked + 1 < ANSWERS_MAX;
        if (a->status == 0)
            continue;
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", a->status,
                 strlen(a->body));
        send(fd, head, strlen(head), MSG_NOSIGNAL);
        send(fd, a->body, strlen(a->body), MSG_NOSIGNAL);
    }
    return NULL;
}

static int set_up(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct daemon *d = calloc(1, sizeof *d);
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(d->fd, 8), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(d->host_port, sizeof d->host_port, "127.0.0.1:%u", ntohs(a.sin_port));
    assert_int_equal(ps_parcel_init(&d->parcel), 0);
    assert_int_equal(ps_sink_daemon_open(&d->sink, d->host_port, &d->e), 0);
    *state = d;
    return 0;
}

static int tear_down(void **state)
{
    struct daemon *d = *state;
    close(d->fd);
    ps_sink_daemon_close(d->sink);
    ps_parcel_done(&d->parcel);
    free(d);
    return 0;
}

/* So many events; what the daemon answers is set before. */
static int send_events(struct daemon *d, int count)
{
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "1760529600000-%016x", (unsigned)i);
        struct ps_event event = {.id = {id, strlen(id)},
                                 .path = PS_STR("/"),
                                 .timestamp_ms = INT64_C(1760529600000),
                                 .response_us = PS_ABSENT,
                                 .response_bytes = PS_ABSENT,
                                 .status = 200,
                                 .is_error = 0};
        assert_true(ps_parcel_add(&d->parcel, &event));
    }
    assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
    int r = ps_sink_daemon_send(d->sink, &d->parcel, &d->sunk, &d->e);
    shutdown(d->fd, SHUT_RDWR);
    pthread_join(d->thread, NULL);
    return r;
}

static void expect(const struct daemon *d, struct ps_sunk sunk)
{
    assert_int_equal(d->sunk.accepted, sunk.accepted);
    assert_int_equal(d->sunk.duplicates, sunk.duplicates);
    assert_int_equal(d->sunk.rejected, sunk.rejected);
    assert_int_equal(d->sunk.refused, sunk.refused);
    assert_int_equal(d->sunk.waiting, sunk.waiting);
}

static void what_was_stored_is_counted(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = (struct answer){202, "{\"accepted\":9,\"rejected\":1," STORED(5, 3, 1)};
    assert_int_equal(send_events(d, 10), 0);
    assert_int_equal(d->asked, 1);
    assert_int_equal(d->events[0], 10);
    expect(d, (struct ps_sunk){.accepted = 5, .duplicates = 3, .rejected = 1, .refused = 1});
}

/* They are on the daemon's disk: not stored, not lost, and the import ends. */
static void what_cannot_be_stored_yet_waits(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = (struct answer){202, "{\"accepted\":10,\"rejected\":0,\"stored\":null}"};
    assert_int_equal(send_events(d, 10), PS_EIO);
    assert_non_null(strstr(d->e.text, "/api/health"));
    expect(d, (struct ps_sunk){.waiting = 10});
}

static void a_body_that_is_too_large_is_halved(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = (struct answer)TOO_LARGE;
    d->answers[1] = (struct answer){202, "{\"accepted\":2,\"rejected\":0," STORED(2, 0, 0)};
    d->answers[2] = (struct answer){202, "{\"accepted\":3,\"rejected\":0," STORED(2, 1, 0)};
    assert_int_equal(send_events(d, 5), 0);
    assert_int_equal(d->events[1] + d->events[2], 5);
    expect(d, (struct ps_sunk){.accepted = 4, .duplicates = 1});
}

/* One that is too large alone ends it, in the daemon's own words. */
static void an_event_that_is_too_large_is_told(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = (struct answer)TOO_LARGE;
    d->answers[1] = (struct answer){202, "{\"accepted\":1,\"rejected\":0," STORED(1, 0, 0)};
    d->answers[2] = (struct answer)TOO_LARGE;
    assert_true(send_events(d, 2) < 0);
    assert_non_null(strstr(d->e.text, "too large for me"));
    expect(d, (struct ps_sunk){.accepted = 1});
}

static void a_busy_daemon_is_asked_again(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = d->answers[1] = (struct answer){503, "{}"};
    d->answers[2] = (struct answer){202, "{\"accepted\":1,\"rejected\":0," STORED(1, 0, 0)};
    assert_int_equal(send_events(d, 1), 0);
    assert_int_equal(d->asked, 3);
    expect(d, (struct ps_sunk){.accepted = 1});
}

/* A body of which nothing is accepted is no failure of the daemon's. */
static void rejected_ones_are_counted(void **state)
{
    struct daemon *d = *state;
    d->answers[0] = (struct answer){400, "{\"error\":{},\"accepted\":0,\"rejected\":2}"};
    assert_int_equal(send_events(d, 2), 0);
    expect(d, (struct ps_sunk){.rejected = 2});
}

static void a_daemon_that_is_gone_has_stored_nothing(void **state)
{
    struct daemon *d = *state;
    assert_true(send_events(d, 2) < 0);
    assert_non_null(strstr(d->e.text, "import the same files again"));
    expect(d, (struct ps_sunk){0});
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_stored_is_counted),
        TEST(what_cannot_be_stored_yet_waits),
        TEST(a_body_that_is_too_large_is_halved),
        TEST(an_event_that_is_too_large_is_told),
        TEST(a_busy_daemon_is_asked_again),
        TEST(rejected_ones_are_counted),
        TEST(a_daemon_that_is_gone_has_stored_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
