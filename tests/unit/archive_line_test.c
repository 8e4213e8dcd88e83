/* archive_line_test.c - the lines of an archived day: exact, in a fixed order, and nothing else is
 * taken for one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "core/archive_line.h"

enum { ROUNDS = 20000 };

static struct ps_event least(void)
{
    return (struct ps_event){.id = PS_STR("i"),
                             .path = PS_STR("/"),
                             .timestamp_ms = PS_TIMESTAMP_MIN_MS,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
}

static struct ps_event full(void)
{
    return (struct ps_event){.id = PS_STR("1760529600000-00000000000000ff"),
                             .path = PS_STR("/a \"b\"\\\xc3\xa4"),
                             .method = PS_STR("GET"),
                             .user_agent = PS_STR("Mozilla/5.0\t(\x01\x7f)"),
                             .country = PS_STR("DE"),
                             .timestamp_ms = INT64_C(1760529600000),
                             .response_us = 1500,
                             .response_bytes = 1042,
                             .client_hash = 0xab,
                             .has_client = true,
                             .status = 200,
                             .is_error = 0};
}

static void expect_line(const struct ps_event *event, const char *expected)
{
    static char line[PS_ARCHIVE_LINE_MAX + 1];
    size_t len = ps_archive_line_write(event, line);
    line[len] = '\0';
    assert_string_equal(line, expected);
}

static void columns_have_their_order(void **state)
{
    struct ps_event a = full(), b = least();
    (void)state;
    expect_line(&a, "{\"id\":\"1760529600000-00000000000000ff\",\"path\":\"/a \\\"b\\\"\\\\"
                    "\xc3\xa4\",\"method\":\"GET\",\"status\":200,\"response_time\":1.5,"
                    "\"client_ip_hash\":\"00000000000000ab\",\"timestamp\":1760529600000,"
                    "\"event_date\":\"2025-10-15\",\"user_agent\":\"Mozilla/5.0\\u0009(\\u0001"
                    "\\u007f)\",\"country\":\"DE\",\"is_error\":0,\"response_bytes\":1042}\n");
    expect_line(&b, "{\"id\":\"i\",\"path\":\"/\",\"method\":null,\"status\":null,"
                    "\"response_time\":null,\"client_ip_hash\":null,\"timestamp\":946684800000,"
                    "\"event_date\":\"2000-01-01\",\"user_agent\":null,\"country\":null,"
                    "\"is_error\":null,\"response_bytes\":null}\n");
}

static void times_are_exact(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } times[] = {{0, ":0,"},           {1, ":0.001,"},        {10, ":0.01,"},
                 {100, ":0.1,"},       {999, ":0.999,"},      {1000, ":1,"},
                 {1010, ":1.01,"},     {123456, ":123.456,"}, {PS_RESPONSE_US_MAX, ":86400000,"},
                 {PS_ABSENT, ":null,"}};
    static char line[PS_ARCHIVE_LINE_MAX + 1], scratch[PS_ARCHIVE_LINE_MAX];
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(times); i++) {
        struct ps_event event = least(), back;
        char wanted[64];
        event.response_us = times[i].us;
        size_t len = ps_archive_line_write(&event, line);
        line[len] = '\0';
        snprintf(wanted, sizeof wanted, "\"response_time\"%s", times[i].text);
        assert_non_null(strstr(line, wanted));
        assert_int_equal(ps_archive_line_parse(line, len - 1, scratch, &back), 0);
        assert_int_equal(back.response_us, times[i].us);
    }
}

/* --- round trips --- */

static struct ps_str random_text(struct dice *d, char *to, size_t max, bool utf8)
{
    static const char *const characters[] = {"a",
                                             "/",
                                             "\"",
                                             "\\",
                                             "\x1f",
                                             "\x7f",
                                             "\n",
                                             "\xc3\xa4",
                                             "\xe2\x82\xac",
                                             "\xf0\x9f\x98\x80",
                                             "\xed\x9f\xbf",
                                             "0"};
    size_t len = 0, wanted = below(d, 4) == 0 ? max : below(d, (uint32_t)max) + 1;
    while (len < wanted) {
        const char *c =
            utf8 ? characters[below(d, PS_COUNT_OF(characters))] : characters[below(d, 4)];
        size_t n = strlen(c);
        if (len + n > max)
            break;
        memcpy(to + len, c, n);
        len += n;
    }
    return (struct ps_str){to, len};
}

