/* logline_test.c - access-log lines to events, and ids that survive importing again.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "intake/logline.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "10.0.0.1 - - [01/Jan/2025:00:00:00 +0000] "
#define REQUEST PREFIX "\"GET /x HTTP/1.1\" 200 5"

static char scratch[4096];

static enum ps_reject parse(const char *line, struct ps_raw_event *ret)
{
    size_t len = strlen(line);
    char *exact = malloc(len); /* without a NUL, so that reading past the end shows */
    assert_non_null(exact);
    assert_true(len <= sizeof(scratch));
    memcpy(exact, line, len);
    struct ps_raw_event raw;
    enum ps_reject why = ps_logline_parse(exact, len, scratch, &raw);
    if (why == PS_REJECT_NONE) { /* views into `line`, which outlives this */
        struct ps_str *views[] = {&raw.path, &raw.method, &raw.user_agent, &raw.client_ip};
        for (size_t i = 0; i < PS_COUNT_OF(views); i++)
            if (views[i]->ptr >= exact && views[i]->ptr < exact + len)
                views[i]->ptr = line + (views[i]->ptr - exact);
        *ret = raw;
    }
    free(exact);
    return why;
}

static struct ps_raw_event parsed(const char *line)
{
    struct ps_raw_event raw;
    if (parse(line, &raw) != PS_REJECT_NONE)
        fail_msg("rejected: %s", line);
    return raw;
}

