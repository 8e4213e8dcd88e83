/* event_test.c - from a raw event to one that is counted, and its form in the queue.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/event.h"

#include "base/check.h"
#include "base/err.h"
#include "core/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1760536987123)
#define FRESH UINT64_C(0x00c0ffee00c0ffee)

static char scratch[PS_EVENT_SCRATCH_BYTES];
static const struct ps_normal plain = {.now_ms = NOW_MS, .fresh = FRESH};

static struct ps_str view(const char *text)
{
    return (struct ps_str){text, strlen(text)};
}

/* The least that is accepted. */
static struct ps_raw_event small(void)
{
    struct ps_raw_event raw;
    ps_raw_event_init(&raw);
    raw.timestamp_ms = NOW_MS;
    raw.path = PS_STR("/");
    return raw;
}

static struct ps_event normal_with(const struct ps_raw_event *raw, const struct ps_normal *with)
{
    struct ps_event event;
    enum ps_reject why = ps_event_normalise(raw, with, scratch, &event);
    if (why != PS_REJECT_NONE)
        fail_msg("rejected: %s", ps_reject_name(why));
    return event;
}

static struct ps_event normal(const struct ps_raw_event *raw)
{
    return normal_with(raw, &plain);
}

static void check_rejected(const struct ps_raw_event *raw, enum ps_reject expected)
{
    struct ps_event event, before;
    memset(&event, 0x5a, sizeof event);
    before = event;
    enum ps_reject why = ps_event_normalise(raw, &plain, scratch, &event);
    if (why != expected)
        fail_msg("%s, not %s", ps_reject_name(why), ps_reject_name(expected));
    assert_memory_equal(&event, &before, sizeof event);
}

static struct ps_warnings warnings; /* of the raw event checked last */

/* The event counts, without one field, and says which. */
static struct ps_event check_left_out(const struct ps_raw_event *raw, const char *field,
                                      enum ps_reject why)
{
    struct ps_normal with = plain;
    memset(&warnings, 0, sizeof warnings);
    with.warnings = &warnings;
    struct ps_event event = normal_with(raw, &with);
    assert_int_equal(warnings.count, 1);
    assert_int_equal(warnings.list[0].why, why);
    assert_int_equal(warnings.list[0].len, strlen(field));
    assert_memory_equal(warnings.list[0].field, field, strlen(field));
    return event;
}

static void check_text(struct ps_str s, const char *expected)
{
    assert_non_null(s.ptr);
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

/* --- the path --- */

static void check_path(const char *given, const char *expected)
{
    struct ps_raw_event raw = small();
    size_t len = strlen(given);
    char *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, given, len);
    raw.path = (struct ps_str){exact, len};
    check_text(normal(&raw).path, expected);
    free(exact);
}

static void test_path_is_cut_at_query_and_fragment(void **state)
{
    (void)state;
    check_path("/", "/");
    check_path("/a/b?q=1", "/a/b");
    check_path("/a#top", "/a");
    check_path("/a?x#y", "/a");
    check_path("/a#y?x", "/a");
    check_path("/a?", "/a");
    check_path("/a%3Fb%23c", "/a%3Fb%23c"); /* escaped ones belong to the path */
    struct ps_raw_event raw = small();
    raw.path = PS_STR("?q");
    check_rejected(&raw, PS_REJECT_PATH_MISSING);
    raw.path = PS_STR("#");
    check_rejected(&raw, PS_REJECT_PATH_MISSING);
}

