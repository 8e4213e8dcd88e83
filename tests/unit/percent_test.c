/* percent_test.c - the normal form of RFC 3986: which encodings change, which stay.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "core/percent.h"

#include <string.h>

static void expect(const char *path, const char *normal)
{
    char to[64], in_place[64];
    struct ps_str got = ps_percent_normal((struct ps_str){path, strlen(path)}, to);
    if (got.len != strlen(normal) || memcmp(got.ptr, normal, got.len) != 0)
        fail_msg("%s becomes %.*s, not %s", path, (int)got.len, got.ptr, normal);
    memcpy(in_place, path, strlen(path));
    struct ps_str same = ps_percent_normal((struct ps_str){in_place, strlen(path)}, in_place);
    assert_true(ps_str_equal(same, got));
    char again[64];
    struct ps_str twice = ps_percent_normal(got, again);
    assert_true(twice.ptr == got.ptr && twice.len == got.len); /* stable: nothing left to change */
}

static void unreserved_characters_are_decoded(void **state)
{
    (void)state;
    expect("/%7Euser", "/~user");
    expect("/%7euser", "/~user");
    expect("/%41%7A%30%2D%2e%5F", "/Az0-._");
    expect("/%61%62/c", "/ab/c");
}

static void hex_becomes_upper_case(void **state)
{
    (void)state;
    expect("/a%2fb", "/a%2Fb");
    expect("/%c3%a4", "/%C3%A4");
    expect("/%3f%3F", "/%3F%3F");
}

static void everything_else_stays(void **state)
{
    static const char *const same[] = {
        "",     "/",       "/a/../b", "/a//b/./c", "/100%",   "/%",      "/%4", "/%zz", "/%4g",
        "/%g4", "/%2F%2F", "/a b",    "/\xc3\xa4", "/%20%00", "/%25%32", "*",   "/%%",  "/a+b"};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(same); i++)
        if (strcmp(same[i], "/%25%32") != 0)
            expect(same[i], same[i]);
    expect("/%25%32", "/%252"); /* not decoded again: %25 is a percent sign */
    expect("/%%41", "/%%41");   /* or "/%%341" would become "/%41", and then "/A" */
    expect("/%%341", "/%%341");
    expect("/%4%31", "/%4%31");
    expect("/%%3a%41", "/%%3AA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreserved_characters_are_decoded),
        cmocka_unit_test(hex_becomes_upper_case),
        cmocka_unit_test(everything_else_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
