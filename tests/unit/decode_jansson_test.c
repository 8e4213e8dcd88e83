/* decode_jansson_test.c - our decoder and jansson must read the same JSON the same way.
 *
 * A fixed list of the places where parsers differ, then seeded mutations of valid events. They have
 * to agree on what is JSON at all and on the value of every known field. PS_SEED=<n> changes the
 * seed, which is printed.
 *
 * Where they differ on purpose, jansson's error code says so and the text is skipped (and counted):
 *   - numbers beyond int64 or double: we saturate and refuse as out of range later, jansson errs;
 *   - U+0000 in a key: valid JSON, jansson cannot hold it;
 *   - nesting deeper than PS_JSON_DEPTH_MAX: our limit is 32, jansson's 2048;
 *   - a raw NUL behind a number: jansson 2.14 loses it and reads on, we refuse;
 *   - of a repeated key the last counts for both, but a wrong type of what an event cannot do
 *     without rejects ours anywhere.
 *
 * Characters that are none, for which jansson refuses all, are mended in a copy first: jansson
 * reads the copy, and we must read the same from both.
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
#include "base/utf8.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MUTATIONS = 60000, TEXT_MAX = 4096 };

static uint64_t seed_now;
static unsigned accepted, refused, skipped;

static uint64_t next_random(void) /* splitmix64 (Steele, Lea & Flood 2014) */
{
    uint64_t z = seed_now += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

static void fail_text(const char *what, const char *text, size_t len)
{
    char shown[TEXT_MAX * 4 + 1];
    size_t n = 0;
    for (size_t i = 0; i < len && n + 5 < sizeof shown; i++)
        if (text[i] >= 0x20 && text[i] < 0x7f)
            shown[n++] = text[i];
        else
            n += (size_t)sprintf(shown + n, "\\x%02x", (unsigned char)text[i]);
    shown[n] = '\0';
    fail_msg("%s: %s", what, shown);
}

/* --- the values of the known fields --- */

enum kind { TEXT, TIMESTAMP, STATUS, RESPONSE, BOOLEAN };

static const struct field {
    const char *key;
    enum kind kind;
    size_t offset;             /* of a TEXT in ps_raw_event */
    enum ps_reject wrong_type; /* costs the event, or the field */
} fields[] = {
    {"idempotentId", TEXT, offsetof(struct ps_raw_event, id), PS_REJECT_ID_TYPE},
    {"path", TEXT, offsetof(struct ps_raw_event, path), PS_REJECT_PATH_TYPE},
    {"method", TEXT, offsetof(struct ps_raw_event, method), PS_REJECT_METHOD_TYPE},
    {"userAgent", TEXT, offsetof(struct ps_raw_event, user_agent), PS_REJECT_USER_AGENT_TYPE},
    {"country", TEXT, offsetof(struct ps_raw_event, country), PS_REJECT_COUNTRY_TYPE},
    {"requestId", TEXT, offsetof(struct ps_raw_event, request_id), PS_REJECT_REQUEST_ID_TYPE},
    {"clientIp", TEXT, offsetof(struct ps_raw_event, client_ip), PS_REJECT_CLIENT_TYPE},
    {"clientIpHash", TEXT, offsetof(struct ps_raw_event, client_ip_hash), PS_REJECT_CLIENT_TYPE},
    {"timestamp", TIMESTAMP, 0, PS_REJECT_TIMESTAMP_TYPE},
    {"status", STATUS, 0, PS_REJECT_STATUS_TYPE},
    {"responseTime", RESPONSE, 0, PS_REJECT_RESPONSE_TIME_TYPE},
    {"isError", BOOLEAN, 0, PS_REJECT_IS_ERROR_TYPE},
};

/* A double has 53 bits: our exact digits may differ from its nearest by that much, and by one. */
static bool is_near(int64_t ours, double theirs)
{
    if (theirs >= 9.2233720368547e18)
        return ours >= INT64_C(9223372036854700000);
    double difference = (double)ours - theirs;
    double allowed = 1.0 + (theirs < 0 ? -theirs : theirs) * 1e-15;
    return difference <= allowed && -difference <= allowed;
}

static bool same_text(struct ps_str ours, const json_t *theirs)
{
    if (theirs == NULL || json_is_null(theirs))
        return ours.ptr == NULL;
    return json_is_string(theirs) && ours.ptr != NULL && ours.len == json_string_length(theirs) &&
           memcmp(ours.ptr, json_string_value(theirs), ours.len) == 0;
}

static bool same_timestamp(int64_t ours, const json_t *theirs)
{
    if (json_is_integer(theirs))
        return ours == (json_integer_value(theirs) < 0 ? 0 : json_integer_value(theirs));
    double value = json_real_value(theirs);
    return value < 0 ? ours == 0 : is_near(ours, value);
}

static bool same_status(int32_t ours, const json_t *theirs)
{
    double value = json_number_value(theirs);
    if (value < 0 || value > PS_STATUS_MAX) /* refused later; must not look valid or absent */
        return (ours > PS_STATUS_MAX || ours == 0) && ours != PS_ABSENT;
    return (double)ours == value;
}

static bool same_response(int64_t ours, const json_t *theirs)
{
    double value = json_number_value(theirs);
    if (value < 0) /* a negative too small to count rounds to 0 */
        return ours == INT64_MAX || (ours == 0 && value > -0.001);
    return is_near(ours, value * 1000);
}

static bool same_number(const struct field *f, const struct ps_raw_event *raw, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return (f->kind == TIMESTAMP  ? raw->timestamp_ms
                : f->kind == STATUS   ? raw->status
                : f->kind == RESPONSE ? raw->response_us
                                      : raw->is_error) == PS_ABSENT;
    if (f->kind == BOOLEAN)
        return json_is_boolean(value) && raw->is_error == json_is_true(value);
    if (!json_is_number(value))
        return false;
    return f->kind == TIMESTAMP ? same_timestamp(raw->timestamp_ms, value)
           : f->kind == STATUS  ? same_status(raw->status, value)
                                : same_response(raw->response_us, value);
}

static bool is_right_type(const struct field *f, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return true;
    switch (f->kind) {
    case TEXT: return json_is_string(value);
    case BOOLEAN: return json_is_boolean(value);
    case STATUS: /* whole; a double cannot tell beyond its 53 bits, nor 1e-400 from 0 */
        return json_is_integer(value) ||
               (json_is_real(value) &&
                (json_real_value(value) > 1e15 || json_real_value(value) < -1e15 ||
                 (double)(int64_t)json_real_value(value) == json_real_value(value)));
    default: return json_is_number(value);
    }
}

static unsigned occurrences(const char *text, size_t len, const char *word)
{
    unsigned n = 0;
    size_t word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++)
        n += memcmp(text + i, word, word_len) == 0;
    return n;
}

