/* steady_test.c - the clock that jobs go by: which wall clock it follows, and when.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/registry.h"
#include "base/time.h"
#include "flow/steady.h"

#include <string.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

struct world {
    struct ps_clock_manual wall;
    struct ps_troubles troubles;
    struct ps_steady_clock steady;
};

static void open_world(struct world *w)
{
    ps_clock_manual_init(&w->wall, NOON);
    ps_troubles_init(&w->troubles, &w->wall.clock, NULL, NULL);
    ps_steady_clock_init(&w->steady, &w->wall.clock, &w->troubles);
}

static int64_t now(struct world *w)
{
    return ps_clock_now_ms(&w->steady.clock);
}

static bool told(struct world *w, struct ps_trouble_state *ret)
{
    return ps_trouble_get(&w->troubles, PS_TROUBLE_CLOCK, ret);
}

/* What time servers correct is followed, however much it adds up to. */
static void small_steps_are_followed(void **state)
{
    struct world w;
    struct ps_trouble_state trouble;
    (void)state;
    open_world(&w);
    for (int i = 0; i < 1000; i++) {
        w.wall.now_ms += 1000;
        w.wall.wall_ahead_ms += i % 2 == 0 ? PS_STEADY_JUMP_MS : -PS_STEADY_JUMP_MS / 2;
        assert_int_equal(now(&w), w.wall.now_ms + w.wall.wall_ahead_ms);
        assert_false(told(&w, &trouble));
    }
}

static void a_long_time_without_a_look_is_no_jump(void **state)
{
    struct world w;
    struct ps_trouble_state trouble;
    (void)state;
    open_world(&w);
    w.wall.now_ms += 30 * PS_MS_PER_DAY;
    assert_int_equal(now(&w), NOON + 30 * PS_MS_PER_DAY);
    assert_false(told(&w, &trouble));
}

static void check_jump(int64_t by_ms)
{
    struct world w;
    struct ps_trouble_state trouble;
    open_world(&w);
    w.wall.wall_ahead_ms = by_ms;
    for (int64_t ms = 0; ms < PS_STEADY_CONFIRM_MS; ms += 1000) {
        assert_int_equal(now(&w), NOON + ms); /* the old time, at the old pace */
        assert_true(told(&w, &trouble));
        w.wall.now_ms += 1000;
    }
    assert_non_null(strstr(trouble.text, "2025-10-15T12:04:59.000Z is due"));
    assert_int_equal(now(&w), NOON + PS_STEADY_CONFIRM_MS + by_ms);
    assert_false(told(&w, &trouble));
    w.wall.now_ms += 1000;
    assert_int_equal(now(&w), NOON + PS_STEADY_CONFIRM_MS + 1000 + by_ms);
}

static void a_jump_is_believed_after_some_minutes(void **state)
{
    (void)state;
    check_jump(10 * PS_MS_PER_DAY);
    check_jump(-PS_MS_PER_HOUR);
    check_jump(PS_STEADY_JUMP_MS + 1);
}

static void a_jump_that_is_taken_back_is_forgotten(void **state)
{
    struct world w;
    struct ps_trouble_state trouble;
    (void)state;
    open_world(&w);
    for (int i = 0; i < 3; i++) { /* their minutes do not add up */
        w.wall.wall_ahead_ms = 10 * PS_MS_PER_DAY;
        assert_int_equal(now(&w), w.wall.now_ms);
        w.wall.now_ms += PS_STEADY_CONFIRM_MS - 1;
        assert_int_equal(now(&w), w.wall.now_ms);
        assert_true(told(&w, &trouble));
        w.wall.wall_ahead_ms = 0;
        assert_int_equal(now(&w), w.wall.now_ms);
        assert_false(told(&w, &trouble));
    }
}

/* A clock that is set again and again is believed once it is left alone. */
static void another_jump_begins_anew(void **state)
{
    struct world w;
    struct ps_trouble_state trouble;
    (void)state;
    open_world(&w);
    for (int day = 1; day <= 3; day++) {
        w.wall.wall_ahead_ms = day * PS_MS_PER_DAY;
        assert_int_equal(now(&w), w.wall.now_ms);
        w.wall.now_ms += PS_STEADY_CONFIRM_MS - 1;
        assert_int_equal(now(&w), w.wall.now_ms);
        assert_true(told(&w, &trouble));
    }
    w.wall.now_ms += 1;
    assert_int_equal(now(&w), w.wall.now_ms + 3 * PS_MS_PER_DAY);
    assert_false(told(&w, &trouble));
}

static void the_rest_is_the_clock_behind(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    ps_clock_sleep_ms(&w.steady.clock, 7);
    assert_int_equal(w.wall.now_ms, NOON + 7);
    assert_int_equal(ps_clock_monotonic_us(&w.steady.clock), (NOON + 7) * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_steps_are_followed),
        cmocka_unit_test(a_long_time_without_a_look_is_no_jump),
        cmocka_unit_test(a_jump_is_believed_after_some_minutes),
        cmocka_unit_test(a_jump_that_is_taken_back_is_forgotten),
        cmocka_unit_test(another_jump_begins_anew),
        cmocka_unit_test(the_rest_is_the_clock_behind),
    };
    return cmocka_run_group_tests_name("steady clock", tests, NULL, NULL);
}
