/* decode_test.c - JSON to raw events: every key, every wrong type.
 *
 * Inputs are copied to blocks of their exact size, so that a sanitizer sees a read past the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/decode.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 256 * 1024 };

static char text_block[BODY_MAX], scratch[BODY_MAX];
static struct ps_warnings warnings; /* of the text decoded last */

/* Decodes a NUL-terminated text; views in `ret` stay valid until the next call. */
static enum ps_reject decode(const char *text, struct ps_raw_event *ret, size_t *ret_used)
{
    size_t len = strlen(text), used = 0;
    assert_true(len <= BODY_MAX);
    char *at_end = text_block + BODY_MAX - len; /* nothing but the end behind it */
    memcpy(at_end, text, len);
    memset(&warnings, 0, sizeof warnings);
    enum ps_reject why = ps_event_from_json(at_end, len, scratch, &warnings, ret, &used);
    assert_true(used <= len);
    if (ret_used != NULL)
        *ret_used = used;
    return why;
}

static struct ps_raw_event decoded(const char *text)
{
    struct ps_raw_event raw;
    enum ps_reject why = decode(text, &raw, NULL);
    if (why != PS_REJECT_NONE)
        fail_msg("%s: %s", ps_reject_name(why), text);
    return raw;
}

static void check_rejected(const char *text, enum ps_reject expected)
{
    struct ps_raw_event raw, before;
    memset(&raw, 0x5a, sizeof raw);
    before = raw;
    enum ps_reject why = decode(text, &raw, NULL);
    if (why != expected)
        fail_msg("%s, not %s: %.200s", ps_reject_name(why), ps_reject_name(expected), text);
    assert_memory_equal(&raw, &before, sizeof raw); /* out parameters stay untouched */
}

static void check_bytes(struct ps_str s, const char *expected, size_t len)
{
    assert_non_null(s.ptr);
    assert_int_equal(s.len, len);
    assert_memory_equal(s.ptr, expected, len);
}

static void check_text(struct ps_str s, const char *expected)
{
    check_bytes(s, expected, strlen(expected));
}

/* --- members --- */

static void test_all_known_keys(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        decoded("{\"idempotentId\":\"i-1\",\"timestamp\":1760536987123,\"path\":\"/a/b\","
                "\"method\":\"GET\",\"status\":404,\"responseTime\":12.5,"
                "\"clientIp\":\"192.0.2.1\",\"clientIpHash\":\"0123456789abcdef\","
                "\"userAgent\":\"curl/8\",\"country\":\"DE\",\"isError\":true,"
                "\"requestId\":\"r-9\"}");
    check_text(raw.id, "i-1");
    assert_int_equal(raw.timestamp_ms, INT64_C(1760536987123));
    check_text(raw.path, "/a/b");
    check_text(raw.method, "GET");
    assert_int_equal(raw.status, 404);
    assert_int_equal(raw.response_us, 12500);
    check_text(raw.client_ip, "192.0.2.1");
    check_text(raw.client_ip_hash, "0123456789abcdef");
    check_text(raw.user_agent, "curl/8");
    check_text(raw.country, "DE");
    assert_int_equal(raw.is_error, 1);
    check_text(raw.request_id, "r-9");
    assert_false(raw.has_id_hash);
}

static void check_all_absent(const struct ps_raw_event *raw)
{
    assert_null(raw->id.ptr);
    assert_null(raw->path.ptr);
    assert_null(raw->method.ptr);
    assert_null(raw->user_agent.ptr);
    assert_null(raw->country.ptr);
    assert_null(raw->request_id.ptr);
    assert_null(raw->client_ip.ptr);
    assert_null(raw->client_ip_hash.ptr);
    assert_int_equal(raw->timestamp_ms, PS_ABSENT);
    assert_int_equal(raw->response_us, PS_ABSENT);
    assert_int_equal(raw->status, PS_ABSENT);
    assert_int_equal(raw->is_error, PS_ABSENT);
}

