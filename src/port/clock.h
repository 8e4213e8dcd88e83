/* clock.h - the time, as something that can be replaced. See backend/mem/clock.c for one that
 * obeys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_CLOCK_H
#define PS_PORT_CLOCK_H

#include <stdint.h>

struct ps_clock {
    int64_t (*now_ms)(struct ps_clock *c);       /* since 1970, UTC; may jump */
    int64_t (*monotonic_us)(struct ps_clock *c); /* never goes back */
    void (*sleep_ms)(struct ps_clock *c, int64_t ms);
};

static inline int64_t ps_clock_now_ms(struct ps_clock *c)
{
    return c->now_ms(c);
}

static inline int64_t ps_clock_monotonic_us(struct ps_clock *c)
{
    return c->monotonic_us(c);
}

static inline void ps_clock_sleep_ms(struct ps_clock *c, int64_t ms)
{
    c->sleep_ms(c, ms);
}

#endif
