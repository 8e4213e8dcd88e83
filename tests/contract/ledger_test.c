/* ledger_test.c - what every ledger must do, run over each of them beside its store.
 *
 * Days: DAY and its neighbours. Events go in through a store handle, as the aggregator's do, so
 * that every test also sees whether that handle notices what the ledger did.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#define FROM_ANY_WORK                                                                              \
    (PS_FROM_STATE(PS_DAY_OPEN) | PS_FROM_STATE(PS_DAY_PENDING) | PS_FROM_STATE(PS_DAY_FAILED) |   \
     PS_FROM_STATE(PS_DAY_RESTORED))
#define FROM_EVERY (FROM_ANY_WORK | PS_FROM_STATE(PS_DAY_COMPLETED) | PS_FROM_STATE(PS_DAY_CLEANED))
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { STATES = PS_DAY_RESTORED + 1 };

struct book {
    struct world *w;
    struct ps_ledger *l;
};

static struct ps_ledger *open_ledger(const struct world *w)
{
    struct ps_ledger *l = NULL;
    OK(ps_ledger_open(ps_ledger_backend(w->backend->ops->name), &l, w->place.target, PS_STORE_WRITE,
                      &test_err));
    return l;
}

static int open_book(void **state)
{
    struct book *b = calloc(1, sizeof *b);
    b->w = make_world(*state);
    b->l = open_ledger(b->w);
    *state = b;
    return 0;
}

static int close_book(void **state)
{
    struct book *b = *state;
    ps_ledger_close(b->l);
    drop_world(b->w);
    free(b);
    return 0;
}

static int try_mark(struct book *b, int32_t day, enum ps_day_state to, unsigned from)
{
    struct ps_day record = {.day = day,
                            .state = to,
                            .object = PS_STR("events-archive/x"),
                            .record_count = 3,
                            .file_size_bytes = 77,
                            .archived_at_ms = NOON,
                            .sha256 = PS_STR(SHA)};
    return ps_ledger_mark(b->l, &record, from, &test_err);
}

static void mark(struct book *b, int32_t day, enum ps_day_state to)
{
    OK(try_mark(b, day, to, FROM_EVERY));
}

static void clean_day(struct book *b, int32_t day)
{
    mark(b, day, PS_DAY_PENDING);
    mark(b, day, PS_DAY_COMPLETED);
    OK(ps_ledger_clean(b->l, day, &test_err));
}

struct seen_day {
    int32_t day;
    bool found, stored;
    enum ps_day_state state;
    char texts[256];
    int64_t numbers[3];
};

static int see_day(void *ctx, const struct ps_day *day)
{
    struct seen_day *seen = ctx;
    if (day->day != seen->day)
        return 0;
    seen->found = true;
    seen->stored = day->stored;
    seen->state = day->state;
    snprintf(seen->texts, sizeof seen->texts, "%.*s|%.*s|%.*s", (int)day->object.len,
             day->object.ptr == NULL ? "" : day->object.ptr, (int)day->sha256.len,
             day->sha256.ptr == NULL ? "" : day->sha256.ptr, (int)day->error.len,
             day->error.ptr == NULL ? "" : day->error.ptr);
    seen->numbers[0] = day->record_count;
    seen->numbers[1] = day->file_size_bytes;
    seen->numbers[2] = day->archived_at_ms;
    return 0;
}

static struct seen_day look_at(struct book *b, int32_t day)
{
    struct seen_day seen = {.day = day};
    OK(ps_store_days(b->w->store, see_day, &seen, &test_err));
    return seen;
}

static size_t events_of(struct book *b, int32_t day)
{
    size_t n = 0;
    OK(ps_store_events(b->w->store, day, PS_ORDER_ANY, count_event, &n, &test_err));
    return n;
}

/* --- states --- */

