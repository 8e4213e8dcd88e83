/* receipts_test.c - what became of a submission: counted over its range alone, told once.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/err.h"
#include "flow/deliver.h"
#include "flow/receipts.h"
#include "port/queue.h"
#include "port/store.h"

struct told {
    int times;
    struct ps_receipt receipt;
};

static void note(void *ctx, const struct ps_receipt *receipt)
{
    struct told *t = ctx;
    t->times++;
    t->receipt = *receipt;
}

static int open_receipts(void **state)
{
    *state = ps_receipts_open();
    return *state == NULL ? -1 : 0;
}

static int close_receipts(void **state)
{
    ps_receipts_close(*state);
    return 0;
}

/* Records at positions 10, 20, ... 60. */
static const struct ps_record records[] = {{.position = 10}, {.position = 20}, {.position = 30},
                                           {.position = 40}, {.position = 50}, {.position = 60}};
static const uint8_t outcomes[] = {PS_OUTCOME_NEW,        PS_OUTCOME_NEW,    PS_OUTCOME_DUPLICATE,
                                   PS_OUTCOME_CLOSED_DAY, PS_OUTCOME_BURIED, PS_OUTCOME_NEW};

static void a_range_is_counted_alone(void **state)
{
    struct told t = {0};
    assert_false(ps_receipts_any(*state));
    assert_int_equal(ps_receipts_expect(*state, 20, note, &t), 0);
    assert_true(ps_receipts_any(*state));
    ps_receipts_end(*state, &t, 60);
    ps_receipts_take(*state, records, outcomes, 3, 40);
    assert_int_equal(t.times, 0); /* the consumer is not past it */
    ps_receipts_take(*state, records + 3, outcomes + 3, 3, 70);
    assert_int_equal(t.times, 1);
    assert_int_equal(t.receipt.fresh, 1);
    assert_int_equal(t.receipt.duplicates, 1);
    assert_int_equal(t.receipt.refused, 2);
    assert_false(ps_receipts_any(*state));
}

/* The consumer may read the range before the committer tells where it ends. */
static void a_range_that_ends_behind_the_consumer_is_told_at_once(void **state)
{
    struct told t = {0};
    assert_int_equal(ps_receipts_expect(*state, 10, note, &t), 0);
    ps_receipts_take(*state, records, outcomes, 6, 70);
    assert_int_equal(t.times, 0);
    ps_receipts_end(*state, &t, 70);
    assert_int_equal(t.times, 1);
    assert_int_equal(t.receipt.fresh, 3);
}

static void one_that_is_given_up_is_never_told(void **state)
{
    struct told t = {0};
    assert_int_equal(ps_receipts_expect(*state, 10, note, &t), 0);
    assert_true(ps_receipts_give_up(*state, &t));
    assert_false(ps_receipts_give_up(*state, &t));
    ps_receipts_end(*state, &t, 70);
    ps_receipts_take(*state, records, outcomes, 6, 70);
    assert_int_equal(t.times, 0);
}

/* I8 */
static void there_are_at_most_so_many(void **state)
{
    static struct told many[PS_RECEIPTS_MAX + 1];
    for (int i = 0; i < PS_RECEIPTS_MAX; i++)
        assert_int_equal(ps_receipts_expect(*state, 10, note, &many[i]), 0);
    assert_int_equal(ps_receipts_expect(*state, 10, note, &many[PS_RECEIPTS_MAX]), PS_EFULL);
    for (int i = 0; i < PS_RECEIPTS_MAX; i++)
        ps_receipts_end(*state, &many[i], 70);
    ps_receipts_take(*state, records, outcomes, 6, 70);
    for (int i = 0; i < PS_RECEIPTS_MAX; i++)
        assert_int_equal(many[i].times, 1);
    assert_int_equal(many[PS_RECEIPTS_MAX].times, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_receipts, close_receipts)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_range_is_counted_alone),
        CASE(a_range_that_ends_behind_the_consumer_is_told_at_once),
        CASE(one_that_is_given_up_is_never_told),
        CASE(there_are_at_most_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