static void test_null_and_missing_are_absent(void **state)
{
    (void)state;
    struct ps_raw_event raw = decoded("{}");
    check_all_absent(&raw);
    raw = decoded("{\"idempotentId\":null,\"timestamp\":null,\"path\":null,\"method\":null,"
                  "\"status\":null,\"responseTime\":null,\"clientIp\":null,\"clientIpHash\":null,"
                  "\"userAgent\":null,\"country\":null,\"isError\":null,\"requestId\":null}");
    check_all_absent(&raw);
    raw = decoded("{\"path\":\"\"}"); /* empty is not absent */
    check_text(raw.path, "");
}

static void check_warning(size_t i, const char *field, enum ps_reject why, uint64_t count)
{
    assert_true(i < warnings.count);
    check_bytes((struct ps_str){warnings.list[i].field, warnings.list[i].len}, field,
                strlen(field));
    if (warnings.list[i].why != why)
        fail_msg("%s: %s, not %s", field, ps_reject_name(warnings.list[i].why),
                 ps_reject_name(why));
    assert_int_equal(warnings.list[i].count, count);
}

/* What an event cannot do without, and an id that nobody may make up, refuse it. */
static void test_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *bad[6];
        enum ps_reject why;
    } cases[] = {
        {"idempotentId", {"1", "true", "false", "{}", "[]"}, PS_REJECT_ID_TYPE},
        {"timestamp", {"\"1\"", "true", "false", "{}", "[1]"}, PS_REJECT_TIMESTAMP_TYPE},
        {"path", {"1", "true", "false", "{}", "[\"/\"]"}, PS_REJECT_PATH_TYPE},
        {"requestId", {"1", "true", "false", "{}", "[]"}, PS_REJECT_REQUEST_ID_TYPE},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        for (size_t j = 0; j < PS_COUNT_OF(cases[i].bad) && cases[i].bad[j] != NULL; j++) {
            char text[256];
            snprintf(text, sizeof text, "{\"country\":null,\"%s\":%s,\"x\":1}", cases[i].key,
                     cases[i].bad[j]);
            check_rejected(text, cases[i].why);
            assert_int_equal(warnings.count, 1); /* what else is wrong is told all the same */
            check_warning(0, "x", PS_REJECT_UNKNOWN_FIELD, 1);
        }
}

/* Any other field is left out, even where it had a good value before; the event counts. */
static void test_wrong_types_cost_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *key, *good, *bad[8];
        enum ps_reject why;
    } cases[] = {
        {"method", "\"GET\"", {"1", "true", "false", "{}", "[]"}, PS_REJECT_METHOD_TYPE},
        {"status",
         "200",
         {"\"200x\"", "\"\"", "\" 200\"", "true", "{}", "[]", "200.5", "1e-1"},
         PS_REJECT_STATUS_TYPE},
        {"responseTime",
         "1",
         {"\"1s\"", "\"NaN\"", "\"0x1\"", "true", "false", "{}", "[]"},
         PS_REJECT_RESPONSE_TIME_TYPE},
        {"clientIp", "\"::1\"", {"1", "true", "false", "{}", "[]"}, PS_REJECT_CLIENT_TYPE},
        {"clientIpHash", "\"::1\"", {"1", "true", "false", "{}", "[]"}, PS_REJECT_CLIENT_TYPE},
        {"userAgent", "\"x\"", {"1", "true", "false", "{}", "[]"}, PS_REJECT_USER_AGENT_TYPE},
        {"country", "\"DE\"", {"1", "true", "false", "{}", "[]"}, PS_REJECT_COUNTRY_TYPE},
        {"isError", "true", {"1", "0", "\"true\"", "{}", "[]"}, PS_REJECT_IS_ERROR_TYPE},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        for (size_t j = 0; j < PS_COUNT_OF(cases[i].bad) && cases[i].bad[j] != NULL; j++) {
            char text[256];
            snprintf(text, sizeof text, "{\"%s\":%s,\"%s\":%s}", cases[i].key, cases[i].good,
                     cases[i].key, cases[i].bad[j]);
            struct ps_raw_event raw = decoded(text);
            check_all_absent(&raw);
            assert_int_equal(warnings.count, 1);
            check_warning(0, cases[i].key, cases[i].why, 1);
        }
}

