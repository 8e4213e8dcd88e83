/* admission_test.c - who is refused while the dead letters are full.  SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "flow/admission.h"
#include "port/ledger.h"

enum { DAY = 20376, LETTER_BYTES = 100 };

struct world {
    char target[32];
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_queue *queue;
    struct ps_troubles troubles;
    struct ps_admission admission;
    int64_t now_us;
};

static int set_up(void **state)
{
    static unsigned serial;
    static const struct ps_queue_limits limits = {1 << 20, 1 << 18, 10 * LETTER_BYTES, 1 << 20};
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->target, sizeof w->target, "admission-%u", serial++);
    ps_clock_manual_init(&w->clock, DAY * PS_MS_PER_DAY);
    OK(ps_store_open(&ps_store_mem, &w->store, w->target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_open(ps_ledger_backend("mem"), &w->ledger, w->target, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->queue, w->target, PS_QUEUE_WRITE, &limits, &test_err));
    ps_troubles_init(&w->troubles, &w->clock.clock, NULL, NULL);
    ps_admission_init(&w->admission);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_admission_done(&w->admission);
    ps_troubles_done(&w->troubles);
    ps_queue_close(w->queue);
    ps_ledger_close(w->ledger);
    ps_store_close(w->store);
    ps_mem_forget(w->target);
    free(w);
    return 0;
}

static void mark(struct world *w, int32_t day, enum ps_day_state state)
{
    struct ps_day record = {.day = day, .state = state, .object = PS_STR("x")};
    OK(ps_ledger_mark(w->ledger, &record, UINT32_MAX, &test_err));
}

static void bury(struct world *w, uint64_t from, uint64_t to)
{
    static const uint8_t bytes[LETTER_BYTES];
    for (uint64_t i = from; i < to; i++) {
        struct ps_dead_letter letter = {.position = i,
                                        .why = PS_REJECT_CLOSED_DAY,
                                        .text = PS_STR(""),
                                        .bytes = bytes,
                                        .len = LETTER_BYTES};
        OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    }
}

static void refresh(struct world *w)
{
    w->now_us += PS_ADMISSION_EVERY_US;
    ps_admission_refresh(&w->admission, w->queue, w->store, w->now_us, &w->troubles);
}

static bool refuses(struct world *w, int32_t day)
{
    bool first = ps_admission_refuses(&w->admission, day * PS_MS_PER_DAY);
    bool last = ps_admission_refuses(&w->admission, (day + 1) * PS_MS_PER_DAY - 1);
    assert_int_equal(first, last);
    return first;
}

static bool is_told(struct world *w)
{
    struct ps_trouble_state state;
    return ps_trouble_get(&w->troubles, PS_TROUBLE_LETTERS_FULL, &state);
}

static void test_closed_days_alone(void **state)
{
    struct world *w = *state;
    static const enum ps_day_state states[] = {PS_DAY_PENDING, PS_DAY_COMPLETED, PS_DAY_CLEANED,
                                               PS_DAY_FAILED, PS_DAY_RESTORED};
    for (int32_t i = 0; i < 5; i++)
        mark(w, DAY - 10 - i, states[i]);
    bury(w, 0, 9);
    refresh(w);
    for (int32_t day = DAY - 20; day <= DAY; day++)
        assert_false(refuses(w, day));
    assert_false(is_told(w));
    bury(w, 9, 10); /* full */
    refresh(w);
    for (int32_t day = DAY - 20; day <= DAY; day++)
        assert_int_equal(refuses(w, day), day <= DAY - 10 && day >= DAY - 12);
    assert_true(is_told(w));
    mark(w, DAY - 12, PS_DAY_RESTORED);
    mark(w, DAY - 1, PS_DAY_CLEANED);
    refresh(w);
    assert_false(refuses(w, DAY - 12));
    assert_true(refuses(w, DAY - 1));
}

/* It ends by itself when there is room again. */
static void test_it_ends(void **state)
{
    struct world *w = *state;
    uint64_t position = 3;
    mark(w, DAY - 10, PS_DAY_CLEANED);
    bury(w, 0, 15); /* five in the reserve */
    refresh(w);
    assert_true(refuses(w, DAY - 10));
    assert_int_equal(ps_queue_unbury(w->queue, &position, 1, &test_err), 1);
    refresh(w);
    assert_true(refuses(w, DAY - 10)); /* still over the limit */
    for (position = 4; position < 10; position++)
        assert_int_equal(ps_queue_unbury(w->queue, &position, 1, &test_err), 1);
    assert_true(refuses(w, DAY - 10));
    refresh(w);
    assert_false(refuses(w, DAY - 10));
    assert_false(is_told(w));
}

/* A store that cannot tell its days costs nobody anything, and is asked again. */
static void test_days_that_cannot_be_listed(void **state)
{
    struct world *w = *state;
    struct ps_store *store = NULL;
    mark(w, DAY - 10, PS_DAY_CLEANED);
    bury(w, 0, 10);
    refresh(w);
    assert_true(refuses(w, DAY - 10));
    OK(ps_store_open(&ps_store_mem, &store, "admission-other", PS_STORE_WRITE, &test_err));
    w->now_us += PS_ADMISSION_EVERY_US; /* one without days is the nearest thing */
    ps_admission_refresh(&w->admission, w->queue, store, w->now_us, &w->troubles);
    assert_false(refuses(w, DAY - 10));
    ps_store_close(store);
    ps_mem_forget("admission-other");
    refresh(w);
    assert_true(refuses(w, DAY - 10));
}

static int tell_one_and_fail(struct ps_store *s, ps_day_fn *fn, void *ctx, struct ps_err *e)
{
    const struct ps_day day = {.day = DAY - 10, .state = PS_DAY_CLEANED};
    (void)s;
    OK(fn(ctx, &day));
    return ps_fail(e, PS_EIO, "injected: days");
}

/* Nor does one that breaks off in the middle: half of a list would refuse some by chance. */
static void test_days_that_end_early(void **state)
{
    struct world *w = *state;
    struct ps_store_ops broken = *w->store->ops;
    const struct ps_store_ops *whole = w->store->ops;
    mark(w, DAY - 10, PS_DAY_CLEANED);
    bury(w, 0, 10);
    broken.days = tell_one_and_fail;
    w->store->ops = &broken;
    refresh(w);
    assert_false(refuses(w, DAY - 10));
    w->store->ops = whole;
    refresh(w);
    assert_true(refuses(w, DAY - 10));
}

/* It is asked for each event, so it does not look each time. */
static void test_it_looks_now_and_then(void **state)
{
    struct world *w = *state;
    mark(w, DAY - 10, PS_DAY_CLEANED);
    refresh(w);
    bury(w, 0, 10);
    ps_admission_refresh(&w->admission, w->queue, w->store, w->now_us + 1, &w->troubles);
    assert_false(refuses(w, DAY - 10));
    refresh(w);
    assert_true(refuses(w, DAY - 10));
    assert_false(ps_admission_refuses(NULL, 0));
    ps_admission_refresh(NULL, w->queue, w->store, 0, NULL);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_closed_days_alone),          CASE(test_it_ends),
        CASE(test_days_that_cannot_be_listed), CASE(test_days_that_end_early),
        CASE(test_it_looks_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