static bool same_value(const struct field *f, const struct ps_raw_event *raw, const json_t *value)
{
    struct ps_str ours = {0};
    if (f->kind != TEXT)
        return same_number(f, raw, value);
    memcpy(&ours, (const char *)raw + f->offset, sizeof ours);
    return same_text(ours, value);
}

/* The number that a string is as a whole, or NULL. */
static json_t *number_in(const json_t *string)
{
    const char *text = json_string_value(string);
    size_t len = json_string_length(string);
    if (len == 0 || strchr("-0123456789", text[0]) == NULL ||
        strchr("0123456789", text[len - 1]) == NULL)
        return NULL;
    json_t *number = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    if (json_is_number(number))
        return number;
    json_decref(number);
    return NULL;
}

/* A field the event can do without: of the wrong type it is absent. */
static bool same_or_left_out(const struct field *f, const struct ps_raw_event *raw,
                             const json_t *value)
{
    bool is_left_out = same_value(f, raw, NULL);
    if ((f->kind == STATUS || f->kind == RESPONSE) && json_is_string(value)) {
        json_t *number = number_in(value);
        bool same = number == NULL ? is_left_out || occurrences(json_string_value(value),
                                                                json_string_length(value), "e") > 0
                                   : same_or_left_out(f, raw, number);
        json_decref(number);
        return same;
    }
    if (f->kind == STATUS && json_is_real(value) && is_left_out)
        return true; /* the tiny 1e-400 is 0 for jansson, and a fraction for us */
    return is_right_type(f, value) ? same_value(f, raw, value) : is_left_out;
}

