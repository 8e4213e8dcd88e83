/* verify.c - see verify.h.
 *
 * One hour at a time: `computed` comes from the events, `stored` from the rows plus what is
 * pending. Both are kept by the events' own paths and then limited by the same rule (hours.h),
 * which is pure, so it does not matter that the rows were limited before the pending events came.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/verify.h"

#include "base/time.h"
#include "core/hash.h"
#include "flow/aggmap.h"
#include "flow/hours.h"
#include "flow/pending.h"

#include <stdlib.h>
#include <string.h>

enum { TRIMMED_RETRIES = 5, PROGRESS_EVENTS = 65536 };

struct audit {
    struct ps_store *store;
    const struct ps_verify_options *options;
    struct ps_verified *ret;
    struct ps_err *e;
    struct ps_aggmap pending, computed, stored;
    int32_t hour;  /* being collected in `computed` */
    int32_t after; /* all days up to this one are done */
    struct ps_day_list days;
    size_t stored_paths, days_done;
    char *packed[2]; /* PS_STAT_BYTES_MAX each */
};

static struct ps_aggmap_entry *find_or_add(struct ps_aggmap *m, int32_t hour, struct ps_str path)
{
    uint64_t hash = ps_hash64(path.ptr, path.len, 0);
    struct ps_aggmap_entry *entry = ps_aggmap_find(m, hour, path, hash);
    return entry != NULL ? entry : ps_aggmap_add(m, hour, path, hash);
}

static int count_event(struct ps_aggmap *m, const struct ps_event *event)
{
    struct ps_aggmap_entry *entry = find_or_add(m, ps_time_hour(event->timestamp_ms), event->path);
    return entry == NULL ? PS_ENOMEM : ps_aggregate_add(&entry->aggregate, event, &m->alloc);
}

static int count_pending(void *ctx, const struct ps_event *event)
{
    struct audit *audit = ctx;
    return count_event(&audit->pending, event);
}

/* --- the limit on paths --- */

static bool is_other(const struct ps_aggmap_entry *entry)
{
    return ps_str_equal(ps_aggmap_path(entry), PS_OTHER_PATH);
}

struct ranking {
    struct ps_aggmap_entry **entries;
    size_t count;
};

static int collect_own(void *ctx, struct ps_aggmap_entry *entry)
{
    struct ranking *ranking = ctx;
    if (!is_other(entry))
        ranking->entries[ranking->count++] = entry;
    return 0;
}

static int compare_hashes(const void *x, const void *y)
{
    const struct ps_aggmap_entry *const *a = x, *const *b = y;
    return (*a)->path_hash < (*b)->path_hash ? -1 : (*a)->path_hash > (*b)->path_hash;
}

static bool keep_winners(void *ctx, struct ps_aggmap_entry *entry)
{
    (void)ctx;
    return !entry->removed;
}

static int limit_paths(struct ps_aggmap *m, int32_t hour, size_t max)
{
    struct ranking ranking = {.entries = calloc(m->count + 1, sizeof *ranking.entries)};
    int r = 0;
    if (ranking.entries == NULL)
        return PS_ENOMEM;
    ps_aggmap_each(m, collect_own, &ranking);
    if (ranking.count > max) {
        qsort(ranking.entries, ranking.count, sizeof *ranking.entries, compare_hashes);
        struct ps_aggmap_entry *other = find_or_add(m, hour, PS_OTHER_PATH);
        r = other == NULL ? PS_ENOMEM : 0;
        for (size_t i = max; r == 0 && i < ranking.count; i++) {
            r = ps_aggregate_merge(&other->aggregate, &ranking.entries[i]->aggregate, &m->alloc);
            ranking.entries[i]->removed = true;
        }
    }
    free(ranking.entries);
    ps_aggmap_filter(m, keep_winners, NULL);
    return r;
}

/* --- one hour --- */

static int load_row(void *ctx, const struct ps_stat_row *row)
{
    struct audit *audit = ctx;
    struct ps_aggmap_entry *entry = find_or_add(&audit->stored, row->hour, row->path);
    if (entry == NULL)
        return PS_ENOMEM;
    if (!is_other(entry))
        audit->stored_paths++;
    int r = ps_aggregate_unpack(&row->stat, &audit->stored.alloc, &entry->aggregate);
    char hour[PS_HOUR_LEN + 1];
    ps_time_format_hour(hour, row->hour);
    return r < 0 ? ps_fail(audit->e, r,
                           "the statistics of %.*s in %s are damaged; the next event or log line "
                           "of that path and hour has them made again from their events",
                           (int)row->path.len, row->path.ptr, hour)
                 : 0;
}

