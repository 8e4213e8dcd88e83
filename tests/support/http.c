/* http.c - see http.h.  SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int http_connect(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 30}; /* a test must fail, not hang */
    int on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

void http_send(int fd, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)bytes + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the answer, or its absence, tells */
        at += (size_t)n;
    }
}

void http_request(int fd, const char *method, const char *path, const char *more, const void *body,
                  size_t len)
{
    char head[HTTP_HEADERS_MAX];
    int n = snprintf(head, sizeof head,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", method,
                     path, len, more);
    assert_true(n > 0 && (size_t)n < sizeof head);
    http_send(fd, head, (size_t)n);
    http_send(fd, body, len);
}

void http_await_end(int fd)
{
    char ignored[4096];
    ssize_t n;
    while ((n = recv(fd, ignored, sizeof ignored, 0)) > 0)
        continue;
    assert_true(n == 0 || errno == ECONNRESET); /* and not EAGAIN, when patience ended */
}

const char *http_header(const struct http_reply *reply, const char *name)
{
    static char value[HTTP_HEADERS_MAX];
    char wanted[128];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strcasestr(reply->headers, wanted);
    if (at == NULL)
        return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* Byte by byte, so that nothing of a following answer is read. */
static int read_headers(int fd, struct http_reply *ret)
{
    size_t n = 0;
    while (n < sizeof ret->headers - 1 && recv(fd, ret->headers + n, 1, 0) == 1) {
        ret->headers[++n] = '\0';
        if (n >= 4 && memcmp(ret->headers + n - 4, "\r\n\r\n", 4) == 0)
            return 1;
    }
    return 0;
}

void http_read(int fd, struct http_reply *ret, int head)
{
    ret->status = 0;
    ret->len = 0;
    ret->headers[0] = ret->body[0] = '\0';
    if (!read_headers(fd, ret))
        return;
    const char *length = http_header(ret, "Content-Length");
    size_t want = head || length == NULL ? 0 : strtoul(length, NULL, 10);
    assert_true(want < sizeof ret->body);
    while (ret->len < want) {
        ssize_t n = recv(fd, ret->body + ret->len, want - ret->len, 0);
        if (n <= 0)
            return;
        ret->len += (size_t)n;
    }
    ret->body[ret->len] = '\0';
    ret->status = atoi(ret->headers + strlen("HTTP/1.1 "));
}
