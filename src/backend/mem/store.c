/* store.c - `ps_store_mem`: the plainest store that keeps the contract; the oracle in tests.
 *
 * Lists and linear searches over hashes, one recursive lock for everything (a callback may read the
 * store), which freeze simply holds.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BUCKETS = 4096 };

struct stored {
    struct stored *next; /* in its id bucket */
    struct ps_event event;
    char bytes[];
};

struct row {
    struct row *next; /* by (hour, path) */
    struct ps_stat_row row;
    char bytes[];
};

struct redo {
    struct redo *next;
    struct ps_redo redo;
    uint8_t fresh[];
};

struct partition {
    struct partition *next;
    uint32_t number;
    uint64_t position, watermark;
    struct redo *redo;
};

struct sealed {
    struct sealed *next;
    int32_t day;
    enum ps_day_state state;
};

struct shared {
    struct shared *next;
    char *target;
    struct stored *ids[ID_BUCKETS];
    size_t event_count;
    struct row *rows;
    struct partition *partitions;
    struct sealed *sealed;
};

struct mem_store {
    struct ps_store base;
    struct shared *shared;
    bool frozen;
    struct shared *before; /* as it was when the transaction began; the lock is held */
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct shared *all;

static struct shared *shared_of(struct ps_store *s)
{
    return ((struct mem_store *)s)->shared;
}

static struct shared *find_shared(const char *target)
{
    struct shared *s = all;
    while (s != NULL && strcmp(s->target, target) != 0)
        s = s->next;
    return s;
}

static int open_store(struct ps_store **ret, const char *target, enum ps_store_mode mode,
                      struct ps_err *e)
{
    struct mem_store *m = calloc(1, sizeof *m);
    (void)mode;
    if (m == NULL)
        return ps_fail(e, PS_ENOMEM, "store: no memory");
    pthread_mutex_lock(&lock);
    struct shared *s = find_shared(target);
    if (s == NULL && (s = calloc(1, sizeof *s)) != NULL) {
        s->target = strdup(target);
        s->next = all;
        all = s;
    }
    pthread_mutex_unlock(&lock);
    m->shared = s;
    *ret = &m->base;
    return 0;
}

static int freeze(struct ps_store *store, bool on, struct ps_err *e)
{
    struct mem_store *m = (struct mem_store *)store;
    (void)e;
    if (m->frozen != on)
        on ? pthread_mutex_lock(&lock) : pthread_mutex_unlock(&lock);
    m->frozen = on;
    return 0;
}

static void close_store(struct ps_store *store)
{
    freeze(store, false, NULL);
    free(store);
}

/* --- events --- */

static struct stored **bucket_of(struct shared *s, struct ps_str id)
{
    return &s->ids[ps_hash64(id.ptr, id.len, 0) % ID_BUCKETS];
}

static bool has_id(struct shared *s, struct ps_str id)
{
    struct stored *at = *bucket_of(s, id);
    while (at != NULL && !ps_str_equal(at->event.id, id))
        at = at->next;
    return at != NULL;
}

static struct ps_str keep(char **to, struct ps_str s)
{
    if (s.ptr == NULL)
        return s;
    ps_copy(*to, s.ptr, s.len);
    struct ps_str kept = {*to, s.len};
    *to += s.len;
    return kept;
}

static void store_event(struct shared *s, const struct ps_event *event)
{
    size_t n = event->id.len + event->path.len + event->method.len + event->user_agent.len +
               event->country.len;
    struct stored *st = malloc(sizeof *st + n), **bucket = bucket_of(s, event->id);
    PS_ASSERT(st != NULL);
    char *to = st->bytes;
    st->event = *event;
    st->event.id = keep(&to, event->id);
    st->event.path = keep(&to, event->path);
    st->event.method = keep(&to, event->method);
    st->event.user_agent = keep(&to, event->user_agent);
    st->event.country = keep(&to, event->country);
    st->next = *bucket;
    *bucket = st;
    s->event_count++;
}

static void drop_events(struct shared *s, bool (*drop)(const struct stored *st, const void *ctx),
                        const void *ctx)
{
    for (size_t i = 0; i < ID_BUCKETS; i++)
        for (struct stored **link = &s->ids[i]; *link != NULL;) {
            struct stored *st = *link;
            if (!drop(st, ctx)) {
                link = &st->next;
                continue;
            }
            *link = st->next;
            s->event_count--;
            free(st);
        }
}

/* Every stored event that `want`s, sorted; the caller frees. */
static struct stored **collect(struct shared *s, int32_t day, size_t *ret_count)
{
    struct stored **list = calloc(s->event_count + 1, sizeof *list);
    size_t n = 0;
    PS_ASSERT(list != NULL);
    for (size_t i = 0; i < ID_BUCKETS; i++)
        for (struct stored *st = s->ids[i]; st != NULL; st = st->next)
            if (ps_time_day(st->event.timestamp_ms) == day)
                list[n++] = st;
    *ret_count = n;
    return list;
}

static int by_time(const void *x, const void *y)
{
    const struct ps_event *a = &(*(struct stored *const *)x)->event;
    const struct ps_event *b = &(*(struct stored *const *)y)->event;
    if (a->timestamp_ms != b->timestamp_ms)
        return a->timestamp_ms < b->timestamp_ms ? -1 : 1;
    return ps_str_compare(a->id, b->id);
}

static int read_events(struct ps_store *store, int32_t day, enum ps_event_order order,
                       ps_event_fn *fn, void *ctx, struct ps_err *e)
{
    size_t count;
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    struct stored **list = collect(shared_of(store), day, &count);
    if (order == PS_ORDER_TIME)
        qsort(list, count, sizeof(struct stored *), by_time);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = fn(ctx, &list[i]->event);
    free(list);
    pthread_mutex_unlock(&lock);
    return r;
}

/* --- days --- */

static enum ps_day_state state_of(const struct shared *s, int32_t day)
{
    const struct sealed *at = s->sealed;
    while (at != NULL && at->day != day)
        at = at->next;
    return at == NULL ? PS_DAY_OPEN : at->state;
}

static bool is_sealed(const struct shared *s, int32_t day)
{
    enum ps_day_state state = state_of(s, day);
    return state == PS_DAY_PENDING || state == PS_DAY_COMPLETED || state == PS_DAY_CLEANED;
}

/* Sorted distinct days */
static int compare_days(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return a < b ? -1 : a > b;
}

static size_t list_days(struct shared *s, int32_t **ret)
{
    size_t n = 0, distinct = 0, sealed = 0;
    for (struct sealed *at = s->sealed; at != NULL; at = at->next)
        sealed++;
    int32_t *days = calloc(s->event_count + sealed + 1, sizeof *days);
    PS_ASSERT(days != NULL);
    for (size_t i = 0; i < ID_BUCKETS; i++)
        for (struct stored *st = s->ids[i]; st != NULL; st = st->next)
            days[n++] = ps_time_day(st->event.timestamp_ms);
    for (struct sealed *at = s->sealed; at != NULL; at = at->next)
        days[n++] = at->day;
    qsort(days, n, sizeof *days, compare_days);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || days[i] != days[i - 1])
            days[distinct++] = days[i];
    *ret = days;
    return distinct;
}

