/* apply.c - a batch in one transaction: what is new, the position, the redo record (I1, I4).
 *
 * Two kinds of id. A dated one begins with its event's own timestamp, so the primary key of that
 * day's table decides alone, and whole days go in bulk. Any other is foreign: it is compared over
 * all stored days through foreign_ids (by XXH64; the day's table has the last word), row by row in
 * queue order. An id that begins with the timestamp of another event ("misdated") could collide
 * with a dated one of that day; once one was seen, dated ids are compared everywhere too.
 *
 * After any failure every cached day is forgotten: its words and tables may have been rolled back.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"

#include <stdlib.h>
#include <string.h>

struct applying {
    struct sqlite_store *s;
    const struct ps_batch *batch;
    uint8_t *outcomes;
    struct ps_err *e;
    size_t days_planned; /* admitted and not stored */
};

/* --- positions and redo --- */

static int read_position(struct applying *a, uint64_t *ret)
{
    sqlite3_stmt *q;
    int r =
        ps_db_prepare(&a->s->db, "SELECT position FROM positions WHERE partition = ?", &q, a->e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(q, 1, a->batch->partition);
    int step = sqlite3_step(q);
    *ret = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "position");
    sqlite3_finalize(q);
    return r;
}

static int write_position(struct applying *a)
{
    return ps_db_execf(&a->s->db, a->e,
                       "INSERT INTO positions(partition, position, watermark) VALUES (%u, %lld, 0)"
                       " ON CONFLICT (partition) DO UPDATE SET position = excluded.position",
                       a->batch->partition, (long long)a->batch->next_position);
}

static int write_redo(struct applying *a)
{
    const struct ps_batch *b = a->batch;
    size_t bytes = (b->count + 7) / 8;
    sqlite3_stmt *q;
    if (b->count == 0)
        return 0;
    uint8_t *fresh = calloc(1, bytes);
    if (fresh == NULL)
        return ps_fail(a->e, PS_ENOMEM, "sqlite: no memory for a redo record");
    for (size_t i = 0; i < b->count; i++)
        if (a->outcomes[i] == PS_OUTCOME_NEW)
            fresh[i / 8] |= (uint8_t)(1u << i % 8);
    int r = ps_db_prepare(&a->s->db, "INSERT INTO redo VALUES (?,?,?,?,?)", &q, a->e);
    if (r == 0) {
        sqlite3_bind_int64(q, 1, b->partition);
        sqlite3_bind_int64(q, 2, (int64_t)b->first_position);
        sqlite3_bind_int64(q, 3, (int64_t)b->next_position);
        sqlite3_bind_int64(q, 4, (int64_t)b->count);
        sqlite3_bind_blob(q, 5, fresh, (int)bytes, SQLITE_STATIC);
        r = ps_db_run(&a->s->db, q, a->e);
        sqlite3_finalize(q);
    }
    free(fresh);
    return r;
}

/* --- events --- */

static int fill_row(struct applying *a, struct day_table *t, size_t index, struct batch_row *row)
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

static int insert_bulk(struct applying *a, struct day_table *t, size_t count)
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

static int insert_row(struct applying *a, struct day_table *t, size_t index)
{
    struct batch_row row;
    int64_t value;
    int r = fill_row(a, t, index, &row);
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

/* The tables of the event's day, made if need be, ready to write. */
static int day_to_write(struct applying *a, size_t index, struct day_table **ret)
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

/* --- ids that have to be compared across days --- */

static int day_has_id(struct applying *a, int32_t day, struct ps_str id, bool *ret)
{
    struct day_table *t = ps_sqlite_find_day(a->s, day);
    *ret = false;
    if (t == NULL)
        return 0;
    int r = ps_sqlite_open_day(a->s, t, a->e);
    if (r < 0)
        return r;
    ps_db_bind_str(t->find_id, 1, id);
    int step = sqlite3_step(t->find_id);
    *ret = step == SQLITE_ROW;
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "find id");
    sqlite3_reset(t->find_id);
    return r;
}

static int foreign_day(struct applying *a, int64_t hash, bool *ret_known, int32_t *ret_day)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(&a->s->db, "SELECT day FROM foreign_ids WHERE hash = ?", &q, a->e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(q, 1, hash);
    int step = sqlite3_step(q);
    *ret_known = step == SQLITE_ROW;
    if (*ret_known)
        *ret_day = sqlite3_column_int(q, 0);
    else if (step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "foreign_ids");
    sqlite3_finalize(q);
    return r;
}

