/* webhook_test.c - one POST to a server of the test's own, which answers with what it is given.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "wrap/webhook.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 65536 };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answer;
    char request[REQUEST_MAX];
    size_t len;
};

/* The length the headers promise, or 0 while they are not whole. */
static size_t whole_length(const struct server *s)
{
    const char *end = strstr(s->request, "\r\n\r\n");
    const char *length = strcasestr(s->request, "\r\nContent-Length: ");
    if (end == NULL)
        return SIZE_MAX;
    size_t body = length == NULL || length > end ? 0 : strtoul(length + 18, NULL, 10);
    return (size_t)(end - s->request) + 4 + body;
}

static void *serve_one(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->fd, NULL, NULL);
    ssize_t n = 1;
    while (fd >= 0 && n > 0 && s->len < whole_length(s) && s->len < REQUEST_MAX - 1) {
        n = recv(fd, s->request + s->len, REQUEST_MAX - 1 - s->len, 0);
        s->len += n > 0 ? (size_t)n : 0;
        s->request[s->len] = '\0';
    }
    if (fd >= 0 && send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0)
        s->len = 0;
    close(fd);
    return NULL;
}

static void bind_here(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
}

/* Posts to it once; `where` is what stands around host and port. */
static int post(struct server *s, const char *answer, const char *user, const char *path,
                struct ps_str json, struct ps_err *e)
{
    char url[512];
    memset(s, 0, sizeof *s);
    s->answer = answer;
    bind_here(s);
    assert_int_equal(listen(s->fd, 4), 0);
    snprintf(url, sizeof url, "http://%s127.0.0.1:%u%s", user, s->port, path);
    assert_int_equal(pthread_create(&s->thread, NULL, serve_one, s), 0);
    int r = ps_webhook_post(url, json, e);
    pthread_join(s->thread, NULL);
    close(s->fd);
    return r;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

static void it_posts_json(void **state)
{
    static struct server s;
    struct ps_err e = {0};
    (void)state;
    /* A view: what lies behind its end is not sent. */
    int r =
        post(&s, OK_ANSWER, "", "/hook/T0KEN?x=1", (struct ps_str){"{\"level\":85}tail", 12}, &e);
    if (r < 0)
        fail_msg("%s", e.text);
    assert_ptr_equal(strstr(s.request, "POST /hook/T0KEN?x=1 HTTP/1.1\r\n"), s.request);
    assert_non_null(strcasestr(s.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strcasestr(s.request, "\r\nContent-Length: 12\r\n"));
    assert_non_null(strstr(s.request, "\r\nUser-Agent: pathstats/"));
    assert_string_equal(strstr(s.request, "\r\n\r\n") + 4, "{\"level\":85}");
}

static void any_2xx_will_do(void **state)
{
    static struct server s;
    static const char *const answers[] = {
        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 299 Yes\r\n\r\nand a body until the end",
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(answers); i++)
        assert_int_equal(post(&s, answers[i], "", "/", PS_STR("{}"), NULL), 0);
}

static void expect_discreet(const struct ps_err *e)
{
    assert_non_null(strstr(e->text, "http://"));
    assert_non_null(strstr(e->text, "127.0.0.1"));
    assert_null(strstr(e->text, "T0KEN"));
}

static void any_other_answer_is_a_failure(void **state)
{
    static struct server s;
    static const char *const answers[] = {
        "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 404 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 302 Oh\r\nLocation: http://127.0.0.1:1/T0KEN\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n",
        "HTTP/1.1 199 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "garbage\r\n\r\n",
        "",
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(answers); i++) {
        struct ps_err e = {0};
        assert_int_equal(post(&s, answers[i], "", "/T0KEN?T0KEN#T0KEN", PS_STR("{}"), &e), PS_EIO);
        expect_discreet(&e);
        if (i < 3) {
            char status[8];
            snprintf(status, sizeof status, "%.3s", answers[i] + strlen("HTTP/1.1 "));
            assert_non_null(strstr(e.text, status));
        }
    }
}

static void a_refused_connection_is_a_failure(void **state)
{
    struct server s = {0};
    struct ps_err e = {0};
    char url[128];
    (void)state;
    bind_here(&s); /* nobody listens */
    snprintf(url, sizeof url, "http://127.0.0.1:%u/T0KEN", s.port);
    assert_int_equal(ps_webhook_post(url, PS_STR("{}"), &e), PS_EIO);
    expect_discreet(&e);
    close(s.fd);
}

static void only_http_is_spoken(void **state)
{
    static const char *const urls[] = {"file:///etc/T0KEN", "ftp://127.0.0.1:1/T0KEN",
                                       "T0KEN:", "://T0KEN"};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(urls); i++) {
        struct ps_err e = {0};
        assert_int_equal(ps_webhook_post(urls[i], PS_STR("{}"), &e), PS_EIO);
        assert_true(e.text[0] != '\0');
    }
}

/* Name and password before the host are no less secret than the path. */
static void a_password_stays_untold(void **state)
{
    static struct server s;
    struct ps_err e = {0};
    (void)state;
    assert_int_equal(post(&s, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                          "me:T0KEN@", "/", PS_STR("{}"), &e),
                     PS_EIO);
    assert_non_null(strcasestr(s.request, "\r\nAuthorization: Basic "));
    expect_discreet(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_posts_json),
        cmocka_unit_test(any_2xx_will_do),
        cmocka_unit_test(any_other_answer_is_a_failure),
        cmocka_unit_test(a_refused_connection_is_a_failure),
        cmocka_unit_test(only_http_is_spoken),
        cmocka_unit_test(a_password_stays_untold),
    };
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return cmocka_run_group_tests_name("webhook", tests, NULL, NULL);
}
