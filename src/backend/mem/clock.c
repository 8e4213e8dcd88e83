/* clock.c - the machine's clock, and one for tests that stands still until moved.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/registry.h"

#include <errno.h>
#include <time.h>

static int64_t system_now_ms(struct ps_clock *c)
{
    struct timespec t;
    (void)c;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_monotonic_us(struct ps_clock *c)
{
    struct timespec t;
    (void)c;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void system_sleep_ms(struct ps_clock *c, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)c;
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        continue;
}

struct ps_clock *ps_clock_system(void)
{
    static struct ps_clock clock = {system_now_ms, system_monotonic_us, system_sleep_ms};
    return &clock;
}

static int64_t manual_now_ms(struct ps_clock *c)
{
    struct ps_clock_manual *m = (struct ps_clock_manual *)c;
    return m->now_ms + m->wall_ahead_ms;
}

static int64_t manual_monotonic_us(struct ps_clock *c)
{
    return ((struct ps_clock_manual *)c)->now_ms * 1000;
}

static void manual_sleep_ms(struct ps_clock *c, int64_t ms)
{
    ((struct ps_clock_manual *)c)->now_ms += ms;
}

void ps_clock_manual_init(struct ps_clock_manual *c, int64_t now_ms)
{
    c->clock = (struct ps_clock){manual_now_ms, manual_monotonic_us, manual_sleep_ms};
    c->now_ms = now_ms;
    c->wall_ahead_ms = 0;
}