static void compare_fields(const char *text, size_t len, enum ps_reject why,
                           const struct ps_raw_event *raw, const json_t *object)
{
    bool blamed = false;
    for (size_t i = 0; i < PS_COUNT_OF(fields); i++) {
        const struct field *f = &fields[i];
        const json_t *value = json_object_get(object, f->key);
        if (why == PS_REJECT_NONE) {
            if (!(ps_reject_costs_field(f->wrong_type) ? same_or_left_out(f, raw, value)
                                                       : same_value(f, raw, value)))
                fail_text(f->key, text, len);
        } else if (why == f->wrong_type && !ps_reject_costs_field(why)) {
            blamed |= !is_right_type(f, value) || occurrences(text, len, f->key) > 1 ||
                      occurrences(text, len, "\\u") > 0;
        }
    }
    if (why != PS_REJECT_NONE && !blamed)
        fail_text(ps_reject_name(why), text, len);
}

/* --- characters that are none --- */

static bool is_hex4(const char *at, const char *end, unsigned *ret)
{
    char digits[5] = {0};
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return false;
    memcpy(digits, at + 2, 4);
    *ret = (unsigned)strtoul(digits, NULL, 16);
    return strspn(digits, "0123456789abcdefABCDEF") == 4;
}

/* How many bytes of an escape at `at` make sense, and whether it is half of a pair. */
static size_t look_at_escape(const char *at, const char *end, bool *ret_half)
{
    unsigned high, low;
    *ret_half = false;
    if (!is_hex4(at, end, &high))
        return end - at < 2 ? (size_t)(end - at) : 2;
    if (high < 0xd800 || high > 0xdfff)
        return 6;
    if (high < 0xdc00 && is_hex4(at + 6, end, &low) && low >= 0xdc00 && low <= 0xdfff)
        return 12;
    *ret_half = true;
    return 6;
}

/* The text with U+FFFD for each of them; `to` has three bytes for one. */
static size_t mend(const char *text, size_t len, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t bytes = ps_utf8_length(text + i, len - i);
        bool half = false;
        if (bytes == 1 && text[i] == '\\')
            bytes = look_at_escape(text + i, text + len, &half);
        if (bytes == 0 || half) {
            memcpy(to + n, "\xef\xbf\xbd", 3);
            n += 3;
        } else {
            memcpy(to + n, text + i, bytes);
            n += bytes;
        }
        i += bytes == 0 ? 1 : bytes;
    }
    return n;
}

/* What becomes of a raw text's bytes. */
static bool same_once_mended(struct ps_str a, struct ps_str b)
{
    char to[3 * TEXT_MAX];
    size_t n = 0;
    if (a.ptr == NULL || b.ptr == NULL)
        return a.ptr == b.ptr;
    for (size_t i = 0; i < a.len;) {
        size_t bytes = ps_utf8_length(a.ptr + i, a.len - i);
        memcpy(to + n, bytes == 0 ? "\xef\xbf\xbd" : a.ptr + i, bytes == 0 ? 3 : bytes);
        n += bytes == 0 ? 3 : bytes;
        i += bytes == 0 ? 1 : bytes;
    }
    return n == b.len && memcmp(to, b.ptr, n) == 0;
}

static bool same_events(const struct ps_raw_event *given, const struct ps_raw_event *mended)
{
    for (size_t i = 0; i < PS_COUNT_OF(fields); i++) {
        struct ps_str a, b;
        if (fields[i].kind != TEXT)
            continue;
        memcpy(&a, (const char *)given + fields[i].offset, sizeof a);
        memcpy(&b, (const char *)mended + fields[i].offset, sizeof b);
        if (!same_once_mended(a, b))
            return false;
    }
    return given->timestamp_ms == mended->timestamp_ms && given->status == mended->status &&
           given->response_us == mended->response_us && given->is_error == mended->is_error;
}

/* --- one text, both decoders --- */

