/* ingest_test.c - what a body leaves in the outbox, and what it may cost.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "flow/ingest.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENT(path) "{\"path\":\"" path "\",\"timestamp\":1760536800000}"

/* Seconds of CPU for a body, however bad; a sanitizer takes its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPU_MAX 5.0
#else
#define CPU_MAX 0.5
#endif

enum { BIG_BODY = 16 << 20, OUTBOX_MAX = 1 << 20 };

static const uint8_t secret[PS_SECRET_BYTES] = {7};
static unsigned draws; /* calls of getrandom */

/* Ours comes before the libc's. */
ssize_t getrandom(void *to, size_t len, unsigned flags);
ssize_t getrandom(void *to, size_t len, unsigned flags)
{
    draws++;
    return syscall(SYS_getrandom, to, len, flags);
}

static int64_t now_ms(struct ps_clock *clock)
{
    (void)clock;
    return INT64_C(1760536800000);
}

struct rig {
    struct ps_clock clock;
    struct ps_ingest *ingest;
    struct ps_outbox out;
    struct ps_ingested result;
};

static int open_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->clock.now_ms = now_ms;
    ps_outbox_init(&rig->out, OUTBOX_MAX);
    *state = rig;
    return ps_ingest_open(&rig->ingest, secret, &rig->clock, NULL);
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    ps_ingest_close(rig->ingest);
    ps_outbox_done(&rig->out);
    free(rig);
    return 0;
}

static int take_bytes(struct rig *rig, const char *body, size_t len)
{
    ps_ingested_reset(&rig->result);
    return ps_ingest_body(rig->ingest, body, len, &rig->out, &rig->result);
}

static void take(struct rig *rig, const char *body)
{
    assert_int_equal(take_bytes(rig, body, strlen(body)), 0);
}

static struct ps_event event_at(const struct rig *rig, size_t i)
{
    struct ps_event event;
    size_t from = i == 0 ? 0 : rig->out.ends[i - 1];
    assert_true(i < rig->out.count);
    const uint8_t *bytes = (const uint8_t *)rig->out.bytes.ptr;
    assert_int_equal(ps_event_decode(bytes + from, rig->out.ends[i] - from, &event), 0);
    return event;
}

/* I7: whatever way a client's address came, the same client is the same keyed hash. */
static void test_one_client_under_many_names(void **state)
{
    static const char *const fields[] = {
        "\"clientIp\":\"192.0.2.7\"",
        "\"clientIpHash\":\"192.0.2.7\"", /* an address in the field for a hash */
        "\"clientIp\":\"192.0.2.7:51234\"",
        "\"clientIp\":\"::ffff:192.0.2.7\"",
        "\"clientIpHash\":\"[::FFFF:192.0.2.7]:80\"",
    };
    struct rig *rig = *state;
    struct ps_hasher *hasher;
    char body[256];
    assert_int_equal(ps_hasher_open(&hasher, secret, NULL), 0);
    uint64_t hash = ps_hasher_client(hasher, PS_STR("192.0.2.7"));
    uint64_t octal = ps_hasher_client(hasher, PS_STR("192.0.02.7"));
    ps_hasher_close(hasher);
    for (size_t i = 0; i < PS_COUNT_OF(fields); i++) {
        snprintf(body, sizeof body, "{\"path\":\"/\",\"timestamp\":1760536800000,%s}", fields[i]);
        take(rig, body);
        struct ps_event event = event_at(rig, i);
        assert_true(event.has_client);
        if (event.client_hash != hash)
            fail_msg("%s", fields[i]);
    }
    take(rig, "{\"path\":\"/\",\"timestamp\":1760536800000,\"clientIp\":\"192.0.02.7\"}");
    assert_true(event_at(rig, rig->out.count - 1).client_hash == octal && octal != hash);
    take(rig, "{\"path\":\"/\",\"timestamp\":1760536800000,\"clientIpHash\":\"00000000000000AB\"}");
    assert_true(event_at(rig, rig->out.count - 1).client_hash == 0xab); /* as given */
    take(rig, "{\"path\":\"/\",\"timestamp\":1760536800000,\"clientIp\":\"\"}");
    assert_false(event_at(rig, rig->out.count - 1).has_client);
}

