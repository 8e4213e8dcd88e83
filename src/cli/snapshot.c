/* snapshot.c - `snapshot {refresh,show,list,rollback}`.
 *
 * refresh is ordered from the daemon that holds the data directory; without one it is made here,
 * under the directory's lock. The others read and write the kv, beside a daemon or not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/check.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/window.h"
#include "core/decimal.h"
#include "core/json_walk.h"
#include "flow/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LEAST = 30 };

static const struct ps_column columns[] = {
    {"method", false, 6, 0}, {"path", false, 0, PATH_LEAST}, PS_TABLE_NUMBERS};

static int64_t now_ms(void)
{
    return ps_clock_now_ms(ps_clock_system());
}

static int open_kv(struct ps_cli *c, const struct ps_datadir *dir, bool read_only,
                   struct ps_kv **ret, struct ps_err *e)
{
    const struct ps_kv_ops *ops = ps_kv_backend(c->config.kv);
    if (ops == NULL)
        return ps_fail(e, PS_EINVAL, "kv: there is no backend \"%s\"", c->config.kv);
    int r = ps_kv_open(ops, ret, dir->kv, read_only, e);
    if (r == 0 && ps_kv_note(*ret) != NULL)
        fprintf(stderr, "pathstats: %s\n", ps_kv_note(*ret));
    return r;
}

static int print_version(const struct ps_cli *c, const char *done, uint64_t version)
{
    if (c->config.json)
        printf("{\"version\":%" PRIu64 "}\n", version);
    else
        printf("%s %" PRIu64 "\n", done, version);
    return 0;
}

/* --- refresh --- */

static int refresh_here(struct ps_cli *c, struct ps_datadir *dir, struct ps_err *e)
{
    struct ps_store *store = NULL;
    struct ps_kv *kv = NULL;
    uint64_t version = 0;
    int r = ps_cli_open_store(c, dir, &store, e);
    if (r == 0)
        r = ps_datadir_lock(dir, e);
    if (r < 0) {
        ps_store_close(store);
        return r;
    }
    r = open_kv(c, dir, false, &kv, e);
    if (r == 0)
        r = ps_snapshot_refresh(store, kv, ps_clock_system(), (size_t)c->config.snapshot_paths,
                                &version, e);
    ps_kv_close(kv);
    ps_store_close(store);
    ps_datadir_unlock(dir);
    return r < 0 ? r : print_version(c, "made snapshot", version);
}

static int refresh_there(const struct ps_cli *c, const char *holder, struct ps_err *e)
{
    struct ps_buf answer;
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    int r = ps_cli_order(holder, "/admin/snapshot/refresh", PS_STR(""), &answer, e);
    if (r == 0)
        r = print_version(c, "made snapshot", ps_cli_answer(&answer, "version"));
    ps_buf_done(&answer);
    return r;
}

static int refresh(struct ps_cli *c, struct ps_datadir *dir, struct ps_err *e)
{
    char holder[PS_DATADIR_NOTE_MAX];
    int r = ps_datadir_holder(dir, holder, e);
    if (r < 0)
        return r;
    return r == 1 && holder[0] != '\0' ? refresh_there(c, holder, e) : refresh_here(c, dir, e);
}

/* --- show --- */

static uint64_t us_of(struct ps_str ms)
{
    return (uint64_t)ps_decimal_int64(ms, 3, PS_ROUND_HALF_UP, NULL);
}

