/* insert.c - rows into the tables of a day: many at once, or one.  SPDX-License-Identifier: MIT */
#include "backend/sqlite/apply.h"

#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"

#include <stdlib.h>

int ps_sqlite_fill_row(struct applying *a, struct day_table *t, size_t index, struct batch_row *row)
{
    const struct ps_event *event = &a->batch->events[index];
    struct db *db = &a->s->db;
    *row = (struct batch_row){.event = event, .outcome = &a->outcomes[index]};
    int r = ps_words_number(&t->words, db, event->path, &row->path, a->e);
    if (r == 0)
        r = ps_words_number(&t->words, db, event->method, &row->method, a->e);
    if (r == 0)
        r = ps_words_number(&t->words, db, event->user_agent, &row->user_agent, a->e);
    if (r == 0)
        r = ps_words_number(&t->words, db, event->country, &row->country, a->e);
    return r;
}

int ps_sqlite_insert_bulk(struct applying *a, struct day_table *t, size_t count)
{
    struct batch_source *source = &a->s->source;
    *source = (struct batch_source){.rows = a->s->rows,
                                    .count = count,
                                    .marking = true,
                                    .day_start_ms = (int64_t)t->day * PS_MS_PER_DAY};
    int r = ps_db_run(&a->s->db, t->insert_bulk, a->e);
    source->marking = false;
    if (r == 0 && (int64_t)source->marked != sqlite3_changes64(a->s->db.handle))
        r = ps_fail(a->e, PS_EIO, "sqlite: %zu rows marked, %lld inserted", source->marked,
                    (long long)sqlite3_changes64(a->s->db.handle));
    return r;
}

int ps_sqlite_insert_row(struct applying *a, struct day_table *t, size_t index)
{
    struct batch_row row;
    int64_t value;
    int r = ps_sqlite_fill_row(a, t, index, &row);
    if (r < 0)
        return r;
    ps_db_bind_str(t->insert_row, 1, row.event->id);
    for (int i = COLUMN_TS; i < COLUMN_COUNT; i++)
        if (ps_batch_integer(&row, (int64_t)t->day * PS_MS_PER_DAY, (enum batch_column)i, &value))
            sqlite3_bind_int64(t->insert_row, i + 1, value);
        else
            sqlite3_bind_null(t->insert_row, i + 1);
    r = ps_db_run(&a->s->db, t->insert_row, a->e);
    if (r == 0 && sqlite3_changes(a->s->db.handle) == 1)
        *row.outcome = PS_OUTCOME_NEW;
    return r;
}

int ps_sqlite_day_to_write(struct applying *a, size_t index, struct day_table **ret)
{
    int32_t day = ps_time_day(a->batch->events[index].timestamp_ms);
    struct day_table *t = ps_sqlite_find_day(a->s, day);
    int r = t != NULL ? 0 : ps_sqlite_make_day(a->s, day, &t, a->e);
    if (r == 0)
        r = ps_sqlite_open_day(a->s, t, a->e);
    if (r == 0)
        *ret = t;
    return r;
}

/* Its day said that it counted there, whatever other days hold by now. */
static int put_foreign(struct applying *a, struct day_table *t, size_t index)
{
    struct ps_str id = a->batch->events[index].id;
    int r = ps_sqlite_insert_row(a, t, index);
    if (r == 0)
        r = ps_db_execf(&a->s->db, a->e, "INSERT OR IGNORE INTO foreign_ids VALUES (%lld, %d)",
                        (long long)ps_hash64(id.ptr, id.len, 0), (int)t->day);
    return r < 0 ? r : ps_sqlite_mark_foreign(a->s, t, a->e);
}

int ps_sqlite_put_events(struct sqlite_store *s, int32_t day, const struct ps_event *events,
                         size_t count, struct ps_err *e)
{
    struct ps_batch batch = {.events = events, .count = count};
    struct applying a = {.s = s, .batch = &batch, .e = e};
    struct day_table *t = NULL;
    size_t n = 0;
    int r = 0;
    a.outcomes = calloc(count + 1, 1);
    if (a.outcomes == NULL)
        return ps_fail(e, PS_ENOMEM, "sqlite: no memory");
    for (size_t i = 0; r == 0 && i < count; i++) {
        PS_ASSERT(ps_time_day(events[i].timestamp_ms) == day);
        r = ps_sqlite_day_to_write(&a, i, &t);
        if (r == 0 && ps_event_id_is_dated(&events[i]))
            r = ps_sqlite_fill_row(&a, t, i, &s->rows[n++]);
        else if (r == 0)
            r = put_foreign(&a, t, i);
    }
    if (r == 0 && n > 0)
        r = ps_sqlite_insert_bulk(&a, t, n);
    free(a.outcomes);
    return r;
}
