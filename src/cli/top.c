/* top.c - `top` and `show`: the statistics as a person wants to read them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/check.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/window.h"

#include "core/percent.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOP_DEFAULT = 20, PATH_LEAST = 30, HOURS_WIDTH = 2 * PS_HOUR_LEN + 11, BAR = 20 };

static const struct ps_column top_columns[] = {{"path", false, 0, PATH_LEAST}, PS_TABLE_NUMBERS};
static const struct ps_column show_columns[] = {
    {"hour", false, 0, 0}, {"", false, 6, 0}, PS_TABLE_NUMBERS};

static void write_ranked(struct ps_json *w, const struct ps_ranked *p)
{
    ps_json_key(w, "requests");
    ps_json_uint(w, p->requests);
    ps_json_key(w, "errors");
    ps_json_uint(w, p->errors);
    const char *const names[] = {"avgMs", "p50Ms", "p95Ms", "p99Ms", "minMs", "maxMs"};
    uint64_t avg = p->count_us > 0 ? p->sum_us / p->count_us : 0;
    const uint64_t values[] = {avg, p->p50_us, p->p95_us, p->p99_us, p->min_us, p->max_us};
    for (int i = 0; i < 6; i++) {
        ps_json_key(w, names[i]);
        if (p->count_us > 0)
            ps_json_us_as_ms(w, (int64_t)values[i]);
        else
            ps_json_null(w);
    }
    ps_json_key(w, "clients");
    ps_json_uint(w, p->clients);
    ps_json_key(w, "clientsExact");
    ps_json_bool(w, p->clients_exact);
}

static void open_json(struct ps_json *w, struct ps_buf *out, const struct ps_window *window)
{
    ps_buf_init(out, PS_OUTPUT_MAX);
    ps_json_init(w, out);
    ps_json_open(w, '{');
    ps_json_key(w, "from");
    ps_json_text(w, window->from_text);
    ps_json_key(w, "to");
    ps_json_text(w, window->to_text);
}

static int print_json(struct ps_buf *out, int r, struct ps_err *e)
{
    if (r < 0) {
        ps_buf_done(out);
        return r;
    }
    return ps_cli_print(out) == PS_EXIT_OK ? 0 : ps_fail(e, PS_EIO, "standard output failed");
}

static int print_table(struct ps_table *t, int r, struct ps_err *e)
{
    if (r == 0)
        r = ps_table_print(t, stdout, ps_term_columns(STDOUT_FILENO), ps_cli_color());
    if (r < 0 && r == t->cells.failed)
        ps_fail(e, r, "this is too much for a table; --json has no such limit");
    ps_table_done(t);
    return r;
}

/* --- top --- */

static int put_path(void *ctx, const struct ps_ranked *p)
{
    struct ps_json *w = ctx;
    ps_json_open(w, '{');
    ps_json_key(w, "path");
    ps_json_str(w, p->path);
    write_ranked(w, p);
    ps_json_close(w, '}');
    return 0;
}

static int top_json(struct ps_store *store, const struct ps_window *window, size_t limit,
                    struct ps_err *e)
{
    struct ps_buf out;
    struct ps_json w;
    size_t paths = 0;
    struct ps_ranking_query q = {window->from, window->to, limit};
    open_json(&w, &out, window);
    ps_json_key(&w, "paths");
    ps_json_open(&w, '[');
    int r = ps_ranking(store, &q, put_path, &w, &paths, e);
    ps_json_close(&w, ']');
    ps_json_key(&w, "totalPaths");
    ps_json_uint(&w, paths);
    ps_json_close(&w, '}');
    return print_json(&out, r, e);
}

static int add_path(void *ctx, const struct ps_ranked *p)
{
    struct ps_table *t = ctx;
    ps_table_cell(t, p->path, false);
    ps_table_numbers(t, p);
    ps_table_end_row(t);
    return 0;
}

static int top_table(struct ps_store *store, const struct ps_window *window, size_t limit,
                     struct ps_err *e)
{
    struct ps_table t;
    char more[PS_CLI_MANY_MAX];
    size_t paths = 0;
    struct ps_ranking_query q = {window->from, window->to, limit};
    ps_table_init(&t, top_columns, PS_COUNT_OF(top_columns));
    int r = ps_ranking(store, &q, add_path, &t, &paths, e);
    if (r == 0 && paths == 0)
        r = ps_window_empty(window, store, PS_STR_NONE, e);
    if (r == 0)
        printf("%s to %s, UTC\n\n", window->from_text, window->to_text);
    r = print_table(&t, r, e);
    if (r == 0 && paths > limit)
        printf("… and %s; --limit shows more\n",
               ps_cli_many(more, paths - limit, "more path", NULL));
    return r;
}