static void test_path_keeps_what_is_not_special(void **state)
{
    (void)state;
    check_path("/a:b|||c", "/a:b|||c");
    check_path("/ a//b/../c/", "/ a//b/../c/"); /* nothing is made canonical */
    check_path("/\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "/\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
    check_path("no slash", "no slash");
    check_path("/100%", "/100%");
    check_path("/A", "/A");
}

static void test_path_escapes_what_is_no_text(void **state)
{
    (void)state;
    check_path("/a\xff/b", "/a%FF/b");
    check_path("/\xc3(", "/%C3(");
    check_path("/\xed\xa0\x80", "/%ED%A0%80");
    check_path("/\xe2\x82", "/%E2%82");
    check_path("/\n\x01\x7f", "/%0A%01%7F");
    check_path("/a\xffz?\xff", "/a%FFz");
    struct ps_raw_event raw = small();
    raw.path = PS_STR("/a\0b");
    check_text(normal(&raw).path, "/a%00b");
    raw.mended = true; /* of JSON, which has no bytes that are no text */
    raw.path = PS_STR("/a\xff\n?\xff");
    raw.user_agent = PS_STR("\xe2\x82");
    struct ps_event event = normal(&raw);
    check_text(event.path, "/a\xef\xbf\xbd%0A");
    check_text(event.user_agent, "\xef\xbf\xbd\xef\xbf\xbd");
}

/* `n` bytes of 'a' and then `tail`. */
static void check_capped(size_t n, const char *tail, const char *kept)
{
    char given[PS_PATH_MAX + 64], expected[PS_PATH_MAX + 64];
    memset(given, 'a', n);
    strcpy(given + n, tail);
    memset(expected, 'a', n);
    strcpy(expected + n, kept);
    check_path(given, expected);
}

static void test_path_is_capped_at_a_character(void **state)
{
    (void)state;
    check_capped(PS_PATH_MAX, "", "");
    check_capped(PS_PATH_MAX - 1, "bc", "b");
    check_capped(PS_PATH_MAX - 1, "?query", "");
    check_capped(PS_PATH_MAX - 1, "\xc3\xbc", "");
    check_capped(PS_PATH_MAX - 2, "\xc3\xbc", "\xc3\xbc");
    check_capped(PS_PATH_MAX - 2, "\xe2\x82\xac", "");
    check_capped(PS_PATH_MAX - 3, "\xf0\x9f\x98\x80", "");
    check_capped(PS_PATH_MAX - 4, "\xf0\x9f\x98\x80z", "\xf0\x9f\x98\x80");
    check_capped(PS_PATH_MAX - 2, "\xff", ""); /* an escape is not cut either */
    check_capped(PS_PATH_MAX - 3, "\xff\xff", "%FF");
    check_capped(PS_PATH_MAX - 1,
                 "\xc3\xbc"
                 "b",
                 ""); /* nothing slips in behind the cut */
}

static void test_path_cut_is_stable(void **state)
{
    (void)state;
    char first[PS_PATH_MAX], second[PS_PATH_MAX], noise[2000];
    uint64_t x = 7;
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            x = x * UINT64_C(6364136223846793005) + 1;
            noise[i] = (char)(x >> 56);
            if (noise[i] == '?' || noise[i] == '#')
                noise[i] = 'q';
        }
        struct ps_str given = {noise, (size_t)(x >> 33) % sizeof noise};
        struct ps_str once = ps_path_cut(given, first, x >> 20 & 1);
        assert_true(once.len <= PS_PATH_MAX);
        struct ps_str twice = ps_path_cut(once, second, x >> 20 & 1);
        assert_true(ps_str_equal(once, twice));
        assert_ptr_equal(twice.ptr, once.ptr); /* nothing had to change: no copy */
    }
}

static void test_path_is_required(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.path = PS_STR_NONE;
    check_rejected(&raw, PS_REJECT_PATH_MISSING);
    raw.path = PS_STR("");
    check_rejected(&raw, PS_REJECT_PATH_MISSING);
}

/* --- the id --- */

static void test_given_id_is_kept(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.id = PS_STR("order-17");
    raw.request_id = PS_STR("r");
    struct ps_event event = normal(&raw);
    check_text(event.id, "order-17");
    assert_false(ps_event_id_is_dated(&event));
}

static void test_id_limits(void **state)
{
    (void)state;
    char text[PS_ID_MAX + 2];
    memset(text, 'x', sizeof text);
    struct ps_raw_event raw = small();
    raw.id = (struct ps_str){text, PS_ID_MAX};
    assert_int_equal(normal(&raw).id.len, PS_ID_MAX);
    raw.id.len++;
    check_rejected(&raw, PS_REJECT_ID_INVALID);
    static const char *const bad[] = {"", "a b", "a\tb", "\x7f", "\xc3\xbc", "a\n", " "};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.id = view(bad[i]);
        check_rejected(&raw, PS_REJECT_ID_INVALID);
    }
    raw.id = PS_STR("!~");
    check_text(normal(&raw).id, "!~");
}

static void test_fresh_id(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    struct ps_event event = normal(&raw);
    check_text(event.id, "1760536987123-00c0ffee00c0ffee");
    assert_true(ps_event_id_is_dated(&event));
}

static void test_log_line_id(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.has_id_hash = true;
    raw.id_hash = 0xabc;
    check_text(normal(&raw).id, "1760536987123-0000000000000abc");
    raw.request_id = PS_STR("r"); /* the line's hash goes before the fields */
    check_text(normal(&raw).id, "1760536987123-0000000000000abc");
    raw.id = PS_STR("given");
    check_text(normal(&raw).id, "given");
}

static size_t put_field(char *to, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);
    memcpy(to, &len, sizeof len);
    memcpy(to + sizeof len, text, len);
    return sizeof len + len;
}

/* The made id, written down once more from the contract. */
static void test_made_id_hashes_the_fields(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.path = PS_STR("/a?q");
    raw.method = PS_STR("GET");
    raw.request_id = PS_STR("r-1");
    struct ps_normal with = {.now_ms = NOW_MS, .has_client = true, .client_hash = 77, .fresh = 5};
    char bytes[64], expected[64];
    uint64_t client = 77;
    size_t n = sizeof client;
    memcpy(bytes, &client, sizeof client);
    n += put_field(bytes + n, "GET");
    n += put_field(bytes + n, "/a");
    n += put_field(bytes + n, "r-1");
    snprintf(expected, sizeof expected, "%lld-%016llx", (long long)NOW_MS,
             (unsigned long long)ps_hash64(bytes, n, 0));
    struct ps_event event = normal_with(&raw, &with);
    check_text(event.id, expected);
    assert_true(ps_event_id_is_dated(&event));
}

