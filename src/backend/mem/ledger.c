/* ledger.c - `ps_ledger_mem`: records and runs in lists under a lock. The states of the days are
 * the mem store's, so that both agree at any moment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct record {
    struct record *next;
    struct ps_day day;
    struct ps_buf texts;
};

struct run {
    struct run *next; /* the one before */
    struct ps_run run;
    char *job, *outcome, *detail;
};

struct shared {
    struct shared *next;
    char *target;
    struct record *records;
    struct run *runs; /* newest first */
    int64_t last_id;
};

struct mem_ledger {
    struct ps_ledger base;
    struct shared *shared;
    struct ps_store *store; /* keeps the store's state alive */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *all;

static struct shared *shared_of(struct ps_ledger *l)
{
    return ((struct mem_ledger *)l)->shared;
}

static struct shared *find_shared(const char *target)
{
    struct shared *s = all;
    while (s != NULL && strcmp(s->target, target) != 0)
        s = s->next;
    return s;
}

static int open_ledger(struct ps_ledger **ret, const char *target, enum ps_store_mode mode,
                       struct ps_err *e)
{
    struct mem_ledger *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ps_fail(e, PS_ENOMEM, "ledger: no memory");
    int r = ps_store_open(&ps_store_mem, &l->store, target, mode, e);
    if (r < 0) {
        free(l);
        return r;
    }
    pthread_mutex_lock(&lock);
    l->shared = find_shared(target);
    if (l->shared == NULL) {
        l->shared = calloc(1, sizeof *l->shared);
        PS_ASSERT(l->shared != NULL);
        l->shared->target = strdup(target);
        l->shared->next = all;
        all = l->shared;
    }
    pthread_mutex_unlock(&lock);
    *ret = &l->base;
    return 0;
}

static void close_ledger(struct ps_ledger *l)
{
    ps_store_close(((struct mem_ledger *)l)->store);
    free(l);
}

/* --- days --- */

static struct record *find_record(struct shared *s, int32_t day)
{
    struct record *record = s->records;
    while (record != NULL && record->day.day != day)
        record = record->next;
    return record;
}

static struct ps_str keep(struct ps_buf *to, struct ps_str s)
{
    char *at = to->ptr + to->len;
    if (s.ptr == NULL)
        return PS_STR_NONE;
    ps_buf_append(to, s.ptr, s.len);
    return (struct ps_str){at, s.len};
}

static void write_record(struct shared *s, const struct ps_day *day)
{
    struct record *record = find_record(s, day->day);
    if (record == NULL) {
        record = calloc(1, sizeof *record);
        PS_ASSERT(record != NULL);
        record->next = s->records;
        s->records = record;
        ps_buf_init(&record->texts, SIZE_MAX / 2);
    }
    struct ps_buf texts;
    ps_buf_init(&texts, SIZE_MAX / 2);
    ps_buf_reserve(&texts, day->object.len + day->sha256.len + day->error.len + 1);
    record->day = *day;
    record->day.object = keep(&texts, day->object);
    record->day.sha256 = keep(&texts, day->sha256);
    record->day.error = keep(&texts, day->error);
    ps_buf_done(&record->texts);
    record->texts = texts;
}

static int mark(struct ps_ledger *l, const struct ps_day *day, unsigned from, struct ps_err *e)
{
    struct shared *s = shared_of(l);
    pthread_mutex_lock(&lock);
    enum ps_day_state state = ps_mem_store_state(s->target, day->day);
    int r = (from & PS_FROM_STATE(state)) != 0
                ? 0
                : ps_fail(e, PS_EEXIST, "the day is %s", ps_day_state_name(state));
    if (r == 0) {
        write_record(s, day);
        ps_mem_store_seal(s->target, day->day, day->state);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static int clean(struct ps_ledger *l, int32_t day, struct ps_err *e)
{
    struct shared *s = shared_of(l);
    int r = 0;
    pthread_mutex_lock(&lock);
    enum ps_day_state state = ps_mem_store_state(s->target, day);
    if (state == PS_DAY_COMPLETED)
        ps_mem_store_seal(s->target, day, PS_DAY_CLEANED);
    else if (state != PS_DAY_CLEANED)
        r = ps_fail(e, PS_EINVAL, "the day is %s", ps_day_state_name(state));
    pthread_mutex_unlock(&lock);
    return r;
}

static int restore(struct ps_ledger *l, int32_t day, const struct ps_event *events, size_t count,
                   bool last, struct ps_err *e)
{
    struct shared *s = shared_of(l);
    pthread_mutex_lock(&lock);
    enum ps_day_state state = ps_mem_store_state(s->target, day);
    int r = state == PS_DAY_CLEANED
                ? 0
                : ps_fail(e, PS_EINVAL, "the day is %s", ps_day_state_name(state));
    for (size_t i = 0; r == 0 && i < count; i++)
        ps_mem_store_put(s->target, &events[i]);
    if (r == 0 && last)
        ps_mem_store_seal(s->target, day, PS_DAY_RESTORED);
    pthread_mutex_unlock(&lock);
    return r;
}

void ps_mem_ledger_record(const char *target, struct ps_day *day)
{
    struct shared *s = find_shared(target);
    struct record *record = s == NULL ? NULL : find_record(s, day->day);
    if (record == NULL)
        return;
    enum ps_day_state state = day->state;
    bool stored = day->stored;
    *day = record->day;
    day->state = state;
    day->stored = stored;
}

/* --- runs --- */

static char *copy(struct ps_str s)
{
    char *text = strndup(s.ptr == NULL ? "" : s.ptr, s.len);
    PS_ASSERT(text != NULL);
    return text;
}

static void free_run(struct run *run)
{
    free(run->job);
    free(run->outcome);
    free(run->detail);
    free(run);
}

static void forget_old_runs(struct shared *s)
{
    struct run **link = &s->runs;
    while (*link != NULL && (*link)->run.id > s->last_id - PS_RUNS_KEPT)
        link = &(*link)->next;
    while (*link != NULL) {
        struct run *old = *link;
        *link = old->next;
        free_run(old);
    }
}

static int run_started(struct ps_ledger *l, const struct ps_run *run, int64_t *ret_id,
                       struct ps_err *e)
{
    struct shared *s = shared_of(l);
    struct run *fresh = calloc(1, sizeof *fresh);
    (void)e;
    PS_ASSERT(fresh != NULL);
    pthread_mutex_lock(&lock);
    fresh->run = (struct ps_run){
        .id = ++s->last_id, .scheduled_ms = run->scheduled_ms, .started_ms = run->started_ms};
    fresh->job = copy(run->job);
    fresh->outcome = copy(PS_STR("running"));
    fresh->detail = copy(PS_STR(""));
    fresh->next = s->runs;
    s->runs = fresh;
    forget_old_runs(s);
    *ret_id = fresh->run.id;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int run_finished(struct ps_ledger *l, const struct ps_run *run, struct ps_err *e)
{
    struct shared *s = shared_of(l);
    (void)e;
    pthread_mutex_lock(&lock);
    struct run *at = s->runs;
    while (at != NULL && at->run.id != run->id)
        at = at->next;
    if (at != NULL) {
        at->run.finished_ms = run->finished_ms;
        free(at->outcome);
        free(at->detail);
        at->outcome = copy(run->outcome);
        at->detail = copy(run->detail);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

static int runs(struct ps_ledger *l, struct ps_str job, size_t limit, ps_run_fn *fn, void *ctx,
                struct ps_err *e)
{
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (struct run *at = shared_of(l)->runs; r == 0 && limit > 0 && at != NULL; at = at->next) {
        struct ps_run run = at->run;
        run.job = (struct ps_str){at->job, strlen(at->job)};
        run.outcome = (struct ps_str){at->outcome, strlen(at->outcome)};
        run.detail = (struct ps_str){at->detail, strlen(at->detail)};
        if (job.ptr != NULL && !ps_str_equal(job, run.job))
            continue;
        limit--;
        r = fn(ctx, &run);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static int size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e)
{
    (void)l;
    (void)e;
    *ret = (struct ps_ledger_size){0};
    return 0;
}

static void free_shared(struct shared *s)
{
    while (s->records != NULL) {
        struct record *record = s->records;
        s->records = record->next;
        ps_buf_done(&record->texts);
        free(record);
    }
    while (s->runs != NULL) {
        struct run *run = s->runs;
        s->runs = run->next;
        free_run(run);
    }
    free(s->target);
    free(s);
}

void ps_mem_ledger_forget(const char *target)
{
    pthread_mutex_lock(&lock);
    for (struct shared **link = &all; *link != NULL; link = &(*link)->next)
        if (strcmp((*link)->target, target) == 0) {
            struct shared *s = *link;
            *link = s->next;
            free_shared(s);
            break;
        }
    pthread_mutex_unlock(&lock);
}

const struct ps_ledger_ops ps_ledger_mem = {
    .name = "mem",
    .open = open_ledger,
    .close = close_ledger,
    .mark = mark,
    .clean = clean,
    .restore = restore,
    .run_started = run_started,
    .run_finished = run_finished,
    .runs = runs,
    .size = size,
};
