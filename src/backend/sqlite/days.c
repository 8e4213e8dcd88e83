/* days.c - the tables of each day, and the view over all of them.
 *
 * The view has one arm a day with the date as a constant, so WHERE event_date = '...' opens that
 * day's table alone. SQLite takes at most 500 terms in a compound SELECT: beyond ARMS_MAX days the
 * arms are gathered in numbered part views.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum { ARMS_MAX = 400, VIEW_BYTES_MAX = 1 << 20 };

void ps_sqlite_day_name(char to[9], int32_t day)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    memcpy(to, date, 4);
    memcpy(to + 4, date + 5, 2);
    memcpy(to + 6, date + 8, 3);
}

static void close_day(struct day_table *t)
{
    ps_words_close(&t->words);
    sqlite3_finalize(t->insert);
    sqlite3_finalize(t->find_id);
    free(t);
}

void ps_sqlite_forget_days(struct sqlite_store *s)
{
    for (size_t i = 0; i < s->day_count; i++)
        close_day(s->days[i]);
    s->day_count = 0;
    s->days_loaded = s->view_is_stale = false;
}

static size_t day_index(const struct sqlite_store *s, int32_t day)
{
    size_t i = s->day_count;
    while (i > 0 && s->days[i - 1]->day >= day)
        i--;
    return i;
}

struct day_table *ps_sqlite_find_day(struct sqlite_store *s, int32_t day)
{
    size_t i = day_index(s, day);
    return i < s->day_count && s->days[i]->day == day ? s->days[i] : NULL;
}

static struct day_table *insert_day(struct sqlite_store *s, int32_t day)
{
    struct day_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    size_t at = day_index(s, day);
    memmove(&s->days[at + 1], &s->days[at], (s->day_count - at) * sizeof(struct day_table *));
    t->day = day;
    ps_sqlite_day_name(t->name, day);
    s->days[at] = t;
    s->day_count++;
    return t;
}

static int load_misdated(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "SELECT value FROM meta WHERE name = 'misdated'", &q, e);
    if (r < 0)
        return r;
    s->misdated = sqlite3_step(q) == SQLITE_ROW && sqlite3_column_int(q, 0) != 0;
    sqlite3_finalize(q);
    return 0;
}

int ps_sqlite_load_days(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q;
    if (s->days_loaded)
        return 0;
    ps_sqlite_forget_days(s);
    int r = ps_db_prepare(&s->db, "SELECT day, has_text_ids FROM days ORDER BY day", &q, e);
    if (r < 0)
        return r;
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW && s->day_count < PS_STORE_DAYS_MAX) {
        struct day_table *t = insert_day(s, sqlite3_column_int(q, 0));
        if (t == NULL) {
            r = ps_fail(e, PS_ENOMEM, "sqlite: no memory for days");
            break;
        }
        t->has_text_ids = sqlite3_column_int(q, 1);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "days");
    sqlite3_finalize(q);
    if (r == 0)
        r = load_misdated(s, e);
    s->days_loaded = r == 0;
    return r;
}

static void put_arm(struct ps_buf *sql, const struct day_table *t)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, t->day);
    ps_buf_format(sql,
                  "SELECT " PS_EVENT_ID_SQL
                  " AS id, p.word AS path, s.method AS method, s.status AS status,"
                  " e.response_us / 1000.0 AS response_time, CASE WHEN e.client_hash IS NOT NULL"
                  " THEN printf('%%016x', e.client_hash) END AS client_ip_hash, e.ts AS timestamp,"
                  " '%s' AS event_date, u.word AS user_agent, s.country AS country,"
                  " CASE WHEN s.status IS NULL THEN s.is_error ELSE s.status >= 400 END AS is_error"
                  " FROM events_%s e LEFT JOIN words_%s p ON p.id = e.path LEFT JOIN shapes_%s s"
                  " ON s.id = e.shape LEFT JOIN words_%s u ON u.id = e.user_agent",
                  date, t->name, t->name, t->name, t->name);
}

static const char no_events[] =
    "SELECT NULL AS id, NULL AS path, NULL AS method, NULL AS status, NULL AS response_time,"
    " NULL AS client_ip_hash, NULL AS timestamp, NULL AS event_date, NULL AS user_agent,"
    " NULL AS country, NULL AS is_error WHERE 0";

static void put_arms(struct ps_buf *sql, const struct sqlite_store *s, size_t from, size_t to)
{
    if (from == to)
        ps_buf_text(sql, no_events);
    for (size_t i = from; i < to; i++) {
        if (i > from)
            ps_buf_text(sql, " UNION ALL ");
        put_arm(sql, s->days[i]);
    }
}

static int drop_part_views(struct sqlite_store *s, struct ps_err *e)
{
    int r = 0;
    for (int i = 0; r == 0 && i <= PS_STORE_DAYS_MAX / ARMS_MAX; i++)
        r = ps_db_execf(&s->db, e, "DROP VIEW IF EXISTS traffic_events_part%d", i);
    return r;
}

int ps_sqlite_make_view(struct sqlite_store *s, struct ps_err *e)
{
    struct ps_buf sql, whole;
    ps_buf_init(&sql, VIEW_BYTES_MAX);
    ps_buf_init(&whole, VIEW_BYTES_MAX);
    int r = ps_db_exec(&s->db, "DROP VIEW IF EXISTS traffic_events", e);
    if (r == 0)
        r = drop_part_views(s, e);
    ps_buf_text(&whole, "CREATE VIEW traffic_events AS ");
    if (s->day_count <= ARMS_MAX) {
        put_arms(&whole, s, 0, s->day_count);
    } else {
        for (size_t from = 0, part = 0; r == 0 && from < s->day_count; from += ARMS_MAX, part++) {
            size_t to = from + ARMS_MAX < s->day_count ? from + ARMS_MAX : s->day_count;
            ps_buf_clear(&sql);
            ps_buf_format(&sql, "CREATE VIEW traffic_events_part%zu AS ", part);
            put_arms(&sql, s, from, to);
            ps_buf_append(&sql, "", 1);
            r = sql.failed ? ps_fail(e, sql.failed, "sqlite: view")
                           : ps_db_exec(&s->db, sql.ptr, e);
            ps_buf_format(&whole, "%sSELECT * FROM traffic_events_part%zu",
                          part > 0 ? " UNION ALL " : "", part);
        }
    }
    ps_buf_append(&whole, "", 1);
    if (r == 0)
        r = whole.failed ? ps_fail(e, whole.failed, "sqlite: view")
                         : ps_db_exec(&s->db, whole.ptr, e);
    ps_buf_done(&sql);
    ps_buf_done(&whole);
    s->view_is_stale = false;
    return r;
}

int ps_sqlite_make_day(struct sqlite_store *s, int32_t day, struct day_table **ret,
                       struct ps_err *e)
{
    if (s->day_count == PS_STORE_DAYS_MAX)
        return ps_fail(e, PS_EFULL, "sqlite: %d days are stored already", PS_STORE_DAYS_MAX);
    struct day_table *t = insert_day(s, day);
    if (t == NULL)
        return ps_fail(e, PS_ENOMEM, "sqlite: no memory for a day");
    int r = ps_db_execf(&s->db, e,
                        PS_WORDS_TABLES
                        "CREATE TABLE events_%s(ts INTEGER NOT NULL, id NOT NULL, path INTEGER NOT"
                        " NULL, shape INTEGER NOT NULL, response_us INTEGER, client_hash INTEGER,"
                        " user_agent INTEGER, PRIMARY KEY (ts, id)) WITHOUT ROWID;"
                        "INSERT INTO days(day) VALUES (%d)",
                        t->name, t->name, t->name, (int)day);
    if (r < 0)
        return r;
    s->view_is_stale = true;
    *ret = t;
    return 0;
}

int ps_sqlite_open_day(struct sqlite_store *s, struct day_table *t, struct ps_err *e)
{
    char sql[320];
    if (t->insert != NULL)
        return 0;
    int r = ps_words_open(&t->words, &s->db, t->name, e);
    if (r == 0) {
        sqlite3_snprintf(sizeof sql, sql, "SELECT 1 FROM events_%s WHERE ts = ? AND id = ?",
                         t->name);
        r = ps_db_prepare(&s->db, sql, &t->find_id, e);
    }
    if (r == 0) {
        sqlite3_snprintf(sizeof sql, sql,
                         "INSERT INTO events_%s(" PS_EVENT_COLUMNS ") SELECT " PS_EVENT_COLUMNS
                         " FROM ps_batch WHERE true" PS_BATCH_ON_CONFLICT,
                         t->name);
        r = ps_db_prepare(&s->db, sql, &t->insert, e);
    }
    return r;
}

int ps_sqlite_mark_text_ids(struct sqlite_store *s, struct day_table *t, struct ps_err *e)
{
    if (t->has_text_ids)
        return 0;
    t->has_text_ids = true;
    return ps_db_execf(&s->db, e, "UPDATE days SET has_text_ids = 1 WHERE day = %d", (int)t->day);
}

/* --- states --- */

