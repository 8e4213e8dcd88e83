/* shelf.c - where the events of a day lie.
 *
 * A shelf is three tables: events_NAME, and words_NAME and shapes_NAME for what repeats in them. A
 * day with many events has a shelf of its own, YYYYMMDD, which goes as a whole. Days with few share
 * one a year, YYYY: a log that touches thousands of days, or an attacker who does, makes dozens of
 * tables, not thousands (SQLite reads the whole schema at each opening, takes 500 terms in a
 * compound SELECT, and each table takes a page at least). A day begins on its year's shelf unless
 * much comes at once, and moves when it has grown; at most PS_OWN_DAYS_MAX are on shelves of their
 * own, others stay where they are. docs/decisions/0017 has the figures.
 *
 * A year's tables are there exactly while one of its days lies on them, so its words go at last.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

static int year_of(int32_t day)
{
    int year, month, mday;
    ps_time_civil(day, &year, &month, &mday);
    return year;
}

void ps_sqlite_shelf_name(char to[9], int32_t day, bool own)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    memcpy(to, date, 4);
    memcpy(to + 4, date + 5, 2);
    memcpy(to + 6, date + 8, 3);
    if (!own)
        to[4] = '\0';
}

static int32_t key_of(const struct stored_day *day)
{
    return day->own ? day->day : -year_of(day->day);
}

/* --- open shelves --- */

static void close_shelf(struct sqlite_store *s, size_t i)
{
    struct shelf *shelf = s->shelves[i];
    ps_words_close(&shelf->words);
    sqlite3_finalize(shelf->insert);
    sqlite3_finalize(shelf->find_id);
    free(shelf);
    s->shelves[i] = s->shelves[--s->shelf_count];
}

void ps_sqlite_close_shelves(struct sqlite_store *s)
{
    while (s->shelf_count > 0)
        close_shelf(s, 0);
}

static void close_key(struct sqlite_store *s, int32_t key)
{
    for (size_t i = 0; i < s->shelf_count; i++)
        if (s->shelves[i]->key == key) {
            close_shelf(s, i);
            return;
        }
}

static void close_longest_unused(struct sqlite_store *s)
{
    size_t oldest = 0;
    for (size_t i = 1; i < s->shelf_count; i++)
        if (s->shelves[i]->used < s->shelves[oldest]->used)
            oldest = i;
    close_shelf(s, oldest);
}

static int prepare(struct sqlite_store *s, struct shelf *shelf, struct ps_err *e)
{
    char sql[320];
    int r = ps_words_open(&shelf->words, &s->db, shelf->name, e);
    if (r == 0) {
        sqlite3_snprintf(sizeof sql, sql, "SELECT 1 FROM events_%s WHERE ts = ? AND id = ?",
                         shelf->name);
        r = ps_db_prepare(&s->db, sql, &shelf->find_id, e);
    }
    if (r == 0) {
        sqlite3_snprintf(sizeof sql, sql,
                         "INSERT INTO events_%s(" PS_EVENT_COLUMNS ") SELECT " PS_EVENT_COLUMNS
                         " FROM ps_batch WHERE true" PS_BATCH_ON_CONFLICT,
                         shelf->name);
        r = ps_db_prepare(&s->db, sql, &shelf->insert, e);
    }
    return r;
}

int ps_sqlite_open_shelf(struct sqlite_store *s, const struct stored_day *day, struct shelf **ret,
                         struct ps_err *e)
{
    int32_t key = key_of(day);
    struct shelf *shelf = NULL;
    for (size_t i = 0; shelf == NULL && i < s->shelf_count; i++)
        if (s->shelves[i]->key == key)
            shelf = s->shelves[i];
    if (shelf == NULL) {
        if (s->shelf_count == PS_SHELVES_OPEN_MAX)
            close_longest_unused(s);
        shelf = calloc(1, sizeof *shelf);
        if (shelf == NULL)
            return ps_fail(e, PS_ENOMEM, "store: no memory for the statements of a day");
        shelf->key = key;
        ps_sqlite_shelf_name(shelf->name, day->day, day->own);
        PS_ASSERT(s->shelf_count < PS_SHELVES_OPEN_MAX);
        s->shelves[s->shelf_count++] = shelf;
        int r = prepare(s, shelf, e);
        if (r < 0) {
            close_shelf(s, s->shelf_count - 1);
            return r;
        }
    }
    shelf->used = ++s->shelf_uses;
    *ret = shelf;
    return 0;
}

/* --- making, moving, dropping --- */

