/* cases_test.c - every *.case file is one test: what it prints is what stands below `expect`.
 *
 * PS_UPDATE=1 writes what was printed into the file instead, for a person to check against the
 * comment that says why. `cases_test simulate FROM TO` prints what WebAssembly must print too.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cases/case_run.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_BYTES_MAX = 1 << 20 };

static char text[CASE_BYTES_MAX], printed[PS_CASE_OUT_MAX];

static size_t read_case(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_true(len > 0 && len < sizeof text);
    return len;
}

static void update(const char *path, size_t head, size_t printed_len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, head, f), head);
    assert_int_equal(fwrite(printed, 1, printed_len, f), printed_len);
    assert_int_equal(fclose(f), 0);
}

static void show(const char *title, const char *from, size_t len)
{
    fprintf(stderr, "--- %s\n%.*s", title, (int)len, from);
}

static void test_case(void **state) /* I1 I2, by the file */
{
    const char *path = *state;
    size_t len = read_case(path), head = ps_case_expected_at(text, len);
    size_t printed_len = ps_case_run(text, len, printed, sizeof printed);
    if (getenv("PS_UPDATE") != NULL)
        update(path, head, printed_len);
    else if (len - head != printed_len || memcmp(text + head, printed, printed_len) != 0) {
        show("expected", text + head, len - head);
        show("printed", printed, printed_len);
        fail_msg("%s: not what was expected", path);
    }
    assert_true(printed_len > 0);
    assert_true(strncmp(printed, "error", 5) != 0);
    printed[printed_len < sizeof printed ? printed_len : sizeof printed - 1] = '\0';
    assert_null(strstr(printed, "\nerror"));
}

/* The suite itself can fail: a case with a mistake in it says so. */
static void test_mistakes(void **state)
{
    static const char *const mistakes[] = {"bogus\n", "now soon\n", "post <<<\n{}\n",
                                           "generate count=5\n", "generate count=x path=/ id=i\n"};
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        size_t n = ps_case_run(mistakes[i], strlen(mistakes[i]), printed, sizeof printed);
        assert_true(n > 5);
        assert_memory_equal(printed, "error", 5);
    }
}

static int simulate(uint64_t from, uint64_t to)
{
    for (uint64_t seed = from; seed <= to; seed++) {
        size_t n = ps_case_simulate(seed, printed, sizeof printed);
        if (fwrite(printed, 1, n, stdout) != n)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    glob_t found;
    if (argc == 4 && strcmp(argv[1], "simulate") == 0)
        return simulate(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    if (glob("tests/cases/*.case", 0, NULL, &found) != 0) {
        fputs("cases_test: no tests/cases/*.case here\n", stderr);
        return 1;
    }
    struct CMUnitTest *tests = calloc(found.gl_pathc + 1, sizeof *tests);
    if (tests == NULL)
        return 1;
    tests[0] = (struct CMUnitTest)cmocka_unit_test(test_mistakes);
    for (size_t i = 0; i < found.gl_pathc; i++)
        tests[i + 1] = (struct CMUnitTest){.name = strrchr(found.gl_pathv[i], '/') + 1,
                                           .test_func = test_case,
                                           .initial_state = found.gl_pathv[i]};
    int failed = _cmocka_run_group_tests("cases", tests, found.gl_pathc + 1, NULL, NULL);
    free(tests);
    globfree(&found);
    return failed;
}