static void check_text(struct ps_str s, const char *expected)
{
    if (expected == NULL) {
        assert_null(s.ptr);
        return;
    }
    assert_non_null(s.ptr);
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

static void reads_the_combined_format(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        parsed("83.149.9.216 - bob [17/May/2015:10:05:03 +0000] \"GET /a?b=c HTTP/1.1\" 404 203 "
               "\"http://e.com/\" \"Mozilla/5.0 (X; [y])\"");
    check_text(raw.client_ip, "83.149.9.216");
    check_text(raw.method, "GET");
    check_text(raw.path, "/a?b=c");
    check_text(raw.user_agent, "Mozilla/5.0 (X; [y])");
    check_text(raw.id, NULL);
    check_text(raw.country, NULL);
    assert_int_equal(raw.timestamp_ms, INT64_C(1431857103000));
    assert_int_equal(raw.status, 404);
    assert_int_equal(raw.response_bytes, 203);
    assert_int_equal(raw.response_us, PS_ABSENT);
    assert_int_equal(raw.is_error, PS_ABSENT);
    assert_false(raw.has_id_hash);
}

static void reads_the_common_format(void **state)
{
    (void)state;
    struct ps_raw_event raw = parsed("127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "
                                     "\"GET /apache_pb.gif HTTP/1.0\" 200 2326\r");
    check_text(raw.path, "/apache_pb.gif");
    check_text(raw.user_agent, NULL);
    assert_int_equal(raw.timestamp_ms, INT64_C(971211336000)); /* I9: the zone is applied */
    assert_int_equal(raw.status, 200);
}

static void applies_calendar_and_zone(void **state)
{
    static const struct {
        const char *time;
        int64_t ms; /* 0: not a time */
    } cases[] = {
        {"29/Feb/2024:23:59:59 +0530", INT64_C(1709231399000)},
        {"01/Jan/2025:00:00:00 -0330", INT64_C(1735702200000)},
        {"31/Dec/2016:23:59:60 +0000", INT64_C(1483228800000)},
        {"01/Jan/2025:00:00:00 +0000", INT64_C(1735689600000)},
        {"01/Jan/2025:00:00:01 +0000", INT64_C(1735689601000)},
        {"29/Feb/2023:00:00:00 +0000", 0},
        {"31/Apr/2025:00:00:00 +0000", 0},
        {"00/Jan/2025:00:00:00 +0000", 0},
        {"01/jan/2025:00:00:00 +0000", 0},
        {"01/Xyz/2025:00:00:00 +0000", 0},
        {"01/Jan/2025:24:00:00 +0000", 0},
        {"01/Jan/2025:00:60:00 +0000", 0},
        {"01/Jan/2025:00:00:61 +0000", 0},
        {"01/Jan/2025:00:00:00 00000", 0},
        {"01/Jan/2025:00:00:00 +0060", 0},
        {"1/Jan/2025:00:00:00 +00000", 0},
        {"01/Jan/2025:0a:00:00 +0000", 0},
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char line[256];
        struct ps_raw_event raw = {0};
        snprintf(line, sizeof(line), "h - - [%s] \"GET / HTTP/1.1\" 200 1", cases[i].time);
        enum ps_reject why = parse(line, &raw);
        if (why != (cases[i].ms == 0 ? PS_REJECT_LINE_SYNTAX : PS_REJECT_NONE))
            fail_msg("%s: %d", cases[i].time, (int)why);
        if (cases[i].ms != 0)
            assert_int_equal(raw.timestamp_ms, cases[i].ms);
    }
}

static void reads_every_form_of_request(void **state)
{
    static const struct {
        const char *request, *method, *path; /* path NULL: the line is rejected */
    } cases[] = {
        {"GET /a HTTP/2.0", "GET", "/a"},
        {"GET /a", "GET", "/a"}, /* HTTP/0.9 */
        {"GET /a b HTTP/1.1", "GET", "/a b"},
        {"GET  /a  HTTP/1.1", "GET", "/a"},
        {"GET http://h.org/p?q HTTP/1.1", "GET", "/p?q"},
        {"GET http://h.org HTTP/1.1", "GET", "/"},
        {"GET https://h.org?q=/z HTTP/1.1", "GET", "/"},
        {"CONNECT h.org:443 HTTP/1.1", "CONNECT", "h.org:443"},
        {"OPTIONS * HTTP/1.1", "OPTIONS", "*"},
        {"OPTIONS / RTSP/1.0", "OPTIONS", "/"},
        {"M-SEARCH //x HTTP/1.1", "M-SEARCH", "//x"},
        {"GET /a\\\"b\\\\c HTTP/1.1", "GET", "/a\"b\\c"},
        {"GET /\\xc3\\xA4\\q\\x4 HTTP/1.1", "GET", "/\xc3\xa4\\q\\x4"},
        {"GET /a\\tb HTTP/1.1", "GET", "/a\tb"},
        {"GET /say\"hi\"now HTTP/1.1", "GET", "/say\"hi\"now"},
        {"-", NULL, NULL},
        {"", NULL, NULL},
        {"GET", NULL, NULL},
        {"GET ", NULL, NULL},
        {"GET HTTP/1.1", NULL, NULL},
        {"GET  HTTP/1.1", NULL, NULL},
        {" /x HTTP/1.1", NULL, NULL},
        {"hello world", NULL, NULL},
        {"G@T /x HTTP/1.1", NULL, NULL},
        {"\\x16\\x03\\x01\\x00\\xa5\\x01\\x00\\x00\\xa1\\x03\\x03 /\\x00", NULL, NULL},
        {"\x16\x03\x01 /x", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char line[512];
        struct ps_raw_event raw = {0};
        snprintf(line, sizeof(line), PREFIX "\"%s\" 400 226 \"-\" \"ua\"", cases[i].request);
        enum ps_reject why = parse(line, &raw);
        if (why != (cases[i].path == NULL ? PS_REJECT_LINE_SYNTAX : PS_REJECT_NONE))
            fail_msg("%s: %d", cases[i].request, (int)why);
        if (cases[i].path == NULL)
            continue;
        check_text(raw.method, cases[i].method);
        check_text(raw.path, cases[i].path);
        check_text(raw.user_agent, "ua");
    }
}

static void dashes_are_absent(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        parsed("- - - [01/Jan/2025:00:00:00 +0000] \"GET /x HTTP/1.1\" - - \"-\" \"-\" -");
    check_text(raw.client_ip, NULL);
    check_text(raw.user_agent, NULL);
    assert_int_equal(raw.status, PS_ABSENT);
    assert_int_equal(raw.response_us, PS_ABSENT);
    assert_int_equal(raw.response_bytes, PS_ABSENT);
    raw = parsed(PREFIX "\"GET /x HTTP/1.1\" 000 0");
    assert_int_equal(raw.status, PS_ABSENT);
    assert_int_equal(raw.response_bytes, 0);
    raw = parsed(PREFIX "\"GET /x HTTP/1.1\" 200 9007199254740991");
    assert_true(raw.response_bytes == PS_RESPONSE_BYTES_MAX);
    raw = parsed(PREFIX "\"GET /x HTTP/1.1\" 200 9007199254740992"); /* no size, still a line */
    assert_int_equal(raw.response_bytes, PS_ABSENT);
    raw = parsed(PREFIX "\"GET /x HTTP/1.1\" 200 99999999999999999999999999");
    assert_int_equal(raw.response_bytes, PS_ABSENT);
}

static void reads_the_time_taken(void **state)
{
    static const struct {
        const char *rest;
        int64_t us;
    } cases[] = {
        {" \"-\" \"ua\" 0.123", 123000},
        {" \"-\" \"ua\" 1.5", 1500000},
        {" \"-\" \"ua\" 0.1234567", 123456},
        {" \"-\" \"ua\" 731", 731},
        {" 731", 731},
        {" 0.002", 2000},
        {" \"-\" \"ua\" \"1.2.3.4\" 0.001", 1000},
        {" \"-\" \"ua\" 0.250 0.100", 250000},
        {" \"-\" \"ua\" 512 1024", PS_ABSENT}, /* combinedio: bytes in and out */
        {" \"-\" \"ua\" 512 1024 0.5", 500000},
        {" \"-\" \"ua\" -", PS_ABSENT},
        {" \"-\" \"ua\" 1.", PS_ABSENT},
        {" \"-\" \"ua\" 1.2.3", PS_ABSENT},
        {" \"-\" \"ua\" 99999999999999999999999", PS_ABSENT},
        {" \"-\" \"ua\" 999999999999.0", INT64_C(999999999999000000)},
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char line[512];
        snprintf(line, sizeof(line), REQUEST "%s", cases[i].rest);
        struct ps_raw_event raw = parsed(line);
        if (raw.response_us != cases[i].us)
            fail_msg("%s: %lld", cases[i].rest, (long long)raw.response_us);
    }
}

static void takes_what_a_cut_line_has(void **state)
{
    (void)state;
    check_text(parsed(REQUEST " \"-\" \"Mozilla/5.0 (comp").user_agent, "Mozilla/5.0 (comp");
    check_text(parsed(REQUEST " \"-\" \"a \\\"b\\").user_agent, "a \"b\\");
    check_text(parsed(REQUEST " \"-\" \"").user_agent, "");
    check_text(parsed(REQUEST " \"http://e.").user_agent, NULL);
    check_text(parsed(REQUEST " \"http://e.com/\" ").user_agent, NULL);
    check_text(parsed(REQUEST " ").path, "/x");
    check_text(parsed(REQUEST " \"x\\\" y\" \"ua\"").user_agent, "ua");
}

static void odd_users_do_not_hide_the_time(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        parsed("2001:db8::1 - a b [c] [01/Jan/2025:00:00:00 +0000] \"GET /x HTTP/1.1\" 200 5");
    check_text(raw.client_ip, "2001:db8::1");
    assert_int_equal(raw.timestamp_ms, INT64_C(1735689600000));
}

static void rejects_what_is_not_the_format(void **state)
{
    static const char *const lines[] = {
        "",
        "\r",
        "hello",
        "{\"path\":\"/x\"}",
        "10.0.0.1",
        "10.0.0.1 - -",
        "10.0.0.1 - - [01/Jan/2025:00:00:00 +0000]",
        "10.0.0.1 - - [01/Jan/2025:00:00:00 +0000",
        PREFIX "\"GET /x HTTP/1.1",
        PREFIX "\"GET /x HTTP/1.1\"",
        PREFIX "\"GET /x HTTP/1.1\" 200",
        PREFIX "\"GET /x HTTP/1.1\" 2x0 5",
        PREFIX "\"GET /x HTTP/1.1\" 9999999999 5",
        PREFIX "\"GET /x HTTP/1.1\" 200 five",
        PREFIX "GET /x HTTP/1.1 200 5",
        /* Debian's vhost_combined: the first field is not the client */
        "www.e.com:80 10.0.0.1 - - [01/Jan/2025:00:00:00 +0000] \"GET /x HTTP/1.1\" 200 5",
        " - - - [01/Jan/2025:00:00:00 +0000] \"GET /x HTTP/1.1\" 200 5",
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(lines); i++) {
        struct ps_raw_event raw;
        memset(&raw, 0x5a, sizeof(raw));
        struct ps_raw_event before = raw;
        if (parse(lines[i], &raw) != PS_REJECT_LINE_SYNTAX)
            fail_msg("accepted: %s", lines[i]);
        assert_memory_equal(&raw, &before, sizeof(raw));
    }
}

/* A prefix of a good line never crashes and is never taken for more than it says. */
static void every_prefix_is_safe(void **state)
{
    static const char line[] = REQUEST " \"\\\"r\\x41\" \"a\\\\\\\"b\" \"9\" 0.125 17";
    (void)state;
    for (size_t n = 0; n < sizeof(line); n++) {
        char cut[sizeof(line)];
        struct ps_raw_event raw;
        memcpy(cut, line, n);
        cut[n] = '\0';
        enum ps_reject why = parse(cut, &raw);
        assert_int_equal(why, n < strlen(REQUEST) ? PS_REJECT_LINE_SYNTAX : PS_REJECT_NONE);
        if (why == PS_REJECT_NONE)
            check_text(raw.path, "/x");
    }
}

struct id_list {
    uint64_t ids[512];
    size_t count;
};

/* The ids of the sample, read with `ending` at each line's end. */
static void read_sample(const char *source, const char *ending, struct id_list *ret)
{
    FILE *f = fopen("tests/data/apache_sample.log", "r");
    struct ps_occurrences *seen = ps_occurrences_open();
    char line[8192];
    if (f == NULL)
        fail_msg("run from the root of the tree");
    ret->count = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        struct ps_raw_event raw;
        char undone[sizeof(line)];
        strcpy(line + strcspn(line, "\n"), ending);
        struct ps_str label = {source, strlen(source)};
        if (ps_logline_event(line, strlen(line), label, seen, undone, &raw) != PS_REJECT_NONE)
            fail_msg("rejected: %s", line);
        assert_true(raw.has_id_hash && raw.path.len > 0 && raw.client_ip.len > 0);
        assert_in_range(raw.status, 200, 500);
        assert_true(ret->count < PS_COUNT_OF(ret->ids));
        ret->ids[ret->count++] = raw.id_hash;
    }
    ps_occurrences_close(seen);
    fclose(f);
}

/* I1: importing a file or its copy with other line ends again makes the same ids, all different;
 * another source makes others. */
static void real_lines_keep_their_ids(void **state)
{
    static struct id_list first, again, other;
    (void)state;
    read_sample("web1", "", &first);
    read_sample("web1", "\r", &again);
    read_sample("web2", "", &other);
    assert_int_equal(first.count, 200);
    assert_int_equal(again.count, first.count);
    assert_memory_equal(first.ids, again.ids, first.count * sizeof(first.ids[0]));
    for (size_t i = 0; i < first.count; i++)
        for (size_t j = 0; j < first.count; j++) {
            assert_int_not_equal(first.ids[i], other.ids[j]);
            if (i != j)
                assert_int_not_equal(first.ids[i], first.ids[j]);
        }
}

/* I1: identical lines are different requests. */
static void identical_lines_count_each(void **state)
{
    static const char line[] = REQUEST;
    uint64_t ids[3];
    struct ps_occurrences *seen = ps_occurrences_open();
    struct ps_raw_event raw;
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(ids); i++) {
        assert_int_equal(ps_logline_event(line, strlen(line), PS_STR("s"), seen, scratch, &raw), 0);
        ids[i] = raw.id_hash;
    }
    assert_int_not_equal(ids[0], ids[1]);
    assert_int_not_equal(ids[1], ids[2]);
    assert_int_not_equal(ids[0], ids[2]);
    ps_occurrences_reset(seen);
    for (size_t i = 0; i < PS_COUNT_OF(ids); i++) {
        assert_int_equal(ps_logline_event(line, strlen(line), PS_STR("s"), seen, scratch, &raw), 0);
        assert_int_equal(raw.id_hash, ids[i]);
    }
    ps_occurrences_close(seen);
}

