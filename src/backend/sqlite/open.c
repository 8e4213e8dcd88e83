/* open.c - opening a database: is it ours, how may it be read, and what is new in its schema.
 *
 * Nothing is written to a file before it is known to be ours: another program's database is left as
 * it was.
 *
 * synchronous is FULL: the queue is trimmed once a settle has committed, so that commit must have
 * reached the disk. One sync a batch costs nothing that can be measured.
 *
 * secure_delete is off: a dropped day would otherwise be overwritten page by page under the write
 * lock. Free pages hold no raw client address (I7); docs/decisions/0002 has the figures.
 *
 * Reading needs a -shm file beside the database, which SQLite makes where it may. In a folder that
 * cannot be written it uses the one of a running server. Without a server and without a log the
 * file alone is complete, and is read as one that nobody changes (immutable).
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/db.h"

#include "base/buf.h"
#include "base/check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { URI_BYTES_MAX = 3 * PATH_MAX + 64, BUSY_TIMEOUT_MS = 5000 };

/* --- is it ours --- */

static int fail_foreign(struct db *db, int64_t version, int64_t application, struct ps_err *e)
{
    return ps_fail(e, PS_ECORRUPT,
                   "%s is a database of another program (user_version %lld, application_id %lld): "
                   "move it away, or name another folder with --data-dir",
                   db->turn->file, (long long)version, (long long)application);
}

static int check_version(struct db *db, enum db_mode mode, int64_t version, int count,
                         struct ps_err *e)
{
    if (version > count)
        return ps_fail(e, PS_EINVAL,
                       "%s has schema %lld, this pathstats knows up to %d: use a newer one",
                       db->turn->file, (long long)version, count);
    if (mode == DB_READ && version < count)
        return ps_fail(e, PS_EINVAL,
                       "%s has schema %lld, this pathstats wants %d: let `pathstats serve` or "
                       "`import` open it once",
                       db->turn->file, (long long)version, count);
    return 0;
}

/* An empty file is nobody's yet. */
static int check_identity(struct db *db, enum db_mode mode, const struct db_kind *kind,
                          struct ps_err *e)
{
    int64_t version = 0, application = 0, entries = 0, has_table = 0;
    char sql[160];
    sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM sqlite_schema WHERE name = %Q",
                     kind->table);
    int r = ps_db_number(db, "SELECT count(*) FROM sqlite_schema", &entries, e);
    if (r == 0)
        r = ps_db_number(db, "PRAGMA user_version", &version, e);
    if (r == 0)
        r = ps_db_number(db, "PRAGMA application_id", &application, e);
    if (r == 0)
        r = ps_db_number(db, sql, &has_table, e);
    if (r < 0)
        return r;
    bool is_new = entries == 0 && version == 0 && application == 0;
    bool is_ours =
        version > 0 && has_table && (application == 0 || application == kind->application_id);
    if (!is_new && !is_ours)
        return fail_foreign(db, version, application, e);
    return check_version(db, mode, version, kind->count, e);
}

/* --- migrations --- */