static bool is_not_json(enum ps_reject why)
{
    return why == PS_REJECT_JSON_SYNTAX;
}

/* What is behind the value has to be white space for the whole to be JSON. */
static enum ps_reject decode_all(const char *text, size_t len, char *scratch,
                                 struct ps_raw_event *ret)
{
    size_t used;
    enum ps_reject why = ps_event_from_json(text, len, scratch, NULL, ret, &used);
    if (is_not_json(why) || why == PS_REJECT_JSON_DEPTH)
        return why;
    for (; used < len; used++)
        if (text[used] == '\0' || strchr(" \t\r\n", text[used]) == NULL)
            return PS_REJECT_JSON_SYNTAX;
    return why;
}

static bool is_intended(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow;
}

static void compare_mended(const char *text, size_t len, enum ps_reject why,
                           const struct ps_raw_event *raw)
{
    json_error_t error;
    json_t *theirs = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    bool lost_nul = theirs != NULL && is_not_json(why) && memchr(text, '\0', len) != NULL;
    if (why == PS_REJECT_JSON_DEPTH || lost_nul || (theirs == NULL && is_intended(&error))) {
        skipped++;
    } else if (theirs == NULL || is_not_json(why)) {
        refused++;
        if (theirs != NULL || !is_not_json(why))
            fail_text(theirs != NULL ? "only jansson takes" : error.text, text, len);
    } else {
        accepted++;
        if ((why == PS_REJECT_NOT_AN_OBJECT) != !json_is_object(theirs))
            fail_text("an object or not", text, len);
        if (json_is_object(theirs))
            compare_fields(text, len, why, raw, theirs);
    }
    json_decref(theirs);
}

static void compare(const char *bytes, size_t len)
{
    struct ps_raw_event raw, raw_mended;
    char *text = malloc(len + 1), *room = malloc(len + 1);
    char *mended = malloc(3 * len + 1), *mended_room = malloc(3 * len + 1);
    assert_true(text != NULL && room != NULL && mended != NULL && mended_room != NULL);
    text = realloc(text, len > 0 ? len : 1); /* a sanitizer sees one byte too many */
    room = realloc(room, len > 0 ? len : 1);
    memcpy(text, bytes, len);
    size_t mended_len = mend(text, len, mended);
    enum ps_reject why = decode_all(text, len, room, &raw);
    enum ps_reject why_mended = decode_all(mended, mended_len, mended_room, &raw_mended);
    if (why != why_mended || (why == PS_REJECT_NONE && !same_events(&raw, &raw_mended)))
        fail_text("mended it is another event", text, len);
    compare_mended(mended, mended_len, why_mended, &raw_mended);
    free(text);
    free(room);
    free(mended);
    free(mended_room);
}

/* --- the fixed list --- */