/* Is an event with this id stored, on any day? `hash` is the id's. */
static int is_stored(struct applying *a, struct ps_str id, int64_t hash, bool *ret)
{
    bool known;
    int32_t day;
    int r = foreign_day(a, hash, &known, &day);
    *ret = false;
    if (r == 0 && known) {
        r = day_has_id(a, day, id, ret);
        /* Another id with this hash, or the day is gone: rare enough to look everywhere. */
        for (size_t i = 0; r == 0 && !*ret && i < a->s->day_count; i++)
            r = day_has_id(a, a->s->days[i]->day, id, ret);
    }
    int64_t leading_ms = ps_id_leading_ms(id);
    if (r == 0 && !*ret && leading_ms != PS_ABSENT)
        r = day_has_id(a, ps_time_day(leading_ms), id, ret);
    return r;
}

static int insert_foreign(struct applying *a, size_t index)
{
    struct day_table *t;
    struct ps_str id = a->batch->events[index].id;
    int64_t hash = (int64_t)ps_hash64(id.ptr, id.len, 0);
    bool stored;
    int r = is_stored(a, id, hash, &stored);
    if (r < 0 || stored)
        return r;
    r = day_to_write(a, index, &t);
    if (r == 0)
        r = insert_row(a, t, index);
    if (r == 0)
        r = ps_db_execf(&a->s->db, a->e, "INSERT OR REPLACE INTO foreign_ids VALUES (%lld, %d)",
                        (long long)hash, (int)t->day);
    if (r == 0)
        r = ps_sqlite_mark_foreign(a->s, t, a->e);
    if (r == 0 && ps_id_leading_ms(id) != PS_ABSENT && !a->s->misdated) {
        r = ps_db_exec(&a->s->db, "INSERT OR REPLACE INTO meta VALUES ('misdated', 1)", a->e);
        a->s->misdated = true;
    }
    return r;
}

static int insert_suspicious(struct applying *a, size_t index)
{
    struct day_table *t;
    struct ps_str id = a->batch->events[index].id;
    bool stored;
    int r = is_stored(a, id, (int64_t)ps_hash64(id.ptr, id.len, 0), &stored);
    if (r < 0 || stored)
        return r;
    r = day_to_write(a, index, &t);
    return r < 0 ? r : insert_row(a, t, index);
}

/* --- days --- */

static int32_t day_of(const struct ps_batch *b, size_t k)
{
    return ps_time_day(b->events[b->order[k]].timestamp_ms);
}

static void refuse(struct applying *a, size_t from, size_t to, enum ps_outcome why)
{
    for (size_t k = from; k < to; k++)
        a->outcomes[a->batch->order[k]] = (uint8_t)why;
}

/* Refuses the events in order[from..to) whose day takes none. Makes no tables yet: a day whose
 * events are all duplicates is no day. */
static int admit_day(struct applying *a, size_t from, size_t to)
{
    int32_t day = day_of(a->batch, from);
    bool sealed;
    int r = ps_sqlite_day_is_sealed(a->s, day, &sealed, a->e);
    if (r < 0)
        return r;
    bool stored = ps_sqlite_find_day(a->s, day) != NULL;
    if (sealed)
        refuse(a, from, to, PS_OUTCOME_CLOSED_DAY);
    else if (!stored && a->s->day_count + a->days_planned == PS_STORE_DAYS_MAX)
        refuse(a, from, to, PS_OUTCOME_TOO_MANY_DAYS);
    else
        a->days_planned += !stored;
    return 0;
}

static bool is_misdated(const struct ps_event *event)
{
    return !ps_event_id_is_dated(event) && ps_id_leading_ms(event->id) != PS_ABSENT;
}

/* Where a dated and a misdated id may be the same, only the order of the queue says which counts.
 */
static int insert_in_order(struct applying *a)
{
    const struct ps_batch *b = a->batch;
    int r = 0;
    for (size_t i = 0; r == 0 && i < b->count; i++) {
        if (a->outcomes[i] != PS_OUTCOME_DUPLICATE)
            continue;
        r = ps_event_id_is_dated(&b->events[i]) ? insert_suspicious(a, i) : insert_foreign(a, i);
    }
    return r;
}

static int insert_dated(struct applying *a, size_t from, size_t to)
{
    const struct ps_batch *b = a->batch;
    struct day_table *t = NULL;
    size_t n = 0;
    int r = 0;
    for (size_t k = from; r == 0 && k < to; k++) {
        size_t index = b->order[k];
        if (!ps_event_id_is_dated(&b->events[index]))
            continue;
        if (t == NULL)
            r = day_to_write(a, index, &t);
        if (r == 0)
            r = fill_row(a, t, index, &a->s->rows[n++]);
    }
    return r < 0 || n == 0 ? r : insert_bulk(a, t, n);
}