static void test_made_id_tells_fields_apart(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *request;
        uint64_t client;
    } cases[] = {
        {"GET", "/a", "r", 1},  {"GET", "/a", "r", 2},  {"PUT", "/a", "r", 1},
        {"GET", "/ar", "s", 1}, {"GET", "/a", "rs", 1}, {"GETa", "/", "r", 1},
        {"GET", "a/", "r", 1},  {"GE", "T/a", "r", 1},  {"GET", "/", "ar", 1},
    };
    char ids[PS_COUNT_OF(cases)][64];
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_raw_event raw = small();
        raw.method = view(cases[i].method);
        raw.path = view(cases[i].path);
        raw.request_id = view(cases[i].request);
        struct ps_normal with = {
            .now_ms = NOW_MS, .has_client = true, .client_hash = cases[i].client, .fresh = i};
        struct ps_event event = normal_with(&raw, &with);
        snprintf(ids[i], sizeof ids[i], "%.*s", (int)event.id.len, event.id.ptr);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
        with.fresh = 99; /* sent again: the same id, whatever is fresh */
        event = normal_with(&raw, &with);
        check_text(event.id, ids[i]);
    }
}

static void test_dated_ids(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        int64_t ms;
    } cases[] = {
        {"1760536987123-x", INT64_C(1760536987123)},
        {"1760536987123-", INT64_C(1760536987123)},
        {"1760536987123", PS_ABSENT},
        {"1760536987123x", PS_ABSENT},
        {"176053698712-3x", PS_ABSENT},
        {"17605369871234-x", PS_ABSENT},
        {"176053698712a-x", PS_ABSENT},
        {"-760536987123-x", PS_ABSENT},
        {"", PS_ABSENT},
        {"0000000000000-x", 0},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        assert_int_equal(ps_id_leading_ms(view(cases[i].id)), cases[i].ms);
        struct ps_event event = {.id = view(cases[i].id), .timestamp_ms = NOW_MS};
        assert_int_equal(ps_event_id_is_dated(&event), cases[i].ms == NOW_MS);
        event.timestamp_ms++;
        assert_false(ps_event_id_is_dated(&event)); /* another event's date */
    }
}

/* A made id of an early timestamp has fewer digits: not dated, so compared everywhere. */
/* Prepared or not, the same answers. */
static void test_preparing_changes_no_answer(void **state)
{
    static const struct {
        const char *id;
        int64_t ms;
        bool made;
        uint64_t number;
    } cases[] = {
        {"1760529600000-0000000000000000", INT64_C(1760529600000), true, 0},
        {"1760529600000-fedcba9876543210", INT64_C(1760529600000), true,
         UINT64_C(0xfedcba9876543210)},
        {"1760529600000-fedcba9876543210", INT64_C(1760529600001), false, 0},
        {"1760529600000-FEDCBA9876543210", INT64_C(1760529600000), false, 0},
        {"1760529600000-fedcba987654321", INT64_C(1760529600000), false, 0},
        {"1760529600000-fedcba98765432100", INT64_C(1760529600000), false, 0},
        {"1760529600000-", INT64_C(1760529600000), false, 0},
        {"1760529600000", INT64_C(1760529600000), false, 0},
        {"0946684800001-0000000000000001", INT64_C(946684800001), false, 0},
        {"order-17", INT64_C(1760529600000), false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ps_event bare = {.id = {cases[i].id, strlen(cases[i].id)},
                                .path = PS_STR("/a"),
                                .user_agent = PS_STR("agent"),
                                .timestamp_ms = cases[i].ms};
        struct ps_event prepared = bare;
        uint64_t numbers[2] = {0, 0};
        ps_event_prepare(&prepared);
        assert_int_equal(ps_event_id_is_made(&bare, &numbers[0]), cases[i].made);
        assert_int_equal(ps_event_id_is_made(&prepared, &numbers[1]), cases[i].made);
        assert_true(numbers[0] == cases[i].number && numbers[1] == cases[i].number);
        assert_int_equal(ps_event_id_is_dated(&bare), ps_event_id_is_dated(&prepared));
        assert_true(ps_event_id_hash(&bare) == ps_event_id_hash(&prepared));
        assert_true(ps_event_path_hash(&bare) == ps_event_path_hash(&prepared));
        assert_true(ps_event_user_agent_hash(&bare) == ps_event_user_agent_hash(&prepared));
    }
}

static void test_early_made_id_is_not_dated(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.timestamp_ms = PS_TIMESTAMP_MIN_MS; /* 12 digits */
    struct ps_event event = normal(&raw);
    check_text(event.id, "946684800000-00c0ffee00c0ffee");
    assert_false(ps_event_id_is_dated(&event));
}

/* --- the other fields --- */

static void test_timestamps(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        enum ps_reject why;
    } cases[] = {
        {PS_ABSENT, PS_REJECT_TIMESTAMP_MISSING},
        {0, PS_REJECT_TIMESTAMP_RANGE},
        {1, PS_REJECT_TIMESTAMP_RANGE},
        {946684799, PS_REJECT_TIMESTAMP_RANGE},
        {946684800, PS_REJECT_TIMESTAMP_SECONDS}, /* the year 2000 */
        {1760536987, PS_REJECT_TIMESTAMP_SECONDS},
        {253402300799, PS_REJECT_TIMESTAMP_SECONDS}, /* the year 9999 */
        {253402300800, PS_REJECT_TIMESTAMP_RANGE},
        {946684800000000 - 1, PS_REJECT_TIMESTAMP_RANGE},
        {946684800000000, PS_REJECT_TIMESTAMP_MICROSECONDS},
        {1760536987123456, PS_REJECT_TIMESTAMP_MICROSECONDS},
        {INT64_C(1760536987123456789), PS_REJECT_TIMESTAMP_NANOSECONDS},
        {INT64_MAX - 1, PS_REJECT_TIMESTAMP_NANOSECONDS},
        {PS_TIMESTAMP_MIN_MS - 1, PS_REJECT_TIMESTAMP_RANGE},
        {PS_TIMESTAMP_MIN_MS, PS_REJECT_NONE},
        {NOW_MS, PS_REJECT_NONE},
        {NOW_MS + PS_FUTURE_MAX_MS, PS_REJECT_NONE},
        {NOW_MS + PS_FUTURE_MAX_MS + 1, PS_REJECT_TIMESTAMP_FUTURE},
        {PS_TIMESTAMP_MAX_MS, PS_REJECT_TIMESTAMP_FUTURE},
        {PS_TIMESTAMP_MAX_MS + 1, PS_REJECT_TIMESTAMP_RANGE},
        {INT64_MAX, PS_REJECT_TIMESTAMP_RANGE},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_raw_event raw = small();
        raw.timestamp_ms = cases[i].ms;
        if (cases[i].why != PS_REJECT_NONE)
            check_rejected(&raw, cases[i].why);
        else
            assert_int_equal(normal(&raw).timestamp_ms, cases[i].ms);
    }
}