static void a_day_goes_its_way(void **state)
{
    struct book *b = *state;
    add_dated(b->w, NOON, 1);
    EXPECT_APPLY(b->w, "N");
    mark(b, DAY, PS_DAY_PENDING);
    assert_int_equal(look_at(b, DAY).state, PS_DAY_PENDING);
    mark(b, DAY, PS_DAY_COMPLETED);
    struct seen_day seen = look_at(b, DAY);
    assert_int_equal(seen.state, PS_DAY_COMPLETED);
    assert_true(seen.stored);
    assert_string_equal(seen.texts, "events-archive/x|" SHA "|");
    assert_int_equal(seen.numbers[0], 3);
    assert_int_equal(seen.numbers[1], 77);
    assert_int_equal(seen.numbers[2], NOON);
    OK(ps_ledger_clean(b->l, DAY, &test_err));
    seen = look_at(b, DAY);
    assert_int_equal(seen.state, PS_DAY_CLEANED);
    assert_false(seen.stored);
    assert_string_equal(seen.texts, "events-archive/x|" SHA "|");
    assert_int_equal(seen.numbers[0], 3);
    assert_int_equal(events_of(b, DAY), 0);
}

static void bring_to(struct book *b, int32_t day, enum ps_day_state state)
{
    if (state == PS_DAY_OPEN)
        return;
    if (state != PS_DAY_CLEANED && state != PS_DAY_RESTORED) {
        mark(b, day, state);
        return;
    }
    clean_day(b, day);
    if (state == PS_DAY_RESTORED)
        OK(ps_ledger_restore(b->l, day, NULL, 0, true, &test_err));
}

/* Each state against each mask of one state: only its own lets it pass. */
static void a_mask_decides_from_where(void **state)
{
    struct book *b = *state;
    int32_t day = DAY;
    for (int is = PS_DAY_OPEN; is < STATES; is++)
        for (int from = PS_DAY_OPEN; from < STATES; from++, day++) {
            bring_to(b, day, (enum ps_day_state)is);
            int r = try_mark(b, day, PS_DAY_FAILED, PS_FROM_STATE(from));
            assert_int_equal(r, is == from ? 0 : PS_EEXIST);
            if (is != from && is != PS_DAY_OPEN)
                assert_int_equal(look_at(b, day).state, is);
            if (is != from && is == PS_DAY_OPEN)
                assert_false(look_at(b, day).found);
        }
}

static void a_refused_mark_changes_nothing(void **state)
{
    struct book *b = *state;
    struct ps_day other = {.day = DAY, .state = PS_DAY_PENDING, .error = PS_STR("not this")};
    mark(b, DAY, PS_DAY_COMPLETED);
    assert_int_equal(ps_ledger_mark(b->l, &other, FROM_ANY_WORK, &test_err), PS_EEXIST);
    assert_non_null(strstr(test_err.text, "completed"));
    assert_string_equal(look_at(b, DAY).texts, "events-archive/x|" SHA "|");
    assert_int_equal(ps_ledger_mark(b->l, &other, 0, NULL), PS_EEXIST);
}

static void a_failure_is_kept_with_its_reason(void **state)
{
    struct book *b = *state;
    struct ps_day failed = {
        .day = DAY, .state = PS_DAY_FAILED, .error = PS_STR("put: it's \"full\"")};
    add_dated(b->w, NOON, 1);
    EXPECT_APPLY(b->w, "N");
    mark(b, DAY, PS_DAY_PENDING);
    OK(ps_ledger_mark(b->l, &failed, PS_FROM_STATE(PS_DAY_PENDING), &test_err));
    struct seen_day seen = look_at(b, DAY);
    assert_int_equal(seen.state, PS_DAY_FAILED);
    assert_string_equal(seen.texts, "||put: it's \"full\"");
    assert_int_equal(seen.numbers[0], 0);
    add_dated(b->w, NOON, 2); /* takes events again */
    EXPECT_APPLY(b->w, "N");
}

static void states_survive_opening_again(void **state)
{
    struct book *b = *state;
    add_dated(b->w, NOON, 1);
    EXPECT_APPLY(b->w, "N");
    clean_day(b, DAY);
    mark(b, DAY + 1, PS_DAY_PENDING);
    ps_ledger_close(b->l);
    reopen(b->w);
    b->l = open_ledger(b->w);
    assert_int_equal(look_at(b, DAY).state, PS_DAY_CLEANED);
    assert_int_equal(look_at(b, DAY + 1).state, PS_DAY_PENDING);
    assert_int_equal(look_at(b, DAY).numbers[0], 3);
}

