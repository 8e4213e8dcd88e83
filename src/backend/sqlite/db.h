/* db.h - one SQLite connection: open, migrate, errors, and whose turn it is to write.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_DB_H
#define PS_BACKEND_SQLITE_DB_H

#include "base/err.h"
#include "base/str.h"

#include <sqlite3.h>

struct turn; /* fair lock of all writers of one file in this process */

struct db {
    sqlite3 *handle;
    struct turn *turn;
    bool writing;
    bool held; /* begin and end are parts of a longer transaction */
};

enum db_mode { DB_READ, DB_WRITE };

int ps_db_open(struct db *ret, const char *file, enum db_mode mode, struct ps_err *e);
void ps_db_close(struct db *db);
/* Applies the migrations the file does not have yet, in one transaction. */
int ps_db_migrate(struct db *db, const char *const *migrations, int count, struct ps_err *e);

/* For who only reads: PS_EINVAL unless the file has exactly these migrations. */
int ps_db_check(struct db *db, int count, struct ps_err *e);

/* Waits for its turn and begins; end commits or rolls back and passes the turn on. */
int ps_db_begin(struct db *db, struct ps_err *e);
int ps_db_end(struct db *db, int outcome, struct ps_err *e);

/* Until release, what lies between begin and end belongs to one transaction; once a part has
 * failed, release it with a failure. As ps_db_end otherwise. */
int ps_db_hold(struct db *db, struct ps_err *e);
int ps_db_release(struct db *db, int outcome, struct ps_err *e);

/* The ps_code of the connection's last failure, with its text. */
int ps_db_fail(struct db *db, struct ps_err *e, const char *what);
int ps_db_exec(struct db *db, const char *sql, struct ps_err *e);
/* printf-style SQL (sqlite3_mprintf: %q, %Q, %w). */
int ps_db_execf(struct db *db, struct ps_err *e, const char *format, ...);
int ps_db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct ps_err *e);
/* Steps a statement that returns no row, and resets it. */
int ps_db_run(struct db *db, sqlite3_stmt *statement, struct ps_err *e);
void ps_db_bind_str(sqlite3_stmt *statement, int index, struct ps_str s);
struct ps_str ps_db_column_str(sqlite3_stmt *statement, int column);

#endif
