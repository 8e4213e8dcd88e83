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
        cmocka_unit_test(each_trouble_has_a_name_and_a_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