enum ps_day_state ps_sqlite_state_of(struct ps_str name)
{
    for (int state = PS_DAY_OPEN; state <= PS_DAY_RESTORED; state++) {
        const char *known = ps_day_state_name((enum ps_day_state)state);
        if (ps_str_equal(name, (struct ps_str){known, strlen(known)}))
            return (enum ps_day_state)state;
    }
    return PS_DAY_OPEN;
}

int ps_sqlite_day_is_sealed(struct sqlite_store *s, int32_t day, bool *ret, struct ps_err *e)
{
    sqlite3_stmt *q;
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    int r = ps_db_prepare(&s->db, "SELECT status FROM archive_metadata WHERE date = ?", &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, date, PS_DATE_LEN, SQLITE_STATIC);
    int step = sqlite3_step(q);
    *ret = false;
    if (step == SQLITE_ROW) {
        enum ps_day_state state = ps_sqlite_state_of(ps_db_column_str(q, 0));
        *ret = state == PS_DAY_PENDING || state == PS_DAY_COMPLETED || state == PS_DAY_CLEANED;
    } else if (step != SQLITE_DONE) {
        r = ps_db_fail(&s->db, e, "archive_metadata");
    }
    sqlite3_finalize(q);
    return r;
}

int ps_sqlite_days(struct ps_store *store, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    int r = ps_db_prepare(
        &s->db,
        "SELECT date(day * 86400, 'unixepoch') AS date, 1 AS stored, status, r2_path, record_count,"
        " file_size_bytes, archived_at, sha256, error FROM days LEFT JOIN archive_metadata ON date"
        " = date(day * 86400, 'unixepoch') UNION ALL SELECT date, 0, status, r2_path,"
        " record_count, file_size_bytes, archived_at, sha256, error FROM archive_metadata WHERE"
        " NOT EXISTS (SELECT 1 FROM days WHERE date(day * 86400, 'unixepoch') = date) ORDER BY 1",
        &q, e);
    if (r < 0)
        return r;
    int step;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct ps_day day = {.stored = sqlite3_column_int(q, 1),
                             .state = ps_sqlite_state_of(ps_db_column_str(q, 2)),
                             .object = ps_db_column_str(q, 3),
                             .record_count = sqlite3_column_int64(q, 4),
                             .file_size_bytes = sqlite3_column_int64(q, 5),
                             .archived_at_ms = sqlite3_column_int64(q, 6),
                             .sha256 = ps_db_column_str(q, 7),
                             .error = ps_db_column_str(q, 8)};
        struct ps_str date = ps_db_column_str(q, 0);
        r = ps_time_parse_date(date.ptr, date.len, &day.day)
                ? fn(ctx, &day)
                : ps_fail(e, PS_ECORRUPT, "sqlite: bad date in archive_metadata");
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "days");
    sqlite3_finalize(q);
    return r;
}
