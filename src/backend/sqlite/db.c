/* db.c - see db.h.
 *
 * SQLite's own busy handler polls and is not fair: a thread that commits without pause starves the
 * others. Writers of one file in this process therefore take numbered turns.
 *
 * synchronous is FULL: the queue is trimmed once a settle has committed, so that commit must have
 * reached the disk. One sync a batch costs nothing that can be measured.
 *
 * secure_delete is off: a dropped day would otherwise be overwritten page by page under the write
 * lock. Free pages hold no raw client address (I7); docs/decisions/0002 has the figures.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/db.h"

#include "base/check.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 5000 };

struct turn {
    struct turn *next;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t taken, served;
    unsigned users;
    char file[];
};

static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;
static struct turn *turns;

static struct turn *find_turn(const char *file)
{
    pthread_mutex_lock(&turns_lock);
    struct turn *t = turns;
    while (t != NULL && strcmp(t->file, file) != 0)
        t = t->next;
    if (t == NULL) {
        t = calloc(1, sizeof *t + strlen(file) + 1);
        if (t == NULL) {
            pthread_mutex_unlock(&turns_lock);
            return NULL;
        }
        strcpy(t->file, file);
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->changed, NULL);
        t->next = turns;
        turns = t;
    }
    t->users++;
    pthread_mutex_unlock(&turns_lock);
    return t;
}

static void drop_turn(struct turn *t)
{
    pthread_mutex_lock(&turns_lock);
    if (--t->users == 0) {
        struct turn **link = &turns;
        while (*link != t)
            link = &(*link)->next;
        *link = t->next;
        pthread_mutex_destroy(&t->lock);
        pthread_cond_destroy(&t->changed);
        free(t);
    }
    pthread_mutex_unlock(&turns_lock);
}

static void take_turn(struct turn *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t mine = t->taken++;
    while (t->served != mine)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void pass_turn(struct turn *t)
{
    pthread_mutex_lock(&t->lock);
    t->served++;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

int ps_db_fail(struct db *db, struct ps_err *e, const char *what)
{
    int code;
    switch (sqlite3_errcode(db->handle)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = PS_EBUSY; break;
    case SQLITE_FULL: code = PS_EFULL; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = PS_ECORRUPT; break;
    case SQLITE_NOMEM: code = PS_ENOMEM; break;
    case SQLITE_READONLY:
    case SQLITE_PERM: code = PS_EDENIED; break;
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT: code = PS_EINVAL; break;
    default: code = PS_EIO; break;
    }
    return ps_fail(e, code, "sqlite: %s: %s", what, sqlite3_errmsg(db->handle));
}

int ps_db_exec(struct db *db, const char *sql, struct ps_err *e)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : ps_db_fail(db, e, "statement");
}

int ps_db_execf(struct db *db, struct ps_err *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    if (sql == NULL)
        return ps_fail(e, PS_ENOMEM, "sqlite: no memory for a statement");
    int r = ps_db_exec(db, sql, e);
    sqlite3_free(sql);
    return r;
}

int ps_db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct ps_err *e)
{
    return sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) ==
                   SQLITE_OK
               ? 0
               : ps_db_fail(db, e, "prepare");
}

int ps_db_run(struct db *db, sqlite3_stmt *statement, struct ps_err *e)
{
    int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : ps_db_fail(db, e, "write");
    sqlite3_reset(statement);
    return r;
}

void ps_db_bind_str(sqlite3_stmt *statement, int index, struct ps_str s)
{
    if (s.ptr == NULL)
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_text(statement, index, s.ptr, (int)s.len, SQLITE_STATIC);
}

struct ps_str ps_db_column_str(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return PS_STR_NONE;
    const void *ptr = sqlite3_column_blob(statement, column);
    struct ps_str s = {ptr, (size_t)sqlite3_column_bytes(statement, column)};
    return s.ptr != NULL ? s : PS_STR("");
}

int ps_db_open(struct db *ret, const char *file, enum db_mode mode, struct ps_err *e)
{
    struct db db = {0};
    int flags = mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (mode == DB_READ && access(file, F_OK) != 0)
        return ps_fail(e, PS_ENOENT, "there is no %s yet: import a log or start the server first",
                       file);
    int r = 0;
    if (sqlite3_open_v2(file, &db.handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = ps_db_fail(&db, e, file);
    if (r == 0) {
        sqlite3_busy_timeout(db.handle, BUSY_TIMEOUT_MS);
        r = ps_db_exec(&db,
                       mode == DB_READ ? "PRAGMA cache_size = -16384; PRAGMA query_only = 1"
                                       : "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                                         "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;"
                                         "PRAGMA wal_autocheckpoint = 10000;"
                                         "PRAGMA journal_size_limit = 268435456;"
                                         "PRAGMA secure_delete = 0; PRAGMA temp_store = FILE",
                       e);
    }
    if (r == 0 && (db.turn = find_turn(file)) == NULL)
        r = ps_fail(e, PS_ENOMEM, "%s: no memory", file);
    if (r < 0) {
        sqlite3_close_v2(db.handle);
        return r;
    }
    *ret = db;
    return 0;
}

void ps_db_close(struct db *db)
{
    PS_ASSERT(!db->writing && !db->held);
    sqlite3_close_v2(db->handle);
    drop_turn(db->turn);
}

static void roll_back(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static int begin(struct db *db, struct ps_err *e)
{
    take_turn(db->turn);
    roll_back(db); /* the last one may have found no memory for it */
    int r = ps_db_exec(db, "BEGIN IMMEDIATE", e);
    if (r < 0)
        pass_turn(db->turn);
    return r;
}