static void test_statuses_and_errors(void **state)
{
    (void)state;
    static const struct {
        int32_t status;
        int8_t said;
        int8_t counted;
    } cases[] = {
        {PS_ABSENT, PS_ABSENT, PS_ABSENT},
        {PS_ABSENT, 0, 0},
        {PS_ABSENT, 1, 1},
        {100, PS_ABSENT, 0},
        {200, 1, 0}, /* the status decides */
        {399, 1, 0},
        {400, 0, 1},
        {500, PS_ABSENT, 1},
        {999, 0, 1},
    };
    struct ps_raw_event raw = small();
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        raw.status = cases[i].status;
        raw.is_error = cases[i].said;
        struct ps_event event = normal(&raw);
        assert_int_equal(event.status, cases[i].status);
        assert_int_equal(event.is_error, cases[i].counted);
    }
    static const int32_t bad[] = {0, 1, 99, 1000, INT32_MAX, -2, INT32_MIN};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.status = bad[i];
        raw.is_error = 1;
        struct ps_event event = check_left_out(&raw, "status", PS_REJECT_STATUS_RANGE);
        assert_int_equal(event.status, PS_ABSENT);
        assert_int_equal(event.is_error, 1); /* as without a status */
    }
}

static void test_methods(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    static const char *const good[] = {
        "GET", "get", "M-SEARCH", "!#$%&'*+-.^_`|~", "X", "ABCDEFGHIJKLMNOP"};
    static const char *const bad[] = {"ABCDEFGHIJKLMNOPQ",
                                      "G T",
                                      "GET ",
                                      "G/T",
                                      "G\"",
                                      "\xc3\xbc",
                                      "G\n",
                                      "(x)",
                                      "a:b",
                                      "a@b",
                                      "\x7f"};
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        raw.method = view(good[i]);
        check_text(normal(&raw).method, good[i]);
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.method = view(bad[i]);
        assert_null(check_left_out(&raw, "method", PS_REJECT_METHOD_INVALID).method.ptr);
    }
    raw.method = PS_STR(""); /* empty says nothing: absent */
    assert_null(normal(&raw).method.ptr);
    raw.method = PS_STR("G\0T");
    check_left_out(&raw, "method", PS_REJECT_METHOD_INVALID);
}

static void test_countries(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    static const char *const good[] = {"DE", "12345678", "de-BY"};
    static const char *const bad[] = {"123456789", "D E", "\xc3\xbc", "\n"};
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        raw.country = view(good[i]);
        check_text(normal(&raw).country, good[i]);
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.country = view(bad[i]);
        assert_null(check_left_out(&raw, "country", PS_REJECT_COUNTRY_INVALID).country.ptr);
    }
    raw.country = PS_STR("");
    assert_null(normal(&raw).country.ptr);
}