/* Many log formats put quotes around everything. */
static void test_numbers_in_quotes(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        decoded("{\"status\":\"404\",\"responseTime\":\"12.5\",\"responseBytes\":\"7\"}");
    assert_int_equal(raw.response_bytes, 7);
    raw = decoded("{\"responseBytes\":1042}");
    assert_int_equal(raw.response_bytes, 1042);
    raw = decoded("{\"responseBytes\":1042,\"responseBytes\":null}");
    assert_int_equal(raw.response_bytes, PS_ABSENT);
    raw = decoded("{\"responseBytes\":-1}"); /* out of range, and not taken for absent */
    assert_true(raw.response_bytes == INT64_MAX);
    raw = decoded("{\"status\":\"404\",\"responseTime\":\"12.5\"}");
    assert_int_equal(raw.status, 404);
    assert_int_equal(raw.response_us, 12500);
    assert_int_equal(warnings.count, 0);
}

static void test_first_wrong_type_is_the_reason(void **state)
{
    (void)state;
    check_rejected("{\"path\":1,\"timestamp\":\"x\"}", PS_REJECT_PATH_TYPE);
    check_rejected("{\"status\":\"x\",\"timestamp\":\"x\",\"path\":1}", PS_REJECT_TIMESTAMP_TYPE);
    check_rejected("{\"path\":1,\"path\":\"/\"}", PS_REJECT_PATH_TYPE);
    check_rejected("{\"path\":1,]", PS_REJECT_JSON_SYNTAX); /* the whole is no JSON: that first */
    check_rejected("{\"x\":1,\"status\":\"x\",]", PS_REJECT_JSON_SYNTAX);
    assert_int_equal(warnings.count, 0); /* and nothing is told of what may be two lines */
}

static void test_last_of_a_repeated_key_counts(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        decoded("{\"path\":\"/1\",\"status\":200,\"isError\":true,\"responseTime\":1,"
                "\"timestamp\":1,\"path\":\"/2\",\"status\":500,\"isError\":false,"
                "\"responseTime\":2,\"timestamp\":2,\"p\\u0061th\":\"/3\"}");
    check_text(raw.path, "/3");
    assert_int_equal(raw.status, 500);
    assert_int_equal(raw.is_error, 0);
    assert_int_equal(raw.response_us, 2000);
    assert_int_equal(raw.timestamp_ms, 2);
    raw = decoded("{\"path\":\"/1\",\"status\":200,\"isError\":true,\"responseTime\":1,"
                  "\"timestamp\":1,\"path\":null,\"status\":null,\"isError\":null,"
                  "\"responseTime\":null,\"timestamp\":null}");
    check_all_absent(&raw);
}

static void test_unknown_keys_are_told(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        decoded("{\"Path\":1,\"paths\":1,\"pat\":1,\"\":1,\"METHOD\":{},"
                "\"methoe\":[1,{\"path\":2}],\"statut\":true,\"path\\u0000\":1,\"pat\":null,"
                "\"nested\":{\"path\":\"/no\",\"status\":1},\"path\":\"/x\"}");
    check_text(raw.path, "/x");
    assert_int_equal(raw.status, PS_ABSENT);
    static const char *const names[] = {"Path", "paths", "pat", "", "METHOD", "methoe", "statut"};
    for (size_t i = 0; i < PS_COUNT_OF(names); i++)
        check_warning(i, names[i], PS_REJECT_UNKNOWN_FIELD, i == 2 ? 2 : 1);
    assert_int_equal(warnings.count, 9);
    assert_int_equal(warnings.list[7].len, 5); /* with its NUL */
    check_warning(8, "nested", PS_REJECT_UNKNOWN_FIELD, 1);
}

