/* foreign.c - ids that do not begin with their event's timestamp, compared over all stored days.
 *
 * foreign_ids holds the XXH64 of each and its event's time, which is where to look; the day's table
 * has the last word. A hash that is neither
 * there nor earlier in the batch belongs to a new event, so nearly all go in bulk; the others are
 * looked at one by one, after the bulk, in queue order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/apply.h"

#include "base/time.h"
#include "core/hash.h"

#include <stdlib.h>

/* Is an event with this id stored at this time? */
static int has_event(struct applying *a, struct ps_str id, int64_t timestamp_ms, bool *ret)
{
    const struct stored_day *day = ps_sqlite_find_day(a->s, ps_time_day(timestamp_ms));
    struct shelf *shelf;
    struct event_key key = ps_event_key(&(struct ps_event){.id = id, .timestamp_ms = timestamp_ms});
    *ret = false;
    if (day == NULL)
        return 0;
    int r = ps_sqlite_open_shelf(a->s, day, &shelf, a->e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(shelf->find_id, 1, timestamp_ms);
    ps_event_key_bind(shelf->find_id, 2, &key);
    int step = sqlite3_step(shelf->find_id);
    *ret = step == SQLITE_ROW;
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "find id");
    sqlite3_reset(shelf->find_id);
    return r;
}

/* Calls fn with the time of each event whose foreign id has this hash, until it fails or says 1. */
static int each_with_hash(struct applying *a, int64_t hash,
                          int (*fn)(void *ctx, int64_t timestamp_ms), void *ctx)
{
    int r = 0, step = SQLITE_DONE;
    if (a->s->find_foreign == NULL)
        r = ps_db_prepare(&a->s->db, "SELECT timestamp FROM foreign_ids WHERE hash = ?",
                          &a->s->find_foreign, a->e);
    if (r < 0)
        return r;
    sqlite3_stmt *q = a->s->find_foreign;
    sqlite3_bind_int64(q, 1, hash);
    while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW)
        r = fn(ctx, sqlite3_column_int64(q, 0));
    if (r == 0 && step != SQLITE_DONE)
        r = ps_db_fail(&a->s->db, a->e, "foreign_ids");
    sqlite3_reset(q);
    return r;
}

static int say_known(void *ctx, int64_t timestamp_ms)
{
    (void)ctx;
    (void)timestamp_ms;
    return 1;
}

struct id_search {
    struct applying *a;
    struct ps_str id;
};

static int has_same_id(void *ctx, int64_t timestamp_ms)
{
    struct id_search *search = ctx;
    bool found;
    int r = has_event(search->a, search->id, timestamp_ms, &found);
    return r < 0 ? r : found;
}

/* Is an event with this id stored, on any day? `hash` is the id's. */
static int is_stored(struct applying *a, struct ps_str id, int64_t hash, bool *ret)
{
    struct id_search search = {a, id};
    int r = each_with_hash(a, hash, has_same_id, &search);
    int64_t leading_ms = ps_id_leading_ms(id);
    *ret = r == 1;
    if (r == 0 && leading_ms != PS_ABSENT)
        r = has_event(a, id, leading_ms, ret);
    return r < 0 ? r : 0;
}

int ps_sqlite_insert_foreign(struct applying *a, size_t index)
{
    struct ps_str id = a->batch->events[index].id;
    int64_t hash = (int64_t)ps_hash64(id.ptr, id.len, 0);
    bool stored;
    int r = is_stored(a, id, hash, &stored);
    if (r < 0 || stored)
        return r;
    r = ps_sqlite_insert_row(a, index);
    if (r == 0)
        r = ps_sqlite_note_foreign(a, hash, a->batch->events[index].timestamp_ms);
    if (r == 0 && ps_id_leading_ms(id) != PS_ABSENT && !a->s->misdated) {
        r = ps_db_exec(&a->s->db, "INSERT OR REPLACE INTO meta VALUES ('misdated', 1)", a->e);
        a->s->misdated = true;
    }
    return r;
}

int ps_sqlite_insert_suspicious(struct applying *a, size_t index)
{
    struct ps_str id = a->batch->events[index].id;
    bool stored;
    int r = is_stored(a, id, (int64_t)ps_hash64(id.ptr, id.len, 0), &stored);
    return r < 0 || stored ? r : ps_sqlite_insert_row(a, index);
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
        int r = add_hash(set, hash) ? each_with_hash(a, hash, say_known, NULL) : 1;
        if (r < 0)
            return r;
        if (r == 1)
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
                ? ps_fail(a->e, PS_ENOMEM, "store: no memory for a batch")
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

int ps_sqlite_note_plan(struct applying *a, const struct foreign_plan *plan)
{
    int r = 0;
    qsort(plan->fresh, plan->fresh_count, sizeof *plan->fresh, compare_hashes);
    for (size_t i = 0; r == 0 && i < plan->fresh_count; i++) {
        const struct foreign *f = &plan->fresh[i];
        r = ps_sqlite_note_foreign(a, f->hash, a->batch->events[f->index].timestamp_ms);
    }
    return r;
}
