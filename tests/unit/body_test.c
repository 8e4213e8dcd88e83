/* body_test.c - a body as a walk over its events, and what a broken one costs the others: nothing.
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
#include <time.h>

static char scratch[1024]; /* for short bodies */

static void check_text(struct ps_str s, const char *expected)
{
    assert_non_null(s.ptr);
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

struct step {
    const char *path; /* NULL: rejected */
    enum ps_reject why;
    unsigned line, index;
};

static void check_walk_bytes(const char *text, size_t len, const struct step *steps, size_t count,
                             bool fatal)
{
    struct ps_body body;
    struct ps_raw_event raw, kept[8];
    enum ps_reject why;
    char *exact = malloc(len > 0 ? len : 1), *room = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    assert_non_null(room);
    assert_true(count <= PS_COUNT_OF(kept));
    memcpy(exact, text, len);
    ps_body_init(&body, exact, len, room, NULL);
    for (size_t i = 0; i < count; i++) {
        if (ps_body_next(&body, &raw, &why) != 1)
            fail_msg("ended before event %zu: %.80s", i, text);
        unsigned line = ps_body_line(&body);
        if (why != steps[i].why || line != steps[i].line || body.index != steps[i].index)
            fail_msg("event %zu: %s, line %u, index %u: %.80s", i, ps_reject_name(why), line,
                     body.index, text);
        kept[i] = raw;
    }
    if (ps_body_next(&body, &raw, &why) != 0)
        fail_msg("%s behind the end: %.80s", ps_reject_name(why), text);
    assert_int_equal(ps_body_next(&body, &raw, &why), 0); /* and stays there */
    if (body.fatal != fatal)
        fail_msg("%s: %.80s", fatal ? "not fatal" : "fatal", text);
    for (size_t i = 0; i < count; i++) /* strings live until the body is done */
        if (steps[i].path != NULL)
            check_text(kept[i].path, steps[i].path);
    free(exact);
    free(room);
}

#define CHECK_WALK(text, fatal, ...)                                                               \
    do {                                                                                           \
        const struct step steps_[] = {__VA_ARGS__};                                                \
        check_walk_bytes(text, strlen(text), steps_, PS_COUNT_OF(steps_), fatal);                  \
    } while (0)

#define OK PS_REJECT_NONE
#define BROKEN PS_REJECT_JSON_SYNTAX

static bool is_blank_body(const char *text)
{
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    ps_body_init(&body, text, strlen(text), scratch, NULL);
    while (ps_body_next(&body, &raw, &why) > 0)
        ;
    return body.blank;
}

static void test_body_empty(void **state)
{
    (void)state;
    static const char *const blank[] = {"", " ", "\n\n \r\n\t", "\xef\xbb\xbf"};
    for (size_t i = 0; i < PS_COUNT_OF(blank); i++) {
        check_walk_bytes(blank[i], strlen(blank[i]), NULL, 0, false);
        assert_true(is_blank_body(blank[i]));
    }
    static const char *const empty[] = {"[]", " [ ] \n", "[][]", "\xef\xbb\xbf[]"};
    for (size_t i = 0; i < PS_COUNT_OF(empty); i++) {
        check_walk_bytes(empty[i], strlen(empty[i]), NULL, 0, false);
        assert_false(is_blank_body(empty[i])); /* no event is something to say */
    }
    assert_false(is_blank_body("{}"));
    assert_false(is_blank_body("x"));
}

static void test_body_one_object(void **state)
{
    (void)state;
    CHECK_WALK("{\"path\":\"/\"}", false, {"/", OK, 1, 0});
    CHECK_WALK("\xef\xbb\xbf{\"path\":\"/\"}", false, {"/", OK, 1, 0});
    CHECK_WALK("\n\n {\n \"path\" :\n \"/\\n\" }\n\n", false, {"/\n", OK, 3, 0});
    CHECK_WALK("\n{\n\"path\":\n1}", false, {NULL, PS_REJECT_PATH_TYPE, 2, 0});
    CHECK_WALK("5", false, {NULL, PS_REJECT_NOT_AN_OBJECT, 1, 0});
    CHECK_WALK("{\"path\":\"/\"", false, {NULL, BROKEN, 1, 0});
    CHECK_WALK("path=/&timestamp=1", false, {NULL, BROKEN, 1, 0});
}

static void test_body_lines(void **state)
{
    (void)state;
    CHECK_WALK("{\"path\":\"/1\"}\n{\"path\":\"/\\u0032\"}\r\n\n  \n  {\"path\":\"\\/3\"}  \n",
               false, {"/1", OK, 1, 0}, {"/2", OK, 2, 1}, {"/3", OK, 5, 2});
    CHECK_WALK("{\"path\":\"/1\"}\n{\"path\":\"/2\"}", false, {"/1", OK, 1, 0}, {"/2", OK, 2, 1});
}

/* Objects with nothing between them (Kinesis Firehose), with commas, over several lines, in
 * several arrays: each is an event. */
static void test_body_streams(void **state)
{
    (void)state;
    CHECK_WALK("{\"path\":\"/1\"}{\"path\":\"/2\"}", false, {"/1", OK, 1, 0}, {"/2", OK, 1, 1});
    CHECK_WALK("{\"path\":\"/1\"},\n{\"path\":\"/2\"},\n", false, {"/1", OK, 1, 0},
               {"/2", OK, 2, 1});
    CHECK_WALK("{\n  \"path\": \"/1\"\n}\n{\n  \"path\": \"/2\"\n}\n", false, {"/1", OK, 1, 0},
               {"/2", OK, 4, 1});
    CHECK_WALK("[{\"path\":\"/1\"}]\n[{\"path\":\"/2\"},{\"path\":\"/3\"}][]", false,
               {"/1", OK, 1, 0}, {"/2", OK, 2, 1}, {"/3", OK, 2, 2});
    CHECK_WALK("{\"path\":\"/1\"}[{\"path\":\"/2\"}]{\"path\":\"/3\"}", false, {"/1", OK, 1, 0},
               {"/2", OK, 1, 1}, {"/3", OK, 1, 2});
    CHECK_WALK("{\"path\":\"/1\"},,{\"path\":\"/3\"}", false, {"/1", OK, 1, 0},
               {NULL, BROKEN, 1, 1}, {"/3", OK, 1, 2});
}

/* One bad event never takes its neighbours with it. */
static void test_body_lines_with_bad_ones(void **state)
{
    (void)state;
    CHECK_WALK("{\"path\":\"/1\"}\n{\"path\":\n{\"path\":\"/3\"}\nnull\n"
               "{\"path\":\"/\xff\n{} ]\n{\"path\":\"/8\"}",
               false, {"/1", OK, 1, 0}, {NULL, BROKEN, 2, 1}, {"/3", OK, 3, 2},
               {NULL, PS_REJECT_NOT_AN_OBJECT, 4, 3}, {NULL, BROKEN, 5, 4}, {NULL, OK, 6, 5},
               {NULL, BROKEN, 6, 6}, {"/8", OK, 7, 7});
    CHECK_WALK("{oops\n{\"path\":\"/2\"}\n", false, {NULL, BROKEN, 1, 0}, {"/2", OK, 2, 1});
    CHECK_WALK("{\"path\":\"/cut\n{\"path\":\"/2\"}\n", false, {NULL, BROKEN, 1, 0},
               {"/2", OK, 2, 1});
    /* one object over three lines: not broken */
    CHECK_WALK("{\"path\":\"/1\",\"x\":[\n{\"path\":\"/2\"}\n]}\n{\"path\":\"/3\"}", false,
               {"/1", OK, 1, 0}, {"/3", OK, 4, 1});
}

/* NaN and the like, where nothing separates the events: the brackets tell where the next begins. */
static void test_body_bad_literals(void **state)
{
    (void)state;
    static const char *const bad[] = {"NaN",      "Infinity", "-Infinity", "undefined",
                                      "'x'",      "0x10",     "1_000",     ".5",
                                      "[NaN,{}]", "\"\\x\"",  "{a:{}}"};
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"path\":\"/1\"}{\"path\":\"/\",\"x\":%s}{\"path\":\"/3\"}",
                 bad[i]);
        CHECK_WALK(text, false, {"/1", OK, 1, 0}, {NULL, BROKEN, 1, 1}, {"/3", OK, 1, 2});
        snprintf(text, sizeof text,
                 "[{\"path\":\"/1\"},\n{\"path\":\"/\",\"x\":%s},{\"path\":\"/3\"}]", bad[i]);
        CHECK_WALK(text, false, {"/1", OK, 1, 0}, {NULL, BROKEN, 2, 1}, {"/3", OK, 2, 2});
        snprintf(text, sizeof text,
                 "{\n \"path\":\"/\",\n \"x\":%s,\n \"y\":1\n}\n{\"path\":\"/2\"}", bad[i]);
        CHECK_WALK(text, false, {NULL, BROKEN, 1, 0}, {"/2", OK, 6, 1});
    }
}