static int read_days(struct ps_store *store, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    struct shared *s = shared_of(store);
    int32_t *days;
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    size_t n = list_days(s, &days);
    for (size_t i = 0; r == 0 && i < n; i++) {
        size_t events;
        free(collect(s, days[i], &events));
        struct ps_day day = {.day = days[i], .state = state_of(s, days[i]), .stored = events > 0};
        ps_mem_ledger_record(s->target, &day);
        r = fn(ctx, &day);
    }
    free(days);
    pthread_mutex_unlock(&lock);
    return r;
}

static bool is_of_day(const struct stored *st, const void *ctx)
{
    return ps_time_day(st->event.timestamp_ms) == *(const int32_t *)ctx;
}

void ps_mem_store_seal(const char *target, int32_t day, enum ps_day_state state)
{
    pthread_mutex_lock(&lock);
    struct shared *s = find_shared(target);
    struct sealed *sealed = calloc(1, sizeof *sealed);
    PS_ASSERT(s != NULL && sealed != NULL);
    *sealed = (struct sealed){s->sealed, day, state};
    s->sealed = sealed;
    if (state == PS_DAY_CLEANED)
        drop_events(s, is_of_day, &day);
    pthread_mutex_unlock(&lock);
}

void ps_mem_store_put(const char *target, const struct ps_event *event)
{
    pthread_mutex_lock(&lock);
    struct shared *s = find_shared(target);
    PS_ASSERT(s != NULL);
    struct stored *st = *bucket_of(s, event->id);
    while (st != NULL && (!ps_str_equal(st->event.id, event->id) ||
                          ps_time_day(st->event.timestamp_ms) != ps_time_day(event->timestamp_ms)))
        st = st->next;
    if (st == NULL) /* of this day; other days do not matter */
        store_event(s, event);
    pthread_mutex_unlock(&lock);
}

