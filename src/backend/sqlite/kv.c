/* kv.c - `ps_kv_sqlite`: a table of names in a file of its own, so that a heartbeat never waits for
 * the store's writer.
 *
 * All of it can be made anew: a file that is damaged when it is opened for writing is set aside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/registry.h"
#include "backend/sqlite/db.h"
#include "base/check.h"
#include "base/disk.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static const struct db_kind kind = {
    .application_id = 0x50534b56, /* "PSKV" */
    .table = "kv",
    .migrations = migrations,
    .count = PS_COUNT_OF(migrations),
};

static struct sqlite_kv *kv_of(struct ps_kv *kv)
{
    return (struct sqlite_kv *)kv;
}

/* --- opening --- */

static int check_pages(struct db *db, struct ps_err *e)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(db, "PRAGMA quick_check(1)", &q, e);
    if (r < 0)
        return r;
    if (sqlite3_step(q) != SQLITE_ROW)
        r = ps_db_fail(db, e, "quick_check");
    else if (!ps_str_equal(ps_db_column_str(q, 0), PS_STR("ok")))
        r = ps_fail(e, PS_ECORRUPT, "%s: %s", db->turn->file, sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    return r;
}

static int open_checked(struct db *db, const char *file, struct ps_err *e)
{
    int r = ps_db_open(db, file, DB_WRITE, &kind, e);
    if (r < 0)
        return r;
    r = check_pages(db, e);
    if (r < 0)
        ps_db_close(db);
    return r;
}

static void set_part_aside(const char *file, const char *aside, const char *suffix)
{
    char from[PATH_MAX], to[PATH_MAX];
    int n = snprintf(from, sizeof from, "%s%s", file, suffix);
    int m = snprintf(to, sizeof to, "%s%s", aside, suffix);
    if (n < (int)sizeof from && m < (int)sizeof to)
        ps_disk_rename(AT_FDCWD, from, to);
}

/* "kv.db.broken-20251015T120000Z", with its log. */
static int set_aside(const char *file, char ret_note[PS_ERR_TEXT_MAX], struct ps_err *e)
{
    char aside[PATH_MAX], stamp[PS_ISO_LEN + 1];
    struct ps_err said;
    ps_time_format_iso(stamp, ps_clock_now_ms(ps_clock_system()));
    int n = snprintf(aside, sizeof aside, "%s.broken-%.4s%.2s%.5s%.2s%.2sZ", file, stamp, stamp + 5,
                     stamp + 8, stamp + 14, stamp + 17);
    if (n >= (int)sizeof aside)
        return ps_fail(e, PS_EINVAL, "%s: the name is too long", file);
    if (ps_disk_rename(AT_FDCWD, file, aside) < 0)
        return ps_fail(e, PS_EIO, "%s is damaged and cannot be renamed to %s: %s", file, aside,
                       strerror(errno));
    set_part_aside(file, aside, "-wal");
    set_part_aside(file, aside, "-shm");
    ps_fail(&said, PS_ECORRUPT,
            "%s was damaged and is made anew; the old one is %s (it held snapshots and the "
            "heartbeat, no events)",
            file, aside);
    memcpy(ret_note, said.text, sizeof said.text);
    return 0;
}

static int open_to_write(struct sqlite_kv *kv, const char *file, struct ps_err *e)
{
    struct ps_err why = {0};
    int r = open_checked(&kv->db, file, &why);
    if (r == PS_ECORRUPT) {
        r = set_aside(file, kv->base.note, &why);
        if (r == 0)
            r = open_checked(&kv->db, file, &why);
    }
    return r < 0 ? ps_fail(e, r, "%s", why.text) : 0;
}

static int open_kv(struct ps_kv **ret, const char *target, bool read_only, struct ps_err *e)
{
    struct sqlite_kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        return ps_fail(e, PS_ENOMEM, "kv: no memory");
    int r =
        read_only ? ps_db_open(&kv->db, target, DB_READ, &kind, e) : open_to_write(kv, target, e);
    if (r < 0) {
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
    int r = ps_db_begin(&kv->db, DB_LITTLE, e);
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