/* I8: an event with any number of unknown fields costs a bounded list. */
static void test_many_unknown_keys(void **state)
{
    (void)state;
    char text[4096];
    int n = sprintf(text, "{\"path\":\"/\"");
    for (int i = 0; i < 200; i++)
        n += sprintf(text + n, ",\"x%d\":1", i);
    strcpy(text + n, "}");
    check_text(decoded(text).path, "/");
    assert_int_equal(warnings.count, PS_WARNINGS_UNKNOWN_MAX);
    assert_true(warnings.unlisted > 0);
}

/* --- strings --- */

static void test_escapes(void **state)
{
    (void)state;
    struct ps_raw_event raw = decoded("{\"path\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}");
    check_text(raw.path, "\"\\/\b\f\n\r\t");
    raw = decoded("{\"path\":\"a\\u0000b\"}");
    check_bytes(raw.path, "a\0b", 3);
    raw = decoded("{\"path\":\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\\uffff\\u07ff\\u0800\"}");
    check_text(raw.path, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\xdf\xbf\xe0\xa0\x80");
    raw = decoded("{\"path\":\"\\ud800\\udc00\\uDBFF\\uDFFF\"}");
    check_text(raw.path, "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    raw = decoded("{\"path\":\"long plain run \\u002f and another plain run \\n end\"}");
    check_text(raw.path, "long plain run / and another plain run \n end");
}

/* Several strings with escapes share the scratch and must not overwrite each other. */
static void test_escaped_strings_live_together(void **state)
{
    (void)state;
    struct ps_raw_event raw =
        decoded("{\"path\":\"\\/one\",\"\\u0078\":\"\\u0079\",\"method\":\"\\u0047ET\","
                "\"userAgent\":\"a\\tb\",\"country\":\"\\u0044E\",\"requestId\":\"r\\\\\"}");
    check_text(raw.path, "/one");
    check_text(raw.method, "GET");
    check_text(raw.user_agent, "a\tb");
    check_text(raw.country, "DE");
    check_text(raw.request_id, "r\\");
}

static void test_bad_strings(void **state)
{
    (void)state;
    static const char *const syntax[] = {
        "\"",          "\"abc",    "\"\\\"",           "\"\\x\"",        "\"\\u12\"", "\"\\u12g4\"",
        "\"\\U0041\"", "\"a\nb\"", "\"a\tb\"",         "\"\x01\"",       "\"\x1f\"",  "'a'",
        "\"\\",        "\"\\u",    "\"12345678\x1f\"", "\"\\ud800\\u\"", "\"\\a\"",   "\"\\0\"",
        "\"\\ud83\"",  "\"\xff",
    };
    char text[128];
    for (size_t i = 0; i < PS_COUNT_OF(syntax); i++) {
        snprintf(text, sizeof text, "{\"path\":%s}", syntax[i]);
        check_rejected(text, PS_REJECT_JSON_SYNTAX);
    }
}

/* Half an emoji costs itself: U+FFFD, and what is around it stays. */
static void test_half_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\udc00", "\xef\xbf\xbd"},
        {"a\\ud83dz", "a\xef\xbf\xbdz"},
        {"\\ud800\\ud800", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\ud800\\n", "\xef\xbf\xbd\n"},
        {"\\ud800\\u0041", "\xef\xbf\xbd"
                           "A"},
        {"\\udc00\\ud800", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\ud800\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"userAgent\":\"%s\",\"path\":\"/p\"}", cases[i].in);
        struct ps_raw_event raw = decoded(text);
        check_text(raw.user_agent, cases[i].out);
        check_text(raw.path, "/p");
        check_warning(0, "userAgent", PS_REJECT_JSON_UTF8, 1);
        assert_int_equal(warnings.count, 1);
    }
}

/* So does a byte that is no UTF-8. It stays in the raw event and is replaced in the event. */
static void test_bytes_that_are_no_utf8(void **state)
{
    (void)state;
    static const char *const bytes[] = {"\x80",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x80\x80",
                                        "\xed\xa0\x80",
                                        "\xf0\x80\x80\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xff",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x98",
                                        "12345678\xfe",
                                        "\xe2\x28\xa1",
                                        "\xed\xbf\xbf",
                                        "\xf8\x88\x80\x80\x80"};
    char text[128];
    for (size_t i = 0; i < PS_COUNT_OF(bytes); i++) {
        snprintf(text, sizeof text, "{\"path\":\"/%s\",\"status\":200}", bytes[i]);
        struct ps_raw_event raw = decoded(text);
        assert_true(raw.mended);
        assert_int_equal(raw.path.len, 1 + strlen(bytes[i]));
        assert_int_equal(raw.status, 200);
        check_warning(0, "path", PS_REJECT_JSON_UTF8, 1);
        snprintf(text, sizeof text, "{\"x\":[{\"%s\":1}],\"path\":\"/\"}", bytes[i]);
        check_text(decoded(text).path, "/"); /* in a key, deep in what is skipped */
        assert_int_equal(warnings.count, 1);
        check_warning(0, "x", PS_REJECT_UNKNOWN_FIELD, 1);
    }
    assert_false(decoded("{\"path\":\"/\xc3\xbc\"}").mended);
}

/* An id with such bytes costs the event, which says more than a warning would. */
static void test_mended_ids_are_told_once(void **state)
{
    (void)state;
    assert_true(decoded("{\"path\":\"/\",\"idempotentId\":\"a\xff\"}").mended);
    assert_int_equal(warnings.count, 0);
    assert_true(decoded("{\"path\":\"/\",\"requestId\":\"a\xff\"}").mended);
    assert_int_equal(warnings.count, 0);
    decoded("{\"path\":\"/\",\"x\":\"a\xff\"}");
    assert_int_equal(warnings.count, 1);
    check_warning(0, "x", PS_REJECT_UNKNOWN_FIELD, 1);
}

/* I8: what one event is told of has an end. */
static void test_notes_of_an_event_are_bounded(void **state)
{
    enum { TOLD = 24, SENT = 60 };
    (void)state;
    char text[1024];
    for (int sent = TOLD; sent <= SENT; sent += SENT - TOLD) {
        size_t n = (size_t)snprintf(text, sizeof text, "{\"path\":\"/\"");
        for (int i = 0; i < sent; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, ",\"x\":%d", i);
        snprintf(text + n, sizeof text - n, "}");
        decoded(text);
        assert_int_equal(warnings.count, 1);
        check_warning(0, "x", PS_REJECT_UNKNOWN_FIELD, TOLD);
    }
}

/* The string loop takes eight bytes at once: what ends a run must be seen at every offset. */
static void test_stops_at_every_offset(void **state)
{
    (void)state;
    for (int before = 0; before < 20; before++)
        for (int after = 0; after < 10; after++) {
            char text[128], expected[64];
            snprintf(text, sizeof text, "{\"path\":\"%.*s\\n%.*s\"}", before,
                     "abcdefghijklmnopqrstuvwxyz", after, "0123456789");
            snprintf(expected, sizeof expected, "%.*s\n%.*s", before, "abcdefghijklmnopqrstuvwxyz",
                     after, "0123456789");
            check_text(decoded(text).path, expected);
            snprintf(text, sizeof text, "{\"path\":\"%.*s\xc3\xbc%.*s\"}", before,
                     "\x7f !~bcdefghijklmnopqrstuvwxyz", after, "0123456789");
            assert_int_equal(decoded(text).path.len, before + 2 + after);
            snprintf(text, sizeof text, "{\"path\":\"%.*s\x1f%.*s\"}", before,
                     "abcdefghijklmnopqrstuvwxyz", after, "0123456789");
            check_rejected(text, PS_REJECT_JSON_SYNTAX);
        }
}

/* --- numbers --- */

static void test_response_times_become_microseconds(void **state)
{
    (void)state;
    static const struct {
        const char *ms;
        int64_t us;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"-0.0", 0},
        {"1", 1000},
        {"1.5", 1500},
        {"0.001", 1},
        {"0.0005", 1}, /* half up */
        {"0.0004999999", 0},
        {"0.0015", 2},
        {"12.3456", 12346},
        {"12.3454999", 12345},
        {"1e3", 1000000},
        {"1E+3", 1000000},
        {"1e-3", 1},
        {"1.5e-3", 2},
        {"15e-1", 1500},
        {"0.00000012345e7", 1235},
        {"123456789e-12", 0},
        {"0e999999", 0},
        {"0.0e-999999", 0},
        {"1e-999999", 0},
        {"86400000", INT64_C(86400000000)},
        {"9223372036854775.807", INT64_MAX},
        {"9223372036854775.806", INT64_MAX - 1},
        {"1e400", INT64_MAX},
        {"1e999999999999999999999", INT64_MAX},
        {"99999999999999999999999999", INT64_MAX},
        {"-1", INT64_MAX}, /* out of range, never absent */
        {"-0.001", INT64_MAX},
        {"-1e400", INT64_MAX},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"responseTime\":%s}", cases[i].ms);
        struct ps_raw_event raw = decoded(text);
        if (raw.response_us != cases[i].us)
            fail_msg("%s ms: %lld us", cases[i].ms, (long long)raw.response_us);
    }
}