/* What the answer says was not accepted is not in the outbox, whose older events stay. */
static void test_a_cut_off_array_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    take(rig, EVENT("/before"));
    size_t bytes = rig->out.bytes.len;
    take(rig, "[" EVENT("/a") "," EVENT("/b") ",{\"path\":\"/c");
    assert_true(rig->result.fatal);
    assert_int_equal(rig->result.accepted, 0);
    assert_int_equal(rig->result.rejected, 1);
    assert_int_equal(rig->out.count, 1);
    assert_int_equal(rig->out.bytes.len, bytes);
    take(rig, EVENT("/after"));
    assert_int_equal(rig->result.accepted, 1);
    assert_false(rig->result.fatal);
    assert_true(ps_str_equal(event_at(rig, 1).path, PS_STR("/after")));
}

static void test_a_body_that_does_not_fit_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    size_t each = strlen(EVENT("/x") "\n"), count = 2 * OUTBOX_MAX / 64;
    char *body = malloc(count * each + 1);
    assert_non_null(body);
    for (size_t i = 0; i < count; i++)
        memcpy(body + i * each, EVENT("/x") "\n", each);
    take(rig, EVENT("/before"));
    size_t bytes = rig->out.bytes.len;
    assert_int_equal(take_bytes(rig, body, count * each), PS_EFULL);
    assert_int_equal(rig->result.accepted, 0);
    assert_int_equal(rig->out.count, 1);
    assert_int_equal(rig->out.bytes.len, bytes);
    take(rig, EVENT("/after"));
    assert_true(ps_str_equal(event_at(rig, 1).path, PS_STR("/after")));
    free(body);
}

static char *repeat(const char *what, size_t *ret_len)
{
    size_t each = strlen(what), n = BIG_BODY / each;
    char *body = malloc(n * each);
    assert_non_null(body);
    for (size_t i = 0; i < n; i++)
        memcpy(body + i * each, what, each);
    *ret_len = n * each;
    return body;
}

/* I8: a body of millions of bad events costs what PS_INGEST_REFUSED_MAX of them cost. */
static void test_millions_of_bad_events(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{}\n",
        "{}\n\n\n",
        "x\n",
        "{\n",
        "  {\n",
        "[{\"\n",
        "{\"path\":\"/a\"}",
        "{\"timestamp\":1760536800000}",
        "{\"clientIp\":\"192.0.2.7\",\"x\":1,\"y\":2,\"z\":3}",
        "{\"path\":\"/\",\"timestamp\":1760536800000,\"requestId\":\"\"},",
    };
    struct rig *rig = *state;
    size_t len;
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        char *body = repeat(bad[i], &len);
        draws = 0;
        clock_t start = clock();
        int r = take_bytes(rig, body, len);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        assert_int_equal(r, 0);
        assert_int_equal(draws, 0); /* nothing random is drawn for what is refused */
        if (seconds > CPU_MAX)
            fail_msg("%.20s…: %.2f s", bad[i], seconds);
        assert_int_equal(rig->result.accepted, 0);
        assert_true(rig->result.stopped || rig->result.fatal);
        assert_int_equal(rig->result.rejected, rig->result.fatal ? 1 : PS_INGEST_REFUSED_MAX);
        free(body);
    }
}

/* Lines that all begin what the next ones go on with: each is read once more as a beginning. */
static char *nested_lines(size_t *ret_len)
{
    enum { LEVELS = PS_JSON_DEPTH_MAX - 2, GROUP = 50000 };
    char *body = malloc(BIG_BODY);
    size_t len = 0;
    assert_non_null(body);
    while (len + GROUP < BIG_BODY) {
        size_t end = len + GROUP;
        for (int i = 0; i < LEVELS; i++, len += 6)
            memcpy(body + len, "{\"a\":\n", 6);
        for (memcpy(body + len, "[0", 2), len += 2; len + 3 < end; len += 2)
            memcpy(body + len, ",0", 2);
        body[len++] = '\n';
    }
    *ret_len = len;
    return body;
}