enum ps_day_state ps_mem_store_state(const char *target, int32_t day)
{
    pthread_mutex_lock(&lock);
    struct shared *s = find_shared(target);
    enum ps_day_state state = s == NULL ? PS_DAY_OPEN : state_of(s, day);
    pthread_mutex_unlock(&lock);
    return state;
}

/* --- apply --- */

static struct partition *find_partition(struct shared *s, uint32_t number)
{
    struct partition *p = s->partitions;
    while (p != NULL && p->number != number)
        p = p->next;
    if (p == NULL) {
        p = calloc(1, sizeof *p);
        PS_ASSERT(p != NULL);
        *p = (struct partition){.next = s->partitions, .number = number};
        s->partitions = p;
    }
    return p;
}

static enum ps_outcome outcome_of(struct shared *s, const struct ps_event *event)
{
    if (is_sealed(s, ps_time_day(event->timestamp_ms)))
        return PS_OUTCOME_CLOSED_DAY;
    return has_id(s, event->id) ? PS_OUTCOME_DUPLICATE : PS_OUTCOME_NEW;
}

static struct redo *keep_redo(struct partition *p, const struct ps_redo *from)
{
    size_t bytes = (from->count + 7) / 8;
    struct redo *redo = calloc(1, sizeof *redo + bytes), **link = &p->redo;
    PS_ASSERT(redo != NULL);
    redo->redo = *from;
    redo->redo.fresh = redo->fresh;
    if (from->fresh != NULL)
        memcpy(redo->fresh, from->fresh, bytes);
    while (*link != NULL)
        link = &(*link)->next;
    return *link = redo;
}

static void put_redo(struct partition *p, const struct ps_batch *b, const uint8_t *outcomes)
{
    struct redo *redo = keep_redo(
        p, &(struct ps_redo){b->partition, b->first_position, b->next_position, b->count, NULL});
    for (size_t i = 0; i < b->count; i++)
        if (outcomes[i] == PS_OUTCOME_NEW)
            redo->fresh[i / 8] |= (uint8_t)(1u << i % 8);
}

struct added {
    const struct ps_batch *batch;
    const uint8_t *outcomes;
};

static bool is_added(const struct stored *st, const void *ctx)
{
    const struct added *added = ctx;
    for (size_t i = 0; i < added->batch->count; i++)
        if (added->outcomes[i] == PS_OUTCOME_NEW &&
            ps_str_equal(added->batch->events[i].id, st->event.id))
            return true;
    return false;
}