static void test_body_too_deep(void **state)
{
    (void)state;
    char text[1024], *to = text + sprintf(text, "[{\"path\":\"/1\"},{\"x\":");
    memset(to, '[', 100);
    memset(to + 100, ']', 100);
    strcpy(to + 200, "},{\"path\":\"/3\"}]");
    CHECK_WALK(text, false, {"/1", OK, 1, 0}, {NULL, PS_REJECT_JSON_DEPTH, 1, 1}, {"/3", OK, 1, 2});
}

static void test_body_long_line(void **state)
{
    (void)state;
    size_t len = PS_EVENT_JSON_MAX + 100;
    char *text = malloc(len + 64);
    assert_non_null(text);
    int head = sprintf(text, "{\"path\":\"/1\"}\n{\"x\":\"");
    memset(text + head, 'x', len);
    strcpy(text + head + len - 40, "\"}\n{\"path\":\"/3\"}");
    /* the line is what is left after the head's first line */
    CHECK_WALK(text, false, {"/1", OK, 1, 0}, {NULL, PS_REJECT_TOO_LARGE, 2, 1}, {"/3", OK, 3, 2});
    free(text);
}

static void test_body_array(void **state)
{
    (void)state;
    CHECK_WALK(" [{\"path\":\"/1\"},\n\n {\"path\":\n\"\\u002f2\"} , {\"path\":\"\\/3\"}\n]\n",
               false, {"/1", OK, 1, 0}, {"/2", OK, 3, 1}, {"/3", OK, 4, 2});
    CHECK_WALK("[{\"path\":\"/1\"},5,{\"path\":[]},[[]],{\"path\":\"/5\"}]", false,
               {"/1", OK, 1, 0}, {NULL, PS_REJECT_NOT_AN_OBJECT, 1, 1},
               {NULL, PS_REJECT_PATH_TYPE, 1, 2}, {NULL, PS_REJECT_NOT_AN_OBJECT, 1, 3},
               {"/5", OK, 1, 4});
    CHECK_WALK("[{\"path\":\"/1\"},]", false, {"/1", OK, 1, 0});
    CHECK_WALK("[{\"path\":\"/1\"}{\"path\":\"/2\"}]", false, {"/1", OK, 1, 0}, {"/2", OK, 1, 1});
    CHECK_WALK("[,{\"path\":\"/2\"}]", false, {NULL, BROKEN, 1, 0}, {"/2", OK, 1, 1});
    CHECK_WALK("[{\"path\":\"/1\"}]]", false, {"/1", OK, 1, 0}, {NULL, BROKEN, 1, 1});
    CHECK_WALK("[] x", false, {NULL, BROKEN, 1, 0});
}