static void test_user_agents(void **state)
{
    (void)state;
    char text[PS_USER_AGENT_MAX + 10];
    struct ps_raw_event raw = small();
    memset(text, 'u', sizeof text);
    raw.user_agent = (struct ps_str){text, PS_USER_AGENT_MAX};
    assert_int_equal(normal(&raw).user_agent.len, PS_USER_AGENT_MAX);
    raw.user_agent.len++;
    struct ps_event event = normal(&raw);
    assert_int_equal(event.user_agent.len, PS_USER_AGENT_MAX); /* longer is cut, not refused */
    assert_memory_equal(event.user_agent.ptr, text, PS_USER_AGENT_MAX);
    raw.user_agent = PS_STR("a\tb\xff ?#");
    check_text(normal(&raw).user_agent, "a%09b%FF ?#");
    raw.user_agent = PS_STR("");
    assert_null(normal(&raw).user_agent.ptr);
}

static void test_response_times(void **state)
{
    (void)state;
    static const int64_t good[] = {PS_ABSENT, 0, 1, 1500, PS_RESPONSE_US_MAX};
    static const int64_t bad[] = {PS_RESPONSE_US_MAX + 1, INT64_MAX, -2, INT64_MIN};
    struct ps_raw_event raw = small();
    for (size_t i = 0; i < PS_COUNT_OF(good); i++) {
        raw.response_us = good[i];
        assert_int_equal(normal(&raw).response_us, good[i]);
    }
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.response_us = bad[i];
        struct ps_event event = check_left_out(&raw, "responseTime", PS_REJECT_RESPONSE_TIME_RANGE);
        assert_int_equal(event.response_us, PS_ABSENT);
    }
}

static void test_clients(void **state) /* I7 */
{
    (void)state;
    struct ps_raw_event raw = small();
    raw.client_ip = PS_STR("192.0.2.1");
    struct ps_event event = normal(&raw);
    assert_false(event.has_client); /* only the keyed hash makes a client */
    struct ps_normal with = {.now_ms = NOW_MS, .has_client = true, .client_hash = 42};
    event = normal_with(&raw, &with);
    assert_true(event.has_client);
    assert_true(event.client_hash == 42);
}

static void test_client_hashes(void **state)
{
    (void)state;
    uint64_t hash = 7;
    assert_true(ps_client_hash_parse(PS_STR("0123456789abcdef"), &hash));
    assert_true(hash == UINT64_C(0x0123456789abcdef));
    assert_true(ps_client_hash_parse(PS_STR("ffffffffffffffff"), &hash));
    assert_true(hash == UINT64_MAX);
    assert_true(ps_client_hash_parse(PS_STR("0123456789ABCDEF"), &hash)); /* the same client */
    assert_true(hash == UINT64_C(0x0123456789abcdef));
    static const char *const bad[] = {"",
                                      "0123456789abcde",
                                      "0123456789abcdef0",
                                      "0123456789abcdeg",
                                      " 123456789abcdef",
                                      "0x23456789abcdef"};
    hash = 7;
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++)
        assert_false(ps_client_hash_parse(view(bad[i]), &hash));
    assert_true(hash == 7);
}

static void test_request_ids(void **state)
{
    (void)state;
    char text[PS_REQUEST_ID_MAX + 1];
    memset(text, 'r', sizeof text);
    struct ps_raw_event raw = small();
    raw.request_id = (struct ps_str){text, PS_REQUEST_ID_MAX};
    normal(&raw);
    raw.request_id.len++;
    check_rejected(&raw, PS_REJECT_REQUEST_ID_INVALID);
    static const char *const bad[] = {"", "r\xc3\xbc", "a b", "\n", "r\xff"};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        raw.request_id = view(bad[i]);
        check_rejected(&raw, PS_REJECT_REQUEST_ID_INVALID);
    }
}

/* Who sent it: a hash as given, else an address in its one spelling. */
static void test_senders(void **state)
{
    (void)state;
    char to[PS_ADDRESS_MAX], longer[PS_CLIENT_IP_MAX + 1];
    struct ps_sender sender;
    struct ps_raw_event raw = small();
    ps_event_sender(&raw, to, &sender);
    assert_false(sender.present);
    raw.client_ip = PS_STR("[2001:DB8:0::1]:443");
    ps_event_sender(&raw, to, &sender);
    assert_true(sender.present && !sender.is_hash);
    check_text(sender.text, "2001:db8::1");
    raw.client_ip_hash = PS_STR("192.0.2.1:80"); /* an address in the wrong field */
    ps_event_sender(&raw, to, &sender);
    assert_true(sender.present && !sender.is_hash);
    check_text(sender.text, "192.0.2.1");
    raw.client_ip_hash = PS_STR("00000000000000Ff");
    ps_event_sender(&raw, to, &sender);
    assert_true(sender.present && sender.is_hash && sender.hash == 255);
    memset(longer, '1', sizeof longer);
    raw.client_ip_hash = (struct ps_str){longer, sizeof longer};
    check_left_out(&raw, "clientIpHash", PS_REJECT_CLIENT_INVALID);
    ps_event_sender(&raw, to, &sender);
    check_text(sender.text, "2001:db8::1");
    raw.client_ip_hash = PS_STR_NONE;
    raw.client_ip = (struct ps_str){longer, sizeof longer};
    check_left_out(&raw, "clientIp", PS_REJECT_CLIENT_INVALID);
    ps_event_sender(&raw, to, &sender);
    assert_false(sender.present);
}

