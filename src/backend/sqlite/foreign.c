/* foreign.c - ids that do not begin with their event's timestamp, compared over all stored days.
 *
 * foreign_ids holds the XXH64 of each; the day's table has the last word. A hash that is neither
 * there nor earlier in the batch belongs to a new event, so nearly all go in bulk; the others are
 * looked at one by one, after the bulk, in queue order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/apply.h"

#include "base/time.h"
#include "core/hash.h"

#include <stdlib.h>

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

static int prepare_once(struct applying *a, sqlite3_stmt **statement, const char *sql)
{
    return *statement != NULL ? 0 : ps_db_prepare(&a->s->db, sql, statement, a->e);
}

static int foreign_day(struct applying *a, int64_t hash, bool *ret_known, int32_t *ret_day)
{
    int r = prepare_once(a, &a->s->find_foreign, "SELECT day FROM foreign_ids WHERE hash = ?");
    if (r < 0)
        return r;
    sqlite3_stmt *q = a->s->find_foreign;
    sqlite3_bind_int64(q, 1, hash);
    int step = sqlite3_step(q);
    *ret_known = step == SQLITE_ROW;
    if (*ret_known)
        *ret_day = sqlite3_column_int(q, 0);
    else if (step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "foreign_ids");
    sqlite3_reset(q);
    return r;
}

static int put_hash(struct applying *a, int64_t hash, int32_t day)
{
    int r = prepare_once(a, &a->s->put_foreign, "INSERT OR REPLACE INTO foreign_ids VALUES (?, ?)");
    if (r < 0)
        return r;
    sqlite3_bind_int64(a->s->put_foreign, 1, hash);
    sqlite3_bind_int(a->s->put_foreign, 2, day);
    return ps_db_run(&a->s->db, a->s->put_foreign, a->e);
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

int ps_sqlite_insert_foreign(struct applying *a, size_t index)
{
    struct day_table *t;
    struct ps_str id = a->batch->events[index].id;
    int64_t hash = (int64_t)ps_hash64(id.ptr, id.len, 0);
    bool stored;
    int r = is_stored(a, id, hash, &stored);
    if (r < 0 || stored)
        return r;
    r = ps_sqlite_day_to_write(a, index, &t);
    if (r == 0)
        r = ps_sqlite_insert_row(a, t, index);
    if (r == 0)
        r = put_hash(a, hash, t->day);
    if (r == 0)
        r = ps_sqlite_mark_foreign(a->s, t, a->e);
    if (r == 0 && ps_id_leading_ms(id) != PS_ABSENT && !a->s->misdated) {
        r = ps_db_exec(&a->s->db, "INSERT OR REPLACE INTO meta VALUES ('misdated', 1)", a->e);
        a->s->misdated = true;
    }
    return r;
}

int ps_sqlite_insert_suspicious(struct applying *a, size_t index)
{
    struct day_table *t;
    struct ps_str id = a->batch->events[index].id;
    bool stored;
    int r = is_stored(a, id, (int64_t)ps_hash64(id.ptr, id.len, 0), &stored);
    if (r < 0 || stored)
        return r;
    r = ps_sqlite_day_to_write(a, index, &t);
    return r < 0 ? r : ps_sqlite_insert_row(a, t, index);
}

/* --- in bulk --- */

/* A set of hashes; 0 is an empty slot, so hash 0 is kept as 1: it then is looked at one by one. */
struct hash_set {
    uint64_t *slots;
    size_t mask;
};

static bool add_hash(struct hash_set *set, int64_t hash)
{
    uint64_t value = hash == 0 ? 1 : (uint64_t)hash;
    size_t i = (size_t)value & set->mask;
    while (set->slots[i] != 0 && set->slots[i] != value)
        i = (i + 1) & set->mask;
    if (set->slots[i] == value)
        return false;
    set->slots[i] = value;
    return true;
}

void ps_sqlite_foreign_plan_done(struct foreign_plan *plan)
{
    free(plan->fresh);
    free(plan->in_bulk);
    *plan = (struct foreign_plan){0};
}

static int plan_events(struct applying *a, struct hash_set *set, struct foreign_plan *plan)
{
    const struct ps_batch *b = a->batch;
    for (size_t i = 0; i < b->count; i++) {
        const struct ps_event *event = &b->events[i];
        if (a->outcomes[i] != PS_OUTCOME_DUPLICATE || ps_event_id_is_dated(event))
            continue;
        int64_t hash = (int64_t)ps_hash64(event->id.ptr, event->id.len, 0);
        bool known = false;
        int32_t day;
        int r = add_hash(set, hash) ? foreign_day(a, hash, &known, &day) : 1;
        if (r < 0)
            return r;
        if (r == 1 || known)
            continue;
        plan->fresh[plan->fresh_count++] = (struct foreign){hash, (uint32_t)i};
        plan->in_bulk[i] = true;
    }
    return 0;
}

int ps_sqlite_plan_foreign(struct applying *a, struct foreign_plan *ret)
{
    size_t count = a->batch->count, slots = 16;
    struct foreign_plan plan = {0};
    while (slots < count * 2)
        slots *= 2;
    struct hash_set set = {calloc(slots, sizeof(uint64_t)), slots - 1};
    plan.fresh = malloc(count * sizeof *plan.fresh);
    plan.in_bulk = calloc(count, sizeof *plan.in_bulk);
    int r = set.slots == NULL || plan.fresh == NULL || plan.in_bulk == NULL
                ? ps_fail(a->e, PS_ENOMEM, "sqlite: no memory for a batch")
                : plan_events(a, &set, &plan);
    free(set.slots);
    if (r < 0)
        ps_sqlite_foreign_plan_done(&plan);
    else
        *ret = plan;
    return r;
}

static int compare_hashes(const void *x, const void *y)
{
    const struct foreign *a = x, *b = y;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

int ps_sqlite_note_foreign(struct applying *a, const struct foreign_plan *plan)
{
    int r = 0;
    qsort(plan->fresh, plan->fresh_count, sizeof *plan->fresh, compare_hashes);
    for (size_t i = 0; r == 0 && i < plan->fresh_count; i++) {
        int32_t day = ps_time_day(a->batch->events[plan->fresh[i].index].timestamp_ms);
        struct day_table *t = ps_sqlite_find_day(a->s, day);
        r = put_hash(a, plan->fresh[i].hash, day);
        if (r == 0)
            r = ps_sqlite_mark_foreign(a->s, t, a->e);
    }
    return r;
}