static int add_pending(void *ctx, struct ps_aggmap_entry *pending)
{
    struct audit *audit = ctx;
    if (pending->hour != audit->hour)
        return 0;
    struct ps_aggmap_entry *entry =
        find_or_add(&audit->stored, audit->hour, ps_aggmap_path(pending));
    return entry == NULL
               ? PS_ENOMEM
               : ps_aggregate_merge(&entry->aggregate, &pending->aggregate, &audit->stored.alloc);
}

static bool same_string(struct ps_str a, struct ps_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool same_bytes(struct audit *audit, struct ps_aggregate *a, struct ps_aggregate *b)
{
    struct ps_stat x, y;
    ps_aggregate_pack(a, audit->packed[0], &x);
    ps_aggregate_pack(b, audit->packed[1], &y);
    return x.requests == y.requests && x.errors == y.errors && x.count_us == y.count_us &&
           x.sum_us == y.sum_us && x.min_us == y.min_us && x.max_us == y.max_us &&
           x.unique_seen == y.unique_seen && x.unique_estimate == y.unique_estimate &&
           same_string(x.samples, y.samples) && same_string(x.sample_keys, y.sample_keys) &&
           same_string(x.clients, y.clients) && same_string(x.sketch, y.sketch) &&
           x.count_bytes == y.count_bytes && x.sum_bytes == y.sum_bytes && x.p50_us == y.p50_us &&
           x.p95_us == y.p95_us && x.p99_us == y.p99_us && same_string(x.methods, y.methods) &&
           same_string(x.statuses, y.statuses);
}

static void report(struct audit *audit, enum ps_mismatch_kind kind, struct ps_str path,
                   uint64_t requests_stored, uint64_t requests_computed)
{
    struct ps_mismatch m = {kind, audit->hour, path, requests_stored, requests_computed};
    audit->ret->mismatches++;
    if (audit->options->mismatch != NULL)
        audit->options->mismatch(audit->options->ctx, &m);
}

static int compare_computed(void *ctx, struct ps_aggmap_entry *computed)
{
    struct audit *audit = ctx;
    struct ps_str path = ps_aggmap_path(computed);
    struct ps_aggmap_entry *stored =
        ps_aggmap_find(&audit->stored, audit->hour, path, computed->path_hash);
    uint64_t requests = computed->aggregate.requests;
    if (stored == NULL)
        report(audit, PS_MISMATCH_MISSING_ROW, path, 0, requests);
    else if (!same_bytes(audit, &stored->aggregate, &computed->aggregate))
        report(audit, PS_MISMATCH_DIFFERENT, path, stored->aggregate.requests, requests);
    return 0;
}

static int report_extra(void *ctx, struct ps_aggmap_entry *stored)
{
    struct audit *audit = ctx;
    struct ps_str path = ps_aggmap_path(stored);
    audit->ret->rows++;
    if (ps_aggmap_find(&audit->computed, audit->hour, path, stored->path_hash) == NULL)
        report(audit, PS_MISMATCH_EXTRA_ROW, path, stored->aggregate.requests, 0);
    return 0;
}

/* Compares the collected hour and begins the next. */
static int end_hour(struct audit *audit)
{
    struct ps_stats_query q = {.from_hour = audit->hour, .to_hour = audit->hour};
    struct ps_str other = PS_OTHER_PATH;
    audit->stored_paths = 0;
    int r = ps_store_stats(audit->store, &q, load_row, audit, audit->e);
    if (r == 0)
        r = ps_aggmap_each(&audit->pending, add_pending, audit);
    if (r == 0) {
        bool has_other = ps_aggmap_find(&audit->stored, audit->hour, other,
                                        ps_hash64(other.ptr, other.len, 0)) != NULL;
        size_t max =
            ps_hour_limit(audit->stored_paths, has_other, audit->options->max_paths_per_hour);
        r = limit_paths(&audit->stored, audit->hour, max);
        if (r == 0)
            r = limit_paths(&audit->computed, audit->hour, max);
    }
    if (r == 0) {
        ps_aggmap_each(&audit->computed, compare_computed, audit);
        ps_aggmap_each(&audit->stored, report_extra, audit);
    }
    ps_aggmap_done(&audit->computed);
    ps_aggmap_done(&audit->stored);
    audit->hour++;
    return r;
}

static void tell_progress(struct audit *audit)
{
    if (audit->options->progress != NULL)
        audit->options->progress(audit->options->ctx, audit->days_done, audit->ret);
}

static int take_event(void *ctx, const struct ps_event *event)
{
    struct audit *audit = ctx;
    int32_t hour = ps_time_hour(event->timestamp_ms);
    while (audit->hour < hour) {
        int r = end_hour(audit);
        if (r < 0)
            return r;
    }
    if (++audit->ret->events % PROGRESS_EVENTS == 0)
        tell_progress(audit);
    return count_event(&audit->computed, event);
}

static int audit_day(struct audit *audit, int32_t day)
{
    audit->hour = day * 24;
    int r = ps_store_events(audit->store, day, PS_ORDER_TIME, take_event, audit, audit->e);
    while (r == 0 && audit->hour < (day + 1) * 24)
        r = end_hour(audit);
    return r;
}

/* --- all days --- */

static int list_day(void *ctx, const struct ps_day *day)
{
    struct audit *audit = ctx;
    /* A cleaned day that is stored is one whose restore was interrupted. */
    return day->stored && day->state != PS_DAY_CLEANED && day->day > audit->after
               ? ps_day_list_add(&audit->days, day->day, audit->e)
               : 0;
}

/* Until enough was read in this state. 1: there are more days. */
static int audit_days(struct audit *audit)
{
    uint64_t most = audit->options->state_events, until = audit->ret->events;
    size_t i = 0;
    until += most == 0 ? PS_VERIFY_STATE_EVENTS : most;
    audit->days.count = 0;
    int r = ps_store_days(audit->store, list_day, audit, audit->e);
    audit->ret->days = audit->days_done + audit->days.count;
    for (; r == 0 && i < audit->days.count && audit->ret->events < until; i++) {
        tell_progress(audit);
        r = audit_day(audit, audit->days.days[i]);
        audit->after = audit->days.days[i];
        audit->days_done++;
    }
    return r < 0 ? r : i < audit->days.count;
}

static int audit_state(struct audit *audit, struct ps_queue *queue, bool *ret_trimmed)
{
    int r = ps_store_freeze(audit->store, true, audit->e);
    if (r < 0)
        return r;
    r = ps_pending_each(audit->store, queue, audit->options->partition, count_pending, audit,
                        audit->e);
    *ret_trimmed = r == PS_ENOENT; /* settled between the freeze and the read */
    if (r == 0)
        r = audit_days(audit);
    int thaw = ps_store_freeze(audit->store, false, audit->e);
    ps_aggmap_done(&audit->pending);
    ps_aggmap_done(&audit->computed);
    ps_aggmap_done(&audit->stored);
    return r < 0 || thaw == 0 ? r : thaw;
}

/* 1: there are more days. */
static int audit_next_days(struct audit *audit, struct ps_queue *queue)
{
    bool trimmed = true;
    int r = 0;
    for (unsigned tries = 0; trimmed && tries < TRIMMED_RETRIES; tries++)
        r = audit_state(audit, queue, &trimmed);
    return r;
}

int ps_verify(struct ps_store *store, struct ps_queue *queue,
              const struct ps_verify_options *options, struct ps_verified *ret, struct ps_err *e)
{
    struct audit audit = {
        .store = store, .options = options, .ret = ret, .e = e, .after = INT32_MIN};
    int r = 1;
    *ret = (struct ps_verified){0};
    ps_aggmap_init(&audit.pending);
    ps_aggmap_init(&audit.computed);
    ps_aggmap_init(&audit.stored);
    audit.packed[0] = malloc(PS_STAT_BYTES_MAX);
    audit.packed[1] = malloc(PS_STAT_BYTES_MAX);
    if (audit.packed[0] == NULL || audit.packed[1] == NULL)
        r = ps_fail(e, PS_ENOMEM, "verify: no memory");
    while (r > 0)
        r = audit_next_days(&audit, queue);
    ps_day_list_done(&audit.days);
    free(audit.packed[0]);
    free(audit.packed[1]);
    return r;
}