static void take_field(struct ps_ranked *p, struct ps_str name, enum ps_json_kind kind,
                       struct ps_str text)
{
    const struct {
        struct ps_str name;
        uint64_t *to;
    } times[] =
        {
            {PS_STR("avgMs"), &p->sum_us}, {PS_STR("p50Ms"), &p->p50_us},
            {PS_STR("p95Ms"), &p->p95_us}, {PS_STR("p99Ms"), &p->p99_us},
            {PS_STR("minMs"), &p->min_us}, {PS_STR("maxMs"), &p->max_us},
        },
      counts[] = {
          {PS_STR("requests"), &p->requests},
          {PS_STR("errors"), &p->errors},
          {PS_STR("uniqueClients"), &p->clients},
      };
    for (size_t i = 0; kind == PS_JSON_NUMBER && i < sizeof times / sizeof *times; i++)
        if (ps_str_equal(name, times[i].name)) {
            *times[i].to = us_of(text);
            p->count_us = 1; /* so that sum / count is the average */
        }
    for (size_t i = 0; kind == PS_JSON_NUMBER && i < sizeof counts / sizeof *counts; i++)
        if (ps_str_equal(name, counts[i].name))
            *counts[i].to = (uint64_t)ps_decimal_int64(text, 0, PS_TRUNCATE, NULL);
    if (ps_str_equal(name, PS_STR("path")))
        p->path = text;
    if (ps_str_equal(name, PS_STR("method")))
        p->method = text;
    if (ps_str_equal(name, PS_STR("uniqueClientsExact")))
        p->clients_exact = kind == PS_JSON_TRUE;
}

static int read_path(struct ps_str json, char *scratch, struct ps_ranked *ret)
{
    struct ps_json_walk walk;
    struct ps_str name, text;
    enum ps_json_kind kind;
    struct ps_ranked p = {0};
    int r;
    ps_json_walk_init(&walk, json, scratch);
    while ((r = ps_json_walk_next(&walk, &name, &kind, &text)) == 1)
        take_field(&p, name, kind, text);
    *ret = p;
    return r;
}

static int add_paths(struct ps_table *t, struct ps_str json, char *scratch)
{
    struct ps_json_walk walk;
    struct ps_str name, text;
    enum ps_json_kind kind;
    struct ps_ranked p;
    int r;
    ps_json_walk_init(&walk, json, scratch);
    while ((r = ps_json_walk_next(&walk, &name, &kind, &text)) == 1) {
        r = read_path(text, scratch, &p);
        if (r < 0)
            return r;
        ps_table_cell(t, p.method.ptr == NULL ? PS_STR("-") : p.method, false);
        ps_table_cell(t, p.path, false);
        ps_table_numbers(t, &p);
        ps_table_end_row(t);
    }
    return r;
}

static int print_paths(struct ps_str json, char *scratch)
{
    struct ps_table t;
    ps_table_init(&t, columns, PS_COUNT_OF(columns));
    int r = add_paths(&t, json, scratch);
    if (r == 0)
        r = ps_table_print(&t, stdout, ps_term_columns(STDOUT_FILENO), ps_cli_color());
    ps_table_done(&t);
    return r;
}

/* The members of the document that the heading needs. */
struct heading {
    struct ps_str from, to, updated, total, paths;
};

static int read_heading(struct ps_str json, char *scratch, struct heading *ret)
{
    struct ps_json_walk walk;
    struct ps_str name, text;
    enum ps_json_kind kind;
    int r;
    const struct {
        struct ps_str name;
        struct ps_str *to;
    } members[] = {{PS_STR("from"), &ret->from},
                   {PS_STR("to"), &ret->to},
                   {PS_STR("updatedAt"), &ret->updated},
                   {PS_STR("totalPaths"), &ret->total},
                   {PS_STR("paths"), &ret->paths}};
    ps_json_walk_init(&walk, json, scratch);
    while ((r = ps_json_walk_next(&walk, &name, &kind, &text)) == 1)
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (ps_str_equal(name, members[i].name))
                *members[i].to = text;
    return r < 0 || ret->paths.ptr == NULL ? PS_EINVAL : 0;
}

/* An old log has nothing in the last 24 hours: then where it lies. */
static void print_where(struct ps_cli *c)
{
    struct ps_datadir dir;
    struct ps_store *store = NULL;
    int32_t oldest, newest;
    char oldest_text[PS_HOUR_LEN + 1], newest_text[PS_HOUR_LEN + 1];
    printf("no requests in these hours");
    if (ps_cli_open_store(c, &dir, &store, NULL) == 0 &&
        ps_window_extent(store, PS_STR_NONE, &oldest, &newest, NULL) == 0) {
        ps_time_format_hour(oldest_text, oldest);
        ps_time_format_hour(newest_text, newest);
        printf("; the data lies from %s to %s: try `pathstats top`", oldest_text, newest_text);
    }
    putchar('\n');
    ps_store_close(store);
}

