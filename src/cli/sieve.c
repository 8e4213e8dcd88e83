/* sieve.c - see sieve.h.  SPDX-License-Identifier: MIT */
#include "cli/sieve.h"

#include "backend/registry.h"
#include "base/time.h"
#include "daemon/life.h"
#include "flow/known.h"

#include <stdio.h>
#include <stdlib.h>

struct ps_sieve {
    const struct ps_config *config;
    struct ps_datadir dir;
    ps_sieve_fn *pass;
    void *ctx;
    struct ps_known *known;
    int32_t *days; /* closed, oldest first */
    size_t count, cap;
    int32_t last_day; /* asked for; lines of a log are mostly of one day */
    bool last_is_closed, has_last;
    bool told_unread;
    uint64_t duplicates;
};

static int add_day(void *ctx, const struct ps_day *day)
{
    struct ps_sieve *s = ctx;
    if (!ps_known_day_is_closed(day->state))
        return 0;
    if (s->count == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        int32_t *days = realloc(s->days, cap * sizeof *days);
        if (days == NULL)
            return PS_ENOMEM;
        s->days = days;
        s->cap = cap;
    }
    s->days[s->count++] = day->day;
    return 0;
}

static int list_days(struct ps_sieve *s, struct ps_err *e)
{
    struct ps_life life;
    int r = ps_life_open(&life, s->config, &s->dir, ps_clock_system(), PS_LIFE_READ, e);
    if (r < 0)
        return r;
    r = ps_store_days(life.store, add_day, s, e);
    ps_life_close(&life);
    return r;
}

int ps_sieve_open(struct ps_sieve **ret, struct ps_cli *c, const struct ps_datadir *dir,
                  ps_sieve_fn *pass, void *ctx, struct ps_err *e)
{
    struct ps_sieve *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    s->config = &c->config;
    s->dir = *dir;
    s->pass = pass;
    s->ctx = ctx;
    int r = list_days(s, e);
    if (r == 0 && s->count > 0)
        r = ps_known_open(&s->known, PS_KNOWN_BYTES_MAX, e);
    if (r < 0 || s->count == 0) {
        ps_sieve_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void ps_sieve_close(struct ps_sieve *s)
{
    if (s == NULL)
        return;
    ps_known_close(s->known);
    free(s->days);
    free(s);
}

static int compare_days(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return a < b ? -1 : a > b;
}

bool ps_sieve_holds(struct ps_sieve *s, const struct ps_event *event)
{
    if (s == NULL)
        return false;
    int32_t day = ps_time_day(event->timestamp_ms);
    if (!s->has_last || day != s->last_day) {
        s->last_is_closed = bsearch(&day, s->days, s->count, sizeof day, compare_days) != NULL;
        s->last_day = day;
        s->has_last = true;
    }
    return s->last_is_closed;
}

static int take_answer(void *ctx, const struct ps_known_item *item, struct ps_err *e)
{
    struct ps_sieve *s = ctx;
    struct ps_event event;
    if (item->knowledge == PS_KNOWN_YES) {
        s->duplicates++;
        return 0;
    }
    int r = ps_event_decode(item->record, item->len, &event);
    return r < 0 ? ps_fail(e, r, "an event of a closed day does not decode")
                 : s->pass(s->ctx, &event, e);
}

/* Of a day whose archive cannot be read now, the events pass and become dead letters: the server
 * looks them up when the archive is there again. */
static void tell_unread(struct ps_sieve *s, const struct ps_err *unread)
{
    char text[PS_ERR_TEXT_MAX + 64];
    if (unread->code == 0 || s->told_unread)
        return;
    snprintf(text, sizeof text, "%s; events of that day become dead letters", unread->text);
    ps_cli_say(text);
    s->told_unread = true;
}

int ps_sieve_finish(struct ps_sieve *s, struct ps_err *e)
{
    struct ps_life life;
    struct ps_err unread = {0};
    if (s == NULL || ps_known_count(s->known) == 0)
        return 0;
    int r = ps_life_open(&life, s->config, &s->dir, ps_clock_system(), PS_LIFE_OBJECTS, e);
    if (r < 0)
        return r;
    r = ps_known_ask(s->known, &life.archiver, take_answer, s, &unread, e);
    ps_life_close(&life);
    tell_unread(s, &unread);
    return r;
}

int ps_sieve_add(struct ps_sieve *s, const struct ps_event *event, struct ps_err *e)
{
    uint8_t record[PS_EVENT_ENCODED_MAX];
    size_t len = ps_event_encode(event, record);
    int32_t day = ps_time_day(event->timestamp_ms);
    int r = ps_known_add(s->known, day, event->id, record, len, 0, e);
    if (r != PS_EFULL)
        return r;
    r = ps_sieve_finish(s, e);
    return r < 0 ? r : ps_known_add(s->known, day, event->id, record, len, 0, e);
}

uint64_t ps_sieve_duplicates(const struct ps_sieve *s)
{
    return s == NULL ? 0 : s->duplicates;
}
