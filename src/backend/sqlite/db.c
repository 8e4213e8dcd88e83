/* db.c - whose turn it is, failures, statements, transactions; see db.h.
 *
 * SQLite's own busy handler polls and is not fair: a thread that commits without pause starves the
 * others. Writers of one file in this process therefore take numbered turns.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/db.h"

#include "base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;
static struct turn *turns;

struct turn *ps_turn_find(const char *file)
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

void ps_turn_drop(struct turn *t)
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

/* --- failures --- */

struct remedy {
    int result; /* primary code of SQLite, or errno */
    enum ps_code code;
    const char *advice;
};

static const struct remedy remedies[] = {
    {SQLITE_BUSY, PS_EBUSY,
     "another program is writing to it (an open sqlite3 shell?); end that one, or wait for it"},
    {SQLITE_LOCKED, PS_EBUSY,
     "another program is writing to it (an open sqlite3 shell?); end that one, or wait for it"},
    {SQLITE_FULL, PS_EFULL, "make room on that disk, or set data_dir to a larger one"},
    {SQLITE_CORRUPT, PS_ECORRUPT,
     "stop pathstats, keep a copy, then put back a backup or try `sqlite3 FILE .recover`"},
    {SQLITE_NOTADB, PS_ECORRUPT, "put back a backup, or move this file away to begin a new one"},
    {SQLITE_NOMEM, PS_ENOMEM, "give it more memory, or make cache_size smaller"},
    {SQLITE_READONLY, PS_EDENIED, "let this user write that file and its folder"},
    {SQLITE_PERM, PS_EDENIED, "let this user write that file and its folder"},
    {SQLITE_AUTH, PS_EDENIED, "let this user write that file and its folder"},
    {SQLITE_CANTOPEN, PS_EIO, "let this user read and write that file and its folder"},
    {SQLITE_IOERR, PS_EIO, "look at that disk and at the system's log"},
    {SQLITE_TOOBIG, PS_EINVAL, ""},
    {SQLITE_MISMATCH, PS_EINVAL, ""},
    {SQLITE_CONSTRAINT, PS_EINVAL, ""},
};

/* What the system said decides where SQLite only knows that something failed. */
static const struct remedy system_remedies[] = {
    {EACCES, PS_EDENIED, "let this user read and write that file and its folder"},
    {EPERM, PS_EDENIED, "let this user read and write that file and its folder"},
    {EROFS, PS_EDENIED, "that disk is mounted read-only; set data_dir to one that is not"},
    {ENOSPC, PS_EFULL, "make room on that disk, or set data_dir to a larger one"},
    {EDQUOT, PS_EFULL, "make room, or have this user's quota raised"},
    {EFBIG, PS_EFULL, "raise the limit on the size of a file (`ulimit -f`, LimitFSIZE=)"},
    {EMFILE, PS_EIO, "raise the limit of open files (`ulimit -n`)"},
    {ENFILE, PS_EIO, "raise the system's limit of open files (fs.file-max)"},
};

static const struct remedy *remedy_of(int result, int error)
{
    static const struct remedy other = {SQLITE_ERROR, PS_EIO, ""};
    for (size_t i = 0; i < PS_COUNT_OF(system_remedies); i++)
        if (system_remedies[i].result == error)
            return &system_remedies[i];
    for (size_t i = 0; i < PS_COUNT_OF(remedies); i++)
        if (remedies[i].result == (result & 0xff))
            return &remedies[i];
    return &other;
}

int ps_db_fail(struct db *db, struct ps_err *e, const char *what)
{
    int result = sqlite3_errcode(db->handle) & 0xff;
    bool is_system = result == SQLITE_IOERR || result == SQLITE_CANTOPEN;
    int error = is_system ? sqlite3_system_errno(db->handle) : 0;
    const struct remedy *remedy = remedy_of(result, error);
    return ps_fail(e, remedy->code, "%s: %s%s%s%s (%s)%s%s", db->turn->file,
                   sqlite3_errmsg(db->handle), error != 0 ? " (" : "",
                   error != 0 ? strerror(error) : "", error != 0 ? ")" : "", what,
                   remedy->advice[0] != '\0' ? ": " : "", remedy->advice);
}

/* --- statements --- */

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
        return ps_fail(e, PS_ENOMEM, "store: no memory for a statement");
    int r = ps_db_exec(db, sql, e);
    sqlite3_free(sql);
    return r;
}

int ps_db_number(struct db *db, const char *sql, int64_t *ret, struct ps_err *e)
{
    sqlite3_stmt *statement;
    int r = ps_db_prepare(db, sql, &statement, e);
    if (r < 0)
        return r;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        r = ps_db_fail(db, e, sql);
    sqlite3_finalize(statement);
    return r;
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

void ps_db_close(struct db *db)
{
    PS_ASSERT(!db->writing && !db->held);
    sqlite3_close_v2(db->handle);
    ps_turn_drop(db->turn);
}

/* --- transactions --- */

static void roll_back(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    db->undone = !sqlite3_get_autocommit(db->handle); /* it found no memory */
}

/* Nobody reads what was never committed: a position of a batch that failed, say, would look as if
 * it had not (I4). */
static int roll_back_again(struct db *db, struct ps_err *e)
{
    if (!db->undone || db->writing || db->held)
        return 0;
    roll_back(db);
    return db->undone ? ps_fail(e, PS_ENOMEM,
                                "%s: what failed could not be undone yet: give it "
                                "more memory",
                                db->turn->file)
                      : 0;
}

int ps_db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct ps_err *e)
{
    int r = roll_back_again(db, e);
    if (r < 0)
        return r;
    return sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) ==
                   SQLITE_OK
               ? 0
               : ps_db_fail(db, e, "prepare");
}

static int begin(struct db *db, enum db_use use, struct ps_err *e)
{
    take_turn(db->turn);
    roll_back(db); /* the last one may have found no memory for it */
    int r = use == DB_MUCH ? ps_wal_admit(db, e) : 0;
    if (r == 0)
        r = ps_db_exec(db, "BEGIN IMMEDIATE", e);
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
    ps_wal_shrink(db);
    pass_turn(db->turn);
    return outcome;
}

int ps_db_begin(struct db *db, enum db_use use, struct ps_err *e)
{
    PS_ASSERT(!db->writing);
    int r = db->held ? 0 : begin(db, use, e);
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
    int r = begin(db, DB_MUCH, e);
    db->held = r == 0;
    return r;
}

int ps_db_release(struct db *db, int outcome, struct ps_err *e)
{
    PS_ASSERT(!db->writing && db->held);
    db->held = false;
    return end(db, outcome, e);
}