/* I6 */
static void sealed_days_refuse_and_the_others_take(void **state)
{
    struct book *b = *state;
    static const enum ps_day_state states[] = {PS_DAY_OPEN,    PS_DAY_PENDING, PS_DAY_COMPLETED,
                                               PS_DAY_CLEANED, PS_DAY_FAILED,  PS_DAY_RESTORED};
    for (size_t i = 0; i < PS_COUNT_OF(states); i++) {
        add_dated(b->w, NOON + (int64_t)i * PS_MS_PER_DAY, 1);
        EXPECT_APPLY(b->w, "N");
    }
    for (size_t i = 0; i < PS_COUNT_OF(states); i++)
        bring_to(b, DAY + (int32_t)i, states[i]);
    for (size_t i = 0; i < PS_COUNT_OF(states); i++) {
        bool sealed = states[i] == PS_DAY_PENDING || states[i] == PS_DAY_COMPLETED ||
                      states[i] == PS_DAY_CLEANED;
        add_dated(b->w, NOON + (int64_t)i * PS_MS_PER_DAY, 2);
        EXPECT_APPLY(b->w, sealed ? "C" : "N");
    }
}

/* --- cleaning --- */

static void only_a_completed_day_is_cleaned(void **state)
{
    struct book *b = *state;
    static const enum ps_day_state others[] = {PS_DAY_OPEN, PS_DAY_PENDING, PS_DAY_FAILED,
                                               PS_DAY_RESTORED};
    for (size_t i = 0; i < PS_COUNT_OF(others); i++) {
        int32_t day = DAY + (int32_t)i;
        add_dated(b->w, (int64_t)day * PS_MS_PER_DAY, 1);
        EXPECT_APPLY(b->w, "N");
        bring_to(b, day, others[i]);
        size_t before = events_of(b, day);
        assert_int_equal(ps_ledger_clean(b->l, day, &test_err), PS_EINVAL);
        assert_int_equal(look_at(b, day).state, others[i]);
        assert_int_equal(events_of(b, day), before);
    }
    assert_int_equal(ps_ledger_clean(b->l, DAY + 99, &test_err), PS_EINVAL);
}

static void cleaning_twice_is_fine(void **state)
{
    struct book *b = *state;
    add_dated(b->w, NOON, 1);
    add_dated(b->w, NOON + PS_MS_PER_DAY, 2);
    EXPECT_APPLY(b->w, "NN");
    clean_day(b, DAY);
    OK(ps_ledger_clean(b->l, DAY, &test_err));
    OK(ps_ledger_clean(b->l, DAY, &test_err));
    assert_int_equal(look_at(b, DAY).state, PS_DAY_CLEANED);
    assert_int_equal(events_of(b, DAY + 1), 1);
}

/* Rows of statistics stay, and what the position says. */
static void cleaning_keeps_statistics(void **state)
{
    struct book *b = *state;
    struct ps_stat_row row = row_of(NOON_HOUR, PS_STR("/"), 5);
    add_dated(b->w, NOON, 1);
    EXPECT_APPLY(b->w, "N");
    settle(b->w, &row, 1, 1, NOON);
    clean_day(b, DAY);
    struct ps_buf rows;
    dump_init(&rows);
    OK(ps_store_stats(b->w->store, &every_row, dump_row, &rows, &test_err));
    dump_end(&rows);
    assert_non_null(strstr(rows.ptr, "'/' 5 "));
    ps_buf_done(&rows);
    expect_position(b->w, 0, 1, 1);
}

