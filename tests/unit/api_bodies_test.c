/* api_bodies_test.c - bodies: packed ones, large ones, and those that are meant to cost a lot.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "core/event.h"
#include "support/api_rig.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define EVENT(path) "{\"path\":\"" path "\",\"timestamp\":1760536800000}"
#define ACCEPTED(n) "{\"accepted\":" #n ",\"rejected\":0,\"rejections\":[],\"warnings\":[]}"

enum { BOMB = 16 * 1024 * 1024 };

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

static size_t gzip(const char *text, size_t len, unsigned char *to, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)len;
    z.next_out = to;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void test_encodings(void **state)
{
    struct rig *rig = *state;
    unsigned char packed[4096];
    static const char text[] = EVENT("/gz");
    size_t len = gzip(text, sizeof text - 1, packed, sizeof packed);
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: GZip\r\n", packed, len);
    rig_expect(rig, 202, ACCEPTED(1));
    expect_paths(rig, (const char *const[]){"/gz"}, 1);
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: identity\r\n", text, sizeof text - 1);
    rig_expect(rig, 202, ACCEPTED(1));
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: gzip\r\n", packed, len - 5);
    rig_expect(rig, 400, "\"bad_gzip\"");
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: gzip\r\n", text, sizeof text - 1);
    rig_expect(rig, 400, "\"bad_gzip\"");
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: br\r\n", packed, len);
    rig_expect(rig, 415, "\"encoding_unsupported\"");
    assert_int_equal(rig_take_records(rig), 1);
}

static int open_roomy(void **state)
{
    return rig_open_as(state, &(struct rig_options){.body_limit = BOMB});
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 16 KB that become 16 MB: millions of events that are none, or a value without an end. What cannot
 * be accepted costs little, whatever it inflates to. */
static void test_bombs(void **state)
{
    static const char *const pieces[] = {"{}", "{}\n", "1\n", "[", " ", "{\"path\":", "\n"};
    struct rig *rig = *state;
    char *text = malloc(BOMB);
    unsigned char packed[64 * 1024];
    for (size_t i = 0; i < PS_COUNT_OF(pieces); i++) {
        size_t len = strlen(pieces[i]), whole = BOMB / len * len;
        for (size_t at = 0; at < whole; at += len)
            memcpy(text + at, pieces[i], len);
        size_t packed_len = gzip(text, whole, packed, sizeof packed);
        double before = cpu_seconds();
        rig_ask(rig, "POST", "/api/events", "Content-Encoding: gzip\r\n", packed, packed_len);
        double spent = cpu_seconds() - before;
        rig_expect(rig, 400, "\"error\"");
        if (spent > 0.5)
            fail_msg("\"%s\" cost %.2f s", pieces[i], spent);
    }
    assert_int_equal(rig_take_records(rig), 0);
    free(text);
}

/* Spaces, then one event: `len` bytes. */
static char *padded(size_t len)
{
    static const char event[] = EVENT("/padded");
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '\n', len);
    memcpy(text + len - (sizeof event - 1), event, sizeof event - 1);
    return text;
}

static void test_body_limit(void **state)
{
    struct rig *rig = *state;
    unsigned char packed[4096];
    char *text = padded(RIG_BODY_LIMIT + 1);
    rig_ask(rig, "POST", "/api/events", "", text + 1, RIG_BODY_LIMIT);
    rig_expect(rig, 202, ACCEPTED(1));
    rig_ask(rig, "POST", "/api/events", "", text, RIG_BODY_LIMIT + 1);
    rig_expect(rig, 413, "larger than 65536 bytes");
    size_t len = gzip(text, RIG_BODY_LIMIT + 1, packed, sizeof packed);
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: gzip\r\n", packed, len);
    rig_expect(rig, 413, "inflates to more than 65536 bytes");
    len = gzip(text + 1, RIG_BODY_LIMIT, packed, sizeof packed);
    rig_ask(rig, "POST", "/api/events", "Content-Encoding: gzip\r\n", packed, len);
    rig_expect(rig, 202, ACCEPTED(1));
    assert_int_equal(rig_take_records(rig), 2);
    free(text);
}

/* In chunks the length is known only at the end; with Expect the answer comes before the body. */
static void test_body_limit_unannounced(void **state)
{
    static const char chunked[] = "POST /api/events HTTP/1.1\r\nHost: localhost\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n11000\r\n";
    static const char expects[] = "POST /api/events HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n";
    struct rig *rig = *state;
    char *text = padded(0x11000);
    int fd = http_connect(ps_api_port(rig->api));
    http_send(fd, chunked, sizeof chunked - 1);
    http_send(fd, text, 0x11000);
    http_send(fd, "\r\n0\r\n\r\n", 7);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 413, "\"too_large\"");
    close(fd);
    fd = http_connect(ps_api_port(rig->api));
    http_send(fd, expects, sizeof expects - 1);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 413, "\"too_large\"");
    close(fd);
    assert_int_equal(rig_take_records(rig), 0);
    free(text);
}

static int open_small_queue(void **state)
{
    return rig_open_as(state, &(struct rig_options){.queue_bytes_max = 400});
}

/* "Try later" is for what can fit some day. I8 */
static void test_larger_than_the_queue(void **state)
{
    struct rig *rig = *state;
    rig_post(rig,
             "[" EVENT("/x") "," EVENT("/x") "," EVENT("/x") "," EVENT("/x") "," EVENT("/x") "]");
    rig_expect(rig, 413, "more than the queue can ever hold, 400 bytes (queue_max)");
    for (int i = 0; i < 20 && rig->reply.status != 503; i++)
        rig_post(rig, EVENT("/x"));
    rig_expect(rig, 503, "\"queue_full\"");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        CASE(test_encodings),
        cmocka_unit_test_setup_teardown(test_bombs, open_roomy, rig_close),
        CASE(test_body_limit),
        CASE(test_body_limit_unannounced),
        cmocka_unit_test_setup_teardown(test_larger_than_the_queue, open_small_queue, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
