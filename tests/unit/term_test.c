/* term_test.c - what fits on a terminal, and a signal in a command that works.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/term.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ps_str str(const char *text)
{
    return (struct ps_str){text, strlen(text)};
}

static void check_fit(const char *text, int columns, const char *expected)
{
    struct ps_buf b;
    ps_buf_init(&b, 10000);
    int width = ps_term_fit(&b, str(text), columns);
    ps_buf_append(&b, "", 1);
    assert_string_equal(b.ptr, expected);
    assert_int_equal(width, ps_term_width(str(text)) <= columns ? ps_term_width(str(text)) : width);
    assert_true(width <= columns);
    ps_buf_done(&b);
}

static void widths(void **state)
{
    (void)state;
    assert_int_equal(ps_term_width(str("/cart")), 5);
    assert_int_equal(ps_term_width(str("größe")), 5);
    assert_int_equal(ps_term_width(str("e\xcc\x81")), 1); /* a combining accent */
    assert_int_equal(ps_term_width(str("中文")), 4);
    assert_int_equal(ps_term_width(str("👍")), 2);
    assert_int_equal(ps_term_width(str("\xc2\x9b")), 6); /* as it is shown */
}

static void the_middle_is_cut(void **state)
{
    (void)state;
    check_fit("/a/long/path/of/letters", 40, "/a/long/path/of/letters");
    check_fit("/a/long/path/of/letters", 11, "/a/lo…tters");
    check_fit("/a/long/path/of/letters", 10, "/a/lo…ters");
    check_fit("中文中文中文", 7, "中…中文"); /* never half a character: three columns hold one */
    check_fit("中文中文中文", 6, "中…文");
    check_fit("abc", 3, "abc");
    check_fit("abcd", 3, "a…d");
    check_fit("a\xc2\x9b"
              "bcdefgh",
              8, "a…cdefgh"); /* nor half an escape */
}

static void columns_of_the_environment(void **state)
{
    (void)state;
    setenv("COLUMNS", "132", 1);
    assert_int_equal(ps_term_columns(-1), 132);
    setenv("COLUMNS", "1", 1);
    assert_int_equal(ps_term_columns(-1), PS_COLUMNS_MIN);
    setenv("COLUMNS", "x", 1);
    assert_int_equal(ps_term_columns(-1), PS_COLUMNS_DEFAULT);
    unsetenv("COLUMNS");
    assert_int_equal(ps_term_columns(-1), PS_COLUMNS_DEFAULT);
}

/* Whatever the name, the note and the width: one line of the terminal. */
static void a_progress_line_never_wraps(void **state)
{
    static const char *const names[] = {
        "a", "/var/log/中文/access.log.2015-05-18.gz",
        "/a/very/long/folder/of/logs/that/goes/on/and/on/and/on/for/"
        "more/than/a/hundred/columns/of/a/terminal/access.log"};
    static const double shares[] = {-1, 0, 0.5, 1};
    (void)state;
    for (int columns = PS_COLUMNS_MIN; columns <= 200; columns++)
        for (size_t n = 0; n < 3; n++)
            for (size_t s = 0; s < 4; s++) {
                struct ps_buf line;
                ps_buf_init(&line, 10000);
                ps_progress_write(&line, names[n], shares[s], 3600, "1,234,567,890 lines", columns);
                assert_int_equal(line.failed, 0);
                if (ps_term_width(ps_buf_str(&line)) > columns)
                    fail_msg("%d columns: %.*s", columns, (int)line.len, line.ptr);
                if (columns >= 80) { /* and says it all where there is room */
                    ps_buf_append(&line, "", 1);
                    assert_non_null(strstr(line.ptr, "1,234,567,890 lines"));
                }
                ps_buf_done(&line);
            }
}

static void one_and_many(void **state)
{
    char to[PS_CLI_MANY_MAX];
    (void)state;
    assert_string_equal(ps_cli_many(to, 0, "line", NULL), "0 lines");
    assert_string_equal(ps_cli_many(to, 1, "line", NULL), "1 line");
    assert_string_equal(ps_cli_many(to, 2, "line", NULL), "2 lines");
    assert_string_equal(ps_cli_many(to, 1234567, "line", NULL), "1,234,567 lines");
    assert_string_equal(ps_cli_many(to, 1, "row differs", "rows differ"), "1 row differs");
    assert_string_equal(ps_cli_many(to, 3, "row differs", "rows differ"), "3 rows differ");
}

/* In a child, because what is blocked stays so. The thread that was made after `catch` must not be
 * disturbed; the wait of the main thread ends. */
static void *wait_undisturbed(void *ctx)
{
    char byte;
    ssize_t n = read(*(int *)ctx, &byte, 1);
    return n == 1 ? ctx : NULL; /* EINTR would be -1 */
}

static int interrupted_child(int number)
{
    int other[2], mine[2];
    pthread_t thread;
    void *result;
    if (pipe(other) < 0 || pipe(mine) < 0)
        return 1;
    ps_interrupt_catch();
    if (pthread_create(&thread, NULL, wait_undisturbed, &other[0]) != 0 || ps_interrupted())
        return 2;
    if (write(mine[1], "x", 1) != 1 || !ps_interrupt_wait(mine[0]))
        return 3; /* there is something to read, and no signal */
    char byte;
    if (read(mine[0], &byte, 1) != 1)
        return 4;
    pid_t parent = getpid(), killer = fork();
    if (killer == 0) /* before the wait or in it: it must not matter */
        _exit(kill(parent, number) == 0 ? 0 : 1);
    if (ps_interrupt_wait(mine[0]) || !ps_interrupted() || ps_interrupt_wait(mine[0]))
        return 5;
    waitpid(killer, NULL, 0);
    if (write(other[1], "x", 1) != 1 || pthread_join(thread, &result) != 0)
        return 6;
    return result == NULL ? 7 : 0;
}

static void a_signal_is_noticed(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    (void)state;
    for (int i = 0; i < 2; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            _exit(interrupted_child(numbers[i]));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

/* The second one means it. */
static void the_second_signal_ends_it(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        ps_interrupt_catch();
        raise(SIGINT);
        if (!ps_interrupted())
            _exit(1);
        raise(SIGINT);
        _exit(2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

int main(void)
{
    signal(SIGINT, SIG_DFL); /* a run in the background ignores it */
    ps_term_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths),
        cmocka_unit_test(the_middle_is_cut),
        cmocka_unit_test(columns_of_the_environment),
        cmocka_unit_test(a_progress_line_never_wraps),
        cmocka_unit_test(one_and_many),
        cmocka_unit_test(a_signal_is_noticed),
        cmocka_unit_test(the_second_signal_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