static struct ps_event random_event(struct dice *d, char texts[5][PS_PATH_MAX])
{
    struct ps_event event = least();
    event.id = random_text(d, texts[0], PS_ID_MAX, false);
    event.path = random_text(d, texts[1], PS_PATH_MAX, true);
    if (below(d, 3) > 0)
        event.method = random_text(d, texts[2], PS_METHOD_MAX, false);
    if (below(d, 3) > 0)
        event.user_agent = random_text(d, texts[3], PS_USER_AGENT_MAX, true);
    if (below(d, 3) > 0)
        event.country = random_text(d, texts[4], PS_COUNTRY_MAX, false);
    event.timestamp_ms =
        PS_TIMESTAMP_MIN_MS +
        (int64_t)(throw_dice(d) % (uint64_t)(PS_TIMESTAMP_MAX_MS - PS_TIMESTAMP_MIN_MS + 1));
    if (below(d, 3) > 0)
        event.response_us = (int64_t)(throw_dice(d) % (PS_RESPONSE_US_MAX + 1));
    if (below(d, 3) > 0) {
        event.status = PS_STATUS_MIN + (int32_t)below(d, PS_STATUS_MAX - PS_STATUS_MIN + 1);
        event.is_error = event.status >= 400;
    } else {
        event.is_error = (int8_t)((int)below(d, 3) - 1);
    }
    event.has_client = below(d, 2) == 1;
    event.client_hash = event.has_client ? throw_dice(d) : 0;
    return event;
}

static void expect_equal(const struct ps_event *a, const struct ps_event *b)
{
    const struct ps_str x[] = {a->id, a->path, a->method, a->user_agent, a->country};
    const struct ps_str y[] = {b->id, b->path, b->method, b->user_agent, b->country};
    for (size_t i = 0; i < PS_COUNT_OF(x); i++) {
        assert_int_equal(x[i].ptr == NULL, y[i].ptr == NULL);
        assert_true(ps_str_equal(x[i], y[i]));
    }
    assert_int_equal(a->timestamp_ms, b->timestamp_ms);
    assert_int_equal(a->response_us, b->response_us);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->is_error, b->is_error);
    assert_int_equal(a->has_client, b->has_client);
    assert_true(!a->has_client || a->client_hash == b->client_hash);
}

/* The bounds of the header are kept too: everything lies on the heap in exactly that many bytes. */
static void any_event_comes_back(void **state)
{
    struct dice dice = {seed_of_run()};
    char texts[5][PS_PATH_MAX];
    char *line = malloc(PS_ARCHIVE_LINE_MAX), *again = malloc(PS_ARCHIVE_LINE_MAX);
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct ps_event event = random_event(&dice, texts), back;
        size_t len = ps_archive_line_write(&event, line);
        char *scratch = malloc(len - 1), *copy = malloc(len - 1);
        assert_true(len <= PS_ARCHIVE_LINE_MAX);
        assert_null(memchr(line, '\n', len - 1));
        assert_int_equal(line[len - 1], '\n');
        memcpy(copy, line, len - 1);
        assert_int_equal(ps_archive_line_parse(copy, len - 1, scratch, &back), 0);
        expect_equal(&event, &back);
        assert_int_equal(ps_archive_line_write(&back, again), len);
        assert_memory_equal(line, again, len);
        free(scratch);
        free(copy);
    }
    free(line);
    free(again);
}

