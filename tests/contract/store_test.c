/* store_test.c - the contract of port/store.h, held against every backend: ids that count once
 * (I1), all-or-nothing (I4), closed days (I6), redo and watermark, several handles.
 *
 * What comes back, and in which order, is in store_content_test.c; long random histories are in
 * store_random_test.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"
#include "support/faulty_store.h"

#include <pthread.h>

/* --- a fresh store --- */

static void test_fresh(void **state)
{
    struct world *w = *state;
    for (int again = 0; again < 2; again++) {
        EXPECT_TEXT("", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
        EXPECT_TEXT("", ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
        EXPECT_TEXT("", ps_store_days(w->store, dump_day, &got, &test_err));
        EXPECT_TEXT("", ps_store_events(w->store, DAY, PS_ORDER_ANY, dump_id, &got, &test_err));
        expect_position(w, 0, 0, 0);
        expect_position(w, 4000000000u, 0, 0);
        reopen(w);
    }
}

/* --- I1: an id counts once --- */

static void test_same_batch_twice(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5; i++)
            add_dated(w, NOON + i % 2, i);
        add_event(w, "foreign", NOON);
        EXPECT_APPLY(w, round == 0 ? "NNNNNN" : "DDDDDD");
        reopen(w);
    }
    EXPECT_TEXT("redo 0 0-6 6 NNNNNN\nredo 0 6-12 6 ......\nredo 0 12-18 6 ......\n",
                ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
}

/* What the queue hands out again after a crash was applied already: nothing changes, no redo. */
static void test_range_applied_before(void **state)
{
    struct world *w = *state;
    struct ps_buf before, after;
    dump_init(&before);
    dump_init(&after);
    for (unsigned round = 0; round < 2; round++) {
        add_dated(w, NOON, round);
        add_dated(w, NOON, round + 10);
        EXPECT_APPLY(w, "NN");
    }
    dump_store(w->store, &before);
    for (uint64_t from = 0; from < 4; from += 2) {
        w->positions[0] = from;
        add_dated(w, NOON, 99); /* even events the store does not know */
        add_event(w, "unknown", NOON);
        EXPECT_APPLY(w, "DD");
    }
    dump_store(w->store, &after);
    expect_same(&before, &after, "a range that was applied before changed the store");
    ps_buf_done(&before);
    ps_buf_done(&after);
}

static void test_duplicates_inside_a_batch(void **state)
{
    struct world *w = *state;
    add_dated(w, NOON, 1);
    add_event(w, "foreign", NOON);
    add_dated(w, NOON, 1);
    add_dated(w, NOON + 1, 1); /* another id: the time is part of it */
    add_event(w, "foreign", NOON);
    add_dated(w, NOON, 1);
    add_event(w, "foreign", NOON + PS_MS_PER_DAY);
    add_event(w, "Foreign", NOON);
    EXPECT_APPLY(w, "NNDNDDDN");
    EXPECT_TEXT("redo 0 0-8 8 NN.N...N\n", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
}

/* The first that is stored counts; what comes later under its id changes nothing. */
static void test_same_id_other_content(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            struct ps_event *dated = add_dated(w, NOON, 7);
            struct ps_event *foreign = add_event(w, "foreign", NOON + i);
            dated->status = foreign->status = 200 + round * 10 + i;
            dated->is_error = foreign->is_error = 0;
            dated->path = foreign->path = i == 0 ? PS_STR("/first") : PS_STR("/later");
        }
        EXPECT_APPLY(w, round == 0 ? "NNDDDD" : "DDDDDD");
    }
    EXPECT_TEXT("event 1760529600000 '1760529600000-0000000000000007' '/first' - - - -1 -1 200 0\n"
                "event 1760529600000 'foreign' '/first' - - - -1 -1 200 0\n",
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_event, &got, &test_err));
}

