/* common.c - see cli.h.  SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "backend/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 24, PROGRESS_EVERY_US = 100000 };

/* --- arguments --- */

static void remove_args(struct ps_cli *c, int at, int n)
{
    memmove(&c->argv[at], &c->argv[at + n], (size_t)(c->argc - at - n + 1) * sizeof *c->argv);
    c->argc -= n;
}

int ps_cli_option(struct ps_cli *c, const char *name, const char **ret, struct ps_err *e)
{
    size_t len = strlen(name);
    for (int i = 0; i < c->argc; i++) {
        const char *arg = c->argv[i];
        if (strcmp(arg, "--") == 0)
            break;
        if (strncmp(arg, name, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
            continue;
        if (arg[len] == '=') {
            *ret = arg + len + 1;
            remove_args(c, i, 1);
            return 1;
        }
        if (i + 1 >= c->argc)
            return ps_fail(e, PS_EINVAL, "%s: a value is missing", name);
        *ret = c->argv[i + 1];
        remove_args(c, i, 2);
        return 1;
    }
    return 0;
}

int ps_cli_number(struct ps_cli *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                  struct ps_err *e)
{
    const char *text;
    char *end;
    int r = ps_cli_option(c, name, &text, e);
    if (r <= 0)
        return r;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return ps_fail(e, PS_EINVAL, "%s: \"%s\" is not a number from %" PRId64 " to %" PRId64,
                       name, text, min, max);
    *ret = value;
    return 1;
}

int ps_cli_words(struct ps_cli *c, int min, int max, const char *usage, struct ps_err *e)
{
    int kept = 0;
    bool options = true;
    for (int i = 0; i < c->argc; i++) {
        const char *arg = c->argv[i];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
            continue;
        }
        if (options && arg[0] == '-' && arg[1] != '\0') {
            const char *near = strncmp(arg, "--", 2) == 0 ? ps_config_nearest(arg + 2) : NULL;
            return near == NULL
                       ? ps_fail(e, PS_EINVAL, "there is no option %s here\n%s", arg, usage)
                       : ps_fail(e, PS_EINVAL, "there is no option %s; did you mean %s?", arg,
                                 near);
        }
        c->argv[kept++] = c->argv[i];
    }
    c->argc = kept;
    if (kept < min || kept > max)
        return ps_fail(e, PS_EINVAL, "%s", usage);
    return 0;
}

/* --- output --- */

bool ps_cli_color(void)
{
    const char *no = getenv("NO_COLOR");
    return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO);
}

int ps_cli_fail(const struct ps_err *e)
{
    fprintf(stderr, "pathstats: %s\n", e->text);
    return e->code == PS_EINVAL  ? PS_EXIT_USAGE
           : e->code == PS_EBUSY ? PS_EXIT_IN_USE
                                 : PS_EXIT_FAILED;
}

int ps_cli_print(struct ps_buf *out)
{
    int failed = out->failed;
    if (failed == 0 && (fwrite(out->ptr, 1, out->len, stdout) != out->len || putchar('\n') == EOF))
        failed = PS_EIO;
    ps_buf_done(out);
    if (fflush(stdout) != 0)
        failed = PS_EIO;
    if (failed != 0)
        fprintf(stderr, "pathstats: standard output: %s\n", strerror(errno));
    return failed == 0 ? PS_EXIT_OK : PS_EXIT_FAILED;
}

const char *ps_cli_count(char to[32], uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at] = '\0';
    return to;
}

const char *ps_cli_time(char to[32], bool has, uint64_t us)
{
    if (!has)
        snprintf(to, 32, "-");
    else if (us < 1000)
        snprintf(to, 32, "%.2f ms", (double)us / 1e3);
    else if (us < 1000 * 1000)
        snprintf(to, 32, us < 100 * 1000 ? "%.1f ms" : "%.0f ms", (double)us / 1e3);
    else
        snprintf(to, 32, us < 100 * 1000 * 1000 ? "%.2f s" : "%.0f s", (double)us / 1e6);
    return to;
}

const char *ps_cli_bytes(char to[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(to, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return to;
}

/* --- progress --- */

static int64_t now_us(void)
{
    return ps_clock_monotonic_us(ps_clock_system());
}

void ps_progress_start(struct ps_progress *p, const char *what, bool wanted)
{
    *p = (struct ps_progress){.what = what, .started_us = now_us()};
    p->on = wanted && isatty(STDERR_FILENO);
}

void ps_progress_show(struct ps_progress *p, uint64_t done, uint64_t total, const char *note)
{
    int64_t now = now_us();
    if (!p->on || now - p->shown_us < PROGRESS_EVERY_US)
        return;
    p->shown_us = now;
    fprintf(stderr, "\r\033[K%s ", p->what);
    if (total > 0) {
        double share = (double)done / (double)total;
        int cells = (int)(share * BAR_CELLS);
        double seconds = (double)(now - p->started_us) / 1e6;
        fprintf(stderr, "[");
        for (int i = 0; i < BAR_CELLS; i++)
            fputs(i < cells ? "█" : "·", stderr);
        fprintf(stderr, "] %3.0f %%", share * 100);
        if (share > 0.02 && share < 1)
            fprintf(stderr, "  %.0f s left", seconds / share - seconds);
    }
    if (note != NULL)
        fprintf(stderr, "  %s", note);
    fflush(stderr);
}

void ps_progress_end(struct ps_progress *p)
{
    if (p->on && p->shown_us != 0)
        fputs("\r\033[K", stderr);
    p->on = false;
}

/* --- data --- */

int ps_cli_open_store(struct ps_cli *c, struct ps_datadir *dir, struct ps_store **ret,
                      struct ps_err *e)
{
    int r = ps_datadir_init(dir, c->config.data_dir, e);
    if (r == 0)
        r = ps_datadir_require(dir, e);
    if (r == 0 && ps_store_backend(c->config.store) == NULL)
        r = ps_fail(e, PS_EINVAL, "store: there is no backend \"%s\"", c->config.store);
    return r < 0 ? r
                 : ps_store_open(ps_store_backend(c->config.store), ret, dir->database,
                                 PS_STORE_READ, e);
}

int ps_cli_open_queue(struct ps_cli *c, const struct ps_datadir *dir, struct ps_queue **ret,
                      struct ps_err *e)
{
    const struct ps_queue_limits limits = {(uint64_t)c->config.queue_max, UINT64_MAX,
                                           (uint64_t)c->config.dead_letters_max};
    const struct ps_queue_ops *ops = ps_queue_backend(c->config.queue);
    if (ops == NULL)
        return ps_fail(e, PS_EINVAL, "queue: there is no backend \"%s\"", c->config.queue);
    return ps_queue_open(ops, ret, dir->queue, PS_QUEUE_READ, &limits, e);
}
