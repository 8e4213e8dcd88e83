/* stats.c - the rows of hourly_rows, which people see as path_stats_hourly.
 * SPDX-License-Identifier: MIT */
#include "backend/sqlite/store.h"

#include "base/check.h"
#include "base/time.h"

#include <string.h>

/* In the order of columns[] and of hand_on. */
#define NUMBERS                                                                                    \
    "path, hour_bucket, requests, errors, sum_us, count_us, min_us, max_us, p50_us, p95_us, "      \
    "p99_us,"                                                                                      \
    " sum_bytes, count_bytes, unique_seen, unique_estimate"
#define COLUMNS NUMBERS ", samples, sample_keys, clients, sketch, methods, statuses"
static void bind_text(sqlite3_stmt *q, int index, struct ps_str s)
{
    sqlite3_bind_text(q, index, s.len == 0 ? "" : s.ptr, (int)s.len, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *q, int index, struct ps_str s)
{
    sqlite3_bind_blob(q, index, s.len == 0 ? "" : s.ptr, (int)s.len, SQLITE_STATIC);
}

/* NULL where no event carried a time. */
static void bind_time(sqlite3_stmt *q, int index, const struct ps_stat *stat, uint64_t us)
{
    if (stat->count_us > 0)
        sqlite3_bind_int64(q, index, (int64_t)us);
    else
        sqlite3_bind_null(q, index);
}

static void bind_row(sqlite3_stmt *q, const struct ps_stat_row *row, const char *hour,
                     int64_t now_ms)
{
    const struct ps_stat *stat = &row->stat;
    const uint64_t counts[] = {stat->requests, stat->errors, stat->sum_us, stat->count_us};
    const uint64_t times[] = {stat->min_us, stat->max_us, stat->p50_us, stat->p95_us, stat->p99_us};
    const uint64_t more[] = {stat->sum_bytes, stat->count_bytes, stat->unique_seen,
                             stat->unique_estimate};
    ps_db_bind_str(q, 1, row->path);
    sqlite3_bind_text(q, 2, hour, PS_HOUR_LEN, SQLITE_STATIC);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_int64(q, 3 + i, (int64_t)counts[i]);
    for (int i = 0; i < 5; i++)
        bind_time(q, 7 + i, stat, times[i]);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_int64(q, 12 + i, (int64_t)more[i]);
    bind_text(q, 16, stat->samples);
    bind_blob(q, 17, stat->sample_keys);
    bind_blob(q, 18, stat->clients);
    bind_blob(q, 19, stat->sketch);
    bind_text(q, 20, stat->methods);
    bind_text(q, 21, stat->statuses);
    sqlite3_bind_int64(q, 22, now_ms);
}

static const char put_sql[] =
    "INSERT INTO hourly_rows(" COLUMNS ", created_at, updated_at) VALUES"
    " (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?22)"
    " ON CONFLICT (hour_bucket, path) DO UPDATE SET requests = ?3, errors = ?4, sum_us = ?5,"
    " count_us = ?6, min_us = ?7, max_us = ?8, p50_us = ?9, p95_us = ?10, p99_us = ?11,"
    " sum_bytes = ?12, count_bytes = ?13, unique_seen = ?14, unique_estimate = ?15, samples = ?16,"
    " sample_keys = ?17, clients = ?18, sketch = ?19, methods = ?20, statuses = ?21,"
    " updated_at = ?22";

static int write_rows(struct sqlite_store *s, const struct ps_stat_row *rows, size_t count,
                      int64_t now_ms, struct ps_err *e)
{
    sqlite3_stmt *put = NULL, *drop = NULL;
    int r = ps_db_prepare(&s->db, put_sql, &put, e);
    if (r == 0)
        r = ps_db_prepare(&s->db, "DELETE FROM hourly_rows WHERE path = ?1 AND hour_bucket = ?2",
                          &drop, e);
    for (size_t i = 0; r == 0 && i < count; i++) {
        char hour[PS_HOUR_LEN + 1];
        ps_time_format_hour(hour, rows[i].hour);
        if (rows[i].stat.requests == 0) {
            ps_db_bind_str(drop, 1, rows[i].path);
            sqlite3_bind_text(drop, 2, hour, PS_HOUR_LEN, SQLITE_STATIC);
            r = ps_db_run(&s->db, drop, e);
        } else {
            bind_row(put, &rows[i], hour, now_ms);
            r = ps_db_run(&s->db, put, e);
        }
    }
    sqlite3_finalize(put);
    sqlite3_finalize(drop);
    return r;
}

int ps_sqlite_settle(struct ps_store *store, const struct ps_stat_row *rows, size_t count,
                     uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    PS_ASSERT(!s->frozen);
    int r = ps_db_begin(&s->db, DB_LITTLE, e);
    if (r < 0)
        return r;
    r = write_rows(s, rows, count, now_ms, e);
    if (r == 0)
        r = ps_db_execf(&s->db, e,
                        "UPDATE positions SET watermark = %lld WHERE partition = %u;"
                        "DELETE FROM redo WHERE partition = %u AND next_position <= %lld",
                        (long long)watermark, partition, partition, (long long)watermark);
    return ps_db_end(&s->db, r, e);
}

static uint64_t column_u64(sqlite3_stmt *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q, column);
}