static uint32_t next(struct ps_occurrences *o, uint64_t hash)
{
    uint32_t n = UINT32_MAX;
    assert_int_equal(ps_occurrences_next(o, hash, &n), 0);
    return n;
}

/* I8: bounded memory, yet a line half the bound back is remembered, with its count. */
static void occurrences_forget_only_what_is_far(void **state)
{
    const uint64_t marker = UINT64_C(0xfeedfacecafe);
    struct ps_occurrences *o = ps_occurrences_open();
    (void)state;
    assert_non_null(o);
    assert_int_equal(next(o, 0), 0); /* 0 is a hash like any other */
    assert_int_equal(next(o, 0), 1);
    assert_int_equal(next(o, marker), 0);
    assert_int_equal(next(o, marker), 1);
    for (uint64_t i = 1; i <= PS_OCCURRENCES_MAX / 2; i++)
        assert_int_equal(next(o, i << 40 | i), 0);
    assert_int_equal(next(o, marker), 2); /* carried over from the old generation */
    assert_int_equal(next(o, marker), 3);
    for (uint64_t i = 1; i <= PS_OCCURRENCES_MAX; i++)
        assert_int_equal(next(o, i << 42 | 1u << 30 | i), 0);
    assert_int_equal(next(o, marker), 0); /* forgotten */
    ps_occurrences_close(o);
    ps_occurrences_close(NULL);
}