static int print_table(struct ps_cli *c, uint64_t version, const struct ps_buf *document,
                       struct ps_err *e)
{
    struct heading h = {0};
    char *scratch = malloc(document->len);
    if (scratch == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory to show a snapshot");
    int r = read_heading(ps_buf_str(document), scratch, &h);
    if (r == 0) {
        uint64_t total = (uint64_t)ps_decimal_int64(h.total, 0, PS_TRUNCATE, NULL);
        char paths[PS_CLI_MANY_MAX];
        printf("%.*s to %.*s, UTC; %s in all\nsnapshot %" PRIu64 ", made %.*s\n\n", (int)h.from.len,
               h.from.ptr, (int)h.to.len, h.to.ptr, ps_cli_many(paths, total, "path", NULL),
               version, (int)h.updated.len, h.updated.ptr);
        if (total == 0)
            print_where(c);
        else
            r = print_paths(h.paths, scratch);
    }
    free(scratch);
    return r < 0 ? ps_fail(e, PS_ECORRUPT, "snapshot %" PRIu64 " is not what was written", version)
                 : 0;
}

/* --- show: the newest that was made in some hours --- */

struct choosing {
    const struct ps_window *window;
    uint64_t version, oldest, newest; /* 0: none */
    int64_t oldest_ms, newest_ms;     /* when they were made */
};

static int choose_version(void *ctx, uint64_t version, int64_t expires_ms)
{
    struct choosing *x = ctx;
    int64_t made_ms = expires_ms - PS_SNAPSHOT_TTL_MS;
    int32_t hour = ps_time_hour(made_ms);
    if (x->newest == 0) {
        x->newest = version;
        x->newest_ms = made_ms;
    }
    x->oldest = version;
    x->oldest_ms = made_ms;
    if (x->version == 0 && hour >= x->window->from && hour <= x->window->to)
        x->version = version;
    return 0;
}

static int find_version(struct ps_kv *kv, const struct ps_window *window, uint64_t *ret,
                        struct ps_err *e)
{
    struct choosing x = {.window = window};
    char oldest[PS_ISO_LEN + 1], newest[PS_ISO_LEN + 1];
    int r = ps_snapshot_list(kv, now_ms(), choose_version, &x, e);
    if (r < 0)
        return r;
    if (x.version == 0 && x.newest == 0)
        return ps_fail(e, PS_ENOENT,
                       "there are no snapshots; `pathstats snapshot refresh` makes one");
    ps_time_format_iso(oldest, x.oldest_ms);
    ps_time_format_iso(newest, x.newest_ms);
    if (x.version == 0)
        return ps_fail(e, PS_ENOENT,
                       "no snapshot was made in those hours; there are some from %s to %s: try "
                       "--date %.*s. For the statistics of any hours: `pathstats top`",
                       oldest, newest, PS_DATE_LEN, newest);
    *ret = x.version;
    return 0;
}

static int show(struct ps_cli *c, struct ps_kv *kv, uint64_t version, struct ps_err *e)
{
    struct ps_buf document;
    ps_buf_init(&document, PS_SNAPSHOT_BYTES_MAX);
    int r = version == 0 ? ps_snapshot_latest(kv, now_ms(), &version, &document, e)
                         : ps_snapshot_get(kv, now_ms(), version, &document, e);
    if (r == 0 && c->config.json)
        return ps_cli_print(&document) == PS_EXIT_OK ? 0
                                                     : ps_fail(e, PS_EIO, "standard output failed");
    if (r == 0)
        r = print_table(c, version, &document, e);
    ps_buf_done(&document);
    return r;
}

/* --- list --- */

struct listing {
    bool json;
    struct ps_json w;
    uint64_t latest;
    size_t count;
};

static int list_version(void *ctx, uint64_t version, int64_t expires_ms)
{
    struct listing *list = ctx;
    char expires[PS_ISO_LEN + 1];
    ps_time_format_iso(expires, expires_ms);
    list->count++;
    if (!list->json) {
        printf("%-16" PRIu64 " until %s%s\n", version, expires,
               version == list->latest ? "  latest" : "");
        return 0;
    }
    ps_json_open(&list->w, '{');
    ps_json_key(&list->w, "version");
    ps_json_uint(&list->w, version);
    ps_json_key(&list->w, "expiresAt");
    ps_json_text(&list->w, expires);
    ps_json_key(&list->w, "latest");
    ps_json_bool(&list->w, version == list->latest);
    ps_json_close(&list->w, '}');
    return 0;
}

static int list(struct ps_cli *c, struct ps_kv *kv, struct ps_err *e)
{
    struct ps_buf out;
    struct ps_snapshot_pointer pointer = {0};
    struct listing listing = {.json = c->config.json};
    int64_t now = now_ms();
    int r = ps_snapshot_pointer(kv, now, &pointer, e);
    if (r < 0 && r != PS_ENOENT)
        return r;
    listing.latest = pointer.version;
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&listing.w, &out);
    ps_json_open(&listing.w, '[');
    r = ps_snapshot_list(kv, now, list_version, &listing, e);
    ps_json_close(&listing.w, ']');
    if (r == 0 && c->config.json)
        return ps_cli_print(&out) == PS_EXIT_OK ? 0 : ps_fail(e, PS_EIO, "standard output failed");
    ps_buf_done(&out);
    if (r == 0 && listing.count == 0)
        printf("there are no snapshots; `pathstats snapshot refresh` makes one\n");
    return r;
}