static const char *const tricky[] = {
    /* the whole */
    "", " ", "{}", "[]", "{} ", "\t\r\n {}", "{}x", "{}{}", "\f{}", "\v{}", "\xc2\xa0{}",
    "\xef\xbb\xbf{}", "null", "nul", "nulll", "true", "truth", "false", "TRUE", "\"x\"", "'x'", "1",
    "-", "{", "}", "[", "]", "[[]", "[]]", "{]", "[}", ",", ":", "[,]", "[1,]", "[,1]", "[1,,2]",
    "[1 2]", "{\"a\":1,}", "{,\"a\":1}", "{\"a\":1,,\"b\":2}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}",
    "{\"a\"::1}", "{a:1}", "{1:1}", "{'a':1}", "{null:1}", "{\"a\":1 \"b\":1}", "{\"a\":1;}",
    "{\"a\":1}//", "{\"a\":1}#", "/**/{}", "{\"a\":undefined}", "{\"a\":NaN}", "{\"a\":Infinity}",
    "{\"\":0}", "{\"a\":[]}", "{\"a\":[{}]}", "{\"a\":{}}", "{\"a\":{\"a\":{\"a\":[[[]]]}}}",
    "[\"a\",\n\"b\"\r\n]", "{\"a\":true,\"b\":false,\"c\":null}", "[nulltrue]", "[null true]",
    "{\"a\":trueish}", "[1]2", "[\"\"]", "[\"\",]", "[\"a\" \"b\"]", "[\"a\":1]", "{\"a\",1}",
    "{\"x\":1,\"x\":2}", "{\"path\":\"/a\",\"path\":\"/b\"}", "{\"path\":null,\"path\":\"/b\"}",
    "{\"path\":\"/a\",\"path\":null}", "{\"path\":1,\"path\":\"/b\"}", "{\"pa\\u0074h\":\"/a\"}",
    "{\"path\\u0000\":\"/a\"}", "{\"path\":\"a\\u0000b\"}",
    /* numbers */
    "[0]", "[-0]", "[-0.0]", "[0.0]", "[00]", "[01]", "[-01]", "[+1]", "[1.]", "[.5]", "[-.5]",
    "[1.e1]", "[1e]", "[1e+]", "[1e-]", "[1e+-1]", "[1E1]", "[1e01]", "[1e-01]", "[0e0]", "[0e]",
    "[0e+1]", "[1.5e300]", "[1e400]", "[-1e400]", "[1e-400]", "[0x1]", "[1a]", "[1_0]", "[1 .5]",
    "[1. 5]", "[- 1]", "[--1]", "[9223372036854775807]", "[9223372036854775808]",
    "[-9223372036854775808]", "[-9223372036854775809]", "[1.7976931348623157e308]", "[5e-324]",
    "[0.1.2]", "[1e1.5]", "[1e1e1]", "[-]", "[-a]", "[1,-]", "[2.]", "[2.e+3]", "[0.e1]", "[-2.]",
    "[123456789012345678901234567890.123456789]", "[\xef\xbc\x91]", "{\"timestamp\":-1}",
    "{\"timestamp\":-0}", "{\"timestamp\":1.999}", "{\"timestamp\":1e12}", "{\"timestamp\":1e18}",
    "{\"timestamp\":9223372036854775807}", "{\"timestamp\":1e30}", "{\"timestamp\":-1e30}",
    "{\"timestamp\":-0.5}", "{\"timestamp\":\"5\"}", "{\"status\":200.0}", "{\"status\":2e2}",
    "{\"status\":200.5}", "{\"status\":-200}", "{\"status\":1e10}", "{\"status\":1e300}",
    "{\"status\":-0}", "{\"status\":0.0}", "{\"status\":1e-400}", "{\"status\":4294967496}",
    "{\"status\":true}", "{\"responseTime\":0.0005}", "{\"responseTime\":-0.0001}",
    "{\"responseTime\":-1}", "{\"responseTime\":1.0005}", "{\"responseTime\":1e15}",
    "{\"responseTime\":1e16}", "{\"responseTime\":1e300}", "{\"responseTime\":1e-300}",
    "{\"responseTime\":12.345678}", "{\"responseTime\":86400000}", "{\"responseTime\":0.1e1}",
    "{\"responseTime\":\"1\"}", "{\"status\":\"200\"}", "{\"status\":\"2e2\"}", "{\"status\":\"\"}",
    "{\"status\":\"20x\"}", "{\"status\":200,\"status\":[]}", "{\"responseTime\":\"-1.50\"}",
    "{\"responseTime\":\"01\"}", "{\"isError\":1}", "{\"isError\":\"true\"}", "{\"isError\":null}",
    "{\"isError\":true}",
    /* strings */
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "[\"\\a\"]", "[\"\\'\"]", "[\"\\0\"]", "[\"\\x41\"]",
    "[\"\\v\"]", "[\"\\e\"]", "[\"\\u0041\"]", "[\"\\U0041\"]", "[\"\\u004\"]", "[\"\\u004g\"]",
    "[\"\\u\"]", "[\"\\\"]", "[\"\\", "[\"a", "[\"", "[\"\\u0000\"]", "[\"\\uFFFF\"]",
    "[\"\\uFDD0\"]", "[\"\\uD800\"]", "[\"\\uDC00\"]", "[\"\\uD800\\uDC00\"]",
    "[\"\\uDBFF\\uDFFF\"]", "[\"\\uD800\\uD800\"]", "[\"\\uDC00\\uD800\"]", "[\"\\uD800x\"]",
    "[\"\\uD800\\n\"]", "[\"\\uD800\\u0041\"]", "[\"\\ud83d\\ude00\"]", "[\"\\uD800\\\"]",
    "[\"\\uD800\\u\"]", "[\"\\uD83D\\uDE0\"]", "[\"\\u-123\"]", "[\"\\u+123\"]", "[\"\\u 123\"]",
    "[\"\x7f\"]", "[\"\x1f\"]", "[\"\t\"]", "[\"\n\"]", "[\"\r\"]", "[\"a\x01\"]",
    "[\"12345678\x01\"]", "[\"1234567\x1f\"]", "[\"\xe2\x80\xa8\"]", "[\"\xef\xbb\xbf\"]",
    "[\"\xc3\xbc\"]", "[\"\xe2\x82\xac\"]", "[\"\xf0\x9f\x98\x80\"]", "[\"\xf4\x8f\xbf\xbf\"]",
    "[\"\xef\xbf\xbf\"]", "[\"\x80\"]", "[\"\xbf\"]", "[\"\xc0\x80\"]", "[\"\xc0\xaf\"]",
    "[\"\xc1\xbf\"]", "[\"\xc3\"]", "[\"\xc3(\"]", "[\"\xe0\x9f\xbf\"]", "[\"\xe0\xa0\x80\"]",
    "[\"\xe2\x82\"]", "[\"\xe2(\xa1\"]", "[\"\xed\x9f\xbf\"]", "[\"\xed\xa0\x80\"]",
    "[\"\xed\xbf\xbf\"]", "[\"\xee\x80\x80\"]", "[\"\xf0\x8f\xbf\xbf\"]", "[\"\xf0\x90\x80\x80\"]",
    "[\"\xf4\x90\x80\x80\"]", "[\"\xf5\x80\x80\x80\"]", "[\"\xf8\x88\x80\x80\x80\"]", "[\"\xfe\"]",
    "[\"\xff\"]", "[\"\xf0\x9f\x98\"]", "\xff", "[\xff]", "{\"\xff\":1}", "{\"path\":\"\xc3\"}",
    "[\"a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z\"]"};

