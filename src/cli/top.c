/* top.c - `top` and `show`: the statistics as a person wants to read them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "base/time.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOP_DEFAULT = 20, HOURS_DEFAULT = 24, HOURS_MAX = 24 * 366, BAR = 20 };

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

/* --- top --- */

struct top {
    bool json;
    int room;
    struct ps_json w;
};

static int take_path(void *ctx, const struct ps_ranked *p)
{
    struct top *t = ctx;
    if (t->json) {
        ps_json_open(&t->w, '{');
        ps_json_key(&t->w, "path");
        ps_json_str(&t->w, p->path);
        write_ranked(&t->w, p);
        ps_json_close(&t->w, '}');
        return 0;
    }
    ps_table_path(p->path, t->room);
    ps_table_numbers(p);
    return 0;
}

struct range {
    int32_t from, to;
    char from_text[PS_HOUR_LEN + 1], to_text[PS_HOUR_LEN + 1];
};

/* --hours N back from the newest hour that has data. */
static int find_range(struct ps_cli *c, struct ps_store *store, int64_t hours, struct range *ret,
                      struct ps_err *e)
{
    int r = ps_ranking_newest_hour(store, &ret->to, e);
    (void)c;
    if (r < 0)
        return r;
    ret->from = (int32_t)(ret->to - hours + 1);
    if (ret->from < 0)
        ret->from = 0;
    ps_time_format_hour(ret->from_text, ret->from);
    ps_time_format_hour(ret->to_text, ret->to);
    return 0;
}

static void open_json(struct ps_json *w, struct ps_buf *out, const struct range *range)
{
    ps_buf_init(out, PS_OUTPUT_MAX);
    ps_json_init(w, out);
    ps_json_open(w, '{');
    ps_json_key(w, "from");
    ps_json_text(w, range->from_text);
    ps_json_key(w, "to");
    ps_json_text(w, range->to_text);
}

static int run_top(struct ps_cli *c, struct ps_store *store, int64_t limit, int64_t hours,
                   struct ps_err *e)
{
    struct range range;
    struct ps_buf out;
    size_t paths = 0;
    struct top t = {.json = c->config.json, .room = ps_table_room(0)};
    int r = find_range(c, store, hours, &range, e);
    if (r < 0)
        return r;
    if (t.json) {
        open_json(&t.w, &out, &range);
        ps_json_key(&t.w, "paths");
        ps_json_open(&t.w, '[');
    } else {
        printf("%s to %s, UTC\n\n", range.from_text, range.to_text);
        ps_table_head("path", t.room);
    }
    struct ps_ranking_query q = {range.from, range.to, (size_t)limit};
    r = ps_ranking(store, &q, take_path, &t, &paths, e);
    if (!t.json) {
        char n[32];
        if (r == 0 && paths > (size_t)limit)
            printf("… and %s more paths; --limit shows more\n",
                   ps_cli_count(n, paths - (size_t)limit));
        return r;
    }
    ps_json_close(&t.w, ']');
    ps_json_key(&t.w, "totalPaths");
    ps_json_uint(&t.w, paths);
    ps_json_close(&t.w, '}');
    if (r == 0 && ps_cli_print(&out) != PS_EXIT_OK)
        return ps_fail(e, PS_EIO, "cannot print");
    return r;
}

int ps_cmd_top(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_store *store = NULL;
    int64_t limit = TOP_DEFAULT, hours = HOURS_DEFAULT;
    int r = ps_cli_number(c, "--limit", 1, PS_RANKING_MAX, &limit, &e);
    if (r >= 0)
        r = ps_cli_number(c, "--hours", 1, HOURS_MAX, &hours, &e);
    if (r >= 0)
        r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_cli_open_store(c, &dir, &store, &e);
    if (r == 0)
        r = run_top(c, store, limit, hours, &e);
    ps_store_close(store);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

/* --- show --- */

struct show {
    struct ps_store *store;
    struct ps_str path;
    bool json;
    uint64_t most;
    struct ps_json w;
    struct ps_err *e;
};

static int find_most(void *ctx, const struct ps_stat_row *row)
{
    struct show *s = ctx;
    if (row->stat.requests > s->most)
        s->most = row->stat.requests;
    return 0;
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
    if (s->json) {
        ps_json_open(&s->w, '{');
        ps_json_key(&s->w, "hour");
        ps_json_text(&s->w, hour);
        write_ranked(&s->w, &p);
        ps_json_close(&s->w, '}');
        return 0;
    }
    int cells = (int)((p.requests * BAR + s->most - 1) / s->most);
    printf("%s ", hour);
    for (int i = 0; i < BAR; i++)
        fputs(i < cells ? "▇" : " ", stdout);
    ps_table_numbers(&p);
    return 0;
}

static int run_show(struct show *s, const struct range *range, struct ps_err *e)
{
    struct ps_buf out;
    struct ps_ranked all;
    struct ps_stats_query q = {range->from, range->to, s->path, true};
    int r = ps_ranking_path(s->store, range->from, range->to, s->path, &all, e);
    if (r == 0)
        r = ps_store_stats(s->store, &q, find_most, s, e);
    if (r < 0)
        return r;
    if (!s->json) {
        printf("%.*s, %s to %s, UTC\n\n", (int)s->path.len, s->path.ptr, range->from_text,
               range->to_text);
        ps_table_head("hour", PS_HOUR_LEN + 1 + BAR);
        r = ps_store_stats(s->store, &q, show_hour, s, e);
        if (r == 0) {
            printf("%-*s", PS_HOUR_LEN + 1 + BAR, "all of them");
            ps_table_numbers(&all);
        }
        return r;
    }
    open_json(&s->w, &out, range);
    ps_json_key(&s->w, "path");
    ps_json_str(&s->w, s->path);
    ps_json_key(&s->w, "hours");
    ps_json_open(&s->w, '[');
    r = ps_store_stats(s->store, &q, show_hour, s, e);
    ps_json_close(&s->w, ']');
    ps_json_key(&s->w, "total");
    ps_json_open(&s->w, '{');
    write_ranked(&s->w, &all);
    ps_json_close(&s->w, '}');
    ps_json_close(&s->w, '}');
    if (r == 0 && ps_cli_print(&out) != PS_EXIT_OK)
        return ps_fail(e, PS_EIO, "cannot print");
    return r;
}

int ps_cmd_show(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_store *store = NULL;
    struct range range;
    int64_t hours = HOURS_DEFAULT;
    int r = ps_cli_number(c, "--hours", 1, HOURS_MAX, &hours, &e);
    if (r >= 0)
        r = ps_cli_words(c, 1, 1, &e);
    if (r == 0)
        r = ps_cli_open_store(c, &dir, &store, &e);
    if (r == 0)
        r = find_range(c, store, hours, &range, &e);
    if (r == 0) {
        struct show s = {.store = store,
                         .path = {c->argv[0], strlen(c->argv[0])},
                         .json = c->config.json,
                         .e = &e};
        r = run_show(&s, &range, &e);
    }
    ps_store_close(store);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}
