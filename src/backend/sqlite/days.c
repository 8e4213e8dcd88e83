/* days.c - which days the store has, in memory and in the table `days`, and their states.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum { DAYS_FIRST = 64 };

/* --- the list --- */

void ps_sqlite_forget_days(struct sqlite_store *s)
{
    ps_sqlite_close_shelves(s);
    for (size_t i = 0; i < s->day_count; i++)
        free(s->days[i]);
    free(s->days);
    s->days = NULL;
    s->day_count = s->day_room = s->own_count = 0;
    s->days_loaded = s->view_is_stale = false;
}

/* Where the day is, or would be. */
static size_t day_index(const struct sqlite_store *s, int32_t day)
{
    size_t from = 0, to = s->day_count;
    if (to > 0 && s->days[to - 1]->day < day) /* the newest day comes last */
        return to;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (s->days[middle]->day < day)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct stored_day *ps_sqlite_find_day(struct sqlite_store *s, int32_t day)
{
    size_t i = day_index(s, day);
    return i < s->day_count && s->days[i]->day == day ? s->days[i] : NULL;
}

bool ps_sqlite_year_is_shared(const struct sqlite_store *s, int year)
{
    int32_t end = ps_time_from_civil(year + 1, 1, 1);
    size_t i = day_index(s, ps_time_from_civil(year, 1, 1));
    while (i < s->day_count && s->days[i]->day < end && s->days[i]->own)
        i++;
    return i < s->day_count && s->days[i]->day < end;
}

static int make_room(struct sqlite_store *s)
{
    size_t room = s->day_room == 0 ? DAYS_FIRST : s->day_room * 2;
    if (s->day_count < s->day_room)
        return 0;
    struct stored_day **days = realloc(s->days, room * sizeof(struct stored_day *));
    if (days == NULL)
        return PS_ENOMEM;
    s->days = days;
    s->day_room = room;
    return 0;
}

static int insert_day(struct sqlite_store *s, int32_t day, bool own, struct stored_day **ret,
                      struct ps_err *e)
{
    struct stored_day *d = make_room(s) < 0 ? NULL : calloc(1, sizeof *d);
    if (d == NULL)
        return ps_fail(e, PS_ENOMEM, "store: no memory for the list of days");
    size_t at = day_index(s, day);
    memmove(&s->days[at + 1], &s->days[at], (s->day_count - at) * sizeof(struct stored_day *));
    d->day = day;
    d->own = own;
    s->days[at] = d;
    s->day_count++;
    s->own_count += own;
    *ret = d;
    return 0;
}

void ps_sqlite_remove_day(struct sqlite_store *s, struct stored_day *day)
{
    size_t at = day_index(s, day->day);
    PS_ASSERT(at < s->day_count && s->days[at] == day);
    s->own_count -= day->own;
    s->day_count--;
    memmove(&s->days[at], &s->days[at + 1], (s->day_count - at) * sizeof(struct stored_day *));
    free(day);
}

/* --- the table --- */

static int load_misdated(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "SELECT value FROM meta WHERE name = 'misdated'", &q, e);
    if (r < 0)
        return r;
    int step = sqlite3_step(q);
    s->misdated = step == SQLITE_ROW && sqlite3_column_int(q, 0) != 0;
    r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : ps_db_fail(&s->db, e, "meta");
    sqlite3_finalize(q);
    return r;
}

int ps_sqlite_load_days(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q;
    if (s->days_loaded)
        return 0;
    ps_sqlite_forget_days(s);
    int r = ps_db_prepare(&s->db, "SELECT day, own, has_text_ids, events FROM days ORDER BY day",
                          &q, e);
    if (r < 0)
        return r;
    int step = SQLITE_DONE;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct stored_day *d;
        r = insert_day(s, sqlite3_column_int(q, 0), sqlite3_column_int(q, 1), &d, e);
        if (r < 0)
            break;
        d->has_text_ids = sqlite3_column_int(q, 2);
        d->events = sqlite3_column_int64(q, 3);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "days");
    sqlite3_finalize(q);
    if (r == 0)
        r = load_misdated(s, e);
    s->days_loaded = r == 0;
    return r;
}