/* A broken element costs itself alone, whatever its brackets and strings look like. */
static void test_body_array_with_broken_elements(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "{\"path\":}",           "{\"path\":[\"/\"}",
        "{\"path\":[[[\"/\"}",   "{\"path\":\"/\",}",
        "{\"path\":\"a\nb\"}", /* a raw newline */
        "{\"path\":\"a\n {b\"}", "{\"path\":\"}],[{\\\"\",x}",
        "{'path':'/'}",          "tru",
        "{\"path\" \"/\"}",      "[1 2]",
    };
    for (size_t i = 0; i < PS_COUNT_OF(broken); i++) {
        char text[256];
        snprintf(text, sizeof text, "[{\"path\":\"/1\"},%s,{\"path\":\"/3\"}]", broken[i]);
        struct ps_body body;
        struct ps_raw_event raw;
        enum ps_reject why;
        ps_body_init(&body, text, strlen(text), scratch, NULL);
        for (unsigned n = 0; n < 3; n++) {
            assert_int_equal(ps_body_next(&body, &raw, &why), 1);
            if (body.index != n || why != (n == 1 ? BROKEN : OK))
                fail_msg("%s: event %u: %s", text, n, ps_reject_name(why));
        }
        if (ps_body_next(&body, &raw, &why) != 0 || body.fatal)
            fail_msg("%s: %s behind the end", text, ps_reject_name(why));
    }
    /* what is not closed ends where a line begins with the next, or with the array */
    CHECK_WALK("[\n{\"path\":\"/1\",\"timestamp\":17\n{\"path\":\"/2\"},\n{\"path\":\"/3,\n"
               "{\"path\":\"/4\"}\n]",
               false, {NULL, BROKEN, 2, 0}, {"/2", OK, 3, 1}, {NULL, BROKEN, 4, 2},
               {"/4", OK, 5, 3});
    CHECK_WALK("[{\"path\":\"/1\"},\n{\"path\":\"/2\"\n]", false, {"/1", OK, 1, 0},
               {NULL, BROKEN, 2, 1});
    CHECK_WALK("[{\"path\":\"/1\"},{\"path\":\"/2\"],{\"path\":\"/3\"}]", false, {"/1", OK, 1, 0},
               {NULL, BROKEN, 1, 1}, {"/3", OK, 1, 2}, {NULL, BROKEN, 1, 3});
}