static int migrate(struct db *db, const struct db_kind *kind, struct ps_err *e)
{
    int64_t version = 0, application = 0;
    int r = ps_db_begin(db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = check_identity(db, DB_WRITE, kind, e); /* another one may have made it meanwhile */
    if (r == 0)
        r = ps_db_number(db, "PRAGMA user_version", &version, e);
    if (r == 0)
        r = ps_db_number(db, "PRAGMA application_id", &application, e);
    for (int i = (int)version; r == 0 && i < kind->count; i++)
        r = ps_db_exec(db, kind->migrations[i], e);
    if (r == 0 && (version < kind->count || application == 0))
        r = ps_db_execf(db, e, "PRAGMA user_version = %d; PRAGMA application_id = %d", kind->count,
                        (int)kind->application_id);
    return ps_db_end(db, r, e);
}

/* --- opening --- */

static int connect(struct db *db, const char *name, int flags, struct ps_err *e)
{
    if (sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return ps_db_fail(db, e, "open");
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    return 0;
}

static void disconnect(struct db *db)
{
    sqlite3_close_v2(db->handle);
    db->handle = NULL;
}

/* SQLite would put its temporary files (what a long statement may have to undo, large sorts) into
 * /var/tmp: once that is full, nothing could be stored, whatever room there is here. The setting is
 * the process's: the folder of the database that is opened first, and if that is gone, /var/tmp
 * after all. */
static void choose_temporary_folder(const char *file)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", file);
    pthread_mutex_lock(&lock);
    if (sqlite3_temp_directory == NULL)
        sqlite3_temp_directory = sqlite3_mprintf("%s", dirname(copy));
    pthread_mutex_unlock(&lock);
}

static int open_to_write(struct db *db, const struct db_kind *kind, struct ps_err *e)
{
    int64_t page = 0;
    choose_temporary_folder(db->turn->file);
    int r = connect(db, db->turn->file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);
    if (r == 0)
        r = check_identity(db, DB_WRITE, kind, e);
    if (r == 0)
        r = ps_db_exec(db,
                       "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                       "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;"
                       "PRAGMA journal_size_limit = 167772160;"
                       "PRAGMA secure_delete = 0; PRAGMA temp_store = FILE",
                       e);
    if (r == 0)
        ps_wal_watch(db);
    if (r == 0)
        r = migrate(db, kind, e);
    if (r == 0)
        r = ps_db_number(db, "PRAGMA page_size", &page, e);
    db->page = (uint64_t)page;
    return r;
}

static bool folder_is_closed(const char *file)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", file);
    return access(dirname(copy), W_OK) != 0 && (errno == EACCES || errno == EROFS);
}

static bool has_log(const char *file)
{
    char name[PATH_MAX + 8];
    struct stat st;
    snprintf(name, sizeof name, "%s-wal", file);
    return stat(name, &st) == 0 && st.st_size > 0;
}

/* "file:/a%20b?immutable=1" */
static void format_uri(struct ps_buf *to, const char *file)
{
    ps_buf_text(to, "file:");
    for (const char *at = file; *at != '\0'; at++)
        ps_buf_format(to, strchr("%?#", *at) != NULL ? "%%%02x" : "%c", (unsigned char)*at);
    ps_buf_append(to, "?immutable=1", sizeof "?immutable=1");
}

static int open_closed_folder(struct db *db, struct ps_err *e)
{
    const char *file = db->turn->file;
    struct ps_buf uri;
    if (has_log(file))
        return ps_fail(
            e, PS_EDENIED,
            "%s has a write-ahead log (-wal) and this user may not write its folder: run "
            "this as its owner, or copy both files to a folder of your own",
            file);
    ps_buf_init(&uri, URI_BYTES_MAX);
    format_uri(&uri, file);
    int r = uri.failed ? ps_fail(e, uri.failed, "%s: the name is too long", file)
                       : connect(db, uri.ptr, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
    ps_buf_done(&uri);
    return r;
}

static int open_to_read(struct db *db, const struct db_kind *kind, struct ps_err *e)
{
    const char *file = db->turn->file;
    int64_t entries;
    if (access(file, F_OK) != 0 && errno == ENOENT)
        return ps_fail(e, PS_ENOENT, "there is no %s yet: import a log or start the server first",
                       file);
    int r = connect(db, file, SQLITE_OPEN_READONLY, e);
    if (r == 0)
        r = ps_db_number(db, "SELECT count(*) FROM sqlite_schema", &entries, e);
    int result = r < 0 ? sqlite3_errcode(db->handle) & 0xff : SQLITE_OK;
    if ((result == SQLITE_CANTOPEN || result == SQLITE_READONLY) && access(file, R_OK) == 0 &&
        folder_is_closed(file)) {
        disconnect(db);
        r = open_closed_folder(db, e);
    }
    if (r == 0)
        r = check_identity(db, DB_READ, kind, e);
    return r < 0 ? r : ps_db_exec(db, "PRAGMA cache_size = -16384; PRAGMA query_only = 1", e);
}

int ps_db_open(struct db *ret, const char *file, enum db_mode mode, const struct db_kind *kind,
               struct ps_err *e)
{
    PS_ASSERT(kind->count > 0 && kind->application_id != 0);
    *ret = (struct db){.turn = ps_turn_find(file)};
    if (ret->turn == NULL)
        return ps_fail(e, PS_ENOMEM, "%s: no memory", file);
    int r = mode == DB_READ ? open_to_read(ret, kind, e) : open_to_write(ret, kind, e);
    if (r < 0) {
        disconnect(ret);
        ps_turn_drop(ret->turn);
    }
    return r;
}
