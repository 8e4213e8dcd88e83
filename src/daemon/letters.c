/* letters.c - see letters.h.  SPDX-License-Identifier: MIT */
#include "daemon/letters.h"

#include "base/json.h"
#include "base/time.h"
#include "flow/known.h"

#include <stdlib.h>

#define LOOK_EVERY_US (INT64_C(2) * 1000 * 1000)
#define LOOK_SELDOM_US (INT64_C(60) * 1000 * 1000) /* at the most, and while an archive is away */
enum { LOOK_SHARE = 10 };

/* --- orders --- */

int ps_letter_care_replay(struct ps_letter_care *c, struct ps_buf *answer, struct ps_err *e)
{
    struct ps_replayed done;
    struct ps_json w;
    int r = ps_letters_replay(&c->with, &done, e);
    if (r < 0)
        return r;
    ps_json_init(&w, answer);
    ps_json_open(&w, '{');
    ps_json_key(&w, "replayed");
    ps_json_uint(&w, done.replayed);
    ps_json_key(&w, "returned");
    done.settled ? ps_json_uint(&w, done.returned) : ps_json_null(&w);
    ps_json_close(&w, '}');
    return 0;
}

int ps_letter_care_purge(struct ps_letter_care *c, const struct ps_letter_filter *f,
                         struct ps_buf *answer, struct ps_err *e)
{
    uint64_t purged;
    struct ps_json w;
    int r = ps_letters_purge(c->with.queue, f, &purged, e);
    if (r < 0)
        return r;
    ps_json_init(&w, answer);
    ps_json_open(&w, '{');
    ps_json_key(&w, "purged");
    ps_json_uint(&w, purged);
    ps_json_close(&w, '}');
    return 0;
}

/* --- looking up --- */

struct look {
    struct ps_known *known;
    int32_t *days; /* archived, oldest first */
    size_t day_count, day_cap;
    uint64_t *positions; /* of duplicates */
    size_t count;
    uint64_t looked_to, unread_from;
    uint64_t duplicates;
    struct ps_queue *queue;
};

static int add_day(void *ctx, const struct ps_day *day)
{
    struct look *l = ctx;
    if (!ps_known_day_is_closed(day->state))
        return 0;
    if (l->day_count == l->day_cap) {
        size_t cap = l->day_cap == 0 ? 64 : l->day_cap * 2;
        int32_t *days = realloc(l->days, cap * sizeof *days);
        if (days == NULL)
            return PS_ENOMEM;
        l->days = days;
        l->day_cap = cap;
    }
    l->days[l->day_count++] = day->day;
    return 0;
}

static int compare_days(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return a < b ? -1 : a > b;
}

static int gather(void *ctx, const struct ps_dead_letter *letter)
{
    struct look *l = ctx;
    struct ps_event event;
    if (letter->why == PS_REJECT_CLOSED_DAY &&
        ps_event_decode(letter->bytes, letter->len, &event) == 0) {
        int32_t day = ps_time_day(event.timestamp_ms);
        bool closed = l->day_count > 0 &&
                      bsearch(&day, l->days, l->day_count, sizeof day, compare_days) != NULL;
        int r =
            !closed ? 0 : ps_known_add(l->known, day, event.id, NULL, 0, letter->position, NULL);
        if (r < 0)
            return r == PS_EFULL ? PS_ESTOP : r;
    }
    l->looked_to = letter->position + 1;
    return 0;
}

static int drop_duplicates(struct look *l, struct ps_err *e)
{
    int r = ps_queue_unbury(l->queue, l->positions, l->count, e);
    l->count = 0;
    l->duplicates += r > 0 ? (uint64_t)r : 0;
    return r;
}

static int take_answer(void *ctx, const struct ps_known_item *item, struct ps_err *e)
{
    struct look *l = ctx;
    if (item->knowledge == PS_KNOWN_CANNOT_TELL && item->tag < l->unread_from)
        l->unread_from = item->tag;
    if (item->knowledge != PS_KNOWN_YES)
        return 0;
    l->positions[l->count++] = item->tag;
    return l->count == PS_UNBURY_MAX ? drop_duplicates(l, e) : 0;
}

/* Letters of days whose archive could not be read are looked at again, later. */
static int look_up(struct ps_letter_care *c, struct look *l, struct ps_err *e)
{
    struct ps_err unread = {0};
    int r = ps_store_days(c->archiver->store, add_day, l, e);
    if (r == 0)
        r = ps_queue_dead_from(c->with.queue, c->looked_to, gather, l, e);
    if (r < 0 && r != PS_ESTOP)
        return r;
    if (ps_known_count(l->known) == 0) {
        c->looked_to = l->looked_to;
        return 0;
    }
    r = ps_known_ask(l->known, c->archiver, take_answer, l, &unread, e);
    if (r == 0)
        r = drop_duplicates(l, e);
    if (r < 0)
        return r;
    c->looked_to = l->unread_from < l->looked_to ? l->unread_from : l->looked_to;
    ps_trouble_report(c->troubles, PS_TROUBLE_LOOK_UP, unread.code, unread.text);
    return 1;
}

static int look(struct ps_letter_care *c, struct look *l, struct ps_err *e)
{
    int r = ps_known_open(&l->known, PS_KNOWN_BYTES_MAX, e);
    l->positions = malloc(PS_UNBURY_MAX * sizeof *l->positions);
    if (r == 0 && l->positions == NULL)
        r = ps_fail(e, PS_ENOMEM, "no memory to look dead letters up");
    if (r == 0)
        r = look_up(c, l, e);
    ps_known_close(l->known);
    free(l->positions);
    free(l->days);
    return r;
}

int ps_letter_care_look(struct ps_letter_care *c, struct ps_err *e)
{
    struct ps_queue_info info;
    struct look l = {.looked_to = c->looked_to, .unread_from = UINT64_MAX, .queue = c->with.queue};
    int64_t start_us = ps_clock_monotonic_us(c->with.clock);
    if (start_us < c->next_look_us)
        return 0;
    int r = ps_queue_info(c->with.queue, &info, e);
    if (r < 0 || info.dead_by_reason[PS_REJECT_CLOSED_DAY] == 0)
        return r;
    r = look(c, &l, e);
    if (l.duplicates > 0 && c->counting != NULL)
        ps_aggregator_add_duplicates(c->counting, l.duplicates);
    int64_t now_us = ps_clock_monotonic_us(c->with.clock);
    int64_t pause_us = LOOK_EVERY_US + (now_us - start_us) * LOOK_SHARE;
    bool seldom = pause_us > LOOK_SELDOM_US || l.unread_from != UINT64_MAX || r < 0;
    c->next_look_us = now_us + (seldom ? LOOK_SELDOM_US : pause_us);
    return r < 0 ? r : 0;
}

void ps_letter_care_again(struct ps_letter_care *c)
{
    c->looked_to = 0;
}