/* An array that was cut off on its way is refused as a whole: nobody knows what is missing. */
static void test_body_cut_off_array(void **state)
{
    (void)state;
    CHECK_WALK("[", true, {NULL, BROKEN, 1, 0});
    CHECK_WALK("[{}", true, {NULL, OK, 1, 0}, {NULL, BROKEN, 1, 1});
    CHECK_WALK("[{\"path\":\"/1\"},\n", true, {"/1", OK, 1, 0}, {NULL, BROKEN, 2, 1});
    CHECK_WALK("[{\"path\":\"/1\"},\n{\"path\":\"/2", true, {"/1", OK, 1, 0}, {NULL, BROKEN, 2, 1});
    CHECK_WALK("[{\"path\":\"/1\"},{\"path\":\"/2,{\"path\":\"/3\"}]", true, {"/1", OK, 1, 0},
               {NULL, BROKEN, 1, 1});
    CHECK_WALK("[]\n[{\"path\":\"/1\"}", true, {"/1", OK, 2, 0}, {NULL, BROKEN, 2, 1});
    /* among other events it is one bad line */
    CHECK_WALK("{\"path\":\"/1\"}\n[{\"path\":\n{\"path\":\"/3\"}", false, {"/1", OK, 1, 0},
               {NULL, BROKEN, 2, 1}, {"/3", OK, 3, 2}, {NULL, BROKEN, 3, 3});
}

/* I8: no body makes the search for ends of broken events start over and over. */
static void test_body_of_many_openings(void **state)
{
    (void)state;
    enum { LINES = 400000 };
    static const char *const lines[] = {"  {\n", "{\n", " [\"\n", "{\"a\":[1,\n", " {\"a\":\"\\\n"};
    for (size_t i = 0; i < PS_COUNT_OF(lines); i++) {
        size_t each = strlen(lines[i]), len = LINES * each;
        char *text = malloc(len), *room = malloc(len);
        struct ps_body body;
        struct ps_raw_event raw;
        enum ps_reject why;
        assert_non_null(text);
        assert_non_null(room);
        for (size_t n = 0; n < LINES; n++)
            memcpy(text + n * each, lines[i], each);
        ps_body_init(&body, text, len, room, NULL);
        size_t count = 0;
        clock_t start = clock();
        while (ps_body_next(&body, &raw, &why) > 0)
            count++;
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        assert_true(count > 0);
        if (seconds > 5) /* quadratic takes hours */
            fail_msg("%zu bytes took %.1f s", len, seconds);
        free(text);
        free(room);
    }
}

/* Reading a broken event and looking for its end are both paid for, or a body of those that are
 * long to read and soon at their end would take more than linear time. */
static void test_body_broken_event_costs_its_bytes(void **state)
{
    (void)state;
    static const char broken[] = "{\"path\":\"/a/rather/long/path\",\"status\":200 200}";
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    ps_body_init(&body, broken, strlen(broken), scratch, NULL);
    size_t before = body.steps;
    assert_int_equal(ps_body_next(&body, &raw, &why), 1);
    assert_int_equal(why, BROKEN);
    assert_in_range(before - body.steps, 2 * (strlen(broken) - 5), 2 * strlen(broken));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_empty),
        cmocka_unit_test(test_body_one_object),
        cmocka_unit_test(test_body_lines),
        cmocka_unit_test(test_body_streams),
        cmocka_unit_test(test_body_lines_with_bad_ones),
        cmocka_unit_test(test_body_bad_literals),
        cmocka_unit_test(test_body_too_deep),
        cmocka_unit_test(test_body_long_line),
        cmocka_unit_test(test_body_array),
        cmocka_unit_test(test_body_array_with_broken_elements),
        cmocka_unit_test(test_body_cut_off_array),
        cmocka_unit_test(test_body_of_many_openings),
        cmocka_unit_test(test_body_broken_event_costs_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