static int insert_events(struct applying *a)
{
    const struct ps_batch *b = a->batch;
    bool any_foreign = false, in_order = a->s->misdated;
    int r = 0;
    memset(a->outcomes, PS_OUTCOME_DUPLICATE, b->count);
    for (size_t i = 0; i < b->count; i++)
        any_foreign |= !ps_event_id_is_dated(&b->events[i]), in_order |= is_misdated(&b->events[i]);
    for (size_t from = 0, to; r == 0 && from < b->count; from = to) { /* admit every day first */
        for (to = from + 1; to < b->count && day_of(b, to) == day_of(b, from); to++)
            continue;
        r = admit_day(a, from, to);
    }
    if (r == 0 && in_order)
        return insert_in_order(a);
    for (size_t i = 0; r == 0 && any_foreign && i < b->count; i++)
        if (a->outcomes[i] == PS_OUTCOME_DUPLICATE && !ps_event_id_is_dated(&b->events[i]))
            r = insert_foreign(a, i);
    for (size_t from = 0, to; r == 0 && from < b->count; from = to) {
        for (to = from + 1; to < b->count && day_of(b, to) == day_of(b, from); to++)
            continue;
        uint8_t first = a->outcomes[b->order[from]];
        if (first == PS_OUTCOME_NEW || first == PS_OUTCOME_DUPLICATE)
            r = insert_dated(a, from, to);
    }
    return r;
}

/* Its day said that it counted there, whatever other days hold by now. */
static int put_foreign(struct applying *a, struct day_table *t, size_t index)
{
    struct ps_str id = a->batch->events[index].id;
    int r = insert_row(a, t, index);
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
        r = day_to_write(&a, i, &t);
        if (r == 0 && ps_event_id_is_dated(&events[i]))
            r = fill_row(&a, t, i, &s->rows[n++]);
        else if (r == 0)
            r = put_foreign(&a, t, i);
    }
    if (r == 0 && n > 0)
        r = insert_bulk(&a, t, n);
    free(a.outcomes);
    return r;
}

static int apply_batch(struct applying *a, struct ps_applied *ret)
{
    const struct ps_batch *b = a->batch;
    uint64_t position;
    size_t counts[PS_OUTCOME_TOO_MANY_DAYS + 1] = {0};
    int r = read_position(a, &position);
    if (r < 0)
        return r;
    if (b->count > 0 && b->next_position <= position) { /* applied before */
        memset(a->outcomes, PS_OUTCOME_DUPLICATE, b->count);
        ret->duplicates = b->count;
        return 0;
    }
    r = ps_sqlite_load_days(a->s, a->e);
    if (r == 0)
        r = insert_events(a);
    if (r == 0 && a->s->view_is_stale)
        r = ps_sqlite_make_view(a->s, a->e);
    for (size_t i = 0; r == 0 && i < b->count; i++)
        counts[a->outcomes[i]]++;
    ret->fresh = counts[PS_OUTCOME_NEW];
    ret->duplicates = counts[PS_OUTCOME_DUPLICATE];
    ret->refused = counts[PS_OUTCOME_CLOSED_DAY] + counts[PS_OUTCOME_TOO_MANY_DAYS];
    if (r == 0)
        r = write_redo(a);
    if (r == 0)
        r = write_position(a);
    if (r == 0 && ret->refused > 0 && b->refused != NULL)
        r = b->refused(b->ctx, a->outcomes, a->e);
    return r;
}

/* What this handle remembers of the days is stale once another has committed. */
static int notice_others(struct sqlite_store *s, struct ps_err *e)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "PRAGMA data_version", &q, e);
    if (r < 0)
        return r;
    int64_t version = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    if (version != s->data_version)
        ps_sqlite_forget_days(s);
    s->data_version = version;
    return 0;
}

int ps_sqlite_apply(struct ps_store *store, const struct ps_batch *b, struct ps_applied *ret,
                    struct ps_err *e)
{
    struct sqlite_store *s = sqlite_of(store);
    struct applying a = {s, b, ret->outcomes, e, 0};
    PS_ASSERT(!s->frozen && s->rows != NULL);
    int r = ps_db_begin(&s->db, e);
    if (r < 0)
        return r;
    r = notice_others(s, e);
    if (r == 0)
        r = apply_batch(&a, ret);
    r = ps_db_end(&s->db, r, e);
    if (r < 0)
        ps_sqlite_forget_days(s);
    return r;
}