/* The nesting where we stop and jansson goes on is skipped; the last that we take is not. */
static void compare_nesting(void)
{
    char text[TEXT_MAX];
    for (size_t depth = 1; depth <= 2 * PS_JSON_DEPTH_MAX; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        unsigned before = skipped;
        compare(text, 2 * depth);
        assert_int_equal(skipped - before, depth > PS_JSON_DEPTH_MAX);
        compare(text, 2 * depth - 1);
    }
}

static void test_tricky_texts(void **state)
{
    (void)state;
    accepted = refused = skipped = 0;
    for (size_t i = 0; i < PS_COUNT_OF(tricky); i++) {
        char object[512];
        compare(tricky[i], strlen(tricky[i]));
        /* and as the value of a key of ours, in the middle and cut off */
        int n = snprintf(object, sizeof object, "{\"path\":%s,\"status\":200}", tricky[i]);
        compare(object, (size_t)n);
        n = snprintf(object, sizeof object, "{\"status\":200,\"x\":%s", tricky[i]);
        compare(object, (size_t)n);
    }
    static const char nul_inside[] = "{\"path\":\"a\0b\"}", nul_behind[] = "{}\0";
    compare(nul_inside, sizeof nul_inside - 1);
    compare(nul_behind, sizeof nul_behind - 1);
    compare("[1\0]", 4);
    compare("\0", 1);
    compare_nesting();
    assert_true(accepted > 100 && refused > 200);
}

/* --- mutations --- */

