/* table_test.c - columns that fit.  SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/table.h"
#include "cli/term.h"

#include <stdlib.h>
#include <string.h>

static const struct ps_column columns[] = {{"path", false, 0, 8}, PS_TABLE_NUMBERS};
enum { COLUMNS = sizeof columns / sizeof *columns };

static char *printed(const struct ps_table *t, int width, bool color)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    assert_int_equal(ps_table_print(t, f, width, color), 0);
    fclose(f);
    return text;
}

static void add(struct ps_table *t, const char *path, uint64_t requests, bool times)
{
    struct ps_ranked p = {.requests = requests,
                          .errors = requests / 3,
                          .count_us = times,
                          .sum_us = 1500,
                          .p50_us = 1500,
                          .p95_us = 25000,
                          .p99_us = 1250000,
                          .clients = requests,
                          .clients_exact = requests < 1000};
    ps_table_text(t, path);
    ps_table_numbers(t, &p);
    ps_table_end_row(t);
}

static void as_wide_as_what_it_says(void **state)
{
    struct ps_table t;
    (void)state;
    ps_table_init(&t, columns, COLUMNS);
    add(&t, "/größe/中", 3, true);
    add(&t, "/x", 1234567, true);
    char *text = printed(&t, 200, false);
    assert_string_equal(
        text,
        "path        requests   errors  err %     avg     p50      p95     p99     clients\n"
        "/größe/中          3        1   33.3  1.5 ms  1.5 ms  25.0 ms  1.25 s           3\n"
        "/x         1,234,567  411,522   33.3  1.5 ms  1.5 ms  25.0 ms  1.25 s  ~1,234,567\n");
    free(text);
    text = printed(&t, 200, true);
    assert_non_null(strstr(text, "\033[31m411,522\033[0m"));
    free(text);
    ps_table_done(&t);
}

/* Whatever the width and the text: no line is wider, and each has its path and its requests. */
static void never_wider_than_the_terminal(void **state)
{
    struct ps_table t;
    char endless[2000];
    (void)state;
    memset(endless, 'x', sizeof endless - 1);
    endless[0] = '/';
    endless[sizeof endless - 1] = '\0';
    ps_table_init(&t, columns, COLUMNS);
    add(&t, endless, 1234567, true);
    add(&t, "/中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文中文", 2,
        false);
    add(&t, "/\xc2\x9b\xe2\x80\xae", 1, false);
    for (int width = 20; width <= 210; width++) {
        char *text = printed(&t, width, false), *rest = text;
        int lines = 0;
        for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0'; lines++) {
            if (ps_term_width((struct ps_str){line, strlen(line)}) > width)
                fail_msg("%d columns: %s", width, line);
            assert_true(lines == 0 || line[0] == '/');
            assert_null(strstr(line, "\xc2\x9b"));
            if (lines == 1)
                assert_non_null(strstr(line, "1,234,567"));
        }
        assert_int_equal(lines, 4);
        free(text);
    }
    ps_table_done(&t);
}

static void what_gives_way(void **state)
{
    static const struct {
        int width;
        const char *there, *gone;
    } cases[] = {{66, "err %", "avg"},   {59, "p50", "err %"}, {53, "clients", "p50"},
                 {46, "p99", "clients"}, {38, "p95", "p99"},   {31, "errors", "p95"}};
    struct ps_table t;
    (void)state;
    ps_table_init(&t, columns, COLUMNS);
    add(&t, "/a/path/of/some/length/that/is/cut", 100, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = printed(&t, cases[i].width, false);
        if (strstr(text, cases[i].there) == NULL || strstr(text, cases[i].gone) != NULL)
            fail_msg("%d columns: %s", cases[i].width, text);
        free(text);
    }
    ps_table_done(&t);
    ps_table_init(&t, columns, COLUMNS); /* without times, they go before the path is cut */
    add(&t, "/a/path/of/some/length/that/is/cut", 100, false);
    char *text = printed(&t, 70, false);
    assert_non_null(strstr(text, "/a/path/of/some/length/that/is/cut"));
    assert_null(strstr(text, "avg"));
    free(text);
    ps_table_done(&t);
}

int main(void)
{
    ps_term_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_wide_as_what_it_says),
        cmocka_unit_test(never_wider_than_the_terminal),
        cmocka_unit_test(what_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