static void test_foreign_ids_across_days(void **state)
{
    struct world *w = *state;
    add_event(w, "a", NOON);
    add_event(w, "b", NOON + 3 * PS_MS_PER_DAY);
    EXPECT_APPLY(w, "NN");
    reopen(w);
    for (int day = -5; day <= 5; day++) {
        add_event(w, "a", NOON + day * PS_MS_PER_DAY);
        add_event(w, "b", NOON + day * PS_MS_PER_DAY);
        EXPECT_APPLY(w, "DD");
    }
    add_event(w, "c", NOON - PS_MS_PER_DAY); /* within one batch too, in queue order */
    add_event(w, "c", NOON - 2 * PS_MS_PER_DAY);
    add_event(w, "c", NOON);
    EXPECT_APPLY(w, "NDD");
    EXPECT_TEXT("c ", ps_store_events(w->store, DAY - 1, PS_ORDER_ANY, dump_id, &got, &test_err));
    EXPECT_TEXT("", ps_store_events(w->store, DAY - 2, PS_ORDER_ANY, dump_id, &got, &test_err));
}

/* Ids that look dated but are not, at the edge of what "dated" means. */
static void test_ids_that_are_nearly_dated(void **state)
{
    struct world *w = *state;
    static const char *const ids[] = {
        "1760529600000",    "1760529600000-",  "1760529600000_x",  "01760529600000-x",
        "176052960000-x",   "-1760529600000-", "+176052960000-x",  "17605296000000-x",
        "1760529600000-x-", "x-1760529600000", "1760529600000--x", "1760529600001-x",
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < PS_COUNT_OF(ids); i++)
            add_event(w, ids[i], NOON);
        EXPECT_APPLY(w, round == 0 ? "NNNNNNNNNNNN" : "DDDDDDDDDDDD");
    }
    for (size_t i = 0; i < PS_COUNT_OF(ids); i++) /* now all of them are misdated or foreign */
        add_event(w, ids[i], NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(w, "DDDDDDDDDDDD");
}

/* An id that begins with the time of another event meets the event whose time it really is. */
static void test_misdated_ids(void **state)
{
    struct world *w = *state;
    const int64_t tomorrow = NOON + PS_MS_PER_DAY;
    add_event(w, "1760616000000-x", NOON); /* dated tomorrow, but of today */
    EXPECT_APPLY(w, "N");
    add_event(w, "1760616000000-x", tomorrow); /* dated rightly, and there already */
    add_event(w, "1760616000000-y", tomorrow);
    EXPECT_APPLY(w, "DN");
    reopen(w);
    add_event(w, "1760616000000-y", NOON); /* and the other way round */
    add_event(w, "1760616000000-z", NOON);
    EXPECT_APPLY(w, "DN");
    add_event(w, "1760616000000-z", tomorrow);
    add_event(w, "1760616000000-z", tomorrow + 5 * PS_MS_PER_DAY);
    EXPECT_APPLY(w, "DD");
    EXPECT_TEXT("1760616000000-x 1760616000000-z ",
                ps_store_events(w->store, DAY, PS_ORDER_TIME, dump_id, &got, &test_err));
    EXPECT_TEXT("1760616000000-y ",
                ps_store_events(w->store, DAY + 1, PS_ORDER_TIME, dump_id, &got, &test_err));
}