int ps_cmd_top(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_store *store = NULL;
    struct ps_window window;
    int64_t limit = TOP_DEFAULT;
    int r = ps_cli_number(c, "--limit", 1, PS_RANKING_MAX, &limit, &e);
    if (r >= 0)
        r = ps_window_options(c, true, ps_clock_now_ms(ps_clock_system()), &window, &e);
    if (r >= 0)
        r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_cli_open_store(c, &dir, &store, &e);
    if (r == 0)
        r = ps_window_place(&window, store, &e);
    if (r == 0)
        r = c->config.json ? top_json(store, &window, (size_t)limit, &e)
                           : top_table(store, &window, (size_t)limit, &e);
    ps_store_close(store);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

/* --- show --- */

struct show {
    struct ps_store *store;
    struct ps_str path;
    struct ps_window window;
    struct ps_ranked all;
    uint64_t most; /* requests of the busiest hour */
    struct ps_json *w;
    struct ps_table *table; /* one of the two */
    struct ps_err *e;
};

static int find_most(void *ctx, const struct ps_stat_row *row)
{
    struct show *s = ctx;
    if (row->stat.requests > s->most)
        s->most = row->stat.requests;
    return 0;
}

static void add_bar(struct show *s, uint64_t requests)
{
    static const char block[] = "▇";
    char bar[BAR * sizeof block] = "";
    int cells = (int)((requests * BAR + s->most - 1) / s->most);
    for (int i = 0; i < cells; i++)
        memcpy(bar + (size_t)i * (sizeof block - 1), block, sizeof block);
    ps_table_text(s->table, bar);
}

static int show_hour(void *ctx, const struct ps_stat_row *row)
{
    struct show *s = ctx;
    struct ps_ranked p;
    char hour[PS_HOUR_LEN + 1];
    int r = ps_ranking_path(s->store, row->hour, row->hour, s->path, &p, s->e);
    if (r < 0)
        return r;
    ps_time_format_hour(hour, row->hour);
    if (s->w != NULL) {
        ps_json_open(s->w, '{');
        ps_json_key(s->w, "hour");
        ps_json_text(s->w, hour);
        write_ranked(s->w, &p);
        ps_json_close(s->w, '}');
        return 0;
    }
    ps_table_text(s->table, hour);
    add_bar(s, p.requests);
    ps_table_numbers(s->table, &p);
    ps_table_end_row(s->table);
    return 0;
}

static int show_table(struct show *s, struct ps_stats_query *q)
{
    struct ps_table t;
    s->table = &t;
    ps_table_init(&t, show_columns, PS_COUNT_OF(show_columns));
    int r = ps_store_stats(s->store, q, show_hour, s, s->e);
    ps_table_text(&t, "all of them");
    ps_table_text(&t, "");
    ps_table_numbers(&t, &s->all);
    ps_table_end_row(&t);
    if (r == 0) {
        ps_cli_put(s->path);
        printf(ps_term_width(s->path) + HOURS_WIDTH <= ps_term_columns(STDOUT_FILENO)
                   ? ", %s to %s, UTC\n\n"
                   : "\n%s to %s, UTC\n\n",
               s->window.from_text, s->window.to_text);
    }
    return print_table(&t, r, s->e);
}

static int show_json(struct show *s, struct ps_stats_query *q)
{
    struct ps_buf out;
    struct ps_json w;
    s->w = &w;
    open_json(&w, &out, &s->window);
    ps_json_key(&w, "path");
    ps_json_str(&w, s->path);
    ps_json_key(&w, "hours");
    ps_json_open(&w, '[');
    int r = ps_store_stats(s->store, q, show_hour, s, s->e);
    ps_json_close(&w, ']');
    ps_json_key(&w, "total");
    ps_json_open(&w, '{');
    write_ranked(&w, &s->all);
    ps_json_close(&w, '}');
    ps_json_close(&w, '}');
    return print_json(&out, r, s->e);
}

static int run_show(struct show *s, bool json)
{
    struct ps_stats_query q = {
        .from_hour = s->window.from, .to_hour = s->window.to, .path = s->path, .brief = true};
    int r = ps_ranking_path(s->store, q.from_hour, q.to_hour, s->path, &s->all, s->e);
    if (r == PS_ENOENT)
        return ps_window_empty(&s->window, s->store, s->path, s->e);
    if (r == 0)
        r = ps_store_stats(s->store, &q, find_most, s, s->e);
    return r < 0 ? r : json ? show_json(s, &q) : show_table(s, &q);
}

/* The path as it would be counted: /~user for /%7euser, /a for /a?x. */
static struct ps_str as_counted(const struct ps_cli *c, const char *path, char to[PS_PATH_MAX])
{
    struct ps_str cut = ps_path_cut((struct ps_str){path, strlen(path)}, to, false);
    return c->config.percent ? ps_percent_normal(cut, to) : cut;
}

int ps_cmd_show(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct show s = {.e = &e};
    char bytes[PS_PATH_MAX];
    int r = ps_window_options(c, true, ps_clock_now_ms(ps_clock_system()), &s.window, &e);
    if (r >= 0)
        r = ps_cli_words(c, 1, 1, &e);
    if (r == 0)
        r = ps_cli_open_store(c, &dir, &s.store, &e);
    if (r == 0)
        r = ps_window_place(&s.window, s.store, &e);
    if (r == 0) {
        s.path = as_counted(c, c->argv[0], bytes);
        r = run_show(&s, c->config.json);
    }
    ps_store_close(s.store);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}
