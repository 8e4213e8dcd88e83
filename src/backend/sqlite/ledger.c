/* ledger.c - `ps_ledger_sqlite`: archive_metadata and job_runs, beside the store's tables.
 *
 * It has a store handle of its own, for the tables of the days. Other handles notice that a day
 * came or went by SQLite's data_version.
 *
 * A day is dropped whole: DROP TABLE, or DELETE of a range of its primary key where it shares
 * tables, put its pages on the free list, and the next day's events use them again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/registry.h"
#include "backend/sqlite/store.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

struct sqlite_ledger {
    struct ps_ledger base;
    struct ps_store *store;
};

static struct sqlite_store *inner(struct ps_ledger *l)
{
    return sqlite_of(((struct sqlite_ledger *)l)->store);
}

static int open_ledger(struct ps_ledger **ret, const char *target, enum ps_store_mode mode,
                       struct ps_err *e)
{
    struct sqlite_ledger *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ps_fail(e, PS_ENOMEM, "ledger: no memory");
    int r = ps_store_open(&ps_store_sqlite, &l->store, target, mode, e);
    if (r == 0) /* it writes rarely: the aggregator's handle is the one that needs a large cache */
        r = ps_db_exec(&inner(&l->base)->db, "PRAGMA cache_size = -8192", e);
    if (r < 0) {
        ps_store_close(l->store);
        free(l);
        return r;
    }
    *ret = &l->base;
    return 0;
}

static void close_ledger(struct ps_ledger *l)
{
    ps_store_close(((struct sqlite_ledger *)l)->store);
    free(l);
}

/* --- days --- */

static int read_state(struct sqlite_store *s, int32_t day, enum ps_day_state *ret, struct ps_err *e)
{
    sqlite3_stmt *q;
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    int r = ps_db_prepare(&s->db, "SELECT status FROM archive_metadata WHERE date = ?", &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, date, PS_DATE_LEN, SQLITE_STATIC);
    int step = sqlite3_step(q);
    *ret = PS_DAY_OPEN;
    if (step == SQLITE_ROW)
        *ret = ps_sqlite_state_of(ps_db_column_str(q, 0));
    else if (step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "archive_metadata");
    sqlite3_finalize(q);
    return r;
}

static int write_record(struct sqlite_store *s, const struct ps_day *day, struct ps_err *e)
{
    sqlite3_stmt *q;
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day->day);
    int r = ps_db_prepare(&s->db,
                          "INSERT OR REPLACE INTO archive_metadata(date, r2_path, record_count,"
                          " file_size_bytes, archived_at, status, sha256, error) VALUES"
                          " (?,?,?,?,?,?,?,?)",
                          &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, date, PS_DATE_LEN, SQLITE_STATIC);
    ps_db_bind_str(q, 2, day->object);
    sqlite3_bind_int64(q, 3, day->record_count);
    sqlite3_bind_int64(q, 4, day->file_size_bytes);
    sqlite3_bind_int64(q, 5, day->archived_at_ms);
    sqlite3_bind_text(q, 6, ps_day_state_name(day->state), -1, SQLITE_STATIC);
    ps_db_bind_str(q, 7, day->sha256);
    ps_db_bind_str(q, 8, day->error);
    r = ps_db_run(&s->db, q, e);
    sqlite3_finalize(q);
    return r;
}

static int fail_state(int32_t day, enum ps_day_state state, int code, struct ps_err *e)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    return ps_fail(e, code, "%s is %s", date, ps_day_state_name(state));
}

static int mark(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    enum ps_day_state state;
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = read_state(s, day->day, &state, e);
    if (r == 0 && (from & PS_FROM_STATE(state)) == 0)
        r = fail_state(day->day, state, PS_EEXIST, e);
    if (r == 0)
        r = write_record(s, day, e);
    return ps_db_end(&s->db, r, e);
}

/* --- cleaning --- */

static int drop_day(struct sqlite_store *s, int32_t day, struct ps_err *e)
{
    char date[PS_DATE_LEN + 1];
    struct stored_day *d = ps_sqlite_find_day(s, day);
    bool has_foreign = d != NULL && d->has_text_ids; /* perhaps */
    ps_time_format_date(date, day);
    int r = ps_sqlite_drop_day(s, day, e);
    if (r == 0)
        r = ps_db_execf(&s->db, e,
                        "UPDATE archive_metadata SET status = 'cleaned' WHERE date = '%s'", date);
    if (r == 0 && has_foreign)
        r = ps_db_execf(&s->db, e,
                        "DELETE FROM foreign_ids WHERE timestamp >= %lld AND timestamp < %lld",
                        (long long)day * PS_MS_PER_DAY, (long long)(day + 1) * PS_MS_PER_DAY);
    return r < 0 || !s->view_is_stale ? r : ps_sqlite_make_view(s, e);
}

static int clean(struct ps_ledger *l, int32_t day, struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    enum ps_day_state state;
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    ps_sqlite_forget_days(s); /* the view names every day there is now */
    r = read_state(s, day, &state, e);
    if (r == 0)
        r = ps_sqlite_load_days(s, e);
    if (r == 0 && state != PS_DAY_COMPLETED && state != PS_DAY_CLEANED)
        r = fail_state(day, state, PS_EINVAL, e);
    if (r == 0 && state == PS_DAY_COMPLETED)
        r = drop_day(s, day, e);
    r = ps_db_end(&s->db, r, e);
    ps_sqlite_forget_days(s);
    return r;
}