static int end(struct db *db, int outcome, struct ps_err *e)
{
    if (outcome >= 0) {
        int r = ps_db_exec(db, "COMMIT", e);
        outcome = r < 0 ? r : outcome;
    }
    if (outcome < 0)
        roll_back(db);
    pass_turn(db->turn);
    return outcome;
}

int ps_db_begin(struct db *db, struct ps_err *e)
{
    PS_ASSERT(!db->writing);
    int r = db->held ? 0 : begin(db, e);
    db->writing = r == 0;
    return r;
}

int ps_db_end(struct db *db, int outcome, struct ps_err *e)
{
    PS_ASSERT(db->writing);
    db->writing = false;
    return db->held ? outcome : end(db, outcome, e);
}

int ps_db_hold(struct db *db, struct ps_err *e)
{
    PS_ASSERT(!db->writing && !db->held);
    int r = begin(db, e);
    db->held = r == 0;
    return r;
}

int ps_db_release(struct db *db, int outcome, struct ps_err *e)
{
    PS_ASSERT(!db->writing && db->held);
    db->held = false;
    return end(db, outcome, e);
}

static int read_version(struct db *db, int *ret, struct ps_err *e)
{
    sqlite3_stmt *statement;
    int r = ps_db_prepare(db, "PRAGMA user_version", &statement, e);
    if (r < 0)
        return r;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret = sqlite3_column_int(statement, 0);
    else
        r = ps_db_fail(db, e, "user_version");
    sqlite3_finalize(statement);
    return r;
}

static int fail_newer(int version, int count, struct ps_err *e)
{
    return ps_fail(e, PS_EINVAL,
                   "the database has schema %d, this pathstats knows up to %d: use a newer one",
                   version, count);
}

int ps_db_check(struct db *db, int count, struct ps_err *e)
{
    int version;
    int r = read_version(db, &version, e);
    if (r == 0 && version > count)
        r = fail_newer(version, count, e);
    if (r == 0 && version < count)
        r = ps_fail(e, PS_EINVAL,
                    "the database has schema %d, this pathstats wants %d: let `pathstats serve` or "
                    "`import` open it once",
                    version, count);
    return r;
}

int ps_db_migrate(struct db *db, const char *const *migrations, int count, struct ps_err *e)
{
    int version = 0;
    int r = ps_db_begin(db, e);
    if (r < 0)
        return r;
    r = read_version(db, &version, e);
    if (r == 0 && version > count)
        r = fail_newer(version, count, e);
    for (int i = version; r == 0 && i < count; i++)
        r = ps_db_exec(db, migrations[i], e);
    if (r == 0 && version < count)
        r = ps_db_execf(db, e, "PRAGMA user_version = %d", count);
    return ps_db_end(db, r, e);
}
