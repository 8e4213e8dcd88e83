/* dead_letters_test.c - the dead letters of port/queue.h, held against every backend.
 *
 * Letters come by position, whatever the order they were buried in.
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
    assert_int_equal(unbury(w->queue, 1), 0);
    for (uint64_t i = 1; i <= 4; i++)
        bury(w, i);
    assert_int_equal(unbury(w->queue, 2), 1);
    for (int round = 0; round < 4; round++) {
        expect_dead(w->queue, "1 1001 closed_day 'too late' '\\00\\ff'\n"
                              "3 1003 closed_day 'too late' '\\00\\ff'\n"
                              "4 1004 closed_day 'too late' '\\00\\ff'\n");
        assert_int_equal(unbury(w->queue, 2), 0);
        reopen(w);
    }
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(unbury(w->queue, i), i != 2);
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
        assert_int_equal(unbury(w->queue, 3), 1);
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
    assert_int_equal(unbury(w->queue, 0), 1);
    reopen(w);
    letter.position = n;
    OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_int_equal(info.dead_letters, n);
}

/* What was acknowledged before they were full still finds a place, up to the reserve. */
static void test_the_reserve(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    char bytes[1000] = {0};
    struct ps_dead_letter letter = letter_at(0);
    letter.bytes = (const uint8_t *)bytes;
    letter.len = sizeof bytes;
    w->limits.dead_letter_bytes_max = 10000;
    w->limits.dead_letter_reserve = 20000;
    reopen(w);
    while (ps_queue_bury(w->queue, &letter, 1, &test_err) == 0)
        letter.position++;
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_int_equal(info.dead_letter_bytes_max, 10000);
    assert_in_range(info.dead_letter_bytes, 30000 - 1100, 30000);
    reopen(w);
    assert_int_equal(ps_queue_bury(w->queue, &letter, 1, &test_err), PS_EFULL);
}

/* A limit that is met exactly is met. */
static void test_the_limit_is_exact(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    bury(w, 1);
    OK(ps_queue_info(w->queue, &info, &test_err));
    w->limits.dead_letter_bytes_max = 3 * info.dead_letter_bytes;
    reopen(w);
    bury(w, 2);
    bury(w, 3);
    struct ps_dead_letter letter = letter_at(4);
    assert_int_equal(ps_queue_bury(w->queue, &letter, 1, &test_err), PS_EFULL);
}

static int count_letter(void *ctx, const struct ps_dead_letter *letter)
{
    (void)letter;
    ++*(int *)ctx;
    return 0;
}

/* A call that fails leaves nothing behind, not even in what is told of the letters. */
static void test_all_or_none(void **state)
{
    struct world *w = *state;
    struct ps_queue_info before, after;
    struct ps_dead_letter letters[20];
    bury(w, 100);
    OK(ps_queue_info(w->queue, &before, &test_err));
    w->limits.dead_letter_bytes_max = 10 * before.dead_letter_bytes;
    reopen(w);
    for (uint64_t i = 0; i < PS_COUNT_OF(letters); i++)
        letters[i] = letter_at(i * 10);
    assert_int_equal(ps_queue_bury(w->queue, letters, PS_COUNT_OF(letters), &test_err), PS_EFULL);
    for (int round = 0; round < 2; round++) {
        int count = 0;
        OK(ps_queue_info(w->queue, &after, &test_err));
        assert_int_equal(after.dead_letters, 1);
        assert_int_equal(after.dead_letter_bytes, before.dead_letter_bytes);
        OK(ps_queue_dead(w->queue, count_letter, &count, &test_err));
        assert_int_equal(count, 1);
        OK(ps_queue_bury(w->queue, letters, 2, &test_err)); /* and they may come again */
        assert_int_equal(ps_queue_unbury(w->queue, (uint64_t[]){0, 10}, 2, &test_err), 2);
        reopen(w);
    }
}

static void test_counts_by_reason(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    for (uint64_t i = 0; i < 30; i++) {
        struct ps_dead_letter letter = letter_at(i);
        letter.why = i % 3 == 0 ? PS_REJECT_RECORD : PS_REJECT_CLOSED_DAY;
        OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
    }
    assert_int_equal(unbury(w->queue, 3), 1);
    assert_int_equal(unbury(w->queue, 4), 1);
    assert_int_equal(unbury(w->queue, 5), 1);
    for (int round = 0; round < 2; round++) {
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_int_equal(info.dead_letters, 27);
        for (int why = 0; why < PS_REJECT_COUNT; why++)
            assert_int_equal(info.dead_by_reason[why], why == PS_REJECT_RECORD       ? 9
                                                       : why == PS_REJECT_CLOSED_DAY ? 18
                                                                                     : 0);
        reopen(w);
    }
}

/* Many at once: those that are there leave, the others do no harm. */
static void test_unbury_many(void **state)
{
    struct world *w = *state;
    uint64_t positions[100];
    for (uint64_t i = 0; i < 100; i++) {
        if (i % 2 == 0)
            bury(w, i);
        positions[i] = 99 - i; /* in any order */
    }
    assert_int_equal(ps_queue_unbury(w->queue, positions, 0, &test_err), 0);
    assert_int_equal(ps_queue_unbury(w->queue, positions + 10, 90, &test_err), 45);
    assert_int_equal(ps_queue_unbury(w->queue, positions + 10, 90, &test_err), 0);
    for (int round = 0; round < 2; round++) {
        int count = 0;
        OK(ps_queue_dead(w->queue, count_letter, &count, &test_err));
        assert_int_equal(count, 5);
        count = 0;
        OK(ps_queue_dead_from(w->queue, 95, count_letter, &count, &test_err));
        assert_int_equal(count, 2); /* 96, 98 */
        OK(ps_queue_dead_from(w->queue, 99, count_letter, &count, &test_err));
        assert_int_equal(count, 2);
        reopen(w);
    }
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
    assert_int_equal(unbury(w->queue, letter.position), 1);
}

static const struct contract_case cases[] = {
    {"a position is buried once", test_bury_once},
    {"unbury", test_unbury},
    {"bury again after unbury", test_bury_again},
    {"dead letters of any size and reason", test_letters_of_any_size},
    {"dead letters have a limit", test_dead_letters_have_a_limit},
    {"what was acknowledged has a reserve", test_the_reserve},
    {"a limit that is met exactly is met", test_the_limit_is_exact},
    {"all letters of a call or none", test_all_or_none},
    {"letters are counted by reason", test_counts_by_reason},
    {"unbury many", test_unbury_many},
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