/* I1, I6: two write handles, the ledger's and the aggregator's, each with days it remembers. */
static void the_aggregators_handle_notices(void **state)
{
    struct book *b = *state;
    for (int round = 0; round < 3; round++) {
        int32_t day = DAY + 2 * round;
        int64_t at = (int64_t)day * PS_MS_PER_DAY;
        struct ps_event back = {.path = PS_STR("/"),
                                .timestamp_ms = at,
                                .response_us = PS_ABSENT,
                                .response_bytes = PS_ABSENT,
                                .status = PS_ABSENT,
                                .is_error = PS_ABSENT};
        char id[64];
        snprintf(id, sizeof id, "%013lld-%016x", (long long)at, 1);
        back.id = (struct ps_str){id, strlen(id)};
        add_dated(b->w, at, 1);
        add_dated(b->w, at + PS_MS_PER_DAY, 1);
        EXPECT_APPLY(b->w, "NN");
        clean_day(b, day);
        add_dated(b->w, at, 1);
        add_dated(b->w, at + PS_MS_PER_DAY, 2);
        add_dated(b->w, at, 3);
        EXPECT_APPLY(b->w, "CNC");
        OK(ps_ledger_restore(b->l, day, &back, 1, true, &test_err));
        add_dated(b->w, at, 1);
        add_dated(b->w, at, 3);
        EXPECT_APPLY(b->w, "DN");
        assert_int_equal(events_of(b, day), 2);
    }
}

/* Nothing would see them, but they would pile up. */
static void expect_no_foreign_ids(struct book *b, int32_t day)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    if (b->w->backend->ops != &ps_store_sqlite)
        return;
    assert_int_equal(sqlite3_open(b->w->place.target, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM foreign_ids WHERE timestamp / 86400000 = ?",
                           -1, &q, NULL),
        SQLITE_OK);
    sqlite3_bind_int(q, 1, day);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(q, 0), 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
}

/* Ids that are compared across days: those of a cleaned day are not there any more, those of other
 * days still are. */
