/* trouble.c - see trouble.h.  SPDX-License-Identifier: MIT */
#include "flow/trouble.h"

#include "base/check.h"

#include <stdio.h>

static const struct {
    const char *name, *help;
    enum ps_severity severity;
} table[PS_TROUBLE_COUNT] = {
    [PS_TROUBLE_QUEUE] = {"queue", "events cannot be made durable, new ones are refused",
                          PS_FAILING},
    [PS_TROUBLE_STORE] = {"store", "events cannot be stored, they wait in the queue", PS_FAILING},
    [PS_TROUBLE_COMMITTER] = {"committer", "a write to the queue hangs, new events get no answer",
                              PS_FAILING},
    [PS_TROUBLE_CONSUMER] = {"consumer", "nothing is counted, events wait in the queue",
                             PS_FAILING},
    [PS_TROUBLE_DEAD_LETTERS] = {"dead_letters",
                                 "a dead letter cannot be made durable, counting waits for it",
                                 PS_FAILING},
    [PS_TROUBLE_LETTERS_FULL] = {"dead_letters_full",
                                 "no room for dead letters, events of closed days are refused",
                                 PS_DEGRADED},
    [PS_TROUBLE_LETTERS_DAMAGED] = {"dead_letters_damaged", "some dead letters were lost to damage",
                                    PS_DEGRADED},
    [PS_TROUBLE_LOOK_UP] = {"archive_unread",
                            "dead letters cannot be compared with the archive of their day",
                            PS_DEGRADED},
    [PS_TROUBLE_WAL] = {"wal", "a reader keeps the database's write-ahead log from shrinking",
                        PS_DEGRADED},
    [PS_TROUBLE_CLOCK] = {"clock", "the wall clock jumped, archiving waits", PS_DEGRADED},
    [PS_TROUBLE_DESCRIPTORS] = {"descriptors", "too few file descriptors", PS_DEGRADED},
    [PS_TROUBLE_HEARTBEAT] = {"heartbeat", "the heartbeat cannot be written", PS_DEGRADED},
    [PS_TROUBLE_ARCHIVE] = {"archive", "the last archive run failed", PS_DEGRADED},
    [PS_TROUBLE_SNAPSHOT] = {"snapshot", "the last snapshot could not be made", PS_DEGRADED},
    [PS_TROUBLE_CAPACITY] = {"capacity", "the last capacity check failed", PS_DEGRADED},
};

const char *ps_trouble_name(enum ps_trouble which)
{
    return table[which].name;
}

const char *ps_trouble_help(enum ps_trouble which)
{
    return table[which].help;
}

enum ps_severity ps_trouble_severity(enum ps_trouble which)
{
    return table[which].severity;
}

void ps_troubles_init(struct ps_troubles *t, struct ps_clock *clock, ps_trouble_fn *listener,
                      void *ctx)
{
    *t = (struct ps_troubles){.clock = clock, .listener = listener, .ctx = ctx};
    pthread_mutex_init(&t->lock, NULL);
}

void ps_troubles_done(struct ps_troubles *t)
{
    pthread_mutex_destroy(&t->lock);
}

static void tell(struct ps_troubles *t, enum ps_trouble which, enum ps_trouble_phase phase,
                 const struct ps_trouble_state *state, int64_t now_us)
{
    if (t->listener != NULL)
        t->listener(t->ctx, which, phase, state, now_us - state->since_us);
}

/* Whether this beginning is one of the few that are told in a minute. Under the lock. */
static bool may_tell(struct ps_troubles *t, enum ps_trouble which, int64_t now_us)
{
    if (t->pace[which].told == 0 || now_us - t->pace[which].since_us >= PS_TROUBLE_TELL_EVERY_US) {
        t->pace[which].since_us = now_us;
        t->pace[which].told = 0;
    }
    return t->pace[which].told++ < PS_TROUBLE_TOLD_MAX;
}

/* It lasts, and nobody heard of it for a minute; now somebody does. */
static bool is_reminder_due(struct ps_trouble_state *s, int64_t now_us)
{
    if (!s->present || now_us - s->told_us < PS_TROUBLE_TELL_EVERY_US)
        return false;
    s->told_us = now_us;
    s->quiet = false;
    return true;
}

void ps_trouble_begin(struct ps_troubles *t, enum ps_trouble which, int code, const char *text)
{
    PS_ASSERT(which < PS_TROUBLE_COUNT && code < 0);
    if (t == NULL)
        return;
    int64_t now_us = ps_clock_monotonic_us(t->clock);
    pthread_mutex_lock(&t->lock);
    struct ps_trouble_state *s = &t->states[which];
    bool begins = !s->present;
    if (begins)
        *s = (struct ps_trouble_state){.present = true,
                                       .quiet = !may_tell(t, which, now_us),
                                       .since_us = now_us,
                                       .told_us = now_us,
                                       .since_ms = ps_clock_now_ms(t->clock)};
    s->code = code;
    s->failures++;
    snprintf(s->text, sizeof s->text, "%s", text);
    bool told = begins ? !s->quiet : is_reminder_due(s, now_us);
    struct ps_trouble_state copy = *s;
    pthread_mutex_unlock(&t->lock);
    if (told)
        tell(t, which, begins ? PS_TROUBLE_BEGINS : PS_TROUBLE_LASTS, &copy, now_us);
}

void ps_trouble_end(struct ps_troubles *t, enum ps_trouble which)
{
    PS_ASSERT(which < PS_TROUBLE_COUNT);
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    struct ps_trouble_state copy = t->states[which];
    t->states[which] = (struct ps_trouble_state){0};
    pthread_mutex_unlock(&t->lock);
    if (copy.present && !copy.quiet)
        tell(t, which, PS_TROUBLE_ENDS, &copy, ps_clock_monotonic_us(t->clock));
}

void ps_trouble_report(struct ps_troubles *t, enum ps_trouble which, int code, const char *text)
{
    if (code < 0)
        ps_trouble_begin(t, which, code, text);
    else
        ps_trouble_end(t, which);
}

bool ps_trouble_get(struct ps_troubles *t, enum ps_trouble which, struct ps_trouble_state *ret)
{
    PS_ASSERT(which < PS_TROUBLE_COUNT);
    if (t == NULL)
        return false;
    pthread_mutex_lock(&t->lock);
    bool present = t->states[which].present;
    if (present)
        *ret = t->states[which];
    pthread_mutex_unlock(&t->lock);
    return present;
}

bool ps_troubles_are_failing(struct ps_troubles *t)
{
    bool failing = false;
    if (t == NULL)
        return false;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < PS_TROUBLE_COUNT; i++)
        failing |= t->states[i].present && table[i].severity == PS_FAILING;
    pthread_mutex_unlock(&t->lock);
    return failing;
}

static void remind_of(struct ps_troubles *t, enum ps_trouble which, int64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    struct ps_trouble_state *s = &t->states[which];
    bool told = is_reminder_due(s, now_us);
    struct ps_trouble_state copy = *s;
    pthread_mutex_unlock(&t->lock);
    if (told)
        tell(t, which, PS_TROUBLE_LASTS, &copy, now_us);
}

void ps_troubles_remind(struct ps_troubles *t)
{
    int64_t now_us = ps_clock_monotonic_us(t->clock);
    for (int i = 0; i < PS_TROUBLE_COUNT; i++)
        remind_of(t, (enum ps_trouble)i, now_us);
}