int ps_sqlite_add_day(struct sqlite_store *s, int32_t day, bool own, struct stored_day **ret,
                      struct ps_err *e)
{
    int r = insert_day(s, day, own, ret, e);
    return r < 0 ? r
                 : ps_db_execf(&s->db, e, "INSERT INTO days(day, own) VALUES (%d, %d)", (int)day,
                               own);
}

int ps_sqlite_mark_text_ids(struct sqlite_store *s, struct stored_day *day, struct ps_err *e)
{
    if (day->has_text_ids)
        return 0;
    day->has_text_ids = true;
    return ps_db_execf(&s->db, e, "UPDATE days SET has_text_ids = 1 WHERE day = %d", (int)day->day);
}

int ps_sqlite_write_growth(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->day_count; i++) {
        struct stored_day *d = s->days[i];
        if (!d->grown)
            continue;
        if (q == NULL)
            r = ps_db_prepare(&s->db, "UPDATE days SET events = ? WHERE day = ?", &q, e);
        if (r < 0)
            break;
        sqlite3_bind_int64(q, 1, d->events);
        sqlite3_bind_int(q, 2, d->day);
        r = ps_db_run(&s->db, q, e);
        d->grown = false;
    }
    sqlite3_finalize(q);
    return r;
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
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    int r = s->find_state != NULL
                ? 0
                : ps_db_prepare(&s->db, "SELECT status FROM archive_metadata WHERE date = ?",
                                &s->find_state, e);
    if (r < 0)
        return r;
    sqlite3_stmt *q = s->find_state;
    sqlite3_bind_text(q, 1, date, PS_DATE_LEN, SQLITE_STATIC);
    int step = sqlite3_step(q);
    *ret = false;
    if (step == SQLITE_ROW) {
        enum ps_day_state state = ps_sqlite_state_of(ps_db_column_str(q, 0));
        *ret = state == PS_DAY_PENDING || state == PS_DAY_COMPLETED || state == PS_DAY_CLEANED;
    } else if (step != SQLITE_DONE) {
        r = ps_db_fail(&s->db, e, "archive_metadata");
    }
    sqlite3_reset(q);
    return r;
}

int ps_sqlite_days(struct ps_store *store, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    int r = ps_db_prepare(
        &s->db,
        "SELECT day, 1 AS stored, status, r2_path, record_count, file_size_bytes, archived_at,"
        " sha256, error FROM days LEFT JOIN archive_metadata ON date = date(day * 86400,"
        " 'unixepoch') UNION ALL SELECT strftime('%s', date) / 86400 AS number, 0, status, r2_path,"
        " record_count, file_size_bytes, archived_at, sha256, error FROM archive_metadata WHERE"
        " NOT EXISTS (SELECT 1 FROM days WHERE day = number) ORDER BY 1",
        &q, e);
    if (r < 0)
        return r;
    int step;
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        struct ps_day day = {.day = sqlite3_column_int(q, 0),
                             .stored = sqlite3_column_int(q, 1),
                             .state = ps_sqlite_state_of(ps_db_column_str(q, 2)),
                             .object = ps_db_column_str(q, 3),
                             .record_count = sqlite3_column_int64(q, 4),
                             .file_size_bytes = sqlite3_column_int64(q, 5),
                             .archived_at_ms = sqlite3_column_int64(q, 6),
                             .sha256 = ps_db_column_str(q, 7),
                             .error = ps_db_column_str(q, 8)};
        r = sqlite3_column_type(q, 0) == SQLITE_INTEGER
                ? fn(ctx, &day)
                : ps_fail(e, PS_ECORRUPT, "%s: a record of an archive without a date",
                          sqlite3_db_filename(s->db.handle, "main"));
    }
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&s->db, e, "days");
    sqlite3_finalize(q);
    return r;
}
