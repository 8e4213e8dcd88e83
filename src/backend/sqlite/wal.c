/* wal.c - the write-ahead log is kept short.
 *
 * SQLite writes the log back into the database (a checkpoint) as far as the oldest reader allows,
 * and begins it anew once no reader uses it. A reader that keeps its transaction open therefore
 * makes it grow: 6.4 GB in a minute were seen. So
 *
 *   - from PS_WAL_BYTES on each commit writes back what it can without waiting (passive);
 *   - from half of the maximum on it also waits for readers, briefly and rarely (truncate): many
 *     short readers in turn hold the log as well as one long one;
 *   - at the maximum no more events are taken (PS_EBUSY). They wait in the queue, which has a limit
 *     of its own, until the reader ends. What else is written is little and goes on.
 *
 * docs/decisions/0018 says why so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
    PUSH_MS = 100, /* at most, for readers to end */
    PUSH_EVERY_MS = 1000,
    BUSY_TIMEOUT_MS = 5000,
};

static int note_pages(void *ctx, sqlite3 *handle, const char *schema, int pages)
{
    struct db *db = ctx;
    (void)handle;
    (void)schema;
    db->log = (uint64_t)pages * db->page;
    return SQLITE_OK;
}

void ps_wal_limit(struct db *db, uint64_t max_bytes)
{
    db->log_max = max_bytes;
}

void ps_wal_watch(struct db *db)
{
    ps_wal_limit(db, PS_WAL_BYTES_MAX);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    sqlite3_wal_hook(db->handle, note_pages, db);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Afterwards db->log is right, whoever wrote or shrank it. */
static void checkpoint(struct db *db, int mode)
{
    int pages = -1, done = -1;
    if (mode == SQLITE_CHECKPOINT_TRUNCATE)
        db->pushed_ms = now_ms();
    sqlite3_busy_timeout(db->handle, PUSH_MS);
    db->log_result = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, &pages, &done);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (pages >= 0)
        db->log = (uint64_t)pages * db->page;
}

static bool push_is_due(const struct db *db)
{
    return db->log >= db->log_max / 2 && now_ms() - db->pushed_ms >= PUSH_EVERY_MS;
}

void ps_wal_shrink(struct db *db)
{
    uint64_t from = db->log_max / 4 < PS_WAL_BYTES ? db->log_max / 4 : PS_WAL_BYTES;
    if (db->log >= from)
        checkpoint(db, push_is_due(db) ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE);
}

static const char *format_mib(char to[32], uint64_t bytes)
{
    snprintf(to, 32, "%" PRIu64 " MiB", bytes >> 20);
    return to;
}

static int fail_long(struct db *db, const char *consequence, struct ps_err *e)
{
    char size[32], max[32];
    const char *file = db->turn->file;
    format_mib(size, db->log);
    format_mib(max, db->log_max);
    if (db->log_result != SQLITE_OK && (db->log_result & 0xff) != SQLITE_BUSY)
        return ps_fail(e, PS_EBUSY,
                       "%s-wal has %s of %s (max_wal_size)%s: it cannot be written back: %s", file,
                       size, max, consequence, sqlite3_errstr(db->log_result));
    return ps_fail(
        e, PS_EBUSY,
        "%s-wal has %s of %s (max_wal_size)%s: a program that reads the database keeps a "
        "transaction open; end it (`fuser %s-shm` names the processes)",
        file, size, max, consequence, file);
}

int ps_wal_admit(struct db *db, struct ps_err *e)
{
    if (db->log < db->log_max)
        return 0;
    checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    return db->log < db->log_max ? 0 : fail_long(db, ", so no events are stored", e);
}

int ps_wal_pressure(struct db *db, struct ps_err *e)
{
    if (push_is_due(db)) /* the reader may be gone, and nobody writes */
        checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    return db->log < db->log_max / 2 ? 0 : fail_long(db, "", e);
}

uint64_t ps_wal_file_bytes(const struct db *db)
{
    char name[4096];
    struct stat st;
    int n = snprintf(name, sizeof name, "%s-wal", db->turn->file);
    return n < (int)sizeof name && stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}
