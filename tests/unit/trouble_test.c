/* trouble_test.c - what is wrong is told when it begins, once a minute while it lasts, and at its
 * end.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/registry.h"
#include "base/check.h"
#include "daemon/watch.h"
#include "flow/trouble.h"

#include <string.h>

struct heard {
    int begins, lasts, ends;
    uint64_t failures;
    int64_t lasted_us;
};

static void hear(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                 const struct ps_trouble_state *state, int64_t lasted_us)
{
    struct heard *h = ctx;
    assert_int_equal(which, PS_TROUBLE_STORE);
    h->begins += phase == PS_TROUBLE_BEGINS;
    h->lasts += phase == PS_TROUBLE_LASTS;
    h->ends += phase == PS_TROUBLE_ENDS;
    h->failures = state->failures;
    h->lasted_us = lasted_us;
}

static void a_trouble_is_told_at_its_beginning_each_minute_and_at_its_end(void **state)
{
    (void)state;
    struct ps_clock_manual clock;
    struct ps_troubles t;
    struct ps_trouble_state now;
    struct heard h = {0};
    ps_clock_manual_init(&clock, 1000);
    ps_troubles_init(&t, &clock.clock, hear, &h);
    assert_false(ps_trouble_get(&t, PS_TROUBLE_STORE, &now));
    ps_trouble_end(&t, PS_TROUBLE_STORE);
    assert_int_equal(h.ends, 0);
    for (int second = 0; second < 150; second++) {
        ps_trouble_report(&t, PS_TROUBLE_STORE, PS_EIO, "the disk is gone");
        ps_clock_sleep_ms(&clock.clock, 1000);
    }
    assert_int_equal(h.begins, 1);
    assert_int_equal(h.lasts, 2);
    assert_true(ps_trouble_get(&t, PS_TROUBLE_STORE, &now));
    assert_int_equal(now.failures, 150);
    assert_int_equal(now.code, PS_EIO);
    assert_string_equal(now.text, "the disk is gone");
    ps_trouble_report(&t, PS_TROUBLE_STORE, 0, "");
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.failures, 150);
    assert_int_equal(h.lasted_us, 150 * 1000000);
    assert_false(ps_trouble_get(&t, PS_TROUBLE_STORE, &now));
    ps_troubles_done(&t);
}

/* The disk that is full by one page: a thousand times a minute there is room, and then there is
 * not.
 */
static void one_that_comes_and_goes_fills_no_log(void **state)
{
    (void)state;
    struct ps_clock_manual clock;
    struct ps_troubles t;
    struct ps_trouble_state now;
    struct heard h = {0};
    ps_clock_manual_init(&clock, 1000);
    ps_troubles_init(&t, &clock.clock, hear, &h);
    for (int i = 0; i < 1000; i++) {
        ps_trouble_begin(&t, PS_TROUBLE_STORE, PS_EFULL, "full");
        assert_true(ps_trouble_get(&t, PS_TROUBLE_STORE, &now));
        ps_trouble_end(&t, PS_TROUBLE_STORE);
    }
    assert_int_equal(h.begins, PS_TROUBLE_TOLD_MAX);
    assert_int_equal(h.ends, PS_TROUBLE_TOLD_MAX);
    ps_trouble_begin(&t, PS_TROUBLE_STORE, PS_EFULL, "full"); /* and this time it stays */
    ps_clock_sleep_ms(&clock.clock, 60000);
    ps_trouble_begin(&t, PS_TROUBLE_STORE, PS_EFULL, "full");
    assert_int_equal(h.lasts, 1);
    ps_trouble_end(&t, PS_TROUBLE_STORE);
    assert_int_equal(h.ends, PS_TROUBLE_TOLD_MAX + 1);
    ps_trouble_begin(&t, PS_TROUBLE_STORE, PS_EFULL, "full");
    assert_int_equal(h.begins, PS_TROUBLE_TOLD_MAX + 1);
    ps_troubles_done(&t);
}