static void test_timestamps(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"-1", 0}, /* refused later, but not as missing */
        {"-1e400", 0},
        {"1760536987123", INT64_C(1760536987123)},
        {"1760536987123.999", INT64_C(1760536987123)},
        {"1.760536987123e12", INT64_C(1760536987123)},
        {"1760536987123000e-3", INT64_C(1760536987123)},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", INT64_MAX},
        {"18446744073709551615", INT64_MAX},
        {"1e19", INT64_MAX},
        {"1e999", INT64_MAX},
        {"0.9", 0},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"timestamp\":%s}", cases[i].text);
        struct ps_raw_event raw = decoded(text);
        if (raw.timestamp_ms != cases[i].ms)
            fail_msg("%s: %lld ms", cases[i].text, (long long)raw.timestamp_ms);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"200", 200}, {"200.0", 200}, {"2e2", 200}, {"2000e-1", 200},
        {"0", 0},     {"-0", 0},      {"999", 999}, {"99", 99},
    };
    char text[128];
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        snprintf(text, sizeof text, "{\"status\":%s}", cases[i].text);
        assert_int_equal(decoded(text).status, cases[i].status);
    }
    static const char *const beyond[] = {"1000", "-1", "-200", "1e300", "4294967496", "1e19"};
    for (size_t i = 0; i < PS_COUNT_OF(beyond); i++) {
        snprintf(text, sizeof text, "{\"status\":%s}", beyond[i]);
        int32_t status = decoded(text).status;
        assert_int_not_equal(status, PS_ABSENT);
        assert_false(status >= PS_STATUS_MIN && status <= PS_STATUS_MAX);
    }
}

