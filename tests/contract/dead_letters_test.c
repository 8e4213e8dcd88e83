/* dead_letters_test.c - the dead letters of port/queue.h, held against every backend.
 *
 * Letters are buried by rising positions, so that the order of burying and that of the queue are
 * one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/queue_world.h"

static void bury(struct world *w, uint64_t position)
{
    struct ps_dead_letter letter = letter_at(position);
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
}

static void test_bury_once(void **state)
{
    struct world *w = *state;
    struct ps_dead_letter letters[] = {letter_at(7), letter_at(8), letter_at(7), letter_at(9)};
    struct ps_queue_info info;
    letters[2].text = PS_STR("another"); /* the first stays */
    letters[3].why = PS_REJECT_RECORD;
    letters[3].text = PS_STR_NONE;
    letters[3].len = 0;
    letters[3].time_ms = -1;
    OK(ps_queue_bury(w->queue, letters, 4, &test_err));
    OK(ps_queue_info(w->queue, &info, &test_err));
    uint64_t bytes = info.dead_letter_bytes;
    assert_true(bytes >= 2 * 10);
    for (int round = 0; round < 3; round++) {
        expect_dead(w->queue, "7 1007 closed_day 'too late' '\\00\\ff'\n"
                              "8 1008 closed_day 'too late' '\\00\\ff'\n"
                              "9 -1 record '' ''\n");
        OK(ps_queue_bury(w->queue, &letters[round], 2, &test_err));
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_int_equal(info.dead_letters, 3);
        assert_int_equal(info.dead_letter_bytes, bytes);
        reopen(w);
    }
}

static void test_unbury(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    assert_int_equal(ps_queue_unbury(w->queue, 1, &test_err), PS_ENOENT);
    for (uint64_t i = 1; i <= 4; i++)
        bury(w, i);
    OK(ps_queue_unbury(w->queue, 2, &test_err));
    for (int round = 0; round < 4; round++) {
        expect_dead(w->queue, "1 1001 closed_day 'too late' '\\00\\ff'\n"
                              "3 1003 closed_day 'too late' '\\00\\ff'\n"
                              "4 1004 closed_day 'too late' '\\00\\ff'\n");
        assert_int_equal(ps_queue_unbury(w->queue, 2, &test_err), PS_ENOENT);
        reopen(w);
    }
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(ps_queue_unbury(w->queue, i, &test_err), i == 2 ? PS_ENOENT : 0);
    expect_dead(w->queue, "");
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_true(info.dead_letters == 0 && info.dead_letter_bytes == 0);
    bury(w, 5); /* an empty file is a good file */
    bury(w, 6);
    reopen(w);
    expect_dead(w->queue, "5 1005 closed_day 'too late' '\\00\\ff'\n"
                          "6 1006 closed_day 'too late' '\\00\\ff'\n");
}

/* Unburied, the same position may be buried again. */
static void test_bury_again(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 3; round++) {
        bury(w, 3);
        expect_dead(w->queue, "3 1003 closed_day 'too late' '\\00\\ff'\n");
        reopen(w);
        OK(ps_queue_unbury(w->queue, 3, &test_err));
        expect_dead(w->queue, "");
        if (round == 1)
            reopen(w);
    }
}

static void test_letters_of_any_size(void **state)
{
    struct world *w = *state;
    char text[PS_ERR_TEXT_MAX];
    char *bytes = malloc(PS_RECORD_BYTES_MAX);
    struct ps_buf expected;
    dump_init(&expected);
    memset(text, 't', sizeof text);
    for (size_t i = 0; i < PS_RECORD_BYTES_MAX; i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (enum ps_reject why = PS_REJECT_NONE + 1; why < PS_REJECT_COUNT; why++) {
        struct ps_dead_letter letter = letter_at(why);
        letter.why = why;
        letter.text = (struct ps_str){text, why % 2 ? sizeof text : 0};
        letter.bytes = (const uint8_t *)bytes;
        letter.len = why == PS_REJECT_RECORD ? PS_RECORD_BYTES_MAX : (size_t)why * 64;
        dump_letter(&expected, &letter);
        OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    }
    dump_end(&expected);
    for (int round = 0; round < 3; round++) {
        expect_dead(w->queue, expected.ptr);
        reopen(w);
    }
    ps_buf_done(&expected);
    free(bytes);
}

static void test_dead_letters_have_a_limit(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    char bytes[1000] = {0};
    uint64_t n = 0;
    struct ps_dead_letter letter = letter_at(0);
    letter.bytes = (const uint8_t *)bytes;
    letter.len = sizeof bytes;
    while (ps_queue_bury(w->queue, &letter, 1, &test_err) == 0)
        letter.position = ++n;
    assert_int_equal(ps_queue_bury(w->queue, &letter, 1, &test_err), PS_EFULL);
    assert_in_range(n, DEAD_BYTES_MAX / 2000, DEAD_BYTES_MAX / 1000);
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_int_equal(info.dead_letters, n);
    assert_in_range(info.dead_letter_bytes, n * 1000, DEAD_BYTES_MAX);
    letter.position = 0;
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err)); /* it is there: no room is needed */
    OK(ps_queue_unbury(w->queue, 0, &test_err));
    reopen(w);
    letter.position = n;
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_int_equal(info.dead_letters, n);
}

static int stop_at_second(void *ctx, const struct ps_dead_letter *letter)
{
    (void)letter;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static void test_a_callback_ends_the_walk(void **state)
{
    struct world *w = *state;
    int calls = 0;
    for (uint64_t i = 0; i < 3; i++)
        bury(w, i);
    assert_int_equal(ps_queue_dead(w->queue, stop_at_second, &calls, &test_err), PS_ESTOP);
    assert_int_equal(calls, 2);
    bury(w, 3); /* and nothing stayed locked */
}

static void test_letters_outlive_their_records(void **state)
{
    struct world *w = *state;
    add(w, 500);
    uint64_t end = sync_queue(w);
    OK(ps_queue_read(w->queue, 0, 1, &w->records, &test_err));
    struct ps_dead_letter letter = letter_at(w->records.items[0].position);
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    OK(ps_queue_trim(w->queue, end, &test_err));
    reopen(w);
    OK(ps_queue_unbury(w->queue, letter.position, &test_err));
}

static const struct contract_case cases[] = {
    {"a position is buried once", test_bury_once},
    {"unbury", test_unbury},
    {"bury again after unbury", test_bury_again},
    {"dead letters of any size and reason", test_letters_of_any_size},
    {"dead letters have a limit", test_dead_letters_have_a_limit},
    {"a callback ends the walk", test_a_callback_ends_the_walk},
    {"dead letters outlive their records", test_letters_outlive_their_records},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(queue_backends); i++)
        failed +=
            run_contract("dead letters", queue_backends[i].ops->name, (void *)&queue_backends[i],
                         cases, PS_COUNT_OF(cases), set_up, tear_down);
    return failed;
}