/* --- the command --- */

static int take_version(const struct ps_cli *c, uint64_t *ret, struct ps_err *e)
{
    *ret = 0;
    if (c->argc < 2 || ps_snapshot_parse_version(c->argv[1], strlen(c->argv[1]), ret))
        return 0;
    return ps_fail(e, PS_EINVAL, "\"%s\" is not a version; `pathstats snapshot list` shows them",
                   c->argv[1]);
}

static int with_kv(struct ps_cli *c, const struct ps_datadir *dir, const char *what,
                   const struct ps_window *window, struct ps_err *e)
{
    struct ps_kv *kv = NULL;
    uint64_t version;
    bool back = strcmp(what, "rollback") == 0;
    int r = take_version(c, &version, e);
    if (r == 0 && window->asked && version != 0)
        r = ps_fail(e, PS_EINVAL, "a version or hours, not both");
    if (r == 0)
        r = open_kv(c, dir, !back, &kv, e);
    if (r == 0 && window->asked)
        r = find_version(kv, window, &version, e);
    if (r == 0 && back) {
        r = ps_snapshot_rollback(kv, now_ms(), version, &version, e);
        if (r == 0)
            print_version(c, "latest is now snapshot", version);
    } else if (r == 0) {
        r = strcmp(what, "list") == 0 ? list(c, kv, e) : show(c, kv, version, e);
    }
    ps_kv_close(kv);
    return r;
}

static int dispatch(struct ps_cli *c, struct ps_datadir *dir, const struct ps_window *window,
                    struct ps_err *e)
{
    const char *what = c->argv[0];
    bool shows = strcmp(what, "show") == 0, rolls = strcmp(what, "rollback") == 0;
    if ((c->argc == 2 && !shows && !rolls) || (window->asked && !shows))
        return ps_cli_usage(c, e);
    if (strcmp(what, "refresh") == 0)
        return refresh(c, dir, e);
    if (shows || rolls || strcmp(what, "list") == 0)
        return with_kv(c, dir, what, window, e);
    return ps_cli_no_form(c, what, e);
}

int ps_cmd_snapshot(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_window window;
    int r = ps_window_options(c, false, now_ms(), &window, &e);
    if (r == 0)
        r = ps_cli_words(c, 1, 2, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = dispatch(c, &dir, &window, &e);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}
