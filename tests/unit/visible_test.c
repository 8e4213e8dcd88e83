/* visible_test.c - what strangers write, as a terminal and JSON get it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/near.h"
#include "base/utf8.h"
#include "base/visible.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *text, *shown, *json;
} cases[] = {
    {"/cart", "/cart", "/cart"},
    {"/größe/中/👍", "/größe/中/👍", "/größe/中/👍"},
    {"a\\u009b", "a\\u009b", "a\\\\u009b"},
    {"\x1b[31m", "\\u001b[31m", "\\u001b[31m"},
    {"a\nb\tc\x7f", "a\\u000ab\\u0009c\\u007f", "a\\nb\\tc\\u007f"},
    {"/\xc2\x80\xc2\x9b"
     "31mred\xc2\x9f\xc2\xa0",
     "/\\u0080\\u009b31mred\\u009f\xc2\xa0", "/\\u0080\\u009b31mred\\u009f\xc2\xa0"},
    {"/\xe2\x80\xaegnp.exe", "/\\u202egnp.exe", "/\\u202egnp.exe"},
    {"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", "\\u061c\\u200e\\u200f", "\\u061c\\u200e\\u200f"},
    {"\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", "\\u202a\\u202e\\u2066\\u2069",
     "\\u202a\\u202e\\u2066\\u2069"},
    {"a\xe2\x80\x8b"
     "b\xef\xbb\xbf\xc2\xad",
     "a\\u200bb\\ufeff\\u00ad", "a\\u200bb\\ufeff\\u00ad"},
    {"\xf3\xa0\x81\x81", "\\U000e0041", "\\udb40\\udc41"},
    {"a\xff\xc2", "a\\xff\\xc2", "a\xef\xbf\xbd\xef\xbf\xbd"},
};

static struct ps_str str(const char *text)
{
    return (struct ps_str){text, strlen(text)};
}

static void each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char to[128];
        struct ps_buf b;
        struct ps_json w;
        size_t n = ps_visible(to, sizeof to, str(cases[i].text));
        assert_string_equal(to, cases[i].shown);
        assert_int_equal(n, strlen(cases[i].shown));
        ps_buf_init(&b, 1000);
        assert_int_equal(ps_visible_append(&b, str(cases[i].text)), 0);
        assert_int_equal(b.len, n);
        assert_memory_equal(b.ptr, to, n);
        ps_buf_clear(&b);
        ps_json_init(&w, &b);
        ps_json_text(&w, cases[i].text);
        assert_int_equal(b.len, strlen(cases[i].json) + 2);
        assert_memory_equal(b.ptr + 1, cases[i].json, b.len - 2);
        ps_buf_done(&b);
    }
}

/* Exactly the controls, the bidirectional marks and what takes no place: counted by ranges. */
static void what_is_unseen(void **state)
{
    static const uint32_t yes[] = {0,      0x1f,   0x7f,   0x80,   0x9b,    0x9f,   0xad,   0x61c,
                                   0x200b, 0x200f, 0x2028, 0x202a, 0x202e,  0x2060, 0x2066, 0x2069,
                                   0x206f, 0xfe0f, 0xfeff, 0xfff9, 0xe0001, 0xe0fff};
    static const uint32_t no[] = {' ',    'a',    '~',    0xa0,   0xac,    0xae,    0x61b,  0x61d,
                                  0x200a, 0x2010, 0x2027, 0x202f, 0x205f,  0x2070,  0x4e2d, 0xfdff,
                                  0xfe10, 0xfefe, 0xffef, 0xfffc, 0x1f44d, 0xdffff, 0xe1000};
    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++)
        if (!ps_is_unseen(yes[i]))
            fail_msg("U+%04X would reach the terminal", yes[i]);
    for (size_t i = 0; i < COUNT(no); i++)
        if (ps_is_unseen(no[i]))
            fail_msg("U+%04X is escaped", no[i]);
}

static void room_is_kept(void **state)
{
    char to[8];
    (void)state;
    memset(to, 'x', sizeof to);
    assert_int_equal(ps_visible(to, 7, str("a\xc2\x9b")), 1); /* half an escape is none */
    assert_string_equal(to, "a");
    assert_int_equal(ps_visible(to, 8, str("a\xc2\x9b")), 7);
    assert_string_equal(to, "a\\u009b");
    assert_int_equal(ps_visible(to, 3, str("中")), 0);
    assert_int_equal(ps_visible(to, 4, str("中")), 3);
    assert_int_equal(ps_visible(to, 1, str("a")), 0);
}

/* JSON stays the same JSON. */
static void json_for_a_terminal(void **state)
{
    struct ps_buf b;
    (void)state;
    ps_buf_init(&b, 1000);
    ps_visible_json(&b, str("{\"a\\n\":\"\xc2\x9b\xf3\xa0\x81\x81\xff中\"}\n"));
    assert_int_equal(b.failed, 0);
    const char *expected = "{\"a\\n\":\"\\u009b\\udb40\\udc41\\ufffd中\"}\n";
    assert_int_equal(b.len, strlen(expected));
    assert_memory_equal(b.ptr, expected, b.len);
    ps_buf_done(&b);
}

static void decoding(void **state)
{
    static const struct {
        const char *text;
        uint32_t character;
    } good[] = {{"a", 'a'},
                {"\xc2\x80", 0x80},
                {"中", 0x4e2d},
                {"👍", 0x1f44d},
                {"\xf4\x8f\xbf\xbf", 0x10ffff}};
    static const char *const bad[] = {
        "\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc2", "\xe4\xb8"};
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        size_t n = ps_utf8_length(good[i].text, strlen(good[i].text));
        assert_int_equal(n, strlen(good[i].text));
        assert_int_equal(ps_utf8_decode(good[i].text, n), good[i].character);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(ps_utf8_length(bad[i], strlen(bad[i])), 0);
}

/* A line of the log is one line, whatever it quotes. */
static void log_lines(void **state)
{
    char got[2048];
    int pipe_fds[2], kept = dup(STDERR_FILENO);
    (void)state;
    setenv("JOURNAL_STREAM", "8:1", 1);
    assert_int_equal(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    ps_log(PS_LOG_ERROR, "refused \"%s\"",
           "a\nb\xc2\x9b"
           "31m\xe2\x80\xae");
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], got, sizeof got - 1);
    close(pipe_fds[0]);
    unsetenv("JOURNAL_STREAM");
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "<3>refused \"a\\u000ab\\u009b31m\\u202e\"\n");
}

static const char *nearest(const char *word)
{
    static const char *const words[] = {"serve", "import", "top", "show", "dead-letters"};
    struct ps_near n;
    ps_near_init(&n, word);
    for (size_t i = 0; i < COUNT(words); i++)
        ps_near_try(&n, words[i]);
    return n.best;
}

static void nearest_words(void **state)
{
    char endless[200];
    (void)state;
    assert_string_equal(nearest("improt"), "import");
    assert_string_equal(nearest("tpo"), "top"); /* a swap is one edit */
    assert_string_equal(nearest("dead_leters"), "dead-letters");
    assert_string_equal(nearest("sreve"), "serve");
    assert_null(nearest("frobnicate"));
    assert_null(nearest("x"));
    assert_null(nearest(""));
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    assert_null(nearest(endless));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case),     cmocka_unit_test(what_is_unseen),
        cmocka_unit_test(room_is_kept),  cmocka_unit_test(json_for_a_terminal),
        cmocka_unit_test(decoding),      cmocka_unit_test(log_lines),
        cmocka_unit_test(nearest_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
