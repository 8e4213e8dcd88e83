/* store.h - the SQLite store from the inside: shared by its files.  SPDX-License-Identifier: MIT */
#ifndef PS_BACKEND_SQLITE_STORE_H
#define PS_BACKEND_SQLITE_STORE_H

#include "backend/sqlite/batch_vtab.h"
#include "backend/sqlite/db.h"
#include "backend/sqlite/words.h"
#include "port/store.h"

/* The tables of one day, for writing. */
struct day_table {
    int32_t day;
    char name[9]; /* YYYYMMDD */
    bool has_text_ids;
    struct words words;
    sqlite3_stmt *insert, *find_id;
};

struct sqlite_store {
    struct ps_store base;
    struct db db;
    bool frozen;
    struct batch_source source;
    struct batch_row *rows;                    /* PS_BATCH_EVENTS_MAX, while writing */
    struct day_table *days[PS_STORE_DAYS_MAX]; /* every stored day, by day; opened when touched */
    size_t day_count;
    bool days_loaded, misdated;
    bool view_is_stale;                       /* a day came or went in this transaction */
    sqlite3_stmt *find_foreign, *put_foreign; /* NULL until they are needed */
    int64_t data_version;                     /* moves when another handle commits */
};

static inline struct sqlite_store *sqlite_of(struct ps_store *s)
{
    return (struct sqlite_store *)s;
}

/* days.c */
void ps_sqlite_day_name(char to[9], int32_t day);
int ps_sqlite_load_days(struct sqlite_store *s, struct ps_err *e);
void ps_sqlite_forget_days(struct sqlite_store *s);
/* NULL when the day has no tables. */
struct day_table *ps_sqlite_find_day(struct sqlite_store *s, int32_t day);
/* The view over all days anew; once, at the end of a transaction that made or dropped some. */
int ps_sqlite_make_view(struct sqlite_store *s, struct ps_err *e);
/* Makes the day's tables; PS_EFULL at PS_STORE_DAYS_MAX. */
int ps_sqlite_make_day(struct sqlite_store *s, int32_t day, struct day_table **ret,
                       struct ps_err *e);
/* Prepares the statements of a day that is to be written. */
int ps_sqlite_open_day(struct sqlite_store *s, struct day_table *day, struct ps_err *e);
/* Remembers that not all ids of the day are numbers. */
int ps_sqlite_mark_text_ids(struct sqlite_store *s, struct day_table *day, struct ps_err *e);
enum ps_day_state ps_sqlite_state_of(struct ps_str name);
/* Sealed (archived or on its way): takes no events. */
int ps_sqlite_day_is_sealed(struct sqlite_store *s, int32_t day, bool *ret, struct ps_err *e);
int ps_sqlite_days(struct ps_store *store, ps_day_fn *fn, void *ctx, struct ps_err *e);

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