/* --- restoring --- */

static int put_back(struct sqlite_store *s, int32_t day, const struct ps_event *events,
                    size_t count, bool last, struct ps_err *e)
{
    char date[PS_DATE_LEN + 1];
    int r = ps_sqlite_load_days(s, e);
    if (r == 0)
        r = ps_sqlite_put_events(s, day, events, count, e);
    if (r == 0 && s->view_is_stale)
        r = ps_sqlite_make_view(s, e);
    ps_time_format_date(date, day);
    if (r == 0 && last)
        r = ps_db_execf(&s->db, e,
                        "UPDATE archive_metadata SET status = 'restored' WHERE date = '%s'", date);
    return r;
}

static int restore(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                   bool last, struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    enum ps_day_state state;
    int r = ps_db_begin(&s->db, DB_MUCH, e);
    if (r < 0)
        return r;
    ps_sqlite_forget_days(s);
    r = read_state(s, day, &state, e);
    if (r == 0 && state != PS_DAY_CLEANED)
        r = fail_state(day, state, PS_EINVAL, e);
    if (r == 0)
        r = put_back(s, day, events, count, last, e);
    r = ps_db_end(&s->db, r, e);
    ps_sqlite_forget_days(s);
    return r;
}

/* --- runs --- */

static int run_started(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                       struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    sqlite3_stmt *q = NULL;
    int64_t id = 0;
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = ps_db_prepare(&s->db, "INSERT INTO job_runs(job, scheduled, started) VALUES (?,?,?)", &q,
                      e);
    if (r == 0) {
        ps_db_bind_str(q, 1, run->job);
        sqlite3_bind_int64(q, 2, run->scheduled_ms);
        sqlite3_bind_int64(q, 3, run->started_ms);
        r = ps_db_run(&s->db, q, e);
        id = sqlite3_last_insert_rowid(s->db.handle);
    }
    sqlite3_finalize(q);
    if (r == 0)
        r = ps_db_execf(&s->db, e, "DELETE FROM job_runs WHERE id <= %lld",
                        (long long)(id - PS_RUNS_KEPT));
    r = ps_db_end(&s->db, r, e);
    if (r == 0)
        *ret_id = id;
    return r;
}

static int run_finished(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    sqlite3_stmt *q = NULL;
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = ps_db_prepare(&s->db,
                      "UPDATE job_runs SET finished = ?2, outcome = ?3, detail = ?4 WHERE id = ?1",
                      &q, e);
    if (r == 0) {
        sqlite3_bind_int64(q, 1, run->id);
        sqlite3_bind_int64(q, 2, run->finished_ms);
        ps_db_bind_str(q, 3, run->outcome);
        ps_db_bind_str(q, 4, run->detail.ptr == NULL ? PS_STR("") : run->detail);
        r = ps_db_run(&s->db, q, e);
    }
    sqlite3_finalize(q);
    return ps_db_end(&s->db, r, e);
}

static int hand_on(sqlite3_stmt *q, ps_run_fn *fn, void *ctx)
{
    struct ps_run run = {.id = sqlite3_column_int64(q, 0),
                         .job = ps_db_column_str(q, 1),
                         .scheduled_ms = sqlite3_column_int64(q, 2),
                         .started_ms = sqlite3_column_int64(q, 3),
                         .finished_ms = sqlite3_column_int64(q, 4),
                         .outcome = ps_db_column_str(q, 5),
                         .detail = ps_db_column_str(q, 6)};
    return fn(ctx, &run);
}

static int runs(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db,
                          "SELECT id, job, scheduled, started, finished, outcome, detail FROM"
                          " job_runs WHERE ?1 IS NULL OR job = ?1 ORDER BY id DESC LIMIT ?2",
                          &q, e);
    if (r < 0)
        return r;
    ps_db_bind_str(q, 1, job);
    sqlite3_bind_int64(q, 2, (int64_t)limit);
    int step = SQLITE_DONE;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW)
        r = hand_on(q, fn, ctx);
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "job_runs");
    sqlite3_finalize(q);
    return r;
}

/* --- size --- */

static int size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e)
{
    struct sqlite_store *s = inner(l);
    int64_t page = 0, count = 0, unused = 0;
    int r = ps_db_number(&s->db, "PRAGMA page_size", &page, e);
    if (r == 0)
        r = ps_db_number(&s->db, "PRAGMA page_count", &count, e);
    if (r == 0)
        r = ps_db_number(&s->db, "PRAGMA freelist_count", &unused, e);
    if (r == 0)
        *ret = (struct ps_ledger_size){.bytes = (uint64_t)(page * count),
                                       .free_bytes = (uint64_t)(page * unused),
                                       .log_bytes = ps_wal_file_bytes(&s->db)};
    return r;
}

const struct ps_ledger_ops ps_ledger_sqlite = {
    .name = "sqlite",
    .open = open_ledger,
    .close = close_ledger,
    .mark = mark,
    .clean = clean,
    .restore = restore,
    .run_started = run_started,
    .run_finished = run_finished,
    .runs = runs,
    .size = size,
};