static int apply_locked(struct shared *s, const struct ps_batch *b, struct ps_applied *ret,
                        struct ps_err *e)
{
    struct partition *p = find_partition(s, b->partition);
    int r = 0;
    if (!b->direct && b->count > 0 && b->next_position <= p->position) {
        memset(ret->outcomes, PS_OUTCOME_DUPLICATE, b->count);
        ret->duplicates = b->count;
        return 0;
    }
    for (size_t i = 0; i < b->count; i++) {
        ret->outcomes[i] = (uint8_t)outcome_of(s, &b->events[i]);
        ret->fresh += ret->outcomes[i] == PS_OUTCOME_NEW;
        ret->duplicates += ret->outcomes[i] == PS_OUTCOME_DUPLICATE;
        if (ret->outcomes[i] == PS_OUTCOME_NEW)
            store_event(s, &b->events[i]);
    }
    ret->refused = b->count - ret->fresh - ret->duplicates;
    if (ret->refused > 0 && b->refused != NULL)
        r = b->refused(b->ctx, ret->outcomes, e);
    if (r < 0) {
        drop_events(s, is_added, &(struct added){b, ret->outcomes});
        return r;
    }
    if (b->direct)
        return 0;
    p->position = b->next_position;
    if (b->count > 0)
        put_redo(p, b, ret->outcomes);
    return 0;
}

static int apply(struct ps_store *store, const struct ps_batch *b, struct ps_applied *ret,
                 struct ps_err *e)
{
    pthread_mutex_lock(&lock);
    int r = apply_locked(shared_of(store), b, ret, e);
    pthread_mutex_unlock(&lock);
    return r;
}

