/* match.c - do a database and the queue beside it belong together? See docs/decisions/0014.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/aggregator_inner.h"

/* An empty database takes what is left of a queue that another one has read. */
static int begin_at(struct ps_aggregator *a, uint64_t first, struct ps_err *e)
{
    struct ps_batch nothing = {.partition = a->config.partition, .next_position = first};
    struct ps_applied applied = {.outcomes = a->outcomes};
    int r = ps_store_apply(a->config.store, &nothing, &applied, e);
    if (r == 0)
        a->position = first;
    return r;
}

/* The queue is another one: the database reads it from its end, where all is counted. Position and
 * watermark move together, or a later recovery would take what comes for settled. */
static int go_on_at(struct ps_aggregator *a, uint64_t end, struct ps_err *e)
{
    const struct ps_aggregator_config *c = &a->config;
    int r = ps_store_begin(c->store, e);
    if (r < 0)
        return r;
    r = begin_at(a, end, e);
    if (r == 0)
        r = ps_cache_settle(a->cache, c->partition, end, ps_clock_now_ms(c->clock), e);
    if (r < 0)
        ps_store_rollback(c->store);
    else
        r = ps_store_commit(c->store, e);
    if (r == 0)
        a->watermark = end;
    return r;
}

static int match_lost_queue(struct ps_aggregator *a, uint64_t end, struct ps_err *e)
{
    unsigned long long position = a->position;
    if (a->watermark < a->position)
        return ps_fail(e, PS_ECORRUPT,
                       "the database has read the queue to %llu, but the queue ends at %llu, and "
                       "statistics of the last seconds were still to be made from it: put back the "
                       "queue directory that belongs to this database",
                       position, (unsigned long long)end);
    if (a->config.new_queue)
        return go_on_at(a, end, e);
    return ps_fail(e, PS_ECORRUPT,
                   "the database has read the queue to %llu, but the queue ends at %llu: put back "
                   "the queue directory that belongs to this database; or, if it is lost, start "
                   "once with --new-queue: events that only waited in it are missing then",
                   position, (unsigned long long)end);
}

int ps_aggregator_match(struct ps_aggregator *a, const struct ps_queue_info *info, struct ps_err *e)
{
    unsigned long long position = a->position, first = info->first_position;
    if (position > info->end_position)
        return match_lost_queue(a, info->end_position, e);
    if (position >= first)
        return 0;
    if (position == 0 && a->config.new_database)
        return begin_at(a, first, e);
    if (position > 0)
        return ps_fail(e, PS_ECORRUPT,
                       "the database has read the queue to %llu, but the queue begins at %llu, so "
                       "events in between are missing: put back the database that was here last",
                       position, first);
    return ps_fail(e, PS_ECORRUPT,
                   "the database is new, but the queue beside it is not: events before %llu were "
                   "stored in another database. Put that one back; or, to begin a new one with "
                   "what is left in the queue, start once with --new-database",
                   first);
}
