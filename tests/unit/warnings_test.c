/* warnings_test.c - fields that were not used: which known one was meant, and how many are told.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/warnings.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ps_str view(const char *text)
{
    return (struct ps_str){text, strlen(text)};
}

static void test_what_was_meant(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"statusCode", "status"},
        {"status_code", "status"},
        {"Status", "status"},
        {"statsu", "status"},
        {"response_time", "responseTime"},
        {"responsetime", "responseTime"},
        {"reponseTime", "responseTime"},
        {"latency", "responseTime"},
        {"duration_ms", "responseTime"},
        {"client_ip", "clientIp"},
        {"clientIP", "clientIp"},
        {"remote_addr", "clientIp"},
        {"ip", "clientIp"},
        {"client_ip_hash", "clientIpHash"},
        {"user_agent", "userAgent"},
        {"User-Agent", "userAgent"},
        {"ua", "userAgent"},
        {"url", "path"},
        {"request_uri", "path"},
        {"Path", "path"},
        {"timeStamp", "timestamp"},
        {"ts", "timestamp"},
        {"time", "timestamp"},
        {"metod", "method"},
        {"verb", "method"},
        {"countryCode", "country"},
        {"error", "isError"},
        {"request_id", "requestId"},
        {"traceId", "requestId"},
        {"id", "idempotentId"},
        {"idempotencyKey", "idempotentId"},
        {"idempotentID", "idempotentId"},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_str near = ps_field_near(view(cases[i][0]));
        if (near.ptr == NULL || !ps_str_equal(near, view(cases[i][1])))
            fail_msg("%s: %.*s, not %s", cases[i][0], (int)near.len, near.ptr, cases[i][1]);
    }
    static const char *const like_nothing[] = {
        "",        "_",
        "x",       "foo",
        "pth",     "host",
        "data",    "port",
        "level",   "message",
        "referer", "bites",
        "\xff",    "an_unknown_field_with_a_name_that_is_longer_than_any_of_ours_could_be"};
    for (size_t i = 0; i < PS_COUNT_OF(like_nothing); i++)
        if (ps_field_near(view(like_nothing[i])).ptr != NULL)
            fail_msg("%s", like_nothing[i]);
}

static void check_sentence(struct ps_str field, enum ps_reject why, const char *expected)
{
    struct ps_warnings w = {0};
    char text[PS_WARNING_TEXT_MAX];
    ps_warnings_add(&w, field, why);
    memset(text, 'x', sizeof text);
    ps_warning_text(&w.list[0], text);
    assert_non_null(memchr(text, '\0', sizeof text));
    assert_string_equal(text, expected);
}

static void test_sentences(void **state)
{
    (void)state;
    char longest[100];
    check_sentence(PS_STR("statusCode"), PS_REJECT_UNKNOWN_FIELD,
                   "unknown field statusCode: did you mean status?");
    check_sentence(PS_STR("foo"), PS_REJECT_UNKNOWN_FIELD, "unknown field foo: it is not used");
    check_sentence(PS_STR("status"), PS_REJECT_STATUS_RANGE,
                   "status must be 100 to 999: the field was left out");
    check_sentence(PS_STR("userAgent"), PS_REJECT_JSON_UTF8,
                   "userAgent: characters that are not valid became U+FFFD");
    memset(longest, 'q', sizeof longest);
    check_sentence(
        (struct ps_str){longest, sizeof longest}, PS_REJECT_UNKNOWN_FIELD,
        "unknown field qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq: it is not used");
    for (enum ps_reject why = PS_REJECT_NONE + 1; why < PS_REJECT_COUNT; why++) {
        struct ps_warnings w = {0};
        char text[PS_WARNING_TEXT_MAX];
        if (!ps_reject_costs_field(why))
            continue;
        ps_warnings_add(&w, (struct ps_str){longest, sizeof longest}, why);
        ps_warning_text(&w.list[0], text);
        assert_true(strlen(text) < sizeof text - 1); /* nothing was cut */
    }
}

/* I8: names a client makes up fill their places and no more; known fields are always told. */
static void test_the_list_is_bounded(void **state)
{
    (void)state;
    struct ps_warnings w = {0};
    char name[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "x%d", i);
            ps_warnings_add(&w, view(name), PS_REJECT_UNKNOWN_FIELD);
        }
    assert_int_equal(w.count, PS_WARNINGS_UNKNOWN_MAX);
    assert_int_equal(w.unlisted, 2 * (100 - PS_WARNINGS_UNKNOWN_MAX));
    assert_int_equal(w.list[0].count, 2);
    ps_warnings_add(&w, PS_STR("status"), PS_REJECT_STATUS_RANGE);
    ps_warnings_add(&w, PS_STR("status"), PS_REJECT_STATUS_TYPE);
    ps_warnings_add(&w, PS_STR("status"), PS_REJECT_STATUS_RANGE);
    assert_int_equal(w.count, PS_WARNINGS_UNKNOWN_MAX + 2);
    assert_int_equal(w.list[PS_WARNINGS_UNKNOWN_MAX].count, 2);
    ps_warnings_add(NULL, PS_STR("x"), PS_REJECT_UNKNOWN_FIELD); /* nobody wants to know */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_meant),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_the_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
