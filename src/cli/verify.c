/* verify.c - `verify` and `dead-letters`.  SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/time.h"
#include "daemon/engine.h"
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

/* --- dead-letters --- */

struct listing {
    bool json;
    struct ps_json w;
    struct ps_buf out;
    uint64_t count;
};

static int list_letter(void *ctx, const struct ps_dead_letter *l)
{
    struct listing *list = ctx;
    struct ps_event event;
    char time[PS_ISO_LEN + 1];
    bool decodes = ps_event_decode(l->bytes, l->len, &event) == 0;
    ps_time_format_iso(time, l->time_ms);
    list->count++;
    if (!list->json) {
        printf("%s  %-16s %" PRIu64 "  ", time, ps_reject_name(l->why), l->position);
        if (decodes) {
            ps_cli_put(event.id);
            putchar(' ');
            ps_cli_put(event.path);
        }
        printf("\n    %s%s", ps_reject_text(l->why), l->text.len > 0 ? ": " : "");
        ps_cli_put(l->text);
        putchar('\n');
        return 0;
    }
    ps_json_open(&list->w, '{');
    ps_json_key(&list->w, "position");
    ps_json_uint(&list->w, l->position);
    ps_json_key(&list->w, "time");
    ps_json_text(&list->w, time);
    ps_json_key(&list->w, "reason");
    ps_json_text(&list->w, ps_reject_name(l->why));
    ps_json_key(&list->w, "detail");
    ps_json_str(&list->w, l->text);
    ps_json_key(&list->w, "idempotentId");
    ps_json_str(&list->w, decodes ? event.id : PS_STR_NONE);
    ps_json_key(&list->w, "path");
    ps_json_str(&list->w, decodes ? event.path : PS_STR_NONE);
    ps_json_close(&list->w, '}');
    return 0;
}

static int list_letters(struct ps_cli *c, const struct ps_datadir *dir, struct ps_err *e)
{
    struct ps_queue *queue;
    struct listing list = {.json = c->config.json};
    int r = ps_cli_open_queue(c, dir, &queue, e);
    if (r < 0)
        return r;
    ps_buf_init(&list.out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &list.out);
    ps_json_open(&list.w, '[');
    r = ps_queue_dead(queue, list_letter, &list, e);
    ps_json_close(&list.w, ']');
    ps_queue_close(queue);
    if (r == 0 && c->config.json)
        return ps_cli_print(&list.out) == PS_EXIT_OK ? 0
                                                     : ps_fail(e, PS_EIO, "standard output failed");
    ps_buf_done(&list.out);
    if (r == 0 && list.count == 0)
        printf("there are no dead letters\n");
    return r;
}

static void print_replayed(const struct ps_cli *c, uint64_t count)
{
    char letters[PS_CLI_MANY_MAX];
    if (c->config.json)
        printf("{\"replayed\":%" PRIu64 "}\n", count);
    else
        printf("%s replayed; `dead-letters list` shows what came back\n",
               ps_cli_many(letters, count, "letter", NULL));
}

static int replay_here(struct ps_cli *c, struct ps_err *e)
{
    struct ps_engine *engine;
    size_t count = 0;
    int r = ps_engine_open(&engine, &c->config, e);
    if (r < 0)
        return r;
    r = ps_engine_replay(engine, &count, e);
    int closed = ps_engine_close(engine, r < 0 ? NULL : e);
    if (r < 0 || closed < 0)
        return r < 0 ? r : closed;
    print_replayed(c, count);
    return 0;
}

static int replay_through(struct ps_cli *c, const char *holder, struct ps_err *e)
{
    struct ps_buf answer;
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    int r = ps_cli_order(holder, "/admin/dead-letters/replay", PS_STR(""), &answer, e);
    if (r == 0)
        print_replayed(c, ps_cli_answer(&answer, "replayed"));
    ps_buf_done(&answer);
    return r;
}

int ps_cmd_dead_letters(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    char holder[PS_DATADIR_NOTE_MAX];
    int r = ps_cli_words(c, 1, 1, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0 && strcmp(c->argv[0], "list") == 0) {
        r = list_letters(c, &dir, &e);
    } else if (r == 0 && strcmp(c->argv[0], "replay") == 0) {
        r = ps_datadir_holder(&dir, holder, &e);
        if (r == 1 && holder[0] != '\0')
            r = replay_through(c, holder, &e);
        else if (r >= 0)
            r = replay_here(c, &e);
    } else if (r == 0) {
        r = ps_cli_no_form(c, c->argv[0], &e);
    }
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}
