/* verify.c - `verify`.  SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/time.h"
#include "flow/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 20 };

/* --- verify --- */

struct auditing {
    struct ps_progress progress;
    bool json;
    uint64_t shown;
};

static void show_mismatch(void *ctx, const struct ps_mismatch *m)
{
    static const char *const kinds[] = {"no row", "row without events", "row differs"};
    struct auditing *a = ctx;
    char hour[PS_HOUR_LEN + 1], stored[PS_CLI_MANY_MAX];
    if (a->json || a->shown++ >= SHOWN_MAX)
        return;
    ps_progress_end(&a->progress);
    ps_time_format_hour(hour, m->hour);
    printf("%s ", hour);
    ps_cli_put(m->path);
    printf(": %s (%s stored, %" PRIu64 " computed)\n", kinds[m->kind],
           ps_cli_many(stored, m->requests_stored, "request", NULL), m->requests_computed);
}

/* A single day has no share to tell, but its events are counted. */
static void show_days(void *ctx, size_t done, const struct ps_verified *so_far)
{
    struct auditing *a = ctx;
    char events[PS_CLI_MANY_MAX];
    ps_progress_show(&a->progress, done, so_far->days > 1 ? so_far->days : 0,
                     ps_cli_many(events, so_far->events, "event", NULL));
}

static int print_verified(const struct ps_cli *c, const struct ps_verified *v)
{
    char days[PS_CLI_MANY_MAX], events[PS_CLI_MANY_MAX], rows[PS_CLI_MANY_MAX];
    if (c->config.json) {
        printf("{\"days\":%" PRIu64 ",\"events\":%" PRIu64 ",\"rows\":%" PRIu64
               ",\"differences\":%" PRIu64 "}\n",
               v->days, v->events, v->rows, v->mismatches);
    } else {
        printf("%s, %s, %s: ", ps_cli_many(days, v->days, "day", NULL),
               ps_cli_many(events, v->events, "event", NULL),
               ps_cli_many(rows, v->rows, "row", NULL));
        if (v->mismatches == 0)
            printf("every row is exactly what its events say\n");
        else
            printf("%s. Keep a copy of the data directory and report this\n",
                   ps_cli_many(rows, v->mismatches, "row differs", "rows differ"));
    }
    return v->mismatches == 0 ? PS_EXIT_OK : PS_EXIT_DIFFERS;
}

int ps_cmd_verify(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_store *store = NULL;
    struct ps_queue *queue = NULL;
    struct ps_verified verified;
    struct auditing a = {.json = c->config.json};
    struct ps_verify_options options = {
        .max_paths_per_hour = (size_t)c->config.max_paths_per_hour,
        .mismatch = show_mismatch,
        .progress = show_days,
        .ctx = &a,
    };
    int r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_cli_open_store(c, &dir, &store, &e);
    if (r == 0)
        r = ps_cli_open_queue(c, &dir, &queue, &e);
    if (r == 0) {
        ps_progress_start(&a.progress, "verifying", !c->config.json);
        r = ps_verify(store, queue, &options, &verified, &e);
        ps_progress_end(&a.progress);
    }
    ps_queue_close(queue);
    ps_store_close(store);
    return r < 0 ? ps_cli_fail(&e) : print_verified(c, &verified);
}
