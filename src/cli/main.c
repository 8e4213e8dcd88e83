/* main.c - finds the command and runs it.  SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/term.h"

#include "base/check.h"
#include "daemon/serve.h"
#include "daemon/settings.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEPT_BYTES = 32 * 1024 * 1024, /* the most that M_MMAP_THRESHOLD takes */
    HEAP_BYTES = 256 * 1024 * 1024,
    LARGE_PAGE_BYTES = 2 * 1024 * 1024,
};

int ps_cmd_serve(struct ps_cli *c)
{
    struct ps_err e = {0};
    int r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_serve(&c->config, &e);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

int ps_cmd_config(struct ps_cli *c)
{
    struct ps_err e = {0};
    if (ps_cli_words(c, 1, 1, &e) < 0)
        return ps_cli_fail(&e);
    if (strcmp(c->argv[0], "check") != 0) {
        ps_cli_no_form(c, c->argv[0], &e);
        return ps_cli_fail(&e);
    }
    ps_config_print(&c->config, stdout);
    if (ps_settings_check(&c->config, &e) == 0)
        return PS_EXIT_OK;
    ps_cli_say(e.text);
    return PS_EXIT_DIFFERS;
}

int ps_cmd_version(struct ps_cli *c)
{
    if (c->config.json)
        printf("{\"version\":\"%s\"}\n", PS_VERSION);
    else
        printf("pathstats %s\n", PS_VERSION);
    return PS_EXIT_OK;
}

int ps_cmd_help(struct ps_cli *c)
{
    struct ps_err e = {0};
    int columns = ps_term_columns(STDOUT_FILENO);
    bool man = ps_cli_flag(c, "--man");
    if (ps_cli_words(c, 0, man ? 0 : 1, &e) < 0)
        return ps_cli_fail(&e);
    const struct ps_command *command = c->argc > 0 ? ps_command_find(c->argv[0]) : NULL;
    if (c->argc > 0 && command == NULL)
        return ps_command_unknown(c->argv[0]);
    if (man)
        ps_help_man(stdout);
    else if (command != NULL)
        ps_help_command(stdout, command, columns);
    else
        ps_help_all(stdout, columns);
    return PS_EXIT_OK;
}

/* --help and -h anywhere before "--" ask about the command, not from it. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int help_about(int argc, char **argv)
{
    int columns = ps_term_columns(STDOUT_FILENO);
    const char *name = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    const struct ps_command *command = name == NULL ? NULL : ps_command_find(name);
    if (name != NULL && command == NULL)
        return ps_command_unknown(name);
    if (command == NULL)
        ps_help_all(stdout, columns);
    else
        ps_help_command(stdout, command, columns);
    return PS_EXIT_OK;
}

/* Buffers of batches and bodies come and go; given back to the kernel each time, their pages would
 * be cleared each time. And aggregates, dictionaries and database pages are touched at random: with
 * pages of 4 KB a quarter of the time of an import went into faults and address translation, most
 * of all on virtual machines. So there is one heap, its address space is had in one piece, and the
 * kernel is asked for large pages there. It may say no, or have less to give: nothing depends on
 * it. */
static void keep_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_BYTES);
    mallopt(M_TOP_PAD, HEAP_BYTES);
    uintptr_t start = (uintptr_t)sbrk(0);
    void *volatile growth = malloc(KEPT_BYTES / 2); /* volatile: or the compiler leaves it out */
    free(growth);
    uintptr_t end = (uintptr_t)sbrk(0);
    start = (start + LARGE_PAGE_BYTES - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    if (start < end)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
}

/* Flags first, because they may stand before the command; then the command, so that a mistake in a
 * file does not hide one in its name; then the rest of the settings. */
static int run(struct ps_cli *c, int argc, char **argv)
{
    struct ps_err e = {0};
    ps_config_init(&c->config);
    int kept = ps_config_load_flags(&c->config, argc, argv, &e);
    bool checks = argc > 1 && strcmp(argv[1], "config") == 0;
    if (kept >= 0 && kept < 2) {
        ps_help_all(stderr, ps_term_columns(STDERR_FILENO));
        return PS_EXIT_USAGE;
    }
    c->command = kept < 0 ? NULL : ps_command_find(argv[1]);
    if (kept >= 0 && c->command == NULL)
        return ps_command_unknown(argv[1]);
    int r = kept < 0 ? kept : ps_config_load_rest(&c->config, &e);
    if (r < 0) {
        int code = ps_cli_fail(&e);
        return checks ? PS_EXIT_DIFFERS : code;
    }
    ps_log_set_level((enum ps_log_level)c->config.log_level);
    c->argc = kept - 2;
    c->argv = argv + 2;
    return c->command->run(c);
}

int main(int argc, char **argv)
{
    static struct ps_cli c;
    umask(0027);              /* what is counted is nobody else's business */
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a full disk, and told like one */
    keep_memory();
    ps_term_init();
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        argv[1] = "version";
    int code = asks_for_help(argc, argv) ? help_about(argc, argv) : run(&c, argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "pathstats: standard output: %s\n", strerror(errno));
        return PS_EXIT_FAILED;
    }
    return code;
}
