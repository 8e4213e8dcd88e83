/* db.h - one SQLite connection: open, migrate, errors, whose turn it is to write, and how long the
 * write-ahead log may become.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_DB_H
#define PS_BACKEND_SQLITE_DB_H

#include "base/err.h"
#include "base/str.h"

#include <pthread.h>
#include <sqlite3.h>

/* Fair lock of all writers of one file in this process. */
struct turn {
    struct turn *next;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t taken, served;
    unsigned users;
    char file[];
};

/* What a file should be. */
struct db_kind {
    int32_t application_id; /* ours; 0 in files from before there was one */
    const char *table;      /* one that every such file has */
    const char *const *migrations;
    int count;
};

struct db {
    sqlite3 *handle;
    struct turn *turn;
    bool writing;
    bool held;         /* begin and end are parts of a longer transaction */
    bool undone;       /* a rollback failed: what it should undo is still seen by this handle */
    uint64_t page;     /* bytes; 0 while reading */
    uint64_t log;      /* bytes in the write-ahead log, as of the last commit here */
    uint64_t log_max;  /* see ps_wal_admit */
    int64_t pushed_ms; /* when readers were last waited for; monotonic */
    int log_result;    /* of the last attempt to shrink it */
};

enum db_mode { DB_READ, DB_WRITE };
enum db_use { DB_LITTLE, DB_MUCH /* events; not while readers keep the log too long */ };

/* open.c. Migrates, or for who only reads, PS_EINVAL unless the file has exactly these migrations.
 * PS_ECORRUPT: it is no database, or another program's. */
int ps_db_open(struct db *ret, const char *file, enum db_mode mode, const struct db_kind *kind,
               struct ps_err *e);
void ps_db_close(struct db *db);

/* Waits for its turn and begins; end commits or rolls back and passes the turn on. */
int ps_db_begin(struct db *db, enum db_use use, struct ps_err *e);
int ps_db_end(struct db *db, int outcome, struct ps_err *e);

/* Until release, what lies between begin and end belongs to one transaction; once a part has
 * failed, release it with a failure. As ps_db_end otherwise. */
int ps_db_hold(struct db *db, struct ps_err *e);
int ps_db_release(struct db *db, int outcome, struct ps_err *e);

/* The ps_code of the connection's last failure, with its text: the file, what is wrong, what to
 * do. */
int ps_db_fail(struct db *db, struct ps_err *e, const char *what);
int ps_db_exec(struct db *db, const char *sql, struct ps_err *e);
/* printf-style SQL (sqlite3_mprintf: %q, %Q, %w). */
int ps_db_execf(struct db *db, struct ps_err *e, const char *format, ...);
int ps_db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct ps_err *e);
/* Steps a statement that returns no row, and resets it. */
int ps_db_run(struct db *db, sqlite3_stmt *statement, struct ps_err *e);
/* The first column of the first row. */
int ps_db_number(struct db *db, const char *sql, int64_t *ret, struct ps_err *e);
void ps_db_bind_str(sqlite3_stmt *statement, int index, struct ps_str s);
struct ps_str ps_db_column_str(sqlite3_stmt *statement, int column);

struct turn *ps_turn_find(const char *file);
void ps_turn_drop(struct turn *t);

/* --- wal.c --- */

enum { PS_WAL_BYTES = 160 << 20 /* when it is written back */ };
#define PS_WAL_BYTES_MAX (UINT64_C(1) << 30)

/* From now on the log is watched, and held to a maximum. */
void ps_wal_watch(struct db *db);
void ps_wal_limit(struct db *db, uint64_t max_bytes);
/* After a commit: writes back what no reader needs any more. */
void ps_wal_shrink(struct db *db);
/* Before a transaction that writes much: PS_EBUSY while the log is at its maximum. */
int ps_wal_admit(struct db *db, struct ps_err *e);
/* PS_EBUSY with a text while readers keep it at half of its maximum or more. */
int ps_wal_pressure(struct db *db, struct ps_err *e);
/* Bytes of the log's file. */
uint64_t ps_wal_file_bytes(const struct db *db);

#endif
