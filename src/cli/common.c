/* common.c - see cli.h.  SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/visible.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- output --- */

bool ps_cli_color(void)
{
    const char *no = getenv("NO_COLOR");
    return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO);
}

void ps_cli_say(const char *text)
{
    char shown[PS_VISIBLE_MAX * PS_ERR_TEXT_MAX];
    ps_visible(shown, sizeof shown, (struct ps_str){text, strlen(text)});
    fprintf(stderr, "pathstats: %s\n", shown);
}

int ps_cli_fail(const struct ps_err *e)
{
    ps_cli_say(e->text);
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

const char *ps_cli_many(char to[PS_CLI_MANY_MAX], uint64_t n, const char *one, const char *many)
{
    char count[32];
    snprintf(to, PS_CLI_MANY_MAX, "%s %s%s", ps_cli_count(count, n),
             n == 1 || many == NULL ? one : many, n != 1 && many == NULL ? "s" : "");
    return to;
}

void ps_cli_put(struct ps_str text)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len;
    for (size_t i = 0; i < text.len;) {
        i += ps_visible_next(text.ptr + i, text.len - i, shown, &len);
        fwrite(shown, 1, len, stdout);
    }
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
                                           (uint64_t)c->config.dead_letters_max, 0};
    const struct ps_queue_ops *ops = ps_queue_backend(c->config.queue);
    if (ops == NULL)
        return ps_fail(e, PS_EINVAL, "queue: there is no backend \"%s\"", c->config.queue);
    return ps_queue_open(ops, ret, dir->queue, PS_QUEUE_READ, &limits, e);
}
