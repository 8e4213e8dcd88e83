/* apply.c - a batch in one transaction: what is new, the position, the redo record (I1, I4).
 *
 * Two kinds of id. A dated one begins with its event's own timestamp, so the primary key of the
 * table its day lies in decides alone, and whole days go in bulk. Any other is foreign: it is
 * compared over all stored days (foreign.c). An id that begins with the timestamp of another event
 * ("misdated") could collide with a dated one of that day; once one was seen, dated ids are
 * compared everywhere too.
 *
 * After any failure every cached day is forgotten: its words and tables may have been rolled back.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/apply.h"

#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

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
        return ps_fail(a->e, PS_ENOMEM, "store: no memory for a redo record");
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

/* --- days --- */

static int32_t day_of(const struct ps_batch *b, size_t k)
{
    return ps_time_day(b->events[b->order[k]].timestamp_ms);
}

/* Refuses the events in order[from..to) whose day takes none. Makes no tables yet: a day whose
 * events are all duplicates is no day. */
static int admit_day(struct applying *a, size_t from, size_t to, const struct foreign_plan *plan)
{
    (void)plan;
    bool sealed;
    int r = ps_sqlite_day_is_sealed(a->s, day_of(a->batch, from), &sealed, a->e);
    if (r == 0 && sealed)
        for (size_t k = from; k < to; k++)
            a->outcomes[a->batch->order[k]] = PS_OUTCOME_CLOSED_DAY;
    return r;
}

/* What kinds of id a batch holds; nearly always dated ones alone. */
struct id_kinds {
    bool foreign, misdated;
};

static struct id_kinds kinds_of(const struct ps_batch *b)
{
    struct id_kinds kinds = {false, false};
    for (size_t i = 0; i < b->count; i++) {
        if (ps_event_id_is_dated(&b->events[i]))
            continue;
        int64_t leading_ms = ps_id_leading_ms(b->events[i].id);
        kinds.foreign |= leading_ms != b->events[i].timestamp_ms;
        kinds.misdated |= leading_ms != b->events[i].timestamp_ms && leading_ms != PS_ABSENT;
    }
    return kinds;
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
        r = ps_event_id_is_dated(&b->events[i]) ? ps_sqlite_insert_suspicious(a, i)
                                                : ps_sqlite_insert_foreign(a, i);
    }
    return r;
}

/* The texts of events lie anywhere, often in another core's cache. */
static void prefetch_event(const struct ps_batch *b, size_t k)
{
    enum { NEAR = 8, FAR = 16 };
    if (k + FAR < b->count)
        __builtin_prefetch(&b->events[b->order[k + FAR]]);
    if (k + NEAR >= b->count)
        return;
    const struct ps_event *event = &b->events[b->order[k + NEAR]];
    __builtin_prefetch(event->path.ptr);
    __builtin_prefetch(event->user_agent.ptr);
}

/* order[from..to) of one day: what goes in bulk. `plan` NULL: all of it. */
static int insert_day(struct applying *a, size_t from, size_t to, const struct foreign_plan *plan)
{
    const struct ps_batch *b = a->batch;
    struct day_shelf shelf = {NULL, NULL};
    size_t n = 0;
    int r = 0;
    for (size_t k = from; r == 0 && k < to; k++) {
        size_t index = b->order[k];
        prefetch_event(b, k);
        if (plan != NULL && !plan->in_bulk[index] && !ps_event_id_is_dated(&b->events[index]))
            continue;
        if (shelf.day == NULL)
            r = ps_sqlite_day_to_write(a, index, to - k, &shelf);
        if (r == 0)
            r = ps_sqlite_fill_row(a, &shelf, index, &a->s->rows[n++]);
    }
    return r < 0 || n == 0 ? r : ps_sqlite_insert_rows(a, &shelf, n);
}

/* Calls fn for each day's stretch of the order. */
static int each_day(struct applying *a, const struct foreign_plan *plan,
                    int (*fn)(struct applying *a, size_t from, size_t to,
                              const struct foreign_plan *plan))
{
    const struct ps_batch *b = a->batch;
    int r = 0;
    for (size_t from = 0, to; r == 0 && from < b->count; from = to) {
        for (to = from + 1; to < b->count && day_of(b, to) == day_of(b, from); to++)
            continue;
        if (a->outcomes[b->order[from]] == PS_OUTCOME_DUPLICATE) /* or refused, as all of it is */
            r = fn(a, from, to, plan);
    }
    return r;
}

static int insert_foreign_too(struct applying *a)
{
    const struct ps_batch *b = a->batch;
    struct foreign_plan plan;
    int r = ps_sqlite_plan_foreign(a, &plan);
    if (r < 0)
        return r;
    r = each_day(a, &plan, insert_day);
    if (r == 0)
        r = ps_sqlite_note_plan(a, &plan);
    for (size_t i = 0; r == 0 && i < b->count; i++)
        if (a->outcomes[i] == PS_OUTCOME_DUPLICATE && !ps_event_id_is_dated(&b->events[i]))
            r = ps_sqlite_insert_foreign(a, i);
    ps_sqlite_foreign_plan_done(&plan);
    return r;
}

static int insert_events(struct applying *a)
{
    const struct ps_batch *b = a->batch;
    struct id_kinds kinds = kinds_of(b);
    memset(a->outcomes, PS_OUTCOME_DUPLICATE, b->count);
    int r = each_day(a, NULL, admit_day);
    if (r < 0)
        return r;
    if (kinds.misdated || a->s->misdated)
        return insert_in_order(a);
    return kinds.foreign ? insert_foreign_too(a) : each_day(a, NULL, insert_day);
}

static int apply_batch(struct applying *a, struct ps_applied *ret)
{
    const struct ps_batch *b = a->batch;
    uint64_t position = 0;
    size_t counts[PS_OUTCOME_COUNT] = {0};
    int r = b->direct ? 0 : read_position(a, &position);
    if (r < 0)
        return r;
    if (!b->direct && b->count > 0 && b->next_position <= position) { /* applied before */
        memset(a->outcomes, PS_OUTCOME_DUPLICATE, b->count);
        ret->duplicates = b->count;
        return 0;
    }
    r = ps_sqlite_load_days(a->s, a->e);
    if (r == 0)
        r = insert_events(a);
    if (r == 0)
        r = ps_sqlite_write_growth(a->s, a->e);
    if (r == 0 && a->s->view_is_stale && !a->s->db.held)
        r = ps_sqlite_make_view(a->s, a->e);
    for (size_t i = 0; r == 0 && i < b->count; i++)
        counts[a->outcomes[i]]++;
    ret->fresh = counts[PS_OUTCOME_NEW];
    ret->duplicates = counts[PS_OUTCOME_DUPLICATE];
    ret->refused = counts[PS_OUTCOME_CLOSED_DAY];
    if (r == 0 && !b->direct)
        r = write_redo(a);
    if (r == 0 && !b->direct)
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
    struct applying a = {s, b, ret->outcomes, e};
    PS_ASSERT(!s->frozen && s->rows != NULL);
    int r = ps_db_begin(&s->db, DB_MUCH, e);
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