/* Of the next file nothing was seen, whichever of the two generations held it (I1: or its first
 * lines would get the ids of second ones, and importing it again would count them). */
static void a_reset_forgets_the_older_lines_too(void **state)
{
    struct ps_occurrences *seen = ps_occurrences_open();
    uint32_t times;
    (void)state;
    assert_non_null(seen);
    for (uint64_t line = 1; line <= PS_OCCURRENCES_MAX / 2 + 1; line++)
        assert_int_equal(ps_occurrences_next(seen, line * UINT64_C(0x9e3779b97f4a7c15), &times), 0);
    ps_occurrences_next(seen, UINT64_C(0x9e3779b97f4a7c15), &times);
    assert_int_equal(times, 1); /* the first line is among the older ones */
    ps_occurrences_reset(seen);
    ps_occurrences_next(seen, UINT64_C(2) * UINT64_C(0x9e3779b97f4a7c15), &times);
    assert_int_equal(times, 0);
    ps_occurrences_close(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_forgets_the_older_lines_too),
        cmocka_unit_test(reads_the_combined_format),
        cmocka_unit_test(reads_the_common_format),
        cmocka_unit_test(applies_calendar_and_zone),
        cmocka_unit_test(reads_every_form_of_request),
        cmocka_unit_test(dashes_are_absent),
        cmocka_unit_test(reads_the_time_taken),
        cmocka_unit_test(takes_what_a_cut_line_has),
        cmocka_unit_test(odd_users_do_not_hide_the_time),
        cmocka_unit_test(rejects_what_is_not_the_format),
        cmocka_unit_test(every_prefix_is_safe),
        cmocka_unit_test(real_lines_keep_their_ids),
        cmocka_unit_test(identical_lines_count_each),
        cmocka_unit_test(occurrences_forget_only_what_is_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
