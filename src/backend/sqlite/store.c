/* store.c - `ps_store_sqlite`: opening, positions, redo; the ops table.
 *
 * Layout and figures: docs/decisions/0002-sqlite-layout.md.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "backend/registry.h"
#include "base/check.h"

#include <stdlib.h>

static const char *const migrations[] = {
#include "migrations.inc"
};

static const struct db_kind kind = {
    .application_id = 0x50535441, /* "PSTA" */
    .table = "positions",
    .migrations = migrations,
    .count = PS_COUNT_OF(migrations),
};

static void close_store(struct ps_store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    if (s->frozen)
        sqlite3_exec(s->db.handle, "END", NULL, NULL, NULL);
    ps_sqlite_forget_days(s);
    sqlite3_finalize(s->find_foreign);
    sqlite3_finalize(s->put_foreign);
    sqlite3_finalize(s->find_state);
    ps_db_close(&s->db);
    free(s->rows);
    free(s);
}

static int open_store(struct ps_store **ret, const char *target, enum ps_store_mode mode,
                      struct ps_err *e)
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ps_fail(e, PS_ENOMEM, "store: no memory");
    int r = ps_db_open(&s->db, target, mode == PS_STORE_READ ? DB_READ : DB_WRITE, &kind, e);
    if (r < 0) {
        free(s);
        return r;
    }
    if (mode == PS_STORE_WRITE) {
        s->rows = calloc(PS_BATCH_EVENTS_MAX, sizeof *s->rows);
        r = s->rows == NULL ? ps_fail(e, PS_ENOMEM, "store: no memory for a batch")
                            : ps_batch_vtab_register(&s->db, &s->source, e);
    }
    if (r < 0) {
        close_store(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}

static int read_position(struct ps_store *store, uint32_t partition, uint64_t *ret_position,
                         uint64_t *ret_watermark, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "SELECT position, watermark FROM positions WHERE partition = ?",
                          &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(q, 1, partition);
    int step = sqlite3_step(q);
    if (step == SQLITE_ROW || step == SQLITE_DONE) {
        *ret_position = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
        *ret_watermark = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 1) : 0;
    } else {
        r = ps_db_fail(&s->db, e, "positions");
    }
    sqlite3_finalize(q);
    return r;
}

static int read_redo(struct ps_store *store, uint32_t partition, ps_redo_fn *fn, void *ctx,
                     struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db,
                          "SELECT first_position, next_position, count, fresh FROM redo WHERE"
                          " partition = ? ORDER BY first_position",
                          &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(q, 1, partition);
    int step = SQLITE_DONE;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct ps_redo redo = {
            .partition = partition,
            .first_position = (uint64_t)sqlite3_column_int64(q, 0),
            .next_position = (uint64_t)sqlite3_column_int64(q, 1),
            .count = (size_t)sqlite3_column_int64(q, 2),
            .fresh = sqlite3_column_blob(q, 3),
        };
        r = (size_t)sqlite3_column_bytes(q, 3) == (redo.count + 7) / 8
                ? fn(ctx, &redo)
                : ps_fail(e, PS_ECORRUPT, "store: a redo record of the wrong length");
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "redo");
    sqlite3_finalize(q);
    return r;
}

static int freeze(struct ps_store *store, bool on, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    if (s->frozen == on)
        return 0;
    /* BEGIN alone takes no snapshot: the first read does. */
    int r = ps_db_exec(&s->db, on ? "BEGIN; SELECT count(*) FROM positions" : "END", e);
    if (r == 0)
        s->frozen = on;
    return r;
}

static int transact(struct ps_store *store, enum ps_transact what, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    PS_ASSERT(!s->frozen);
    if (what == PS_BEGIN)
        return ps_db_hold(&s->db, e);
    int r = what == PS_ROLLBACK ? PS_ESTOP : s->view_is_stale ? ps_sqlite_make_view(s, e) : 0;
    r = ps_db_release(&s->db, r, e);
    if (r < 0) /* words and tables may be gone */
        ps_sqlite_forget_days(s);
    return r;
}

static void limit_log(struct ps_store *store, uint64_t max_bytes)
{
    ps_wal_limit(&sqlite_of(store)->db, max_bytes);
}

static int pressure(struct ps_store *store, struct ps_err *e)
{
    return ps_wal_pressure(&sqlite_of(store)->db, e);
}

static int read_meta(struct ps_store *store, const char *name, int64_t *ret, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "SELECT value FROM meta WHERE name = ?", &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(q);
    if (step == SQLITE_ROW)
        *ret = sqlite3_column_int64(q, 0);
    else
        r = step == SQLITE_DONE ? ps_fail(e, PS_ENOENT, "store: there is no %s", name)
                                : ps_db_fail(&s->db, e, "meta");
    sqlite3_finalize(q);
    return r;
}

static int write_meta(struct ps_store *store, const char *name, int64_t value, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = ps_db_execf(&s->db, e, "INSERT OR REPLACE INTO meta VALUES (%Q, %lld)", name,
                    (long long)value);
    return ps_db_end(&s->db, r, e);
}

const struct ps_store_ops ps_store_sqlite = {
    .name = "sqlite",
    .open = open_store,
    .close = close_store,
    .apply = ps_sqlite_apply,
    .settle = ps_sqlite_settle,
    .position = read_position,
    .redo = read_redo,
    .stats = ps_sqlite_stats,
    .events = ps_sqlite_events,
    .days = ps_sqlite_days,
    .freeze = freeze,
    .transact = transact,
    .limit_log = limit_log,
    .pressure = pressure,
    .meta = read_meta,
    .set_meta = write_meta,
};
