/* http.h - a blocking HTTP/1.1 client for tests, that sends exactly what it is told.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_HTTP_H
#define PS_TEST_HTTP_H

#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEADERS_MAX = 4096, HTTP_BODY_MAX = 1024 * 1024 };

struct http_reply {
    int status; /* 0: the connection ended before an answer */
    char headers[HTTP_HEADERS_MAX];
    char body[HTTP_BODY_MAX];
    size_t len;
};

int http_connect(uint16_t port);
void http_send(int fd, const void *bytes, size_t len);
/* A request line and headers with "Host: localhost" and Content-Length, then the body. `more` holds
 * further header lines, each ending in \r\n. */
void http_request(int fd, const char *method, const char *path, const char *more, const void *body,
                  size_t len);
/* Reads one answer; `head` when none of it is a body. */
void http_read(int fd, struct http_reply *ret, int head);
/* Waits until the server has closed the connection; what came before that is thrown away. */
void http_await_end(int fd);
/* The value of a header, or NULL. Static memory. */
const char *http_header(const struct http_reply *reply, const char *name);

#endif