static void foreign_ids_go_with_their_day(void **state)
{
    struct book *b = *state;
    add_event(b->w, "gone", NOON);
    add_event(b->w, "stays", NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(b->w, "NN");
    clean_day(b, DAY);
    expect_no_foreign_ids(b, DAY);
    add_event(b->w, "gone", NOON); /* its own day is closed */
    add_event(b->w, "stays", NOON + 2 * PS_MS_PER_DAY);
    add_event(b->w, "gone", NOON + PS_MS_PER_DAY);
    add_event(b->w, "gone", NOON + 2 * PS_MS_PER_DAY);
    EXPECT_APPLY(b->w, "CDND");
}

/* --- restoring --- */

static struct ps_batch events_to_restore(struct book *b, unsigned from, unsigned to)
{
    clear_batch(b->w);
    for (unsigned i = from; i < to; i++)
        add_dated(b->w, NOON + i, i);
    return (struct ps_batch){.events = b->w->events, .count = b->w->count};
}

static int restore_some(struct book *b, unsigned from, unsigned to, bool last)
{
    struct ps_batch batch = events_to_restore(b, from, to);
    int r = ps_ledger_restore(b->l, DAY, batch.events, batch.count, last, &test_err);
    clear_batch(b->w);
    return r;
}

static void only_a_cleaned_day_is_restored(void **state)
{
    struct book *b = *state;
    static const enum ps_day_state others[] = {PS_DAY_OPEN, PS_DAY_PENDING, PS_DAY_COMPLETED,
                                               PS_DAY_FAILED};
    for (size_t i = 0; i < PS_COUNT_OF(others); i++) {
        if (others[i] != PS_DAY_OPEN)
            mark(b, DAY, others[i]);
        assert_int_equal(restore_some(b, 0, 3, true), PS_EINVAL);
        assert_int_equal(events_of(b, DAY), 0);
    }
    clean_day(b, DAY);
    OK(restore_some(b, 0, 3, true));
    assert_int_equal(restore_some(b, 3, 4, true), PS_EINVAL); /* restored already */
    assert_int_equal(events_of(b, DAY), 3);
}

static void an_event_of_another_day_is_refused(void **state)
{
    struct book *b = *state;
    clean_day(b, DAY);
    add_dated(b->w, NOON, 1);
    add_dated(b->w, NOON + PS_MS_PER_DAY, 2);
    assert_int_equal(ps_ledger_restore(b->l, DAY, b->w->events, 2, true, &test_err), PS_EINVAL);
    clear_batch(b->w);
    assert_int_equal(events_of(b, DAY), 0);
    assert_int_equal(look_at(b, DAY).state, PS_DAY_CLEANED);
}

/* Not sealed before the last piece is there; the second attempt doubles nothing. */
static void an_interrupted_restore_is_run_again(void **state)
{
    struct book *b = *state;
    clean_day(b, DAY);
    OK(restore_some(b, 0, 10, false));
    OK(restore_some(b, 10, 15, false));
    assert_int_equal(look_at(b, DAY).state, PS_DAY_CLEANED);
    add_dated(b->w, NOON, 0);
    EXPECT_APPLY(b->w, "C");
    ps_ledger_close(b->l);
    reopen(b->w);
    b->l = open_ledger(b->w);
    OK(restore_some(b, 0, 10, false));
    OK(restore_some(b, 10, 20, false));
    OK(restore_some(b, 0, 0, true));
    assert_int_equal(look_at(b, DAY).state, PS_DAY_RESTORED);
    assert_int_equal(events_of(b, DAY), 20);
    add_dated(b->w, NOON + 19, 19);
    add_dated(b->w, NOON + 20, 20);
    EXPECT_APPLY(b->w, "DN");
}

/* I1: its redo record and its position are not touched: nothing is counted. */
static void restoring_counts_nothing(void **state)
{
    struct book *b = *state;
    struct ps_buf before, after;
    clean_day(b, DAY);
    dump_init(&before);
    dump_init(&after);
    OK(ps_store_redo(b->w->store, 0, dump_redo, &before, &test_err));
    OK(ps_store_stats(b->w->store, &every_row, dump_row, &before, &test_err));
    OK(restore_some(b, 0, 30, true));
    OK(ps_store_redo(b->w->store, 0, dump_redo, &after, &test_err));
    OK(ps_store_stats(b->w->store, &every_row, dump_row, &after, &test_err));
    expect_same(&before, &after, "restore");
    expect_position(b->w, 0, 0, 0);
    ps_buf_done(&before);
    ps_buf_done(&after);
}

/* All columns, in both kinds of id. */
static void restored_events_are_what_they_were(void **state)
{
    struct book *b = *state;
    struct ps_buf before, after;
    struct ps_event copy[3];
    add_dated(b->w, NOON, 7);
    add_event(b->w, "foreign", NOON + 1);
    struct ps_event *full = add_dated(b->w, NOON + 2, 8);
    full->method = PS_STR("GET");
    full->user_agent = PS_STR("a \"b\" \xc3\xa4");
    full->country = PS_STR("DE");
    full->status = 503;
    full->is_error = 1;
    full->response_us = 1234567;
    full->has_client = true;
    full->client_hash = UINT64_MAX;
    memcpy(copy, b->w->events, sizeof copy);
    struct ps_batch batch = take_batch(b->w);
    struct ps_applied applied;
    OK(apply_at(b->w, b->w->store, &batch, &applied));
    dump_init(&before);
    dump_init(&after);
    OK(ps_store_events(b->w->store, DAY, PS_ORDER_TIME, dump_event, &before, &test_err));
    clean_day(b, DAY);
    OK(ps_ledger_restore(b->l, DAY, copy, 3, true, &test_err));
    OK(ps_store_events(b->w->store, DAY, PS_ORDER_TIME, dump_event, &after, &test_err));
    expect_same(&before, &after, "restored");
    assert_true(before.len > 100);
    ps_buf_done(&before);
    ps_buf_done(&after);
    clear_batch(b->w);
    add_event(b->w, "foreign", NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(b->w, "D"); /* known across days again */
}

/* While its day was away the id was counted again on another day: the restored day is complete all
 * the same, else the next archive of it would lose the event. */
static void a_restored_day_is_complete(void **state)
{
    struct book *b = *state;
    struct ps_event event = {.id = PS_STR("twice"),
                             .path = PS_STR("/"),
                             .timestamp_ms = NOON,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    add_event(b->w, "twice", NOON);
    EXPECT_APPLY(b->w, "N");
    clean_day(b, DAY);
    add_event(b->w, "twice", NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(b->w, "N");
    OK(ps_ledger_restore(b->l, DAY, &event, 1, true, &test_err));
    assert_int_equal(events_of(b, DAY), 1);
    assert_int_equal(events_of(b, DAY + 1), 1);
    add_event(b->w, "twice", NOON);
    add_event(b->w, "twice", NOON + PS_MS_PER_DAY);
    EXPECT_APPLY(b->w, "DD");
}

/* --- runs --- */

static int64_t start_run(struct book *b, struct ps_str job, int64_t ms)
{
    struct ps_run run = {.job = job, .scheduled_ms = ms, .started_ms = ms + 1};
    int64_t id = -1;
    OK(ps_ledger_run_started(b->l, &run, &id, &test_err));
    assert_true(id > 0);
    return id;
}

static void finish_run(struct book *b, int64_t id, int64_t ms, struct ps_str outcome,
                       struct ps_str detail)
{
    struct ps_run run = {.id = id, .finished_ms = ms, .outcome = outcome, .detail = detail};
    OK(ps_ledger_run_finished(b->l, &run, &test_err));
}

static int dump_run(void *to, const struct ps_run *run)
{
    ps_buf_format(to, "%.*s %lld %lld %lld %.*s", (int)run->job.len, run->job.ptr,
                  (long long)run->scheduled_ms, (long long)run->started_ms,
                  (long long)run->finished_ms, (int)run->outcome.len,
                  run->outcome.len == 0 ? "" : run->outcome.ptr);
    dump_str(to, run->detail);
    ps_buf_text(to, "\n");
    return 0;
}

static void runs_are_told_newest_first(void **state)
{
    struct book *b = *state;
    int64_t first = start_run(b, PS_STR("a"), 10), second = start_run(b, PS_STR("b"), 20);
    assert_true(second > first);
    finish_run(b, first, 15, PS_STR("ok"), PS_STR("{\"n\":1}"));
    finish_run(b, second, 29, PS_STR("io"), PS_STR_NONE);
    EXPECT_TEXT("b 20 21 29 io ''\na 10 11 15 ok '{\"n\":1}'\n",
                ps_ledger_runs(b->l, PS_STR_NONE, 10, dump_run, &got, &test_err));
    EXPECT_TEXT("b 20 21 29 io ''\n",
                ps_ledger_runs(b->l, PS_STR_NONE, 1, dump_run, &got, &test_err));
    EXPECT_TEXT("a 10 11 15 ok '{\"n\":1}'\n",
                ps_ledger_runs(b->l, PS_STR("a"), 1, dump_run, &got, &test_err));
    EXPECT_TEXT("", ps_ledger_runs(b->l, PS_STR("c"), 9, dump_run, &got, &test_err));
    EXPECT_TEXT("", ps_ledger_runs(b->l, PS_STR_NONE, 0, dump_run, &got, &test_err));
}

static int see_unfinished(void *ctx, const struct ps_run *run)
{
    assert_int_equal(run->finished_ms, 0);
    ++*(int *)ctx;
    return 0;
}

static int stop_at_once(void *ctx, const struct ps_run *run)
{
    (void)run;
    ++*(int *)ctx;
    return PS_ESTOP;
}

static void a_run_that_did_not_finish_shows_it(void **state)
{
    struct book *b = *state;
    int n = 0;
    start_run(b, PS_STR("a"), 10);
    start_run(b, PS_STR("a"), 11);
    ps_ledger_close(b->l);
    b->l = open_ledger(b->w);
    OK(ps_ledger_runs(b->l, PS_STR("a"), 10, see_unfinished, &n, &test_err));
    assert_int_equal(n, 2);
    assert_int_equal(ps_ledger_runs(b->l, PS_STR("a"), 10, stop_at_once, &n, &test_err), PS_ESTOP);
    assert_int_equal(n, 3);
    finish_run(b, 999999, 1, PS_STR("ok"), PS_STR("of nobody")); /* forgotten meanwhile */
}

static int see_detail(void *ctx, const struct ps_run *run)
{
    *(size_t *)ctx = run->detail.len;
    return 0;
}

static void a_long_detail_is_cut(void **state)
{
    struct book *b = *state;
    static char text[PS_RUN_DETAIL_MAX + 100];
    size_t len = 0;
    memset(text, 'x', sizeof text);
    int64_t id = start_run(b, PS_STR("a"), 1);
    finish_run(b, id, 2, PS_STR("ok"), (struct ps_str){text, sizeof text});
    OK(ps_ledger_runs(b->l, PS_STR("a"), 1, see_detail, &len, &test_err));
    assert_int_equal(len, PS_RUN_DETAIL_MAX);
}

static int count_runs(void *ctx, const struct ps_run *run)
{
    (void)run;
    ++*(size_t *)ctx;
    return 0;
}

/* The older ones are forgotten, however many there were (I8). */
static void runs_are_bounded(void **state)
{
    struct book *b = *state;
    size_t n = 0;
    for (int i = 0; i < PS_RUNS_KEPT + 50; i++)
        start_run(b, i < 50 ? PS_STR("old") : PS_STR("new"), i);
    OK(ps_ledger_runs(b->l, PS_STR_NONE, SIZE_MAX / 2, count_runs, &n, &test_err));
    assert_int_equal(n, PS_RUNS_KEPT);
    n = 0;
    OK(ps_ledger_runs(b->l, PS_STR("old"), SIZE_MAX / 2, count_runs, &n, &test_err));
    assert_int_equal(n, 0);
}

/* --- size --- */

static void fill_day(struct book *b, int32_t day)
{
    for (unsigned i = 0; i < 3000; i++) {
        char path[32];
        struct ps_event *event = add_dated(b->w, (int64_t)day * PS_MS_PER_DAY + i, i);
        snprintf(path, sizeof path, "/some/longer/path/%u", i);
        event->path = keep_text(b->w, path, strlen(path));
    }
    struct ps_batch batch = take_batch(b->w);
    struct ps_applied applied;
    OK(apply_at(b->w, b->w->store, &batch, &applied));
    assert_int_equal(applied.fresh, 3000);
    clear_batch(b->w);
}

static void cleaned_space_is_used_again(void **state)
{
    struct book *b = *state;
    struct ps_ledger_size full, cleaned, again;
    fill_day(b, DAY);
    OK(ps_ledger_size(b->l, &full, &test_err));
    if (full.bytes == 0)
        return; /* nothing on disk */
    clean_day(b, DAY);
    OK(ps_ledger_size(b->l, &cleaned, &test_err));
    assert_true(cleaned.free_bytes > full.free_bytes + 100000);
    assert_true(cleaned.bytes - cleaned.free_bytes < (full.bytes - full.free_bytes) / 2);
    for (int i = 1; i <= 5; i++) {
        fill_day(b, DAY + i);
        clean_day(b, DAY + i);
    }
    fill_day(b, DAY + 6);
    OK(ps_ledger_size(b->l, &again, &test_err));
    assert_true(again.bytes <= full.bytes + full.bytes / 4);
    assert_true(again.bytes >= again.free_bytes);
}

static const struct contract_case cases[] = {
    {"a day goes its way", a_day_goes_its_way},
    {"a mask decides from where", a_mask_decides_from_where},
    {"a refused mark changes nothing", a_refused_mark_changes_nothing},
    {"a failure is kept with its reason", a_failure_is_kept_with_its_reason},
    {"states survive opening again", states_survive_opening_again},
    {"sealed days refuse, the others take", sealed_days_refuse_and_the_others_take},
    {"only a completed day is cleaned", only_a_completed_day_is_cleaned},
    {"cleaning twice is fine", cleaning_twice_is_fine},
    {"cleaning keeps statistics", cleaning_keeps_statistics},
    {"the aggregator's handle notices", the_aggregators_handle_notices},
    {"foreign ids go with their day", foreign_ids_go_with_their_day},
    {"only a cleaned day is restored", only_a_cleaned_day_is_restored},
    {"an event of another day is refused", an_event_of_another_day_is_refused},
    {"an interrupted restore is run again", an_interrupted_restore_is_run_again},
    {"restoring counts nothing", restoring_counts_nothing},
    {"restored events are what they were", restored_events_are_what_they_were},
    {"a restored day is complete", a_restored_day_is_complete},
    {"runs are told newest first", runs_are_told_newest_first},
    {"a run that did not finish shows it", a_run_that_did_not_finish_shows_it},
    {"a long detail is cut", a_long_detail_is_cut},
    {"runs are bounded", runs_are_bounded},
    {"cleaned space is used again", cleaned_space_is_used_again},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(store_backends); i++)
        failed += run_contract("ledger", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), open_book, close_book);
    return failed;
}
