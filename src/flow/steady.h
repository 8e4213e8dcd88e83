/* steady.h - a wall clock that does not believe every jump: what jobs go by, and archiving above
 * all.
 *
 * A clock that is ten days ahead for some seconds must not archive and close days that are not over
 * (I6). So the time goes on at the pace of the monotonic clock when the wall clock has left it by
 * more than PS_STEADY_JUMP_MS at once, and the new time is believed when it comes back to the old
 * one or has lasted PS_STEADY_CONFIRM_MS. Meanwhile the trouble PS_TROUBLE_CLOCK is there. The
 * timestamps of events are never asked: anybody can send them.
 *
 * A machine that slept looks the same as one whose clock was set, and only costs these minutes.
 * What was wrong before the start cannot be noticed.
 *
 * Threads: belongs to one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_STEADY_H
#define PS_FLOW_STEADY_H

#include "flow/trouble.h"
#include "port/clock.h"

#define PS_STEADY_JUMP_MS (INT64_C(60) * 1000)
#define PS_STEADY_CONFIRM_MS (INT64_C(5) * 60 * 1000)

struct ps_steady_clock {
    struct ps_clock clock; /* this is what to hand on */
    struct ps_clock *behind;
    struct ps_troubles *troubles;
    int64_t trusted_ms, trusted_us; /* the time that was believed last, on both clocks */
    int64_t jumped_ms, jumped_us;   /* the one that is not believed yet, when it was first seen */
    bool jumped;
};

/* Believes the clock as it is now. `troubles` may be NULL. */
void ps_steady_clock_init(struct ps_steady_clock *s, struct ps_clock *behind,
                          struct ps_troubles *troubles);

#endif