static void test_bad_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "01",   "-",     "+1",  "1.",       ".5",        "1e",    "1e+", "-01", "0x10",
        "1.e3", "1e3.5", "NaN", "Infinity", "-Infinity", "1_000", "--1", "00",  "1 2",
        "1a",   "-.5",   "0e",  "nul",      "tru",       "True",  ""};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"responseTime\":%s}", bad[i]);
        check_rejected(text, PS_REJECT_JSON_SYNTAX);
        snprintf(text, sizeof text, "{\"responseTime\":%s", bad[i]); /* cut off there */
        check_rejected(text, PS_REJECT_JSON_SYNTAX);
    }
}

/* --- the whole --- */

static void test_structure(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "{\"a\":1,",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{1:2}",
                                      "}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[,1]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":[1}",
                                      "{\"a\":{1}}",
                                      "{\"a\"::1}",
                                      "{\"a\":1/*c*/}",
                                      "{\"a\":1//c\n}",
                                      "\xef\xbb\xbf{}",
                                      "\f{}",
                                      "{\"a\":1,,\"b\":2}",
                                      "{null:1}",
                                      "{\"a\":{\"b\":1,}}",
                                      "{\"a\":{\"b\" 1}}",
                                      "{\"a\":{b:1}}"};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++)
        check_rejected(bad[i], PS_REJECT_JSON_SYNTAX);
    static const char *const others[] = {"1",    "\"x\"", "null",
                                         "true", " [] ",  "[{\"path\":\"/\"}]"};
    for (size_t i = 0; i < PS_COUNT_OF(others); i++)
        check_rejected(others[i], PS_REJECT_NOT_AN_OBJECT);
    struct ps_raw_event raw = decoded(" \t\r\n{ \"path\" \n:\t\"/\" \r, \"status\" : 200 }");
    check_text(raw.path, "/");
    assert_int_equal(raw.status, 200);
}