/* The longest there can be: every byte escaped. */
static void the_longest_line_fits(void **state)
{
    static char ones[PS_PATH_MAX];
    static char line[PS_ARCHIVE_LINE_MAX], scratch[PS_ARCHIVE_LINE_MAX];
    struct ps_event event = full(), back;
    (void)state;
    memset(ones, 1, sizeof ones);
    event.id = (struct ps_str){ones, PS_ID_MAX};
    event.path = (struct ps_str){ones, PS_PATH_MAX};
    event.method = (struct ps_str){ones, PS_METHOD_MAX};
    event.user_agent = (struct ps_str){ones, PS_USER_AGENT_MAX};
    event.country = (struct ps_str){ones, PS_COUNTRY_MAX};
    event.timestamp_ms = PS_TIMESTAMP_MAX_MS;
    event.response_us = PS_RESPONSE_US_MAX - 1;
    size_t len = ps_archive_line_write(&event, line);
    assert_true(len <= PS_ARCHIVE_LINE_MAX);
    assert_int_equal(ps_archive_line_parse(line, len - 1, scratch, &back), 0);
    expect_equal(&event, &back);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {{"\xff", "\xef\xbf\xbd"},
                 {"a\xc3", "a\xef\xbf\xbd"},
                 {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xc0\xaf!", "\xef\xbf\xbd\xef\xbf\xbd!"},
                 {"\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}};
    static char line[PS_ARCHIVE_LINE_MAX], scratch[PS_ARCHIVE_LINE_MAX];
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_event event = least(), back;
        event.user_agent = (struct ps_str){cases[i].from, strlen(cases[i].from)};
        size_t len = ps_archive_line_write(&event, line);
        assert_int_equal(ps_archive_line_parse(line, len - 1, scratch, &back), 0);
        assert_int_equal(back.user_agent.len, strlen(cases[i].to));
        assert_memory_equal(back.user_agent.ptr, cases[i].to, back.user_agent.len);
    }
}

/* --- what is no line --- */

static int parse_copy(const char *bytes, size_t len)
{
    char *line = malloc(len + (len == 0)), *scratch = malloc(len + (len == 0));
    struct ps_event ret, before;
    memset(&ret, 0x5a, sizeof ret);
    memcpy(&before, &ret, sizeof ret);
    ps_copy(line, bytes, len);
    int r = ps_archive_line_parse(line, len, scratch, &ret);
    if (r < 0)
        assert_memory_equal(&ret, &before, sizeof ret);
    free(line);
    free(scratch);
    return r;
}

static void a_truncated_line_is_corrupt(void **state)
{
    static char line[PS_ARCHIVE_LINE_MAX];
    struct ps_event events[] = {full(), least()};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(events); i++) {
        size_t len = ps_archive_line_write(&events[i], line) - 1;
        assert_int_equal(parse_copy(line, len), 0);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(parse_copy(line, cut), PS_ECORRUPT);
        assert_int_equal(parse_copy(line, len + 1), PS_ECORRUPT); /* with its newline */
    }
}

#define LINE(id, status, ms, hash, ts)                                                             \
    "{\"id\":" id ",\"path\":\"/\",\"method\":null,\"status\":" status ",\"response_time\":" ms    \
    ",\"client_ip_hash\":" hash ",\"timestamp\":" ts                                               \
    ",\"event_date\":\"2025-10-15\",\"user_agent\":null,\"country\":null,\"is_error\":null}"

static void values_out_of_bounds_are_corrupt(void **state)
{
    static const char *const bad[] = {
        LINE("null", "200", "1", "null", "1760529600000"),
        LINE("\"\"", "200", "1", "null", "1760529600000"),
        LINE("7", "200", "1", "null", "1760529600000"),
        LINE("\"a\"", "99", "1", "null", "1760529600000"),
        LINE("\"a\"", "1000", "1", "null", "1760529600000"),
        LINE("\"a\"", "4294967496", "1", "null", "1760529600000"),
        LINE("\"a\"", "\"200\"", "1", "null", "1760529600000"),
        LINE("\"a\"", "200.5", "1", "null", "1760529600000"),
        LINE("\"a\"", "200", "-1", "null", "1760529600000"),
        LINE("\"a\"", "200", "0.0001", "null", "1760529600000"),
        LINE("\"a\"", "200", "86400000.001", "null", "1760529600000"),
        LINE("\"a\"", "200", "1", "\"00000000000000AB\"", "1760529600000"),
        LINE("\"a\"", "200", "1", "\"ab\"", "1760529600000"),
        LINE("\"a\"", "200", "1", "null", "null"),
        LINE("\"a\"", "200", "1", "null", "946684799999"),
        LINE("\"a\"", "200", "1", "null", "253402300800000"),
        LINE("\"a\"", "200", "1", "null", "99999999999999999999999"),
        LINE("\"a\"", "200", "1", "null", "1760529600000") "}",
        "{}",
        "{\"path\":\"/\",\"id\":\"a\"}",
        "{\"id\":\"a\",\"timestamp\":1760529600000}",
        "{\"id\":\"a\",\"path\":\"/\",\"timestamp\":1760529600000,\"response_bytes\":-1}",
        "{\"id\":\"a\",\"path\":\"/\",\"timestamp\":1760529600000,\"later\":[}",
        "{\"id\":\"a\",\"path\":\"/\",\"timestamp\":1760529600000,}",
        "{\"id\":\"a\",\"path\":\"/\",\"timestamp\":1760529600000",
        "[]",
    };
    static const char good[] = LINE("\"a\"", "200", "1", "null", "1760529600000");
    (void)state;
    assert_int_equal(parse_copy(good, sizeof good - 1), 0);
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++)
        if (parse_copy(bad[i], strlen(bad[i])) != PS_ECORRUPT)
            fail_msg("taken for a line: %s", bad[i]);
}