static const char *const words[] = {"\"",
                                    "\\",
                                    "{",
                                    "}",
                                    "[",
                                    "]",
                                    ",",
                                    ":",
                                    "null",
                                    "true",
                                    "false",
                                    "0",
                                    "-",
                                    ".",
                                    "e",
                                    "1e5",
                                    "-0",
                                    "1.5",
                                    "\\u0041",
                                    "\\ud83d",
                                    "\\ude00",
                                    "\\u0000",
                                    "\\n",
                                    "\xc3\xbc",
                                    "\xff",
                                    "\xed\xa0\x80",
                                    "\n",
                                    " ",
                                    "\t",
                                    "\x01",
                                    "\"path\":",
                                    "\"status\":",
                                    "\"timestamp\":1",
                                    "\"x\":[1,{}]",
                                    "\"isError\":true",
                                    "\"responseTime\":1.5",
                                    "{}",
                                    "[]",
                                    "\"\"",
                                    "9223372036854775807",
                                    "+",
                                    "E"};

static size_t put_member(char *to, unsigned which)
{
    static const char *const names[] = {
        "/a",        "",     "/\\u00fc",         "GET", "x\\ty", "\xf0\x9f\x98\x80",
        "192.0.2.7", "\\\\", "0123456789abcdef", "DE"};
    const struct field *f = &fields[which % PS_COUNT_OF(fields)];
    switch (f->kind) {
    case TEXT:
        return (size_t)sprintf(to, "\"%s\": \"%s\"", f->key, names[below(PS_COUNT_OF(names))]);
    case TIMESTAMP:
        return (size_t)sprintf(to, "\"%s\":%llu", f->key,
                               (unsigned long long)(next_random() >> (20 + below(40))));
    case STATUS: return (size_t)sprintf(to, "\"%s\":%zu", f->key, below(1200));
    case RESPONSE:
        return (size_t)sprintf(to, "\"%s\":%zu.%0*zu", f->key, below(100000), (int)below(6) + 1,
                               below(10));
    case BOOLEAN: break;
    }
    return (size_t)sprintf(to, "\"%s\" :%s", f->key, below(2) ? "true" : "false");
}

static size_t make_event(char *to)
{
    size_t n = 0, members = below(PS_COUNT_OF(fields)) + 1;
    to[n++] = '{';
    for (size_t i = 0; i < members; i++) {
        if (i > 0)
            to[n++] = ',';
        n += put_member(to + n, (unsigned)next_random());
    }
    to[n++] = '}';
    return n;
}

/* Replaces text[at..at+gone) by `n` bytes. */
static size_t splice(char *text, size_t len, size_t at, size_t gone, const char *bytes, size_t n)
{
    memmove(text + at + n, text + at + gone, len - at - gone);
    memcpy(text + at, bytes, n);
    return len - gone + n;
}

static size_t mutate(char *text, size_t len)
{
    size_t at = below(len + 1), rest = len - at;
    const char *word = words[below(PS_COUNT_OF(words))];
    char byte = (char)next_random(), chunk[32];
    size_t size = below(sizeof chunk);
    switch (below(6)) {
    case 0: return splice(text, len, at, rest < 1 ? rest : 1, &byte, 1);
    case 1: return splice(text, len, at, 0, word, strlen(word));
    case 2: return splice(text, len, at, rest < 4 ? rest : below(4), word, strlen(word));
    case 3: return splice(text, len, at, rest < size ? rest : size, "", 0);
    case 4: return at; /* cut off */
    default:
        size = rest < size ? rest : size;
        memcpy(chunk, text + at, size);
        return splice(text, len, below(len + 1), 0, chunk, size);
    }
}

static void test_mutated_events(void **state)
{
    (void)state;
    const char *given = getenv("PS_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20251015;
    printf("# PS_SEED=%llu\n", (unsigned long long)seed);
    seed_now = seed;
    accepted = refused = skipped = 0;
    for (int i = 0; i < MUTATIONS; i++) {
        char text[TEXT_MAX];
        size_t len = make_event(text);
        for (size_t times = below(4); times > 0; times--)
            len = mutate(text, len);
        compare(text, len);
    }
    printf("# %u accepted, %u refused, %u skipped\n", accepted, refused, skipped);
    assert_true(accepted > MUTATIONS / 5 && refused > MUTATIONS / 5);
    assert_true(skipped < MUTATIONS / 50); /* the differences on purpose stay rare */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tricky_texts),
        cmocka_unit_test(test_mutated_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
