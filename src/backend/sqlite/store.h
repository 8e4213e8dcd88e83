/* store.h - the SQLite store from the inside: shared by its files.  SPDX-License-Identifier: MIT */
#ifndef PS_BACKEND_SQLITE_STORE_H
#define PS_BACKEND_SQLITE_STORE_H

#include "backend/sqlite/batch_vtab.h"
#include "backend/sqlite/db.h"
#include "backend/sqlite/words.h"
#include "port/store.h"

enum {
    PS_OWN_DAYS_MAX = 400,        /* days with tables of their own at one time */
    PS_OWN_DAY_EVENTS_MIN = 4096, /* what makes a day worth that */
    PS_DAY_MOVES_MAX = 4 * 65536, /* a day with more events stays where it is */
    PS_SHELVES_OPEN_MAX = 16,     /* with prepared statements and cached words */
};

/* A stored day. Few events: they lie with the other such days of the year (see shelf.c). */
struct stored_day {
    int32_t day;
    bool own, has_text_ids;
    bool grown;     /* `events` has still to be written */
    int64_t events; /* about; only of a day that shares tables */
};

/* Three tables full of events, open for writing: a day's own, or a year's. */
struct shelf {
    int32_t key; /* the day, or minus the year */
    char name[9];
    uint64_t used; /* when, to close the one that has lain longest */
    struct words words;
    sqlite3_stmt *insert, *find_id;
};

struct sqlite_store {
    struct ps_store base;
    struct db db;
    bool frozen;
    struct batch_source source;
    struct batch_row *rows;   /* PS_BATCH_EVENTS_MAX, while writing */
    struct stored_day **days; /* every stored day, by day; the calendar bounds them */
    size_t day_count, day_room, own_count;
    struct shelf *shelves[PS_SHELVES_OPEN_MAX];
    size_t shelf_count;
    uint64_t shelf_uses;
    bool days_loaded, misdated;
    bool view_is_stale;                       /* tables came or went in this transaction */
    sqlite3_stmt *find_foreign, *put_foreign; /* NULL until they are needed */
    sqlite3_stmt *find_state;
    int64_t data_version; /* moves when another handle commits */
};

static inline struct sqlite_store *sqlite_of(struct ps_store *s)
{
    return (struct sqlite_store *)s;
}

/* --- days.c: which days there are --- */

int ps_sqlite_load_days(struct sqlite_store *s, struct ps_err *e);
void ps_sqlite_forget_days(struct sqlite_store *s);
/* NULL when the store has no event of it. */
struct stored_day *ps_sqlite_find_day(struct sqlite_store *s, int32_t day);
/* The day in the list and in the table `days`. */
int ps_sqlite_add_day(struct sqlite_store *s, int32_t day, bool own, struct stored_day **ret,
                      struct ps_err *e);
/* From the list. */
void ps_sqlite_remove_day(struct sqlite_store *s, struct stored_day *day);
/* Does a day of the year have no tables of its own? */
bool ps_sqlite_year_is_shared(const struct sqlite_store *s, int year);
/* Remembers that not all ids of the day are numbers. */
int ps_sqlite_mark_text_ids(struct sqlite_store *s, struct stored_day *day, struct ps_err *e);
/* Writes how many events the days have that have grown. */
int ps_sqlite_write_growth(struct sqlite_store *s, struct ps_err *e);
enum ps_day_state ps_sqlite_state_of(struct ps_str name);
/* Sealed (archived or on its way): takes no events. */
int ps_sqlite_day_is_sealed(struct sqlite_store *s, int32_t day, bool *ret, struct ps_err *e);
int ps_sqlite_days(struct ps_store *store, ps_day_fn *fn, void *ctx, struct ps_err *e);

/* --- shelf.c: where the events of a day lie --- */

/* "20251015" or "2025", what the names of the tables end in. */
void ps_sqlite_shelf_name(char to[9], int32_t day, bool own);
/* The day's shelf, ready to write, for so many events; made, or exchanged for one of the day's own,
 * if need be. Both pointers hold until the next call that takes or drops a day. */
int ps_sqlite_take_day(struct sqlite_store *s, int32_t day, size_t coming,
                       struct stored_day **ret_day, struct shelf **ret_shelf, struct ps_err *e);
/* The shelf of a day that is stored. */
int ps_sqlite_open_shelf(struct sqlite_store *s, const struct stored_day *day, struct shelf **ret,
                         struct ps_err *e);
/* The events of the day go, and it leaves the list. */
int ps_sqlite_drop_day(struct sqlite_store *s, int32_t day, struct ps_err *e);
void ps_sqlite_close_shelves(struct sqlite_store *s);

/* view.c: the view over all events anew; once, at the end of a transaction in which it went stale.
 */
int ps_sqlite_make_view(struct sqlite_store *s, struct ps_err *e);

/* apply.c, stats.c, events.c */
int ps_sqlite_apply(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                    struct ps_err *e);
/* Events of one day that are known to be its own (a restored archive), inside a transaction; what
 * is there already stays. */
int ps_sqlite_put_events(struct sqlite_store *s, int32_t day, const struct ps_event *events,
                         size_t count, struct ps_err *e);
int ps_sqlite_settle(struct ps_store *s, const struct ps_stat_row *rows, size_t count,
                     uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e);
int ps_sqlite_stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                    struct ps_err *e);
int ps_sqlite_events(struct ps_store *s, int32_t day, enum ps_event_order order, ps_event_fn *fn,
                     void *ctx, struct ps_err *e);

#endif
