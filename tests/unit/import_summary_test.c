/* import_summary_test.c - what an import tells adds up to the lines it read, in text and in JSON,
 * whatever became of them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/import_summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char said[8192];

/* What the summary prints on standard output. */
static const char *print(const struct ps_import_summary *s, bool json)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    assert_true(before >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    int code = ps_import_summary_print(s, json);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    assert_int_equal(code, PS_EXIT_OK);
    return said;
}

static void expect(const char *text)
{
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, said);
}

static struct ps_ingested *done;

static struct ps_import_summary every_kind(bool by_daemon)
{
    done->accepted = 90;
    done->rejected = 3;
    return (struct ps_import_summary){.lines = 100,
                                      .done = done,
                                      .sunk = {.accepted = 40,
                                               .duplicates = 20,
                                               .refused = 10,
                                               .rejected = 5,
                                               .waiting = 8,
                                               .by_daemon = by_daemon}};
}

static void json_adds_up(void **state)
{
    struct ps_import_summary s = every_kind(true);
    (void)state;
    print(&s, true);
    expect("\"lines\":100,\"accepted\":40,\"duplicate\":20,\"rejected\":8,\"refused\":10,"
           "\"waiting\":8,\"notStored\":14,");
}

static void text_adds_up(void **state)
{
    struct ps_import_summary s = every_kind(true);
    (void)state;
    print(&s, false);
    expect("  accepted             40\n");
    expect("  rejected              8\n");
    expect("  refused              10   see");
    expect("  waiting               8   the daemon has them");
    expect("  unconfirmed          14   import again");
    s = every_kind(false);
    print(&s, false);
    expect("  not stored           14   import again");
}

/* Nothing that is nobody's case is mentioned. */
static void what_did_not_happen_is_not_told(void **state)
{
    struct ps_import_summary s = {.lines = 1, .done = done, .sunk = {.accepted = 1}};
    (void)state;
    *done = (struct ps_ingested){.accepted = 1};
    print(&s, false);
    expect("1 line in ");
    assert_null(strstr(said, "refused"));
    assert_null(strstr(said, "waiting"));
    assert_null(strstr(said, "not stored"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_adds_up),
        cmocka_unit_test(text_adds_up),
        cmocka_unit_test(what_did_not_happen_is_not_told),
    };
    done = calloc(1, sizeof *done);
    int failed = done == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    free(done);
    return failed;
}