static struct ps_stat read_stat(sqlite3_stmt *q)
{
    return (struct ps_stat){.requests = column_u64(q, 2),
                            .errors = column_u64(q, 3),
                            .sum_us = column_u64(q, 4),
                            .count_us = column_u64(q, 5),
                            .min_us = column_u64(q, 6),
                            .max_us = column_u64(q, 7),
                            .p50_us = column_u64(q, 8),
                            .p95_us = column_u64(q, 9),
                            .p99_us = column_u64(q, 10),
                            .sum_bytes = column_u64(q, 11),
                            .count_bytes = column_u64(q, 12),
                            .unique_seen = column_u64(q, 13),
                            .unique_estimate = column_u64(q, 14),
                            .samples = ps_db_column_str(q, 15),
                            .sample_keys = ps_db_column_str(q, 16),
                            .clients = ps_db_column_str(q, 17),
                            .sketch = ps_db_column_str(q, 18),
                            .methods = ps_db_column_str(q, 19),
                            .statuses = ps_db_column_str(q, 20)};
}

/* Every hour that has a four-digit year; text order is time order. */
static void clamp_hour(char to[PS_HOUR_LEN + 1], int32_t hour)
{
    int32_t last = ps_time_hour(PS_TIMESTAMP_MAX_MS);
    ps_time_format_hour(to, hour < 0 ? 0 : hour > last ? last : hour);
}

/* SQLite leaves the pages of the summaries alone. */
#define BRIEF_COLUMNS "path, hour_bucket, requests"

/* Most rows are of the same hour as the one before. */
static bool read_hour(sqlite3_stmt *q, char last[PS_HOUR_LEN], int32_t *hour)
{
    struct ps_str text = ps_db_column_str(q, 1);
    if (text.len == PS_HOUR_LEN && memcmp(text.ptr, last, PS_HOUR_LEN) == 0)
        return true;
    if (!ps_time_parse_hour(text.ptr, text.len, hour))
        return false;
    memcpy(last, text.ptr, PS_HOUR_LEN);
    return true;
}

static int step_rows(struct sqlite_store *s, sqlite3_stmt *q, ps_stat_fn *fn, void *ctx,
                     struct ps_err *e)
{
    char hour[PS_HOUR_LEN] = "";
    struct ps_stat_row row = {.hour = 0};
    bool brief = sqlite3_column_count(q) == 3;
    int r = 0, step = SQLITE_DONE;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        row.path = ps_db_column_str(q, 0);
        if (brief)
            row.stat.requests = column_u64(q, 2);
        else
            row.stat = read_stat(q);
        r = read_hour(q, hour, &row.hour)
                ? fn(ctx, &row)
                : ps_fail(e, PS_ECORRUPT, "store: bad hour_bucket in hourly_rows");
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "hourly_rows");
    sqlite3_reset(q);
    return r;
}

static int step_range(struct sqlite_store *s, sqlite3_stmt *q, int32_t from_hour, int32_t to_hour,
                      ps_stat_fn *fn, void *ctx, struct ps_err *e)
{
    char from[PS_HOUR_LEN + 1], to[PS_HOUR_LEN + 1];
    clamp_hour(from, from_hour);
    clamp_hour(to, to_hour);
    sqlite3_bind_text(q, 1, from, PS_HOUR_LEN, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, to, PS_HOUR_LEN, SQLITE_STATIC);
    return step_rows(s, q, fn, ctx, e);
}

/* The index begins with the hour, so one path in some hours is a look-up an hour; over years it is
 * a walk. */
enum { HOURS_LOOKED_UP_MAX = 400 * 24 };

static bool is_looked_up(const struct ps_stats_query *query)
{
    return query->path.ptr != NULL &&
           (int64_t)query->to_hour - query->from_hour <= HOURS_LOOKED_UP_MAX;
}

static int step_hours(struct sqlite_store *s, sqlite3_stmt *q, const struct ps_stats_query *query,
                      ps_stat_fn *fn, void *ctx, struct ps_err *e)
{
    int r = 0;
    for (int32_t hour = query->from_hour; r == 0 && hour <= query->to_hour; hour++)
        r = step_range(s, q, hour, hour, fn, ctx, e);
    return r;
}

int ps_sqlite_stats(struct ps_store *store, const struct ps_stats_query *query, ps_stat_fn *fn,
                    void *ctx, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    const char *where = query->after.ptr != NULL  ? "hour_bucket = ?1 AND path > ?3"
                        : query->path.ptr == NULL ? "hour_bucket BETWEEN ?1 AND ?2"
                        : is_looked_up(query)     ? "hour_bucket = ?1 AND path = ?3"
                                                  : "hour_bucket BETWEEN ?1 AND ?2 AND path = ?3";
    sqlite3_stmt *q;
    char sql[512];
    sqlite3_snprintf(sizeof sql, sql,
                     "SELECT %s FROM hourly_rows WHERE %s ORDER BY hour_bucket, path",
                     query->brief ? BRIEF_COLUMNS : COLUMNS, where);
    int r = ps_db_prepare(&s->db, sql, &q, e);
    if (r < 0)
        return r;
    if (query->path.ptr != NULL || query->after.ptr != NULL)
        ps_db_bind_str(q, 3, query->after.ptr != NULL ? query->after : query->path);
    r = is_looked_up(query) ? step_hours(s, q, query, fn, ctx, e)
                            : step_range(s, q, query->from_hour, query->to_hour, fn, ctx, e);
    sqlite3_finalize(q);
    return r;
}