/* I1: an id in capitals is another one than the id a number makes, and is kept as it is. */
static void test_made_ids_have_small_letters(void **state)
{
    (void)state;
    uint64_t number;
    struct ps_raw_event raw = small();
    raw.id = PS_STR("1760536987123-00000000000000ff");
    struct ps_event event = normal(&raw);
    assert_true(ps_event_id_is_made(&event, &number) && number == 255);
    raw.id = PS_STR("1760536987123-00000000000000FF");
    event = normal(&raw);
    assert_false(ps_event_id_is_made(&event, &number));
    ps_event_prepare(&event);
    assert_false(ps_event_id_is_made(&event, &number));
}

static void test_every_reason_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < PS_REJECT_COUNT; i++) {
        assert_true(strlen(ps_reject_text((enum ps_reject)i)) > 3);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ps_reject_name((enum ps_reject)i),
                                    ps_reject_name((enum ps_reject)j));
    }
}

/* --- the form in the queue --- */

static uint64_t seed_now;

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

/* `min` to `max` random bytes of `to`, often one of the two ends. */
static struct ps_str random_text(char *to, size_t min, size_t max)
{
    size_t len = below(4) == 0 ? (below(2) ? min : max) : min + below(max - min + 1);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(0x21 + below(0x5e));
    return (struct ps_str){to, len};
}

static struct ps_event random_event(char *to) /* PS_EVENT_ENCODED_MAX bytes */
{
    struct ps_event event = {
        .id = random_text(to, 1, PS_ID_MAX),
        .path = random_text(to + 128, 1, PS_PATH_MAX),
        .timestamp_ms =
            PS_TIMESTAMP_MIN_MS + (int64_t)below(PS_TIMESTAMP_MAX_MS - PS_TIMESTAMP_MIN_MS + 1),
        .response_us = below(3) ? (int64_t)below(PS_RESPONSE_US_MAX + 1) : PS_ABSENT,
        .response_bytes = below(3) ? (int64_t)below(PS_RESPONSE_BYTES_MAX + 1) : PS_ABSENT,
        .status = below(3) ? PS_STATUS_MIN + (int)below(900) : PS_ABSENT,
        .is_error = (int8_t)((int)below(3) - 1),
        .has_client = below(2),
    };
    if (event.has_client)
        event.client_hash = next_random();
    if (below(2))
        event.user_agent = random_text(to + 1152, 1, PS_USER_AGENT_MAX);
    if (below(2))
        event.method = random_text(to + 1664, 1, PS_METHOD_MAX);
    if (below(2))
        event.country = random_text(to + 1680, 1, PS_COUNTRY_MAX);
    return event;
}

static void check_same_text(struct ps_str a, struct ps_str b)
{
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
    assert_true(ps_str_equal(a, b));
}

static void check_same(const struct ps_event *a, const struct ps_event *b)
{
    check_same_text(a->id, b->id);
    check_same_text(a->path, b->path);
    check_same_text(a->method, b->method);
    check_same_text(a->user_agent, b->user_agent);
    check_same_text(a->country, b->country);
    assert_int_equal(a->timestamp_ms, b->timestamp_ms);
    assert_int_equal(a->response_us, b->response_us);
    assert_true(a->response_bytes == b->response_bytes);
    assert_true(a->client_hash == b->client_hash);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->is_error, b->is_error);
    assert_int_equal(a->has_client, b->has_client);
}

/* Either refused with `ret` untouched, or an event within its limits that encodes to the same. */
static bool check_decode(const uint8_t *bytes, size_t len)
{
    struct ps_event event, before;
    uint8_t again[PS_EVENT_ENCODED_MAX], *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    memset(&event, 0x5a, sizeof event);
    before = event;
    int r = ps_event_decode(exact, len, &event);
    if (r == 0) {
        assert_true(event.id.len >= 1 && event.id.len <= PS_ID_MAX);
        assert_true(event.path.len >= 1 && event.path.len <= PS_PATH_MAX);
        assert_true(event.user_agent.len <= PS_USER_AGENT_MAX);
        assert_true(event.method.len <= PS_METHOD_MAX && event.country.len <= PS_COUNTRY_MAX);
        assert_true(event.timestamp_ms >= PS_TIMESTAMP_MIN_MS &&
                    event.timestamp_ms <= PS_TIMESTAMP_MAX_MS);
        assert_true(event.response_us >= PS_ABSENT && event.response_us <= PS_RESPONSE_US_MAX);
        assert_true(event.status == PS_ABSENT ||
                    (event.status >= PS_STATUS_MIN && event.status <= PS_STATUS_MAX));
        assert_true(event.is_error >= PS_ABSENT && event.is_error <= 1);
        assert_int_equal(ps_event_encode(&event, again), len);
        assert_memory_equal(again, bytes, len);
    } else {
        assert_int_equal(r, PS_ECORRUPT);
        assert_memory_equal(&event, &before, sizeof event);
    }
    free(exact);
    return r == 0;
}

