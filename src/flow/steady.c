/* steady.c - see steady.h.  SPDX-License-Identifier: MIT */
#include "flow/steady.h"

#include "base/time.h"

#include <stdio.h>

enum { PER_MINUTE_MS = 60 * 1000 };

static bool lies_near(int64_t a_ms, int64_t b_ms)
{
    int64_t apart = a_ms > b_ms ? a_ms - b_ms : b_ms - a_ms;
    return apart <= PS_STEADY_JUMP_MS;
}

static int64_t believe(struct ps_steady_clock *s, int64_t wall_ms, int64_t now_us)
{
    s->trusted_ms = wall_ms;
    s->trusted_us = now_us;
    s->jumped = false;
    ps_trouble_end(s->troubles, PS_TROUBLE_CLOCK);
    return wall_ms;
}

static void tell(struct ps_steady_clock *s, int64_t from_ms, int64_t to_ms)
{
    char text[PS_ERR_TEXT_MAX], from[PS_ISO_LEN + 1], to[PS_ISO_LEN + 1];
    ps_time_format_iso(from, from_ms);
    ps_time_format_iso(to, to_ms);
    snprintf(text, sizeof text,
             "the clock says %s where %s is due (it was set, or the machine slept): jobs go by the "
             "old time until the new one has lasted %d minutes",
             to, from, (int)(PS_STEADY_CONFIRM_MS / PER_MINUTE_MS));
    ps_trouble_begin(s->troubles, PS_TROUBLE_CLOCK, PS_EINVAL, text);
}

static int64_t steady_now_ms(struct ps_clock *c)
{
    struct ps_steady_clock *s = (struct ps_steady_clock *)c;
    int64_t wall_ms = ps_clock_now_ms(s->behind), now_us = ps_clock_monotonic_us(s->behind);
    int64_t due_ms = s->trusted_ms + (now_us - s->trusted_us) / 1000;
    if (lies_near(wall_ms, due_ms))
        return believe(s, wall_ms, now_us);
    if (!s->jumped || !lies_near(wall_ms, s->jumped_ms + (now_us - s->jumped_us) / 1000)) {
        s->jumped = true;
        s->jumped_ms = wall_ms;
        s->jumped_us = now_us;
    }
    if (now_us - s->jumped_us >= PS_STEADY_CONFIRM_MS * 1000)
        return believe(s, wall_ms, now_us);
    tell(s, due_ms, wall_ms);
    return due_ms;
}

static int64_t steady_monotonic_us(struct ps_clock *c)
{
    return ps_clock_monotonic_us(((struct ps_steady_clock *)c)->behind);
}

static void steady_sleep_ms(struct ps_clock *c, int64_t ms)
{
    ps_clock_sleep_ms(((struct ps_steady_clock *)c)->behind, ms);
}

void ps_steady_clock_init(struct ps_steady_clock *s, struct ps_clock *behind,
                          struct ps_troubles *troubles)
{
    *s = (struct ps_steady_clock){
        .clock = {steady_now_ms, steady_monotonic_us, steady_sleep_ms},
        .behind = behind,
        .troubles = troubles,
        .trusted_ms = ps_clock_now_ms(behind),
        .trusted_us = ps_clock_monotonic_us(behind),
    };
}