static void texts_that_are_too_long_are_corrupt(void **state)
{
    static char line[2 * PS_ARCHIVE_LINE_MAX], text[PS_PATH_MAX + 1];
    static const size_t limits[] = {PS_ID_MAX, PS_PATH_MAX, PS_METHOD_MAX, PS_USER_AGENT_MAX,
                                    PS_COUNTRY_MAX};
    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t over = 0; over < 2; over++)
        for (size_t i = 0; i < PS_COUNT_OF(limits); i++) {
            struct ps_event event = full();
            struct ps_str *const fields[] = {&event.id, &event.path, &event.method,
                                             &event.user_agent, &event.country};
            *fields[i] = (struct ps_str){text, limits[i] + over};
            size_t len = ps_archive_line_write(&event, line);
            assert_int_equal(parse_copy(line, len - 1), over == 0 ? 0 : PS_ECORRUPT);
        }
}

/* Columns go by their names: any order, unknown ones skipped, missing ones absent. */
static void columns_go_by_name(void **state)
{
    static const char line[] =
        " { \"timestamp\" : 1760529600000 , \"later\":{\"a\":[1,\"}\"]}, \"path\":\"/\\u00e4\","
        "\"response_bytes\":7,\"id\":\"a\"}";
    char scratch[sizeof line];
    struct ps_event back;
    (void)state;
    assert_int_equal(ps_archive_line_parse(line, sizeof line - 1, scratch, &back), 0);
    assert_true(ps_str_equal(back.path, PS_STR("/\xc3\xa4")));
    assert_true(ps_str_equal(back.id, PS_STR("a")));
    assert_true(back.timestamp_ms == INT64_C(1760529600000));
    assert_true(back.response_bytes == 7);
    assert_true(back.response_us == PS_ABSENT && back.status == PS_ABSENT);
    assert_true(back.is_error == PS_ABSENT && !back.has_client && back.method.ptr == NULL);
}

/* One byte changed anywhere: never a crash, and what is taken can be written again. */
static void changed_bytes_are_harmless(void **state)
{
    static char line[PS_ARCHIVE_LINE_MAX], again[PS_ARCHIVE_LINE_MAX], scratch[PS_ARCHIVE_LINE_MAX];
    struct dice dice = {seed_of_run()};
    struct ps_event event = full(), back;
    size_t len = ps_archive_line_write(&event, line) - 1, taken = 0;
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        size_t at = below(&dice, (uint32_t)len);
        char old = line[at];
        line[at] = (char)throw_dice(&dice);
        int r = ps_archive_line_parse(line, len, scratch, &back);
        assert_true(r == 0 || r == PS_ECORRUPT);
        if (r == 0) {
            taken++;
            assert_true(ps_archive_line_write(&back, again) <= sizeof again);
        }
        line[at] = old;
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_have_their_order),
        cmocka_unit_test(columns_go_by_name),
        cmocka_unit_test(times_are_exact),
        cmocka_unit_test(any_event_comes_back),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(a_truncated_line_is_corrupt),
        cmocka_unit_test(values_out_of_bounds_are_corrupt),
        cmocka_unit_test(texts_that_are_too_long_are_corrupt),
        cmocka_unit_test(changed_bytes_are_harmless),
    };
    return cmocka_run_group_tests_name("archive_line", tests, NULL, NULL);
}