/* Within one batch the earlier in the queue is the one that counts, whichever kind it is. */
static void test_misdated_inside_a_batch(void **state)
{
    struct world *w = *state;
    add_event(w, "1760616000000-x", NOON);
    add_event(w, "1760616000000-x", NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(w, "ND");
    add_event(w, "1760616000000-y", NOON + PS_MS_PER_DAY);
    add_event(w, "1760616000000-y", NOON);
    EXPECT_APPLY(w, "ND");
}

/* --- I4: all or nothing --- */

struct refusing {
    int calls, answer;
    uint8_t seen[8];
};

static int note_refused(void *ctx, const uint8_t *outcomes, struct ps_err *e)
{
    struct refusing *refusing = ctx;
    refusing->calls++;
    memcpy(refusing->seen, outcomes, 4);
    return refusing->answer < 0 ? ps_fail(e, refusing->answer, "no room for dead letters") : 0;
}

static void add_refused_batch(struct world *w)
{
    add_dated(w, NOON, 1);
    add_dated(w, NOON + PS_MS_PER_DAY, 2); /* sealed */
    add_dated(w, NOON, 3);
    add_event(w, "foreign", NOON + 2 * PS_MS_PER_DAY); /* a day that is not there yet */
}

static void test_refused_decides(void **state)
{
    struct world *w = *state;
    struct refusing refusing = {.answer = PS_EFULL};
    struct ps_applied applied;
    struct ps_buf before, after;
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/"), 1);
    dump_init(&before);
    dump_init(&after);
    add_dated(w, NOON, 3);
    EXPECT_APPLY(w, "N");
    settle(w, &row, 1, 0, NOON);
    w->backend->set_state(w->place.target, DAY + 1, PS_DAY_PENDING);
    dump_store(w->store, &before);
    add_refused_batch(w);
    struct ps_batch b = take_batch(w);
    b.refused = note_refused;
    b.ctx = &refusing;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(apply_at(w, w->store, &b, &applied), PS_EFULL);
        assert_string_equal(test_err.text, "no room for dead letters");
        assert_int_equal(refusing.calls, round + 1);
        ps_buf_clear(&after);
        dump_store(w->store, &after);
        expect_same(&before, &after, "an aborted batch left something");
        reopen(w);
    }
    refusing.answer = 0;
    expect_ok(apply_at(w, w->store, &b, &applied), &test_err, "apply", __LINE__);
    assert_int_equal(refusing.calls, 3);
    static const uint8_t outcomes[] = {PS_OUTCOME_NEW, PS_OUTCOME_CLOSED_DAY, PS_OUTCOME_DUPLICATE,
                                       PS_OUTCOME_NEW};
    assert_memory_equal(refusing.seen, outcomes, 4);
    assert_memory_equal(w->outcomes, outcomes, 4);
    assert_int_equal(applied.refused, 1);
    EXPECT_TEXT("redo 0 0-1 1 N\nredo 0 1-5 4 N..N\n",
                ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    ps_buf_done(&before);
    ps_buf_done(&after);
}

static void test_refused_is_not_asked_for_duplicates(void **state)
{
    struct world *w = *state;
    struct refusing refusing = {.answer = PS_EFULL};
    struct ps_applied applied;
    for (int round = 0; round < 2; round++) {
        add_dated(w, NOON, 1);
        add_dated(w, NOON, 1);
        struct ps_batch b = take_batch(w);
        b.refused = note_refused;
        b.ctx = &refusing;
        expect_ok(apply_at(w, w->store, &b, &applied), &test_err, "apply", __LINE__);
        clear_batch(w);
    }
    assert_int_equal(refusing.calls, 0);
}

static void test_empty_batch_moves_the_position(void **state)
{
    struct world *w = *state;
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    w->positions[0] = 41;
    EXPECT_APPLY(w, "");
    reopen(w);
    expect_position(w, 0, 42, 0);
    EXPECT_TEXT("redo 0 0-1 1 N\n", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    EXPECT_TEXT("day 20376 open stored\n", ps_store_days(w->store, dump_day, &got, &test_err));
    assert_int_equal(ps_store_settle(w->store, NULL, 0, 0, 42, NOON, &test_err), 0);
    expect_position(w, 0, 42, 42);
}

static void test_a_batch_too_large(void **state)
{
    struct world *w = *state;
    struct ps_event event = {0};
    uint32_t order = 0;
    struct ps_batch b = {.events = &event, .order = &order, .count = PS_BATCH_EVENTS_MAX + 1};
    struct ps_applied applied = {.outcomes = w->outcomes};
    assert_int_equal(ps_store_apply(w->store, &b, &applied, &test_err), PS_EINVAL);
    expect_position(w, 0, 0, 0);
}

/* --- redo and watermark --- */

static void test_settle_forgets_redo(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 9; k++)
            add_dated(w, NOON, i * 3 + k);
        EXPECT_APPLY(w, i == 0 ? "NNNNNNNNN" : "DDDDDDNNN");
    }
    settle(w, NULL, 0, 8, NOON); /* inside the first: it is not covered yet */
    EXPECT_TEXT("redo 0 0-9 9 NNNNNNNNN\nredo 0 9-18 9 ......NNN\nredo 0 18-27 9 ......NNN\n"
                "redo 0 27-36 9 ......NNN\n",
                ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    settle(w, NULL, 0, 18, NOON);
    expect_position(w, 0, 36, 18);
    reopen(w);
    EXPECT_TEXT("redo 0 18-27 9 ......NNN\nredo 0 27-36 9 ......NNN\n",
                ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    settle(w, NULL, 0, 36, NOON);
    expect_position(w, 0, 36, 36);
    EXPECT_TEXT("", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
}

static void test_partitions_are_apart(void **state)
{
    struct world *w = *state;
    for (w->partition = 0; w->partition < PARTITIONS; w->partition++) {
        add_dated(w, NOON, 1);
        add_dated(w, NOON, 2 + w->partition);
        EXPECT_APPLY(w, w->partition == 0 ? "NN" : "DN"); /* but an id is one everywhere */
    }
    w->partition = 1;
    settle(w, NULL, 0, 2, NOON);
    expect_position(w, 0, 2, 0);
    expect_position(w, 1, 2, 2);
    expect_position(w, 2, 2, 0);
    EXPECT_TEXT("redo 0 0-2 2 NN\n", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    EXPECT_TEXT("", ps_store_redo(w->store, 1, dump_redo, &got, &test_err));
    EXPECT_TEXT("redo 2 0-2 2 .N\n", ps_store_redo(w->store, 2, dump_redo, &got, &test_err));
}

static void test_large_batch(void **state)
{
    struct world *w = *state;
    struct ps_applied applied;
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        add_dated(w, NOON + (i * 7919 % 5) * PS_MS_PER_DAY / 2, i * 31 % 4000);
    struct ps_batch b = take_batch(w);
    expect_ok(apply_at(w, w->store, &b, &applied), &test_err, "apply", __LINE__);
    size_t stored = 0, fresh = applied.fresh;
    for (int day = 0; day < 4; day++)
        OK(ps_store_events(w->store, DAY + day, PS_ORDER_ANY, count_event, &stored, &test_err));
    assert_true(fresh > 3900 && fresh < EVENTS_MAX);
    assert_int_equal(stored, fresh);
    w->positions[0] = 0;
    reopen(w);
    EXPECT_TEXT("", ps_store_redo(w->store, 1, dump_redo, &got, &test_err));
    b.first_position = EVENTS_MAX;
    b.next_position = 2 * EVENTS_MAX;
    expect_ok(apply_at(w, w->store, &b, &applied), &test_err, "apply", __LINE__);
    assert_int_equal(applied.duplicates, EVENTS_MAX);
}

/* --- I6: a closed day stays closed --- */

static void test_sealed_days_take_nothing(void **state)
{
    struct world *w = *state;
    static const enum ps_day_state sealed[] = {PS_DAY_PENDING, PS_DAY_COMPLETED, PS_DAY_CLEANED};
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    for (unsigned i = 0; i < 3; i++) {
        int32_t day = i == 2 ? DAY + 1 : DAY; /* a cleaned day has no events any more */
        int64_t noon = NOON + (day - DAY) * PS_MS_PER_DAY;
        w->backend->set_state(w->place.target, day, sealed[i]);
        add_dated(w, noon, 100 + i);
        add_dated(w, NOON - PS_MS_PER_DAY, i);
        add_event(w, "foreign", noon);
        EXPECT_APPLY(w, "CNC");
        reopen(w);
    }
    EXPECT_TEXT("redo 0 0-1 1 N\nredo 0 1-4 3 .N.\nredo 0 4-7 3 .N.\nredo 0 7-10 3 .N.\n",
                ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    w->backend->set_state(w->place.target, DAY, PS_DAY_RESTORED); /* open again */
    add_dated(w, NOON, 1);
    add_dated(w, NOON, 100);
    add_event(w, "foreign", NOON);
    EXPECT_APPLY(w, "DNN");
    w->backend->set_state(w->place.target, DAY, PS_DAY_FAILED);
    add_dated(w, NOON, 101);
    EXPECT_APPLY(w, "N");
}

/* --- walks --- */

static int stop_event(void *ctx, const struct ps_event *event)
{
    (void)event;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static int stop_row(void *ctx, const struct ps_stat_row *row)
{
    (void)row;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static int stop_redo(void *ctx, const struct ps_redo *redo)
{
    (void)redo;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static int stop_day(void *ctx, const struct ps_day *day)
{
    (void)day;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static void test_a_callback_ends_the_walk(void **state)
{
    struct world *w = *state;
    struct ps_stat_row rows[3];
    int calls[4] = {0};
    for (unsigned i = 0; i < 3; i++) {
        add_dated(w, NOON, i);
        add_dated(w, NOON + (i + 1) * PS_MS_PER_DAY, i);
        EXPECT_APPLY(w, "NN");
        rows[i] = row_of(NOON_HOUR + (int)i, PS_STR("/"), 1);
    }
    settle(w, rows, 3, 0, NOON);
    struct ps_store *s = w->store;
    assert_int_equal(ps_store_events(s, DAY, PS_ORDER_TIME, stop_event, &calls[0], NULL), PS_ESTOP);
    assert_int_equal(ps_store_stats(s, &every_row, stop_row, &calls[1], NULL), PS_ESTOP);
    assert_int_equal(ps_store_redo(s, 0, stop_redo, &calls[2], NULL), PS_ESTOP);
    assert_int_equal(ps_store_days(s, stop_day, &calls[3], NULL), PS_ESTOP);
    for (int i = 0; i < 4; i++)
        assert_int_equal(calls[i], 2);
    add_dated(w, NOON, 9); /* and nothing stayed open or locked */
    EXPECT_APPLY(w, "N");
}

/* --- handles --- */

static void test_two_handles(void **state)
{
    struct world *w = *state;
    struct ps_store *other = open_store(w, PS_STORE_WRITE);
    for (unsigned i = 0; i < 6; i++) {
        struct ps_store *s = i % 2 ? other : w->store;
        add_dated(w, NOON + i / 2 * PS_MS_PER_DAY, i);
        add_event(w, "foreign", NOON + i / 2 * PS_MS_PER_DAY);
        expect_apply_at(w, s, i == 0 ? "NN" : "ND", __LINE__);
    }
    struct ps_buf here, there;
    dump_init(&here);
    dump_init(&there);
    dump_store(w->store, &here);
    dump_store(other, &there);
    expect_same(&here, &there, "two handles see different states");
    ps_store_close(other);
    ps_buf_clear(&there);
    struct ps_store *reader = open_store(w, PS_STORE_READ);
    dump_store(reader, &there);
    expect_same(&here, &there, "a reading handle sees another state");
    ps_store_close(reader);
    ps_buf_done(&here);
    ps_buf_done(&there);
}

/* Writes through a handle of its own what the frozen reader must not see. */
static void *write_beside(void *arg)
{
    struct world *w = arg;
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/new"), 1);
    struct ps_store *s = NULL;
    struct ps_applied applied = {.outcomes = w->outcomes};
    struct ps_batch b = take_batch(w);
    if (ps_store_open(w->backend->ops, &s, w->place.target, PS_STORE_WRITE, NULL) < 0)
        return arg;
    bool failed = ps_store_apply(s, &b, &applied, NULL) < 0 || applied.fresh != 3 ||
                  ps_store_settle(s, &row, 1, 0, b.next_position, NOON, NULL) < 0;
    ps_store_close(s);
    return failed ? arg : NULL;
}

static void test_freeze_sees_one_moment(void **state)
{
    struct world *w = *state;
    struct ps_store *reader = open_store(w, PS_STORE_READ);
    struct ps_buf before, during, after;
    pthread_t writer;
    void *failed;
    dump_init(&before);
    dump_init(&during);
    dump_init(&after);
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    dump_store(reader, &before);
    OK(ps_store_freeze(reader, true, &test_err));
    add_dated(w, NOON, 2);
    add_dated(w, NOON + PS_MS_PER_DAY, 3);
    add_event(w, "foreign", NOON + 9 * PS_MS_PER_DAY);
    assert_int_equal(pthread_create(&writer, NULL, write_beside, w), 0);
    if (!w->backend->freeze_blocks) /* it has written when we read on */
        assert_int_equal(pthread_join(writer, &failed), 0);
    for (int i = 0; i < 3; i++) {
        ps_buf_clear(&during);
        dump_store(reader, &during);
        expect_same(&before, &during, "a frozen handle saw a later write");
    }
    OK(ps_store_freeze(reader, false, &test_err));
    if (w->backend->freeze_blocks)
        assert_int_equal(pthread_join(writer, &failed), 0);
    assert_null(failed);
    dump_store(reader, &after);
    assert_non_null(strstr(after.ptr, "partition 0 4 4"));
    assert_non_null(strstr(after.ptr, "'/new'"));
    assert_non_null(strstr(after.ptr, "'foreign'"));
    ps_store_close(reader);
    ps_buf_done(&before);
    ps_buf_done(&during);
    ps_buf_done(&after);
}

/* --- transactions --- */

/* The batch, from no queue, in the transaction that is open; and a row of statistics. */
static void take_direct(struct world *w, size_t expected_fresh)
{
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/"), 2);
    struct ps_batch b = take_batch(w);
    struct ps_applied applied = {.outcomes = w->outcomes};
    b.direct = true;
    b.first_position = b.next_position = 0;
    OK(ps_store_apply(w->store, &b, &applied, &test_err));
    assert_int_equal(applied.fresh, expected_fresh);
    OK(ps_store_settle(w->store, &row, 1, 0, w->positions[0], NOON, &test_err));
    clear_batch(w);
}

static void test_transaction_commits(void **state)
{
    struct world *w = *state;
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    OK(ps_store_begin(w->store, &test_err));
    for (int round = 0; round < 2; round++) { /* the second time they are known */
        add_dated(w, NOON, 2);
        add_event(w, "foreign", NOON + PS_MS_PER_DAY);
        take_direct(w, round == 0 ? 2 : 0);
    }
    OK(ps_store_commit(w->store, &test_err));
    reopen(w);
    expect_position(w, 0, 1, 1); /* the queue's alone */
    EXPECT_TEXT("", ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
    EXPECT_TEXT("row 489036 '/' 2 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n",
                ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
    add_dated(w, NOON, 2);
    add_event(w, "foreign", NOON);
    EXPECT_APPLY(w, "DD");
}

static void expect_as_before(struct world *w, const struct ps_buf *before)
{
    struct ps_buf after;
    dump_init(&after);
    dump_store(w->store, &after);
    expect_same(before, &after, "something of a transaction stayed that did not commit");
    ps_buf_done(&after);
    add_dated(w, NOON, 2); /* nor in what the handle remembers */
    add_event(w, "foreign", NOON + PS_MS_PER_DAY);
    OK(ps_store_begin(w->store, &test_err));
    take_direct(w, 2);
    ps_store_rollback(w->store);
}

static void test_rollback_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct ps_buf before;
    dump_init(&before);
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    dump_store(w->store, &before);
    for (int round = 0; round < 2; round++) {
        OK(ps_store_begin(w->store, &test_err));
        add_dated(w, NOON, 2);
        add_event(w, "foreign", NOON + PS_MS_PER_DAY);
        take_direct(w, 2);
        if (round == 0)
            ps_store_rollback(w->store);
        else
            reopen(w); /* closing rolls back */
        expect_as_before(w, &before);
    }
    ps_buf_done(&before);
}

static void test_a_failed_part_spoils_all(void **state)
{
    struct world *w = *state;
    struct refusing refusing = {.answer = PS_EFULL};
    struct ps_buf before;
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/"), 1);
    struct ps_applied applied;
    dump_init(&before);
    w->backend->set_state(w->place.target, DAY + 3, PS_DAY_PENDING);
    dump_store(w->store, &before);
    OK(ps_store_begin(w->store, &test_err));
    add_dated(w, NOON, 2);
    take_direct(w, 1);
    add_dated(w, NOON + 3 * PS_MS_PER_DAY, 3);
    struct ps_batch b = take_batch(w);
    b.refused = note_refused;
    b.ctx = &refusing;
    assert_int_equal(apply_at(w, w->store, &b, &applied), PS_EFULL);
    clear_batch(w);
    add_dated(w, NOON, 4);
    b = take_batch(w);
    assert_true(apply_at(w, w->store, &b, &applied) < 0);
    assert_true(ps_store_settle(w->store, &row, 1, 0, 0, NOON, &test_err) < 0);
    assert_true(ps_store_commit(w->store, &test_err) < 0);
    clear_batch(w);
    expect_as_before(w, &before);
    ps_buf_done(&before);
}

/* --- an answer that gets lost --- */

/* The backend, behind one that commits and then says it failed. */
static void open_liar(struct world *w)
{
    faults = (struct faults){.behind = w->backend->ops, .apply_code = PS_EIO};
    ps_store_close(w->store);
    OK(ps_store_open(&store_faulty, &w->store, w->place.target, PS_STORE_WRITE, &test_err));
}

/* Position and redo record tell, at once and to the handle that failed, what became of the range;
 * trying it again harms nothing. */
static void test_a_lost_answer_to_an_apply(void **state)
{
    struct world *w = *state;
    struct ps_applied applied;
    uint64_t position, watermark;
    w->backend->set_state(w->place.target, DAY + 3, PS_DAY_PENDING);
    add_dated(w, NOON, 1);
    EXPECT_APPLY(w, "N");
    open_liar(w);
    faults.apply_lies = 1;
    for (int again = 0; again < 3; again++) {
        add_dated(w, NOON, 1);
        add_dated(w, NOON, 2);
        add_dated(w, NOON + 3 * PS_MS_PER_DAY, 3);
        add_event(w, "foreign", NOON);
        struct ps_batch b = take_batch(w);
        applied.outcomes = w->outcomes;
        assert_int_equal(ps_store_apply(w->store, &b, &applied, &test_err),
                         again == 0 ? PS_EIO : 0);
        assert_true(again == 0 || applied.fresh == 0);
        OK(ps_store_position(w->store, 0, &position, &watermark, &test_err));
        assert_int_equal(position, b.next_position);
        assert_int_equal(watermark, 0);
        EXPECT_TEXT("redo 0 0-1 1 N\nredo 0 1-5 4 .N.N\n",
                    ps_store_redo(w->store, 0, dump_redo, &got, &test_err));
        clear_batch(w);
        if (again == 1)
            reopen(w); /* without the liar */
    }
}

/* Events and statistics of a transaction are there together, and the handle goes on. */
static void test_a_lost_answer_to_a_commit(void **state)
{
    struct world *w = *state;
    open_liar(w);
    OK(ps_store_begin(w->store, &test_err));
    add_dated(w, NOON, 2);
    add_event(w, "foreign", NOON + PS_MS_PER_DAY);
    take_direct(w, 2);
    faults.commit_lies = 1;
    assert_int_equal(ps_store_commit(w->store, &test_err), PS_EIO);
    EXPECT_TEXT("row 489036 '/' 2 0 0 0 0 0 0 0 0 0 0 0 0 '' '' '' '' '' ''\n",
                ps_store_stats(w->store, &every_row, dump_row, &got, &test_err));
    OK(ps_store_begin(w->store, &test_err));
    add_dated(w, NOON, 2);
    add_event(w, "foreign", NOON + PS_MS_PER_DAY);
    take_direct(w, 0);
    OK(ps_store_commit(w->store, &test_err));
}

static const struct contract_case cases[] = {
    {"a fresh store is empty", test_fresh},
    {"I1 the same batch twice", test_same_batch_twice},
    {"I1 a range applied before changes nothing", test_range_applied_before},
    {"I1 duplicates inside one batch", test_duplicates_inside_a_batch},
    {"I1 the first stored under an id counts", test_same_id_other_content},
    {"I1 foreign ids are compared across days", test_foreign_ids_across_days},
    {"I1 ids that are nearly dated", test_ids_that_are_nearly_dated},
    {"I1 misdated ids meet dated ones", test_misdated_ids},
    {"I1 misdated and dated inside one batch", test_misdated_inside_a_batch},
    {"I4 refused() decides over everything", test_refused_decides},
    {"refused() is not asked for duplicates", test_refused_is_not_asked_for_duplicates},
    {"an empty batch moves only the position", test_empty_batch_moves_the_position},
    {"a batch over the limit", test_a_batch_too_large},
    {"settle forgets redo up to the watermark", test_settle_forgets_redo},
    {"partitions are apart, ids are not", test_partitions_are_apart},
    {"a large batch in random order", test_large_batch},
    {"I6 sealed days take nothing", test_sealed_days_take_nothing},
    {"a callback ends the walk", test_a_callback_ends_the_walk},
    {"two handles see each other", test_two_handles},
    {"freeze sees one moment", test_freeze_sees_one_moment},
    {"I4 a transaction: events and statistics together", test_transaction_commits},
    {"I4 a rollback leaves nothing", test_rollback_leaves_nothing},
    {"I4 a part that fails spoils the transaction", test_a_failed_part_spoils_all},
    {"I1 I4 the answer to an apply gets lost", test_a_lost_answer_to_an_apply},
    {"I1 I4 the answer to a commit gets lost", test_a_lost_answer_to_a_commit},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(store_backends); i++)
        failed += run_contract("store", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), set_up, tear_down);
    return failed;
}
