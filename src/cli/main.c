/* main.c - the command table.  SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "base/check.h"
#include "daemon/serve.h"

#include <errno.h>
#include <malloc.h>
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

struct command {
    const char *name, *arguments, *help;
    ps_command_fn *run;
};

static const struct command commands[] = {
    {"serve", "", "take events over HTTP and count them", ps_cmd_serve},
    {"import", "FILE…", "count access logs or NDJSON events; .gz too, - is standard input",
     ps_cmd_import},
    {"top", "", "the busiest paths of the newest 24 hours", ps_cmd_top},
    {"show", "PATH", "one path, hour by hour", ps_cmd_show},
    {"verify", "", "recompute every row from the events and compare", ps_cmd_verify},
    {"dead-letters", "list|replay", "events that were refused, and another try",
     ps_cmd_dead_letters},
    {"snapshot", "refresh|show|list|rollback", "the busiest paths as served by /api/paths",
     ps_cmd_snapshot},
    {"archive", "run|list|cat|verify|restore", "days that moved to object storage", ps_cmd_archive},
    {"jobs", "", "what the triggers did, and when", ps_cmd_jobs},
    {"capacity", "", "how full it is, and how fast it fills", ps_cmd_capacity},
    {"config", "check", "every setting and where it comes from", ps_cmd_config},
    {"version", "", "which pathstats this is", ps_cmd_version},
};

static void print_help(FILE *out)
{
    fprintf(out,
            "pathstats %s: HTTP traffic statistics per path and hour that you can trust\n\n"
            "Usage: pathstats COMMAND [ARGUMENTS] [OPTIONS]\n\n",
            PS_VERSION);
    for (size_t i = 0; i < PS_COUNT_OF(commands); i++)
        fprintf(out, "  %-12s %-12s %s\n", commands[i].name, commands[i].arguments,
                commands[i].help);
    fprintf(out, "\n`pathstats COMMAND --help` tells more.\n\n");
    ps_config_help(out);
    fprintf(out,
            "\nExit codes: 0 done; 1 failed; 2 differences found or lines refused; 3 the data\n"
            "directory is in use; 64 wrong usage.\n");
}

int ps_cmd_serve(struct ps_cli *c)
{
    struct ps_err e = {0};
    int r =
        ps_cli_words(c, 0, 0, "usage: pathstats serve [--listen HOST:PORT] [--data-dir DIR]", &e);
    if (r == 0)
        r = ps_serve(&c->config, &e);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

int ps_cmd_config(struct ps_cli *c)
{
    struct ps_err e = {0};
    if (ps_cli_words(c, 1, 1, "usage: pathstats config check", &e) < 0)
        return ps_cli_fail(&e);
    if (strcmp(c->argv[0], "check") != 0) {
        ps_fail(&e, PS_EINVAL, "config %s: there is only `config check`", c->argv[0]);
        return ps_cli_fail(&e);
    }
    ps_config_check(&c->config, stdout);
    return PS_EXIT_OK;
}

int ps_cmd_version(struct ps_cli *c)
{
    if (c->config.json)
        printf("{\"version\":\"%s\"}\n", PS_VERSION);
    else
        printf("pathstats %s\n", PS_VERSION);
    return PS_EXIT_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return argc > 1 && strcmp(argv[1], "help") == 0;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < PS_COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
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

int main(int argc, char **argv)
{
    static struct ps_cli c;
    struct ps_err e = {0};
    umask(0027); /* what is counted is nobody else's business */
    keep_memory();
    if (asks_for_help(argc, argv)) {
        print_help(stdout);
        return PS_EXIT_OK;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        argv[1] = "version";
    int kept = ps_config_load(&c.config, argc, argv, &e);
    if (kept < 0)
        return ps_cli_fail(&e);
    if (kept < 2) {
        print_help(stderr);
        return PS_EXIT_USAGE;
    }
    const struct command *command = find_command(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "pathstats: there is no command \"%s\"; `pathstats --help` lists them\n",
                argv[1]);
        return PS_EXIT_USAGE;
    }
    ps_log_set_level((enum ps_log_level)c.config.log_level);
    c.argc = kept - 2;
    c.argv = argv + 2;
    int code = command->run(&c);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "pathstats: standard output: %s\n", strerror(errno));
        return PS_EXIT_FAILED;
    }
    return code;
}
