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
 *   - of a repeated key the last counts for both, but a wrong type anywhere rejects our event.
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
    size_t offset; /* of a TEXT in ps_raw_event */
    enum ps_reject wrong_type;
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

static void compare_fields(const char *text, size_t len, enum ps_reject why,
                           const struct ps_raw_event *raw, const json_t *object)
{
    bool blamed = false;
    for (size_t i = 0; i < PS_COUNT_OF(fields); i++) {
        const struct field *f = &fields[i];
        const json_t *value = json_object_get(object, f->key);
        struct ps_str ours = {0};
        if (why == PS_REJECT_NONE) {
            memcpy(&ours, (const char *)raw + f->offset, sizeof ours);
            if (!(f->kind == TEXT ? same_text(ours, value) : same_number(f, raw, value)))
                fail_text(f->key, text, len);
        } else if (why == f->wrong_type) {
            /* the tiny 1e-400 is 0 for jansson, and a fraction for us */
            blamed |= !is_right_type(f, value) || occurrences(text, len, f->key) > 1 ||
                      occurrences(text, len, "\\u") > 0 ||
                      (f->kind == STATUS && json_is_real(value));
        }
    }
    if (why != PS_REJECT_NONE && !blamed)
        fail_text(ps_reject_name(why), text, len);
}

/* --- one text, both decoders --- */

static bool is_not_json(enum ps_reject why)
{
    return why == PS_REJECT_JSON_SYNTAX || why == PS_REJECT_JSON_UTF8;
}

/* What is behind the value has to be white space for the whole to be JSON. */
static enum ps_reject decode_all(const char *text, size_t len, char *scratch,
                                 struct ps_raw_event *ret)
{
    size_t used;
    enum ps_reject why = ps_event_from_json(text, len, scratch, ret, &used);
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

static void compare(const char *bytes, size_t len)
{
    json_error_t error;
    struct ps_raw_event raw;
    char *text = malloc(len > 0 ? len : 1), *scratch = malloc(len > 0 ? len : 1);
    assert_non_null(text);
    assert_non_null(scratch);
    memcpy(text, bytes, len);
    enum ps_reject why = decode_all(text, len, scratch, &raw);
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
            compare_fields(text, len, why, &raw, theirs);
    }
    json_decref(theirs);
    free(text);
    free(scratch);
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
    "{\"responseTime\":\"1\"}", "{\"isError\":1}", "{\"isError\":\"true\"}", "{\"isError\":null}",
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
