/* deliver.c - see deliver.h.
 *
 * The dead letter is durable before the position moves past the event; a crash in between buries it
 * again under the same key, which keeps one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/deliver.h"

#include "base/check.h"
#include "flow/commit.h"

enum {
    BACKOFF_FIRST_MS = 10,
    BACKOFF_MAX_MS = 5000,
    BURY_AT_ONCE_MAX = 256,
};

struct range {
    struct ps_delivery *d;
    size_t from, to;
};

static uint64_t position_of(const struct ps_delivery *d, size_t i)
{
    return i < d->count ? d->records[i].position : d->next_position;
}

/* Doubling, with the upper half of each wait random (xorshift64; Marsaglia 2003). */
static void back_off(struct ps_delivery *d, unsigned attempt)
{
    int64_t ms = attempt < 16 ? (int64_t)BACKOFF_FIRST_MS << attempt : BACKOFF_MAX_MS;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    d->jitter ^= d->jitter << 13;
    d->jitter ^= d->jitter >> 7;
    d->jitter ^= d->jitter << 17;
    d->counters->retries++;
    d->counters->turned_us = ps_clock_monotonic_us(d->clock);
    ps_clock_sleep_ms(d->clock, ms / 2 + (int64_t)(d->jitter % (uint64_t)(ms / 2 + 1)));
}

void ps_deliver_tell_log(struct ps_store *store, struct ps_troubles *troubles)
{
    struct ps_err why = {0};
    int r = ps_store_pressure(store, &why);
    ps_trouble_report(troubles, PS_TROUBLE_WAL, r, why.text);
}

/* A store that cannot keep a dead letter fails too, but it is not what is wrong. */
static void tell_store(struct ps_delivery *d, int code, const struct ps_err *why)
{
    d->counters->failing = code;
    if (!d->burying_fails)
        ps_trouble_report(d->troubles, PS_TROUBLE_STORE, code, code < 0 ? why->text : "");
    ps_deliver_tell_log(d->store, d->troubles);
}

static int bury(struct ps_delivery *d, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    struct ps_err local = {0}, *why = e != NULL ? e : &local;
    int r = ps_queue_bury(d->queue, letters, count, why);
    d->burying_fails = r < 0;
    ps_trouble_report(d->troubles, PS_TROUBLE_DEAD_LETTERS, r, why->text);
    return r;
}

static enum ps_reject reason_of(uint8_t outcome)
{
    switch (outcome) {
    case PS_OUTCOME_CLOSED_DAY: return PS_REJECT_CLOSED_DAY;
    default: return PS_REJECT_NONE;
    }
}

/* ps_batch.refused: the store is about to commit without these events (I6). */
static int bury_refused(void *ctx, const uint8_t *outcomes, struct ps_err *e)
{
    struct range *range = ctx;
    struct ps_delivery *d = range->d;
    struct ps_dead_letter letters[BURY_AT_ONCE_MAX];
    size_t n = 0, buried = 0;
    int64_t now_ms = ps_clock_now_ms(d->clock);
    for (size_t i = range->from; i <= range->to; i++) {
        bool last = i == range->to;
        if (last || n == BURY_AT_ONCE_MAX) {
            int r = n > 0 ? bury(d, letters, n, e) : 0;
            if (r < 0)
                return r;
            buried += n;
            n = 0;
            if (last)
                break;
        }
        enum ps_reject why = reason_of(outcomes[i - range->from]);
        if (why == PS_REJECT_NONE)
            continue;
        letters[n++] = (struct ps_dead_letter){
            d->records[i].position, now_ms,           why, PS_STR(""), /* the reason says it all */
            d->records[i].bytes,    d->records[i].len};
    }
    d->counters->dead_letters += buried;
    d->refused = true;
    return 0;
}

static void count_refused(struct ps_delivery *d, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        d->counters->closed_day += d->outcomes[i] == PS_OUTCOME_CLOSED_DAY;
}

static int apply(struct ps_delivery *d, size_t from, size_t to, struct ps_err *e)
{
    struct range range = {d, from, to};
    struct ps_batch batch = {
        .events = d->events + from,
        .count = to - from,
        .order = d->order + from,
        .partition = d->partition,
        .first_position = position_of(d, from),
        .next_position = position_of(d, to),
        .refused = bury_refused,
        .ctx = &range,
    };
    struct ps_applied applied = {.outcomes = d->outcomes + from};
    ps_batch_sort(batch.events, batch.count, d->order + from, d->sort_scratch);
    d->refused = d->burying_fails = false;
    int r = ps_store_apply(d->store, &batch, &applied, e);
    if (r < 0)
        return r;
    d->counters->batches++;
    d->counters->fresh += applied.fresh;
    d->counters->duplicates += applied.duplicates;
    count_refused(d, from, to);
    return 0;
}

/* Moves the position over records [from, to) without storing them. */
static int skip(struct ps_delivery *d, size_t from, size_t to, struct ps_err *e)
{
    struct ps_batch batch = {
        .partition = d->partition,
        .first_position = position_of(d, from),
        .next_position = position_of(d, to),
    };
    uint8_t none;
    struct ps_applied applied = {.outcomes = &none};
    return ps_store_apply(d->store, &batch, &applied, e);
}