/* A job fails at night and is not tried again for an hour. */
static void one_that_lasts_is_told_again_without_a_failure(void **state)
{
    (void)state;
    struct ps_clock_manual clock;
    struct ps_troubles t;
    struct heard h = {0};
    ps_clock_manual_init(&clock, 1000);
    ps_troubles_init(&t, &clock.clock, hear, &h);
    ps_troubles_remind(&t);
    ps_trouble_begin(&t, PS_TROUBLE_STORE, PS_EIO, "once");
    for (int second = 0; second < 180; second++) {
        ps_troubles_remind(&t);
        ps_clock_sleep_ms(&clock.clock, 1000);
    }
    assert_int_equal(h.begins, 1);
    assert_int_equal(h.lasts, 2);
    assert_int_equal(h.failures, 1);
    ps_trouble_end(&t, PS_TROUBLE_STORE);
    ps_clock_sleep_ms(&clock.clock, 60000);
    ps_troubles_remind(&t);
    assert_int_equal(h.lasts, 2);
    ps_troubles_done(&t);
}

static void the_worst_of_them_counts(void **state)
{
    (void)state;
    struct ps_clock_manual clock;
    struct ps_troubles t;
    ps_clock_manual_init(&clock, 1000);
    ps_troubles_init(&t, &clock.clock, NULL, NULL);
    assert_false(ps_troubles_are_failing(NULL));
    for (int i = 0; i < PS_TROUBLE_COUNT; i++) {
        enum ps_trouble which = (enum ps_trouble)i;
        assert_false(ps_troubles_are_failing(&t));
        ps_trouble_begin(&t, which, PS_EIO, "it");
        assert_int_equal(ps_troubles_are_failing(&t), ps_trouble_severity(which) == PS_FAILING);
        ps_trouble_end(&t, which);
    }
    ps_troubles_done(&t);
}

/* A thread that ended, or waits for a disk that never answers, reports nothing itself. */
static void a_thread_that_stands_still_is_told(void **state)
{
    (void)state;
    struct ps_clock_manual clock;
    struct ps_troubles t;
    struct ps_trouble_state now;
    struct ps_aggregator_counters consumer = {0};
    ps_clock_manual_init(&clock, 1000);
    ps_troubles_init(&t, &clock.clock, NULL, NULL);
    struct ps_watch w = {.troubles = &t, .clock = &clock.clock};
    ps_clock_sleep_ms(&clock.clock, 100000);
    ps_watch_consumer(&w, &consumer); /* it did not begin yet */
    ps_watch_committer(&w, 0);
    assert_false(ps_troubles_are_failing(&t));
    consumer.turned_us = ps_clock_monotonic_us(&clock.clock);
    ps_watch_committer(&w, 1); /* it writes */
    ps_clock_sleep_ms(&clock.clock, PS_WATCH_STILL_US / 1000 - 1);
    ps_watch_consumer(&w, &consumer);
    ps_watch_committer(&w, 1);
    assert_false(ps_troubles_are_failing(&t));
    ps_clock_sleep_ms(&clock.clock, 1);
    ps_watch_consumer(&w, &consumer);
    assert_true(ps_trouble_get(&t, PS_TROUBLE_CONSUMER, &now));
    assert_non_null(strstr(now.text, "consumer has stood still for 60 s"));
    assert_true(ps_troubles_are_failing(&t));
    consumer.turned_us = ps_clock_monotonic_us(&clock.clock);
    ps_watch_consumer(&w, &consumer);
    assert_false(ps_troubles_are_failing(&t));
    ps_watch_committer(&w, 1);
    assert_true(ps_trouble_get(&t, PS_TROUBLE_COMMITTER, &now));
    ps_watch_committer(&w, 3); /* another write */
    assert_false(ps_troubles_are_failing(&t));
    ps_watch_committer(&w, 4); /* nobody posts */
    ps_clock_sleep_ms(&clock.clock, 2 * PS_WATCH_STILL_US / 1000);
    ps_watch_committer(&w, 4);
    assert_false(ps_troubles_are_failing(&t));
    ps_troubles_done(&t);
}

static void each_trouble_has_a_name_and_a_meaning(void **state)
{
    (void)state;
    for (int i = 0; i < PS_TROUBLE_COUNT; i++) {
        assert_true(strlen(ps_trouble_name((enum ps_trouble)i)) > 0);
        assert_true(strlen(ps_trouble_help((enum ps_trouble)i)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trouble_is_told_at_its_beginning_each_minute_and_at_its_end),
        cmocka_unit_test(one_that_comes_and_goes_fills_no_log),
        cmocka_unit_test(one_that_lasts_is_told_again_without_a_failure),
        cmocka_unit_test(the_worst_of_them_counts),
        cmocka_unit_test(a_thread_that_stands_still_is_told),
        cmocka_unit_test(each_trouble_has_a_name_and_a_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
