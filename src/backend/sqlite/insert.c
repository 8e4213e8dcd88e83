/* insert.c - rows into the tables of a day: many at once, or one.  SPDX-License-Identifier: MIT */
#include "backend/sqlite/apply.h"

#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"

#include <stdlib.h>

int ps_sqlite_fill_row(struct applying *a, const struct day_shelf *to, size_t index,
                       struct batch_row *row)
{
    const struct ps_event *event = &a->batch->events[index];
    struct db *db = &a->s->db;
    struct words *words = &to->shelf->words;
    uint64_t number;
    *row = (struct batch_row){.event = event, .outcome = &a->outcomes[index]};
    int r = ps_event_id_is_made(event, &number) ? 0 : ps_sqlite_mark_text_ids(a->s, to->day, a->e);
    if (r == 0)
        r = ps_words_text(words, db, event->path, ps_event_path_hash(event), &row->path, a->e);
    if (r == 0)
        r = ps_words_text(words, db, event->user_agent, ps_event_user_agent_hash(event),
                          &row->user_agent, a->e);
    if (r == 0)
        r = ps_words_shape(words, db, event, &row->shape, a->e);
    return r;
}

int ps_sqlite_insert_rows(struct applying *a, const struct day_shelf *to, size_t count)
{
    struct batch_source *source = &a->s->source;
    *source = (struct batch_source){.rows = a->s->rows, .count = count};
    for (size_t i = 0; i < count; i++)
        *a->s->rows[i].outcome = PS_OUTCOME_NEW;
    int r = ps_db_run(&a->s->db, to->shelf->insert, a->e);
    int64_t inserted = sqlite3_changes64(a->s->db.handle);
    if (r == 0 && inserted + (int64_t)source->known != (int64_t)count)
        r = ps_fail(a->e, PS_EIO, "store: of %zu rows %lld were inserted and %zu known", count,
                    (long long)inserted, source->known);
    if (r == 0 && !to->day->own && inserted > 0) {
        to->day->events += inserted;
        to->day->grown = true;
    }
    return r;
}

int ps_sqlite_insert_row(struct applying *a, size_t index)
{
    struct day_shelf to;
    int r = ps_sqlite_day_to_write(a, index, 1, &to);
    if (r == 0)
        r = ps_sqlite_fill_row(a, &to, index, &a->s->rows[0]);
    return r < 0 ? r : ps_sqlite_insert_rows(a, &to, 1);
}

int ps_sqlite_day_to_write(struct applying *a, size_t index, size_t coming, struct day_shelf *ret)
{
    int32_t day = ps_time_day(a->batch->events[index].timestamp_ms);
    return ps_sqlite_take_day(a->s, day, coming, &ret->day, &ret->shelf, a->e);
}

int ps_sqlite_note_foreign(struct applying *a, int64_t hash, int64_t timestamp_ms)
{
    int r = a->s->put_foreign != NULL
                ? 0
                : ps_db_prepare(&a->s->db, "INSERT OR IGNORE INTO foreign_ids VALUES (?, ?)",
                                &a->s->put_foreign, a->e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(a->s->put_foreign, 1, hash);
    sqlite3_bind_int64(a->s->put_foreign, 2, timestamp_ms);
    return ps_db_run(&a->s->db, a->s->put_foreign, a->e);
}

int ps_sqlite_put_events(struct sqlite_store *s, int32_t day, const struct ps_event *events,
                         size_t count, struct ps_err *e)
{
    struct ps_batch batch = {.events = events, .count = count};
    struct applying a = {.s = s, .batch = &batch, .e = e};
    struct day_shelf to;
    int r = 0;
    a.outcomes = calloc(count + 1, 1);
    if (a.outcomes == NULL)
        return ps_fail(e, PS_ENOMEM, "store: no memory");
    for (size_t i = 0; r == 0 && i < count; i++) {
        PS_ASSERT(ps_time_day(events[i].timestamp_ms) == day);
        r = i > 0 ? 0 : ps_sqlite_day_to_write(&a, i, count, &to);
        if (r == 0)
            r = ps_sqlite_fill_row(&a, &to, i, &s->rows[i]);
        if (r == 0 && !ps_event_id_is_dated(&events[i]))
            r = ps_sqlite_note_foreign(&a,
                                       (int64_t)ps_hash64(events[i].id.ptr, events[i].id.len, 0),
                                       events[i].timestamp_ms);
    }
    if (r == 0 && count > 0)
        r = ps_sqlite_insert_rows(&a, &to, count);
    if (r == 0)
        r = ps_sqlite_write_growth(s, e);
    free(a.outcomes);
    return r;
}