static void start_random(void)
{
    const char *given = getenv("PS_SEED");
    seed_now = given != NULL ? strtoull(given, NULL, 0) : 20251015;
    printf("# PS_SEED=%llu\n", (unsigned long long)seed_now);
}

static void test_encoded_form_goes_round(void **state)
{
    (void)state;
    start_random();
    for (int i = 0; i < 5000; i++) {
        char text[PS_EVENT_ENCODED_MAX];
        uint8_t bytes[PS_EVENT_ENCODED_MAX];
        struct ps_event event = random_event(text), back;
        size_t len = ps_event_encode(&event, bytes);
        assert_true(len <= PS_EVENT_ENCODED_MAX);
        assert_int_equal(ps_event_decode(bytes, len, &back), 0);
        check_same(&event, &back);
        assert_true(check_decode(bytes, len));
    }
}

static void test_largest_event_fits(void **state)
{
    (void)state;
    char text[PS_PATH_MAX];
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    memset(text, 'x', sizeof text);
    struct ps_event event = {.id = {text, PS_ID_MAX},
                             .path = {text, PS_PATH_MAX},
                             .user_agent = {text, PS_USER_AGENT_MAX},
                             .method = {text, PS_METHOD_MAX},
                             .country = {text, PS_COUNTRY_MAX},
                             .timestamp_ms = PS_TIMESTAMP_MAX_MS,
                             .response_us = PS_RESPONSE_US_MAX,
                             .client_hash = UINT64_MAX,
                             .has_client = true,
                             .status = PS_STATUS_MAX,
                             .is_error = 1},
                    back;
    size_t len = ps_event_encode(&event, bytes);
    assert_true(len <= PS_EVENT_ENCODED_MAX);
    assert_int_equal(ps_event_decode(bytes, len, &back), 0);
    check_same(&event, &back);
}

/* The stored path has the normal form, and the id is made of the path as it came: a retry is the
 * same event whatever the rule says (I1). */
static void test_percent_is_normal_after_the_id(void **state)
{
    (void)state;
    struct ps_raw_event raw = small();
    struct ps_normal as_is = plain;
    char kept[PS_EVENT_SCRATCH_BYTES], id[64];
    struct ps_event event;
    raw.path = PS_STR("/%7euser/a%2fb?x=%41");
    raw.id = PS_STR_NONE;
    raw.request_id = PS_STR("r");
    assert_int_equal(ps_event_normalise(&raw, &plain, kept, &event), PS_REJECT_NONE);
    assert_true(ps_str_equal(event.path, PS_STR("/~user/a%2Fb")));
    snprintf(id, sizeof id, "%.*s", (int)event.id.len, event.id.ptr);
    as_is.percent_as_is = true;
    assert_int_equal(ps_event_normalise(&raw, &as_is, kept, &event), PS_REJECT_NONE);
    assert_true(ps_str_equal(event.path, PS_STR("/%7euser/a%2fb")));
    assert_true(ps_str_equal(event.id, (struct ps_str){id, strlen(id)}));
}

/* A size that is none costs the field, not the event. */
static void test_sizes(void **state)
{
    static const int64_t cases[][2] = {{0, 0},
                                       {PS_RESPONSE_BYTES_MAX, PS_RESPONSE_BYTES_MAX},
                                       {PS_RESPONSE_BYTES_MAX + 1, PS_ABSENT},
                                       {INT64_MAX, PS_ABSENT},
                                       {PS_ABSENT, PS_ABSENT}};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_raw_event raw = small();
        raw.response_bytes = cases[i][0];
        assert_true(normal(&raw).response_bytes == cases[i][1]);
    }
}

/* Behind the version, up to the sizes. */
#define ENCODED_HEAD                                                                               \
    "\x01\x0b\x00"                                                                                 \
    "\x00\xce\xbd\xe7\x99\x01\x00\x00"                                                             \
    "\xdc\x05\x00\x00\x00\x00\x00\x00"                                                             \
    "\x08\x07\x06\x05\x04\x03\x02\x01"                                                             \
    "\xf4\x01"                                                                                     \
    "\x02\x00\x03\x00\x00\x00"                                                                     \
    "\x03\x02"

