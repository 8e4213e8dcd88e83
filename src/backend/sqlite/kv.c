/* kv.c - `ps_kv_sqlite`: a table of names in a file of its own, so that a heartbeat never waits for
 * the store's writer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/registry.h"
#include "backend/sqlite/db.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

struct sqlite_kv {
    struct ps_kv base;
    struct db db;
    pthread_mutex_t lock; /* the connection serves one thread at a time */
};

static const char *const migrations[] = {
    "CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB NOT NULL, expires INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX kv_expires ON kv(expires) WHERE expires > 0;",
};

static struct sqlite_kv *kv_of(struct ps_kv *kv)
{
    return (struct sqlite_kv *)kv;
}

static int open_kv(struct ps_kv **ret, const char *target, bool read_only, struct ps_err *e)
{
    struct sqlite_kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        return ps_fail(e, PS_ENOMEM, "kv: no memory");
    int r = ps_db_open(&kv->db, target, read_only ? DB_READ : DB_WRITE, e);
    if (r < 0) {
        free(kv);
        return r;
    }
    r = read_only ? 0 : ps_db_migrate(&kv->db, migrations, PS_COUNT_OF(migrations), e);
    if (r < 0) {
        ps_db_close(&kv->db);
        free(kv);
        return r;
    }
    pthread_mutex_init(&kv->lock, NULL);
    *ret = &kv->base;
    return 0;
}

static void close_kv(struct ps_kv *base)
{
    struct sqlite_kv *kv = kv_of(base);
    ps_db_close(&kv->db);
    pthread_mutex_destroy(&kv->lock);
    free(kv);
}

static void bind_blob(sqlite3_stmt *q, int index, struct ps_str s)
{
    sqlite3_bind_blob(q, index, s.len == 0 ? "" : s.ptr, (int)s.len, SQLITE_STATIC);
}

static int get_value(struct ps_kv *base, struct ps_str key, int64_t now_ms, struct ps_buf *ret,
                     struct ps_err *e)
{
    struct sqlite_kv *kv = kv_of(base);
    sqlite3_stmt *q;
    pthread_mutex_lock(&kv->lock);
    int r = ps_db_prepare(
        &kv->db, "SELECT value FROM kv WHERE key = ? AND (expires = 0 OR expires > ?)", &q, e);
    if (r == 0) {
        bind_blob(q, 1, key);
        sqlite3_bind_int64(q, 2, now_ms);
        int step = sqlite3_step(q);
        struct ps_str value = step == SQLITE_ROW ? ps_db_column_str(q, 0) : PS_STR_NONE;
        if (step == SQLITE_ROW)
            r = ps_buf_append(ret, value.ptr, value.len);
        else if (step == SQLITE_DONE)
            r = ps_fail(e, PS_ENOENT, "kv: there is no %.*s", (int)key.len, key.ptr);
        else
            r = ps_db_fail(&kv->db, e, "kv");
        sqlite3_finalize(q);
    }
    pthread_mutex_unlock(&kv->lock);
    return r;
}

/* Runs one statement in its turn; binds key, value, number as far as the SQL has parameters. */
static int write_kv(struct ps_kv *base, const char *sql, struct ps_str key, struct ps_str value,
                    int64_t number, int *ret_changes, struct ps_err *e)
{
    struct sqlite_kv *kv = kv_of(base);
    sqlite3_stmt *q;
    pthread_mutex_lock(&kv->lock);
    int r = ps_db_begin(&kv->db, e);
    if (r == 0) {
        r = ps_db_prepare(&kv->db, sql, &q, e);
        if (r == 0) {
            bind_blob(q, 1, key);
            bind_blob(q, 2, value);
            sqlite3_bind_int64(q, 3, number);
            r = ps_db_run(&kv->db, q, e);
            *ret_changes = sqlite3_changes(kv->db.handle);
            sqlite3_finalize(q);
        }
        r = ps_db_end(&kv->db, r, e);
    }
    pthread_mutex_unlock(&kv->lock);
    return r;
}

static int put_value(struct ps_kv *base, struct ps_str key, struct ps_str value, int64_t ttl_ms,
                     int64_t now_ms, struct ps_err *e)
{
    int changes;
    return write_kv(base, "INSERT OR REPLACE INTO kv(key, value, expires) VALUES (?1, ?2, ?3)", key,
                    value, ttl_ms == 0 ? 0 : now_ms + ttl_ms, &changes, e);
}

static int remove_value(struct ps_kv *base, struct ps_str key, struct ps_err *e)
{
    int changes;
    return write_kv(base, "DELETE FROM kv WHERE key = ?1", key, PS_STR_NONE, 0, &changes, e);
}

static int purge(struct ps_kv *base, int64_t now_ms, struct ps_err *e)
{
    int changes = 0;
    int r = write_kv(base, "DELETE FROM kv WHERE expires > 0 AND expires <= ?3", PS_STR_NONE,
                     PS_STR_NONE, now_ms, &changes, e);
    return r < 0 ? r : changes;
}

static int list_keys(struct ps_kv *base, struct ps_str prefix, int64_t now_ms, ps_kv_fn *fn,
                     void *ctx, struct ps_err *e)
{
    struct sqlite_kv *kv = kv_of(base);
    sqlite3_stmt *q;
    pthread_mutex_lock(&kv->lock);
    int r = ps_db_prepare(&kv->db,
                          "SELECT key, expires FROM kv WHERE key >= ?1 AND (expires = 0 OR expires"
                          " > ?2) ORDER BY key",
                          &q, e);
    if (r == 0) {
        int step = SQLITE_DONE;
        bind_blob(q, 1, prefix);
        sqlite3_bind_int64(q, 2, now_ms);
        while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
            struct ps_str key = ps_db_column_str(q, 0);
            if (key.len < prefix.len || ps_bytes_compare(key.ptr, prefix.ptr, prefix.len) != 0)
                break;
            r = fn(ctx, key, sqlite3_column_int64(q, 1));
        }
        if (r == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
            r = ps_db_fail(&kv->db, e, "kv");
        sqlite3_finalize(q);
    }
    pthread_mutex_unlock(&kv->lock);
    return r;
}

const struct ps_kv_ops ps_kv_sqlite = {
    .name = "sqlite",
    .open = open_kv,
    .close = close_kv,
    .get = get_value,
    .put = put_value,
    .remove = remove_value,
    .list = list_keys,
    .purge = purge,
};