/* I8: the time is linear in the body. */
static void test_nested_beginnings(void **state)
{
    struct rig *rig = *state;
    size_t len;
    char *body = nested_lines(&len);
    clock_t start = clock();
    assert_int_equal(take_bytes(rig, body, len), 0);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    free(body);
    assert_int_equal(rig->result.accepted, 0);
    /* read over and over it is PS_INGEST_REFUSED_MAX */
    if (seconds > CPU_MAX || rig->result.rejected > PS_INGEST_REFUSED_MAX / 2)
        fail_msg("%zu bytes took %.2f s, %zu refused", len, seconds, rig->result.rejected);
}

/* The counts are of what was read, and good events among them stay. */
static void test_the_rest_is_not_read(void **state)
{
    struct rig *rig = *state;
    size_t len;
    char *body = repeat(EVENT("/good") "\n{}\n", &len);
    assert_int_equal(take_bytes(rig, body, len), 0);
    assert_true(rig->result.stopped);
    assert_int_equal(rig->result.rejected, PS_INGEST_REFUSED_MAX);
    assert_int_equal(rig->result.accepted, PS_INGEST_REFUSED_MAX);
    assert_int_equal(rig->out.count, PS_INGEST_REFUSED_MAX);
    assert_int_equal(rig->result.by_reason[PS_REJECT_TIMESTAMP_MISSING], PS_INGEST_REFUSED_MAX);
    len = PS_INGEST_REFUSED_MAX * strlen(EVENT("/good") "\n{}\n");
    ps_outbox_clear(&rig->out);
    assert_int_equal(take_bytes(rig, body, len - 1), 0); /* one fewer is all read */
    assert_false(rig->result.stopped);
    free(body);
}

/* A made id is random, and many of them need one call of the system. */
static void test_random_ids_are_drawn_together(void **state)
{
    enum { EVENTS = 3200 };
    struct rig *rig = *state;
    char *body = malloc(EVENTS * strlen(EVENT("/x")) + 1);
    assert_non_null(body);
    for (int i = 0; i < EVENTS; i++)
        strcpy(body + (size_t)i * strlen(EVENT("/x")), EVENT("/x"));
    draws = 0;
    take(rig, body);
    assert_int_equal(rig->result.accepted, EVENTS);
    assert_true(draws > 0 && draws <= EVENTS / 30);
    for (int i = 1; i < EVENTS; i++)
        assert_false(ps_str_equal(event_at(rig, (size_t)i - 1).id, event_at(rig, (size_t)i).id));
    free(body);
}

/* The next body's answer has none of the warnings and reasons of the one before. */
static void test_results_are_reset(void **state)
{
    struct rig *rig = *state;
    take(rig, "{\"path\":\"/\",\"timestamp\":1760536800000,\"statusCode\":500,\"status\":1}");
    assert_int_equal(rig->result.accepted, 1);
    assert_int_equal(rig->result.warnings.count, 2);
    take(rig, EVENT("/"));
    assert_int_equal(rig->result.warnings.count, 0);
    take(rig, "{}");
    assert_int_equal(rig->result.rejected, 1);
    take(rig, " ");
    assert_int_equal(rig->result.rejected, 0);
    assert_true(rig->result.blank);
    take(rig, "[]");
    assert_false(rig->result.blank);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_client_under_many_names),
        CASE(test_a_cut_off_array_leaves_nothing),
        CASE(test_a_body_that_does_not_fit_leaves_nothing),
        CASE(test_millions_of_bad_events),
        CASE(test_nested_beginnings),
        CASE(test_the_rest_is_not_read),
        CASE(test_random_ids_are_drawn_together),
        CASE(test_results_are_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
