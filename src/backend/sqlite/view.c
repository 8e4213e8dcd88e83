/* view.c - traffic_events, the view over all events.
 *
 * It has an arm for each day that has tables of its own, with the date as a constant, so WHERE
 * event_date = '...' opens that day's tables alone; and an arm for each year's tables, where an
 * index finds the date. SQLite takes at most 500 terms in a compound SELECT: beyond ARMS_MAX the
 * arms are gathered in numbered part views.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/buf.h"
#include "base/time.h"

enum {
    ARMS_MAX = 480,
    YEARS_MAX = 10000,
    PARTS_MAX = (PS_OWN_DAYS_MAX + YEARS_MAX) / ARMS_MAX + 1,
    VIEW_BYTES_MAX = 1 << 20,
};

static const char no_events[] =
    "SELECT NULL AS id, NULL AS path, NULL AS method, NULL AS status, NULL AS response_time,"
    " NULL AS client_ip_hash, NULL AS timestamp, NULL AS event_date, NULL AS user_agent,"
    " NULL AS country, NULL AS is_error, NULL AS response_bytes WHERE 0";

/* `date`: an SQL expression. */
static void put_arm(struct ps_buf *sql, const char *shelf, const char *date)
{
    ps_buf_format(
        sql,
        "SELECT " PS_EVENT_ID_SQL " AS id, p.word AS path, s.method AS method, s.status AS status,"
        " e.response_us / 1000.0 AS response_time, CASE WHEN e.client_hash IS NOT NULL"
        " THEN printf('%%016x', e.client_hash) END AS client_ip_hash, e.ts AS timestamp,"
        " %s AS event_date, u.word AS user_agent, s.country AS country,"
        " CASE WHEN s.status IS NULL THEN s.is_error ELSE s.status >= 400 END AS is_error,"
        " e.response_bytes AS response_bytes"
        " FROM events_%s e LEFT JOIN words_%s p ON p.id = e.path LEFT JOIN shapes_%s s"
        " ON s.id = e.shape LEFT JOIN words_%s u ON u.id = e.user_agent",
        date, shelf, shelf, shelf, shelf);
}

static void put_arm_of_day(struct ps_buf *sql, const struct stored_day *day)
{
    char name[9], date[PS_DATE_LEN + 1], constant[PS_DATE_LEN + 3];
    ps_sqlite_shelf_name(name, day->day, day->own);
    ps_time_format_date(date, day->day);
    sqlite3_snprintf(sizeof constant, constant, "%Q", date);
    put_arm(sql, name, day->own ? constant : "date(e.ts / 1000, 'unixepoch')");
}

/* The day after `at` that has an arm: each with tables of its own, and of a year the first without.
 * s->day_count when there is none. */
static size_t next_arm(const struct sqlite_store *s, size_t at, int *year)
{
    for (; at < s->day_count; at++) {
        int this_year, month, mday;
        if (s->days[at]->own)
            break;
        ps_time_civil(s->days[at]->day, &this_year, &month, &mday);
        bool first = this_year != *year;
        *year = this_year;
        if (first)
            break;
    }
    return at;
}

static int run(struct sqlite_store *s, struct ps_buf *sql, struct ps_err *e)
{
    ps_buf_append(sql, "", 1);
    int r = sql->failed
                ? ps_fail(e, sql->failed, "store: the view of %zu days is too long", s->day_count)
                : ps_db_exec(&s->db, sql->ptr, e);
    ps_buf_clear(sql);
    return r;
}

static int drop_views(struct sqlite_store *s, struct ps_err *e)
{
    int r = ps_db_exec(&s->db, "DROP VIEW IF EXISTS traffic_events", e);
    for (int i = 0; r == 0 && i < PARTS_MAX; i++)
        r = ps_db_execf(&s->db, e, "DROP VIEW IF EXISTS traffic_events_part%d", i);
    return r;
}

/* The arms as views of up to ARMS_MAX; all but the last part are made at once, the last stays in
 * `sql`. Returns how many were made. */
static int put_arms(struct sqlite_store *s, struct ps_buf *sql, struct ps_err *e)
{
    int parts = 0, year = -1;
    size_t arms = 0;
    for (size_t at = 0; (at = next_arm(s, at, &year)) < s->day_count; at++) {
        if (arms == ARMS_MAX) {
            struct ps_buf part;
            ps_buf_init(&part, VIEW_BYTES_MAX);
            ps_buf_format(&part, "CREATE VIEW traffic_events_part%d AS ", parts++);
            ps_buf_append(&part, sql->ptr, sql->len);
            int r = run(s, &part, e);
            ps_buf_done(&part);
            if (r < 0)
                return r;
            ps_buf_clear(sql);
            arms = 0;
        }
        ps_buf_text(sql, arms++ > 0 ? " UNION ALL " : "");
        put_arm_of_day(sql, s->days[at]);
    }
    return parts;
}

int ps_sqlite_make_view(struct sqlite_store *s, struct ps_err *e)
{
    struct ps_buf last, whole;
    ps_buf_init(&last, VIEW_BYTES_MAX);
    ps_buf_init(&whole, VIEW_BYTES_MAX);
    int r = drop_views(s, e), parts = 0;
    if (r == 0)
        r = parts = put_arms(s, &last, e);
    ps_buf_text(&whole, "CREATE VIEW traffic_events AS ");
    for (int i = 0; i < parts; i++)
        ps_buf_format(&whole, "SELECT * FROM traffic_events_part%d UNION ALL ", i);
    if (last.len == 0)
        ps_buf_text(&last, no_events);
    ps_buf_append(&whole, last.ptr, last.len);
    whole.failed = whole.failed ? whole.failed : last.failed;
    if (r >= 0)
        r = run(s, &whole, e);
    ps_buf_done(&last);
    ps_buf_done(&whole);
    s->view_is_stale = false;
    return r;
}