static void test_used_is_told(void **state)
{
    (void)state;
    struct ps_raw_event raw;
    size_t used;
    assert_int_equal(decode("  {\"path\":\"/\"} , 5", &raw, &used), PS_REJECT_NONE);
    assert_int_equal(used, 14);
    assert_int_equal(decode("{\"path\":7},{}", &raw, &used), PS_REJECT_PATH_TYPE);
    assert_int_equal(used, 10); /* behind the object, so an array can go on */
    assert_int_equal(decode("[1,2] 3", &raw, &used), PS_REJECT_NOT_AN_OBJECT);
    assert_int_equal(used, 5);
    assert_int_equal(decode("{\"path\":!}", &raw, &used), PS_REJECT_JSON_SYNTAX);
    assert_int_equal(used, 8); /* at the trouble */
}

/* {"a":[[...]]} with `depth` levels in all. */
static const char *nested(unsigned depth, char open, char close)
{
    static char text[4096];
    char *to = text + sprintf(text, "{\"path\":\"/\",\"a\":");
    for (unsigned i = 1; i < depth; i++)
        to += sprintf(to, open == '{' ? "{\"a\":" : "[");
    to += sprintf(to, "1");
    for (unsigned i = 1; i < depth; i++)
        *to++ = close;
    strcpy(to, "}");
    return text;
}

static void test_depth(void **state)
{
    (void)state;
    check_text(decoded(nested(PS_JSON_DEPTH_MAX, '[', ']')).path, "/");
    check_text(decoded(nested(PS_JSON_DEPTH_MAX, '{', '}')).path, "/");
    check_rejected(nested(PS_JSON_DEPTH_MAX + 1, '[', ']'), PS_REJECT_JSON_DEPTH);
    check_rejected(nested(PS_JSON_DEPTH_MAX + 1, '{', '}'), PS_REJECT_JSON_DEPTH);
    static char brackets[100001]; /* must not recurse a hundred thousand times */
    memset(brackets, '[', sizeof brackets - 1);
    check_rejected(brackets, PS_REJECT_JSON_DEPTH);
}

static void test_size(void **state)
{
    (void)state;
    static char text[PS_EVENT_JSON_MAX + 64];
    int head = sprintf(text, "{\"path\":\"/\",\"x\":\"");
    memset(text + head, 'x', (size_t)(PS_EVENT_JSON_MAX - head - 2));
    strcpy(text + PS_EVENT_JSON_MAX - 2, "\"}");
    check_text(decoded(text).path, "/");
    strcpy(text + PS_EVENT_JSON_MAX - 2, "x\"}");
    check_rejected(text, PS_REJECT_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_known_keys),
        cmocka_unit_test(test_null_and_missing_are_absent),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_wrong_types_cost_the_field),
        cmocka_unit_test(test_numbers_in_quotes),
        cmocka_unit_test(test_first_wrong_type_is_the_reason),
        cmocka_unit_test(test_last_of_a_repeated_key_counts),
        cmocka_unit_test(test_unknown_keys_are_told),
        cmocka_unit_test(test_many_unknown_keys),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_escaped_strings_live_together),
        cmocka_unit_test(test_bad_strings),
        cmocka_unit_test(test_half_pairs),
        cmocka_unit_test(test_bytes_that_are_no_utf8),
        cmocka_unit_test(test_mended_ids_are_told_once),
        cmocka_unit_test(test_notes_of_an_event_are_bounded),
        cmocka_unit_test(test_stops_at_every_offset),
        cmocka_unit_test(test_response_times_become_microseconds),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_used_is_told),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