static int read_position(struct ps_store *store, uint32_t partition, uint64_t *ret_position,
                         uint64_t *ret_watermark, struct ps_err *e)
{
    (void)e;
    pthread_mutex_lock(&lock);
    struct partition *p = find_partition(shared_of(store), partition);
    *ret_position = p->position;
    *ret_watermark = p->watermark;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int read_redo(struct ps_store *store, uint32_t partition, ps_redo_fn *fn, void *ctx,
                     struct ps_err *e)
{
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    struct partition *p = find_partition(shared_of(store), partition);
    for (struct redo *redo = p->redo; r == 0 && redo != NULL; redo = redo->next)
        r = fn(ctx, &redo->redo);
    pthread_mutex_unlock(&lock);
    return r;
}

/* --- rows --- */

static int compare_key(const struct ps_stat_row *a, const struct ps_stat_row *b)
{
    if (a->hour != b->hour)
        return a->hour < b->hour ? -1 : 1;
    return ps_str_compare(a->path, b->path);
}

static struct row *copy_row(const struct ps_stat_row *from)
{
    const struct ps_stat *stat = &from->stat;
    size_t n = from->path.len + stat->samples.len + stat->sample_keys.len + stat->clients.len +
               stat->sketch.len + stat->methods.len + stat->statuses.len;
    struct row *row = malloc(sizeof *row + n);
    PS_ASSERT(row != NULL);
    char *to = row->bytes;
    row->row = *from;
    row->row.path = keep(&to, from->path);
    row->row.stat.samples = keep(&to, stat->samples);
    row->row.stat.sample_keys = keep(&to, stat->sample_keys);
    row->row.stat.clients = keep(&to, stat->clients);
    row->row.stat.sketch = keep(&to, stat->sketch);
    row->row.stat.methods = keep(&to, stat->methods);
    row->row.stat.statuses = keep(&to, stat->statuses);
    return row;
}

static void put_row(struct shared *s, const struct ps_stat_row *from)
{
    struct row **link = &s->rows;
    while (*link != NULL && compare_key(&(*link)->row, from) < 0)
        link = &(*link)->next;
    struct row *old = *link, *copy = from->stat.requests > 0 ? copy_row(from) : NULL;
    if (old != NULL && compare_key(&old->row, from) == 0) {
        *link = old->next;
        free(old);
    }
    if (copy != NULL) {
        copy->next = *link;
        *link = copy;
    }
}

static int settle(struct ps_store *store, const struct ps_stat_row *rows, size_t count,
                  uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e)
{
    (void)now_ms;
    (void)e;
    pthread_mutex_lock(&lock);
    struct partition *p = find_partition(shared_of(store), partition);
    for (size_t i = 0; i < count; i++)
        put_row(shared_of(store), &rows[i]);
    p->watermark = watermark;
    while (p->redo != NULL && p->redo->redo.next_position <= watermark) {
        struct redo *redo = p->redo;
        p->redo = redo->next;
        free(redo);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

static int read_stats(struct ps_store *store, const struct ps_stats_query *q, ps_stat_fn *fn,
                      void *ctx, struct ps_err *e)
{
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (struct row *row = shared_of(store)->rows, *next; r == 0 && row != NULL; row = next) {
        next = row->next;
        if (row->row.hour >= q->from_hour && row->row.hour <= q->to_hour &&
            (q->path.ptr == NULL || ps_str_equal(q->path, row->row.path)) &&
            (q->after.ptr == NULL || ps_str_compare(row->row.path, q->after) > 0))
            r = fn(ctx, &row->row);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

/* --- the whole state --- */

static bool drop_all(const struct stored *st, const void *ctx)
{
    (void)st;
    (void)ctx;
    return true;
}

/* All but the place in the list and the name. */
static void empty(struct shared *s)
{
    drop_events(s, drop_all, NULL);
    for (struct row *row = s->rows, *next; row != NULL; row = next) {
        next = row->next;
        free(row);
    }
    for (struct partition *p = s->partitions, *next; p != NULL; p = next) {
        next = p->next;
        for (struct redo *redo = p->redo, *after; redo != NULL; redo = after) {
            after = redo->next;
            free(redo);
        }
        free(p);
    }
    for (struct sealed *sealed = s->sealed, *next; sealed != NULL; sealed = next) {
        next = sealed->next;
        free(sealed);
    }
    *s = (struct shared){.next = s->next, .target = s->target};
}

static void copy_partition(struct shared *to, const struct partition *from)
{
    struct partition *p = find_partition(to, from->number);
    p->position = from->position;
    p->watermark = from->watermark;
    for (const struct redo *redo = from->redo; redo != NULL; redo = redo->next)
        keep_redo(p, &redo->redo);
}

static struct shared *copy_of(struct shared *from)
{
    struct shared *to = calloc(1, sizeof *to);
    PS_ASSERT(to != NULL);
    for (size_t i = 0; i < ID_BUCKETS; i++)
        for (struct stored *st = from->ids[i]; st != NULL; st = st->next)
            store_event(to, &st->event);
    for (struct row *row = from->rows; row != NULL; row = row->next)
        put_row(to, &row->row);
    for (struct partition *p = from->partitions; p != NULL; p = p->next)
        copy_partition(to, p);
    for (struct sealed *at = from->sealed; at != NULL; at = at->next) {
        struct sealed *sealed = calloc(1, sizeof *sealed), **link = &to->sealed;
        PS_ASSERT(sealed != NULL);
        *sealed = (struct sealed){NULL, at->day, at->state};
        while (*link != NULL)
            link = &(*link)->next;
        *link = sealed;
    }
    return to;
}

/* The plainest rollback: everything is copied at the beginning. */
static int transact(struct ps_store *store, enum ps_transact what, struct ps_err *e)
{
    struct mem_store *m = (struct mem_store *)store;
    struct shared *s = m->shared;
    (void)e;
    if (what == PS_BEGIN) {
        pthread_mutex_lock(&lock);
        m->before = copy_of(s);
        return 0;
    }
    struct shared *unwanted = m->before;
    if (what == PS_ROLLBACK) {
        struct shared now = *s;
        *s = *m->before;
        s->next = now.next;
        s->target = now.target;
        *unwanted = now;
    }
    empty(unwanted);
    free(unwanted);
    m->before = NULL;
    pthread_mutex_unlock(&lock);
    return 0;
}

void ps_mem_store_forget(const char *target)
{
    pthread_mutex_lock(&lock);
    struct shared **link = &all;
    while (*link != NULL && strcmp((*link)->target, target) != 0)
        link = &(*link)->next;
    struct shared *s = *link;
    if (s != NULL) {
        *link = s->next;
        empty(s);
        free(s->target);
        free(s);
    }
    pthread_mutex_unlock(&lock);
}

const struct ps_store_ops ps_store_mem = {
    .name = "mem",
    .open = open_store,
    .close = close_store,
    .apply = apply,
    .settle = settle,
    .position = read_position,
    .redo = read_redo,
    .stats = read_stats,
    .events = read_events,
    .days = read_days,
    .freeze = freeze,
    .transact = transact,
};