static bool store_is_up(struct ps_delivery *d, size_t at)
{
    return skip(d, at, at, NULL) == 0;
}

/* The record keeps its place in the queue and counts nowhere. */
static int pass_over(struct ps_delivery *d, size_t i, struct ps_err *e)
{
    struct ps_err why = {0};
    d->outcomes[i] = PS_OUTCOME_BURIED;
    for (unsigned attempt = 0;; attempt++) {
        int r = skip(d, i, i + 1, &why);
        tell_store(d, r, &why);
        if (r == 0)
            return 0;
        if (*d->stopping)
            return ps_fail(e, r, "%s", why.text);
        back_off(d, attempt);
    }
}

static int bury_alone(struct ps_delivery *d, size_t i, enum ps_reject why, const char *text,
                      struct ps_err *e)
{
    struct ps_dead_letter letter = {
        .position = d->records[i].position,
        .time_ms = ps_clock_now_ms(d->clock),
        .why = why,
        .text = {text, __builtin_strlen(text)},
        .bytes = d->records[i].bytes,
        .len = d->records[i].len,
    };
    int r = bury(d, &letter, 1, e);
    if (r < 0)
        return r;
    d->counters->dead_letters++;
    return pass_over(d, i, e);
}

/* --- a range that failed may be stored all the same --- */

struct search {
    struct range range;
    size_t fresh, duplicates;
    bool found;
};

static int take_bits(void *ctx, const struct ps_redo *redo)
{
    struct search *s = ctx;
    struct ps_delivery *d = s->range.d;
    size_t from = s->range.from, count = s->range.to - from;
    if (redo->first_position != position_of(d, from) || redo->count != count)
        return 0;
    for (size_t i = 0; i < count; i++) {
        bool fresh = redo->fresh[i / 8] >> (i % 8) & 1;
        uint8_t *outcome = &d->outcomes[from + i];
        bool refused = d->refused && reason_of(*outcome) != PS_REJECT_NONE;
        *outcome = fresh ? PS_OUTCOME_NEW : refused ? *outcome : PS_OUTCOME_DUPLICATE;
        s->fresh += fresh;
        s->duplicates += !fresh && !refused;
    }
    s->found = true;
    return 0;
}

/* 1: it is, and the outcomes are those of then. 0: it is not. */
static int is_applied(struct ps_delivery *d, size_t from, size_t to, struct ps_err *e)
{
    struct search s = {.range = {d, from, to}};
    uint64_t position, watermark;
    int r = ps_store_position(d->store, d->partition, &position, &watermark, e);
    if (r < 0 || position < position_of(d, to))
        return r;
    r = ps_store_redo(d->store, d->partition, take_bits, &s, e);
    if (r < 0)
        return r;
    if (!s.found)
        return ps_fail(e, PS_ECORRUPT,
                       "the store has read the queue to %llu, but has no redo record of %llu: "
                       "restore it from a backup, or run `pathstats verify` to see what differs",
                       (unsigned long long)position, (unsigned long long)position_of(d, from));
    d->counters->batches++;
    d->counters->fresh += s.fresh;
    d->counters->duplicates += s.duplicates;
    count_refused(d, from, to);
    return 1;
}

/* 0 when the range is stored. */
static int try_range(struct ps_delivery *d, size_t from, size_t to, struct ps_err *why)
{
    struct ps_err ask;
    int r = 0, known = d->unsure ? is_applied(d, from, to, why) : 0;
    if (known == 0) {
        r = apply(d, from, to, why);
        known = r == 0 ? 1 : is_applied(d, from, to, &ask);
    } else {
        r = known;
    }
    d->unsure = known < 0;
    return known > 0 ? 0 : r;
}

/* Of the failures an apply may have, the one that trying the same again never mends. */
static bool blames_the_events(const struct ps_delivery *d, int code)
{
    return code == PS_EINVAL && !d->burying_fails && !d->unsure;
}

static int deliver_events(struct ps_delivery *d, size_t from, size_t to, struct ps_err *e)
{
    struct ps_err why = {0};
    int r;
    for (unsigned attempt = 0;; attempt++) {
        r = try_range(d, from, to, &why);
        tell_store(d, r, &why);
        if (r == 0)
            return 0;
        if (*d->stopping)
            return ps_fail(e, r, "%s", why.text);
        if (attempt >= d->max_retries && blames_the_events(d, r) && store_is_up(d, from))
            break;
        back_off(d, attempt);
    }
    if (to - from == 1)
        return bury_alone(d, from, PS_REJECT_STORE, why.text, e);
    size_t middle = from + (to - from) / 2;
    r = deliver_events(d, from, middle, e);
    return r < 0 ? r : deliver_events(d, middle, to, e);
}

int ps_deliver(struct ps_delivery *d, struct ps_err *e)
{
    for (size_t from = 0; from < d->count;) {
        size_t to = from;
        while (to < d->count && d->decodes[to])
            to++;
        int r = to > from ? deliver_events(d, from, to, e) : 0;
        if (r == 0 && to < d->count) {
            const struct ps_record *record = &d->records[to];
            r = ps_commit_is_probe(record->bytes, record->len)
                    ? pass_over(d, to, e)
                    : bury_alone(d, to, PS_REJECT_RECORD, "", e);
            to++;
        }
        if (r < 0)
            return r;
        from = to;
    }
    return 0;
}