static int make_tables(struct sqlite_store *s, int32_t day, bool own, struct ps_err *e)
{
    char name[9];
    ps_sqlite_shelf_name(name, day, own);
    int r = ps_db_execf(&s->db, e,
                        PS_WORDS_TABLES
                        "CREATE TABLE events_%s(ts INTEGER NOT NULL, id NOT NULL, path INTEGER NOT"
                        " NULL, shape INTEGER NOT NULL, response_us INTEGER, client_hash INTEGER,"
                        " user_agent INTEGER, response_bytes INTEGER, PRIMARY KEY (ts, id)) WITHOUT"
                        " ROWID",
                        name, name, name);
    if (r == 0 && !own) /* of the view: WHERE event_date = '...' */
        r = ps_db_execf(&s->db, e,
                        "CREATE INDEX events_%s_date ON events_%s(date(ts / 1000, 'unixepoch'))",
                        name, name);
    s->view_is_stale = true;
    return r;
}

static int drop_tables(struct sqlite_store *s, int32_t day, bool own, struct ps_err *e)
{
    char name[9];
    ps_sqlite_shelf_name(name, day, own);
    close_key(s, own ? day : -year_of(day));
    s->view_is_stale = true;
    return ps_db_execf(&s->db, e,
                       "DROP TABLE IF EXISTS events_%s; DROP TABLE IF EXISTS words_%s;"
                       "DROP TABLE IF EXISTS shapes_%s",
                       name, name, name);
}

/* The day is no longer on the year's shelf. */
static int clear_year(struct sqlite_store *s, int32_t day, struct ps_err *e)
{
    char name[9];
    ps_sqlite_shelf_name(name, day, false);
    if (!ps_sqlite_year_is_shared(s, year_of(day)))
        return drop_tables(s, day, false, e);
    return ps_db_execf(&s->db, e, "DELETE FROM events_%s WHERE ts >= %lld AND ts < %lld", name,
                       (long long)day * PS_MS_PER_DAY, (long long)(day + 1) * PS_MS_PER_DAY);
}

/* From the year's shelf to one of its own; words keep their numbers. */
static int move_day(struct sqlite_store *s, struct stored_day *d, struct ps_err *e)
{
    char year[9], own[9];
    long long from = (long long)d->day * PS_MS_PER_DAY, to = from + PS_MS_PER_DAY - 1;
    ps_sqlite_shelf_name(year, d->day, false);
    ps_sqlite_shelf_name(own, d->day, true);
    int r = make_tables(s, d->day, true, e);
    if (r == 0)
        r = ps_db_execf(
            &s->db, e,
            "INSERT INTO events_%s SELECT * FROM events_%s WHERE ts BETWEEN %lld AND %lld;"
            "INSERT INTO words_%s SELECT * FROM words_%s WHERE id IN (SELECT path FROM events_%s"
            " UNION SELECT user_agent FROM events_%s WHERE user_agent IS NOT NULL);"
            "INSERT INTO shapes_%s SELECT * FROM shapes_%s WHERE id IN (SELECT shape FROM"
            " events_%s); UPDATE days SET own = 1, events = 0 WHERE day = %d",
            own, year, from, to, own, year, own, own, own, year, own, (int)d->day);
    if (r < 0)
        return r;
    d->own = true;
    d->grown = false;
    s->own_count++;
    return clear_year(s, d->day, e);
}

static bool deserves_a_shelf(const struct sqlite_store *s, int64_t events)
{
    return events >= PS_OWN_DAY_EVENTS_MIN && s->own_count < PS_OWN_DAYS_MAX;
}

int ps_sqlite_take_day(struct sqlite_store *s, int32_t day, size_t coming,
                       struct stored_day **ret_day, struct shelf **ret_shelf, struct ps_err *e)
{
    struct stored_day *d = ps_sqlite_find_day(s, day);
    int r = 0;
    if (d == NULL) {
        bool own = deserves_a_shelf(s, (int64_t)coming);
        if (own || !ps_sqlite_year_is_shared(s, year_of(day)))
            r = make_tables(s, day, own, e);
        if (r == 0)
            r = ps_sqlite_add_day(s, day, own, &d, e);
    } else if (!d->own && d->events <= PS_DAY_MOVES_MAX &&
               deserves_a_shelf(s, d->events + (int64_t)coming)) {
        r = move_day(s, d, e);
    }
    if (r == 0)
        r = ps_sqlite_open_shelf(s, d, ret_shelf, e);
    if (r == 0)
        *ret_day = d;
    return r;
}

int ps_sqlite_drop_day(struct sqlite_store *s, int32_t day, struct ps_err *e)
{
    struct stored_day *d = ps_sqlite_find_day(s, day);
    if (d == NULL)
        return 0;
    bool own = d->own;
    ps_sqlite_remove_day(s, d);
    int r = ps_db_execf(&s->db, e, "DELETE FROM days WHERE day = %d", (int)day);
    if (r < 0)
        return r;
    return own ? drop_tables(s, day, true, e) : clear_year(s, day, e);
}
