/* state.c - folders, and what is in them after all is done. See sweep.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fault/sweep/sweep.h"

#include "backend/registry.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BUSY_MS = 5000, OPEN_FILES_MAX = 16 };

/* --- folders --- */

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char bytes[64 * 1024];
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (in < 0 || out < 0)
        abort();
    while ((n = read(in, bytes, sizeof bytes)) > 0)
        if (write(out, bytes, (size_t)n) != n)
            abort();
    close(in);
    close(out);
}

void copy_folder(const char *from, const char *to)
{
    DIR *d = opendir(from);
    if (d == NULL) /* a scenario that begins with nothing */
        return;
    if (mkdir(to, 0750) < 0)
        abort();
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char a[PATH_MAX], b[PATH_MAX];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(a, sizeof a, "%s/%s", from, entry->d_name) >= PATH_MAX ||
            snprintf(b, sizeof b, "%s/%s", to, entry->d_name) >= PATH_MAX || stat(a, &st) < 0)
            abort();
        if (S_ISDIR(st.st_mode))
            copy_folder(a, b);
        else
            copy_file(a, b, st.st_mode & 0777);
    }
    closedir(d);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void remove_folder(const char *path)
{
    nftw(path, remove_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}

/* --- the database --- */

static sqlite3 *open_database(const char *data, int flags)
{
    char file[PATH_MAX];
    sqlite3 *db = NULL;
    snprintf(file, sizeof file, "%s/pathstats.db", data);
    if (access(file, F_OK) != 0 || sqlite3_open_v2(file, &db, flags, NULL) != SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, BUSY_MS);
    return db;
}

static long ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    long n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = (long)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

bool count_events(const char *data, long *ret_stored, long *ret_counted)
{
    sqlite3 *db = open_database(data, SQLITE_OPEN_READONLY);
    if (db == NULL)
        return false;
    *ret_stored = ask(db, "SELECT count(*) FROM traffic_events");
    *ret_counted = ask(db, "SELECT coalesce(sum(requests), 0) FROM path_stats_hourly");
    sqlite3_close(db);
    return *ret_stored >= 0 && *ret_counted >= 0;
}

struct text {
    char *to;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->len += (size_t)vsnprintf(t->to + t->len, SWEEP_STATE_MAX - t->len, format, args);
    va_end(args);
    if (t->len >= SWEEP_STATE_MAX)
        abort();
}

static void add_rows(struct text *t, sqlite3 *db, const char *what, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        add(t, "%s: %s\n", what, sqlite3_errmsg(db));
    while (sqlite3_step(s) == SQLITE_ROW) {
        add(t, "%s", what);
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const char *column = (const char *)sqlite3_column_text(s, i);
            add(t, " %.80s", column == NULL ? "-" : column); /* long paths by their beginning */
        }
        add(t, "\n");
    }
    sqlite3_finalize(s);
}

/* --- objects --- */

static void add_object(struct text *t, const char *path, const char *name)
{
    char bytes[4096];
    unsigned long sum = crc32(0, NULL, 0);
    size_t size = 0, n;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        abort();
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0) {
        sum = crc32(sum, (const Bytef *)bytes, (uInt)n);
        size += n;
    }
    fclose(f);
    add(t, "object %s %zu %08lx\n", name, size, sum);
}

static void add_objects(struct text *t, const char *folder, size_t root_len)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 &&
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < PATH_MAX) {
            if (entries[i]->d_type == DT_DIR)
                add_objects(t, path, root_len);
            else
                add_object(t, path, path + root_len);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

void describe(const char *data, char to[SWEEP_STATE_MAX])
{
    char folder[PATH_MAX];
    struct text t = {to, 0};
    to[0] = '\0';
    sqlite3 *db = open_database(data, SQLITE_OPEN_READWRITE);
    if (db == NULL) {
        add(&t, "there is no database\n");
        return;
    }
    add_rows(&t, db, "integrity", "PRAGMA integrity_check");
    add_rows(&t, db, "event",
             "SELECT id, count(*), min(length(path)) FROM traffic_events "
             "GROUP BY id ORDER BY id");
    add_rows(&t, db, "row",
             "SELECT length(path), hour_bucket, requests, errors, sum_response_time, "
             "unique_ips_seen, path FROM path_stats_hourly ORDER BY path, hour_bucket");
    add_rows(&t, db, "day",
             "SELECT date, status, record_count FROM archive_metadata ORDER BY date");
    sqlite3_close(db);
    snprintf(folder, sizeof folder, "%s/objects", data);
    add_objects(&t, folder, strlen(folder) + 1);
}

void read_secret_file(const char *data, char to[65])
{
    char file[PATH_MAX];
    unsigned char bytes[32];
    to[0] = '\0';
    snprintf(file, sizeof file, "%s/secret", data);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
    if (fd >= 0)
        close(fd);
}

long count_letters(const char *data)
{
    char folder[PATH_MAX];
    struct ps_queue *queue = NULL;
    struct ps_queue_info info;
    struct ps_err e = {0};
    const struct ps_queue_limits limits = {
        .bytes_max = 1 << 30, .segment_bytes = 1 << 26, .dead_letter_bytes_max = 1 << 28};
    snprintf(folder, sizeof folder, "%s/queue", data);
    int r = ps_queue_open(ps_queue_backend("file"), &queue, folder, PS_QUEUE_READ, &limits, &e);
    if (r == PS_ENOENT)
        return 0;
    if (r == 0)
        r = ps_queue_info(queue, &info, &e);
    if (r < 0)
        printf("# queue: %s\n", e.text);
    ps_queue_close(queue);
    return r < 0 ? -1 : (long)info.dead_letters;
}
