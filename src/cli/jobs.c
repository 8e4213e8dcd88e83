/* jobs.c - `jobs` and `capacity`: what the server does by itself, and what it watches.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/check.h"
#include "base/time.h"
#include "cli/table.h"
#include "cli/term.h"
#include "daemon/life.h"
#include "flow/capacity.h"

#include <stdio.h>
#include <unistd.h>

enum { JOBS_SHOWN = 20, PLAIN_TIME_LEN = 19, DETAIL_LEAST = 16 };

static const struct ps_column columns[] = {{"job", false, 0, 0},
                                           {"started", false, 0, 0},
                                           {"took", true, 1, 0},
                                           {"outcome", false, 0, 0},
                                           {"detail", false, 2, DETAIL_LEAST}};

/* --- jobs --- */

static const char *plain_time(char to[PS_ISO_LEN + 1], int64_t ms)
{
    if (ms == 0)
        return "-";
    ps_time_format_iso(to, ms);
    to[10] = ' ';
    to[PLAIN_TIME_LEN] = '\0';
    return to;
}

struct listing {
    bool json;
    struct ps_json w;
    struct ps_table table;
    size_t count;
};

static void put_run(struct ps_json *w, const struct ps_run *run)
{
    const char *const names[] = {"job", "outcome", "detail"};
    const struct ps_str texts[] = {run->job, run->outcome, run->detail};
    ps_json_open(w, '{');
    for (int i = 0; i < 3; i++) {
        ps_json_key(w, names[i]);
        ps_json_str(w, texts[i]);
    }
    ps_json_key(w, "scheduled");
    ps_json_int(w, run->scheduled_ms);
    ps_json_key(w, "started");
    ps_json_int(w, run->started_ms);
    ps_json_key(w, "finished");
    ps_json_int(w, run->finished_ms);
    ps_json_close(w, '}');
}

static int list_run(void *ctx, const struct ps_run *run)
{
    struct listing *list = ctx;
    struct ps_table *t = &list->table;
    char started[PS_ISO_LEN + 1], took[32];
    bool ended = run->finished_ms > 0;
    list->count++;
    if (list->json) {
        put_run(&list->w, run);
        return 0;
    }
    ps_cli_time(took, ended, (uint64_t)(ended ? run->finished_ms - run->started_ms : 0) * 1000);
    ps_table_cell(t, run->job, false);
    ps_table_text(t, plain_time(started, run->started_ms));
    ps_table_text(t, took);
    ps_table_cell(t, run->outcome, ended && !ps_str_equal(run->outcome, PS_STR("ok")));
    ps_table_cell(t, run->detail, false);
    ps_table_end_row(t);
    return 0;
}

static int print_runs(struct ps_cli *c, struct listing *list)
{
    printf("archive   %s\nsnapshot  %s\ncapacity  %s    (UTC)\n\n", c->config.cron_archive,
           c->config.cron_snapshot, c->config.cron_capacity);
    if (list->count > 0)
        return ps_table_print(&list->table, stdout, ps_term_columns(STDOUT_FILENO), ps_cli_color());
    printf("nothing has run yet: `pathstats serve` runs the jobs\n");
    return 0;
}

static int list_runs(struct ps_cli *c, struct ps_life *life, int64_t limit, struct ps_err *e)
{
    struct ps_buf out;
    struct listing list = {.json = c->config.json};
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &out);
    ps_table_init(&list.table, columns, PS_COUNT_OF(columns));
    ps_json_open(&list.w, '[');
    int r = ps_ledger_runs(life->ledger, PS_STR_NONE, (size_t)limit, list_run, &list, e);
    ps_json_close(&list.w, ']');
    if (r == 0 && list.json && ps_cli_print(&out) != PS_EXIT_OK)
        r = ps_fail(e, PS_EIO, "standard output failed");
    else if (r == 0 && !list.json)
        r = print_runs(c, &list);
    ps_table_done(&list.table);
    ps_buf_done(&out);
    return r;
}

int ps_cmd_jobs(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_life life = {0};
    int64_t limit = JOBS_SHOWN;
    int r = ps_cli_number(c, "--limit", 1, PS_RUNS_KEPT, &limit, &e);
    if (r >= 0)
        r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, &dir, ps_clock_system(), PS_LIFE_READ, &e);
    if (r == 0)
        r = list_runs(c, &life, limit, &e);
    ps_life_close(&life);
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

/* --- capacity --- */

static int print_capacity(const struct ps_cli *c, const struct ps_capacity *m)
{
    char used[32], max[32], log[32], queue[32], archive[32], growth[32];
    if (c->config.json) {
        struct ps_buf out;
        struct ps_json w;
        ps_buf_init(&out, PS_OUTPUT_MAX);
        ps_json_init(&w, &out);
        ps_capacity_write(m, &w);
        return ps_cli_print(&out);
    }
    printf("database  %10s of %s: %u %%%s\nlog       %10s\nqueue     %10s\narchive   %10s\n",
           ps_cli_bytes(used, m->used_bytes), ps_cli_bytes(max, m->max_db_bytes), m->percent,
           m->level > 0 ? "  WARNING" : "", ps_cli_bytes(log, m->log_bytes),
           ps_cli_bytes(queue, m->queue_bytes), ps_cli_bytes(archive, m->archive_bytes));
    if (m->has_growth && m->growth_per_day_bytes > 0)
        printf("growth    %10s a day: %.1f days left\n",
               ps_cli_bytes(growth, (uint64_t)m->growth_per_day_bytes), m->days_left);
    else
        printf("growth    %10s\n", m->has_growth ? "none" : "unknown");
    return PS_EXIT_OK;
}

int ps_cmd_capacity(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_life life = {0};
    struct ps_queue *queue = NULL;
    struct ps_kv *kv = NULL;
    struct ps_capacity measured;
    int r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, &dir, ps_clock_system(), PS_LIFE_READ, &e);
    if (r == 0)
        r = ps_cli_open_queue(c, &dir, &queue, &e);
    if (r == 0) /* without one there is no growth to tell */
        ps_kv_open(ps_kv_backend(c->config.kv), &kv, dir.kv, true, NULL);
    struct ps_capacity_config config = {
        .store = life.store,
        .ledger = life.ledger,
        .queue = queue,
        .kv = kv,
        .clock = ps_clock_system(),
        .max_db_bytes = (uint64_t)c->config.max_db_size,
    };
    if (r == 0)
        r = ps_capacity_measure(&config, &measured, &e);
    ps_kv_close(kv);
    ps_queue_close(queue);
    ps_life_close(&life);
    return r < 0 ? ps_cli_fail(&e) : print_capacity(c, &measured);
}
