/* api_head_test.c - requests that two readers could understand in two ways are refused, and nothing
 * behind them is answered.
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

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT "{\"path\":\"/x\",\"timestamp\":1760536800000}" /* 39 bytes, 0x27 */
#define POST "POST /api/events HTTP/1.1\r\n"
#define LOCAL "Host: localhost\r\n"
#define NEXT "GET /api/health HTTP/1.1\r\n" LOCAL "\r\n"

enum { SAID_MAX = 8192 };

/* Sends all of it, and reads until the server closes. */
static void converse(struct rig *rig, const char *bytes, size_t len, char said[SAID_MAX])
{
    size_t got = 0;
    ssize_t n;
    int fd = http_connect(ps_api_port(rig->api));
    http_send(fd, bytes, len);
    while (got < SAID_MAX - 1 && (n = recv(fd, said + got, SAID_MAX - 1 - got, 0)) > 0)
        got += (size_t)n;
    said[got] = '\0';
    close(fd);
}

static size_t count_of(const char *said, const char *text)
{
    size_t count = 0;
    for (const char *at = said; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

#define CASE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    const char *bytes;
    size_t len;
} ambiguous[] = {
    CASE(POST LOCAL "Content-Length: 0\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\r\nContent-Length: 0\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\r\ncontent-length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39, 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: +39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 0x27\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: \r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding : chunked\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Transfer-Encoding\t: chunked\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: xchunked\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Transfer-Encoding: gzip, chunked\r\n\r\n"
                    "27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: identity\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked \r\n\r\n27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding:\r\n chunked\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: 1\rTransfer-Encoding: chunked\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: 1\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\r\n\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\n\r\n" EVENT NEXT),
    CASE("POST /api/events HTTP/1.1\n" LOCAL "Content-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: folded\r\n over\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Content-Length: 39\r\nX: folded\r\n\tover\r\n\r\n" EVENT NEXT),
    CASE(POST " X: before\r\n" LOCAL "Content-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL ": no name\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "no colon\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X(: 1\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST "Host: localhost\0.evil.example\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST "Content-Length: 39\r\nHost: localhost\0evil\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X\0: 1\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: a\0\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: a\x7f\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "X: a\x01\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL "Host: evil.example\r\nContent-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST LOCAL LOCAL "Content-Length: 39\r\n\r\n" EVENT NEXT),
    CASE(POST "Content-Length: 39\r\n\r\n" EVENT NEXT),
    CASE("POST /api/events HTTP/1.0\r\n" LOCAL "Connection: keep-alive\r\n"
         "Transfer-Encoding: chunked\r\n\r\n27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE("GET /api/health\0x HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health%00x HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health?a=%0d%0a HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health\tx HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health x HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GE(T /api/health HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET  /api/health HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health  HTTP/1.1\r\n" LOCAL "\r\n" NEXT),
    CASE("GET /api/health HTTP/1.1 \r\n" LOCAL "\r\n" NEXT),
    /* chunks that are none */
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\n\r\nzz\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\n\r\n-27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\n\r\n0x27\r\n" EVENT "\r\n0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\n\r\n27\r\n" EVENT "XX0\r\n\r\n" NEXT),
    CASE(POST LOCAL "Transfer-Encoding: chunked\r\n\r\n27\r\n" EVENT "0\r\n\r\n" NEXT),
    /* without a body, with other methods */
    CASE("GET /api/health HTTP/1.1\r\n" LOCAL
         "Content-Length: 0\r\nContent-Length: 60\r\n\r\n" NEXT),
    CASE("DELETE /x HTTP/1.1\r\n" LOCAL "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n" NEXT),
};

static void test_ambiguous_requests(void **state)
{
    struct rig *rig = *state;
    char said[SAID_MAX];
    for (size_t i = 0; i < PS_COUNT_OF(ambiguous); i++) {
        converse(rig, ambiguous[i].bytes, ambiguous[i].len, said);
        /* libmicrohttpd sends the head of its own refusals twice, which does no harm */
        size_t refusals = count_of(said, "HTTP/1.1 400 ");
        if (refusals == 0 || refusals != count_of(said, "HTTP/1.1 "))
            fail_msg("case %zu: %s\nanswered with: %s", i, ambiguous[i].bytes, said);
    }
    assert_int_equal(rig_take_records(rig), 0);
}

/* Where chunks end two readers may not agree on; so there is nothing behind them. */
static void test_chunks_end_the_connection(void **state)
{
    static const char *const bodies[] = {
        "27\r\n" EVENT "\r\n0\r\n\r\n",
        "27;\n" EVENT "\n0\n\n",
        "27;x=1\r\n" EVENT "\r\n0\r\nX: trailer\r\n\r\n",
    };
    struct rig *rig = *state;
    char said[SAID_MAX], text[1024];
    for (size_t i = 0; i < PS_COUNT_OF(bodies); i++) {
        int n = snprintf(text, sizeof text, POST LOCAL "Transfer-Encoding: Chunked\r\n\r\n%s" NEXT,
                         bodies[i]);
        converse(rig, text, (size_t)n, said);
        assert_int_equal(count_of(said, "HTTP/1.1 "), 1);
        assert_non_null(strstr(said, "HTTP/1.1 202 "));
        assert_non_null(strstr(said, "\r\nConnection: close\r\n"));
    }
    assert_int_equal(rig_take_records(rig), 3);
}

/* What must go on working: many headers, long ones, odd spaces, empty values, several at once. */
static void test_sound_requests(void **state)
{
    struct rig *rig = *state;
    static char text[32 * 1024];
    char said[SAID_MAX];
    size_t len =
        (size_t)sprintf(text, "\r\n" POST "hOsT:localhost\r\nX:\r\nX: \t a\tb \r\nX: \xc3\xa4\r\n");
    for (int i = 0; i < 30; i++)
        len += (size_t)sprintf(text + len, "X-Long-%d: %0300d\r\n", i, i);
    len += (size_t)sprintf(text + len, "Content-Length:39\r\n\r\n" EVENT POST LOCAL
                                       "Content-Length: 039\r\nConnection: close\r\n\r\n" EVENT);
    converse(rig, text, len, said);
    if (count_of(said, "HTTP/1.1 ") != 2 || strstr(said, "HTTP/1.1 4") != NULL)
        fail_msg("%s", said);
    len = (size_t)sprintf(text, "GET /api/health HTTP/1.0\r\n" LOCAL "\r\n");
    converse(rig, text, len, said);
    assert_non_null(strstr(said, "HTTP/1.1 200 "));
    assert_int_equal(rig_take_records(rig), 2);
}

static void ask_target(struct rig *rig, const char *target, const char *host)
{
    char text[512];
    int n =
        snprintf(text, sizeof text,
                 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 39\r\n\r\n" EVENT, target, host);
    int fd = http_connect(ps_api_port(rig->api));
    http_send(fd, text, (size_t)n);
    http_read(fd, &rig->reply, 0);
    close(fd);
}

/* RFC 9112 3.2.2; the target's host is the one that counts. */
static void test_absolute_targets(void **state)
{
    static const char *const good[] = {"http://127.0.0.1:8787/api/events",
                                       "HTTP://localhost/api/events", "https://[::1]:1/api/events",
                                       "http://127.0.0.1/api/events?x=1"};
    static const char *const bad[] = {
        "http://evil.example/api/events",           "http://evil.example:8787/api/events",
        "http://user@localhost/api/events",         "http:///api/events",
        "http://localhost.evil.example/api/events",
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        ask_target(rig, good[i], "proxy.example");
        rig_expect(rig, 202, "{\"accepted\":1,");
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        ask_target(rig, bad[i], "localhost");
        rig_expect(rig, 403, "\"host_denied\"");
    }
    ask_target(rig, "http://localhost", "localhost");
    rig_expect(rig, 404, "\"not_found\"");
    ask_target(rig, "http://localhost/api/health", "localhost");
    rig_expect(rig, 405, "\"method_not_allowed\"");
    assert_string_equal(http_header(&rig->reply, "Allow"), "GET, HEAD");
    ask_target(rig, "/http://localhost/api/events", "localhost");
    rig_expect(rig, 404, "\"not_found\"");
    assert_int_equal(rig_take_records(rig), PS_COUNT_OF(good));
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        RIGGED(test_ambiguous_requests),
        RIGGED(test_chunks_end_the_connection),
        RIGGED(test_sound_requests),
        RIGGED(test_absolute_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