/* The bytes themselves are the file format: these never change. */
static void test_encoded_bytes(void **state)
{
    (void)state;
    static const char expected[] = "\x02" ENCODED_HEAD "\x12\x04\x00\x00\x00\x00\x00\x00"
                                   "id/axGETDE";
    static const char older[] = "\x01" ENCODED_HEAD "id/axGETDE";
    struct ps_event event = {.id = PS_STR("id"),
                             .path = PS_STR("/ax"),
                             .method = PS_STR("GET"),
                             .country = PS_STR("DE"),
                             .timestamp_ms = INT64_C(1760529600000),
                             .response_us = 1500,
                             .response_bytes = 1042,
                             .client_hash = UINT64_C(0x0102030405060708),
                             .has_client = true,
                             .status = 500,
                             .is_error = 1};
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event back;
    assert_int_equal(ps_event_encode(&event, bytes), sizeof expected - 1);
    assert_memory_equal(bytes, expected, sizeof expected - 1);
    assert_int_equal(ps_event_decode((const uint8_t *)older, sizeof older - 1, &back), 0);
    event.response_bytes = PS_ABSENT;
    check_same(&event, &back);
}

static void test_damaged_records(void **state)
{
    (void)state;
    start_random();
    unsigned refused = 0;
    for (int i = 0; i < 400; i++) {
        char text[PS_EVENT_ENCODED_MAX];
        uint8_t bytes[PS_EVENT_ENCODED_MAX + 1];
        struct ps_event event = random_event(text);
        size_t len = ps_event_encode(&event, bytes);
        for (size_t cut = 0; cut < len; cut++)
            assert_false(check_decode(bytes, cut));
        bytes[len] = 0;
        assert_false(check_decode(bytes, len + 1));
        for (size_t bit = 0; bit < 8 * 46; bit++) { /* the header; the rest is free text */
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += !check_decode(bytes, len);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t times = 0; times < 20; times++)
            bytes[below(len)] = (uint8_t)next_random();
        refused += !check_decode(bytes, len);
    }
    assert_true(refused > 400 * 100);
}

static void check_refused_with(size_t at, uint8_t value)
{
    struct ps_event event = {.id = PS_STR("i"),
                             .path = PS_STR("/"),
                             .timestamp_ms = NOW_MS,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    size_t len = ps_event_encode(&event, bytes);
    assert_true(check_decode(bytes, len));
    bytes[at] = value;
    if (check_decode(bytes, len))
        fail_msg("byte %zu = %d is taken", at, value);
}

static void test_every_header_field_is_checked(void **state)
{
    (void)state;
    check_refused_with(0, 0);    /* version */
    check_refused_with(0, 3);    /* of the future */
    check_refused_with(1, 2);    /* is_error */
    check_refused_with(1, 0xfe); /* -2 */
    check_refused_with(2, 16);   /* an unknown flag */
    check_refused_with(3, 1);    /* reserved */
    check_refused_with(11, 0x80);
    check_refused_with(9, 0x00); /* 1970 */
    check_refused_with(19, 0x80);
    check_refused_with(19, 0x7f);
    check_refused_with(28, 0xfe);
    check_refused_with(29, 0x7f);
    check_refused_with(30, 0);
    check_refused_with(30, 2);
    check_refused_with(32, 0);
    check_refused_with(34, 1);
    check_refused_with(36, 1);
    check_refused_with(37, 1);
    check_refused_with(45, 0x80); /* response_bytes: below absent */
    check_refused_with(45, 0x7f); /* and beyond the limit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_is_cut_at_query_and_fragment),
        cmocka_unit_test(test_path_keeps_what_is_not_special),
        cmocka_unit_test(test_path_escapes_what_is_no_text),
        cmocka_unit_test(test_path_is_capped_at_a_character),
        cmocka_unit_test(test_path_cut_is_stable),
        cmocka_unit_test(test_path_is_required),
        cmocka_unit_test(test_given_id_is_kept),
        cmocka_unit_test(test_id_limits),
        cmocka_unit_test(test_fresh_id),
        cmocka_unit_test(test_log_line_id),
        cmocka_unit_test(test_made_id_hashes_the_fields),
        cmocka_unit_test(test_made_id_tells_fields_apart),
        cmocka_unit_test(test_dated_ids),
        cmocka_unit_test(test_preparing_changes_no_answer),
        cmocka_unit_test(test_early_made_id_is_not_dated),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_statuses_and_errors),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_countries),
        cmocka_unit_test(test_user_agents),
        cmocka_unit_test(test_response_times),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_client_hashes),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_senders),
        cmocka_unit_test(test_made_ids_have_small_letters),
        cmocka_unit_test(test_every_reason_has_its_own_name),
        cmocka_unit_test(test_encoded_form_goes_round),
        cmocka_unit_test(test_largest_event_fits),
        cmocka_unit_test(test_percent_is_normal_after_the_id),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_encoded_bytes),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_every_header_field_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
